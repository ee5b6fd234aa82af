"""From an HTTP request to a verb and back: paths, users, headers, streams, faults."""

import asyncio
import json
import re
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from aiohttp import web

from .kube_admission import REVIEW, authorise, reviewed
from .kube_daemons import APPLY, RESOURCE
from .kube_errors import ApiError, no_such_path, not_allowed, plain
from .kube_faults import Fault, Request
from .kube_list import Listing
from .kube_logs import LogRequest, unreachable
from .kube_metrics import GROUP
from .kube_metrics import RESOURCE as MEASURED
from .kube_store import KINDS, Change, dumps, root, stamp, version
from .kube_watch import YES, Watch

if TYPE_CHECKING:
    from .kube import FakeCluster

Object = dict[str, Any]
PATH = re.compile(
    r"/(?:api/v1|apis/apps/v1|apis/(?P<group>metrics\.k8s\.io)/v1beta1)(?:/namespaces/(?P<namespace>[^/]+)(?=/))?/(?P<resource>[a-z]+)(?:/(?P<name>[^/]+))?"
    r"(?:/(?P<sub>[a-z]+))?"
)
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
ACCEPTED = ("application/json", "*/*", "application/*", "text/plain", "application/yaml")
UNACCEPTABLE = (
    "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, "
    "application/vnd.kubernetes.protobuf, application/json;stream=watch, "
    "application/vnd.kubernetes.protobuf;stream=watch"
)
UNKNOWN_BODY = (
    "the body of the request was in an unknown format - accepted media types include: application/json, "
    "application/yaml, application/vnd.kubernetes.protobuf"
)
VERSION = {"major": "1", "minor": "33", "gitVersion": "v1.33.13", "platform": "linux/amd64"}
PUBLIC = {"/version", "/readyz", "/livez", "/healthz"}
ANONYMOUS = "system:anonymous"


class Reset(Exception):
    """The connection breaks now."""


class Handler:
    """Answers every request of one cluster."""

    def __init__(self, cluster: "FakeCluster") -> None:
        self.cluster, self.store, self.api = cluster, cluster.store, cluster.api
        self.watches: set[Watch] = set()
        self.loading_until = 0.0

    async def handle(self, http: web.BaseRequest) -> web.StreamResponse:
        raw = await http.content.read(-1)
        request = self.parsed(http, raw)
        self.cluster.requests.append(request)
        fault = self.cluster.faults.of(request)
        try:
            if fault:
                await fault.before()
            response = await self.answer(http, request, raw)
        except ApiError as error:
            response = refusal(error)
        if fault:
            response = await self.spoil(fault, response, http)
        request.status = response.status
        if isinstance(response, web.Response):
            request.sent += len(response.body or b"")  # type: ignore[arg-type]
            if request.user:
                response.headers["X-Kubernetes-Pf-Flowschema-Uid"] = "99a19df9-88e1-4e4f-9e7b-7e6f89067fed"
                response.headers["X-Kubernetes-Pf-Prioritylevel-Uid"] = "b396ebd2-8811-4c64-b08a-def0a8b2ad1f"
        return response

    async def spoil(self, fault: Fault, response: web.StreamResponse, http: web.BaseRequest) -> web.StreamResponse:
        await fault.after()
        if fault.truncate is not None and isinstance(response, web.Response):
            broken = web.StreamResponse(status=response.status, headers={"Content-Type": "application/json"})
            broken.content_length = len(response.body or b"")  # type: ignore[arg-type]
            await broken.prepare(http)
            await broken.write((response.body or b"")[: fault.truncate])  # type: ignore[index]
            await asyncio.sleep(0.02)  # let it leave before the connection breaks
        if (fault.reset or fault.truncate is not None) and http.transport:
            http.transport.abort()
        return response

    def parsed(self, http: web.BaseRequest, raw: bytes) -> Request:
        query = dict(http.rel_url.query)
        found = PATH.fullmatch(http.path)
        place = (
            found.groupdict(default="")
            if found
            else {"resource": "", "namespace": "", "name": "", "sub": "", "group": ""}
        )
        verb = VERBS.get(http.method, "get" if place["name"] else "list")
        if verb == "list" and query.get("watch") in YES:
            verb = "watch"
        body = None
        with suppress(ValueError):
            body = json.loads(raw) if raw else None
        resource = f"{place['resource']}.{place['group']}".rstrip(".") + f"/{place['sub']}".rstrip("/")
        return Request(verb, resource, place["namespace"], place["name"], query, body)

    def authenticate(self, http: web.BaseRequest) -> str:
        given = http.headers.get("Authorization", "")
        if not given:
            return ANONYMOUS
        user = self.cluster.users.get(given.removeprefix("Bearer "))
        if user is None:
            raise ApiError(401, "Unauthorized", "Unauthorized")
        return user

    async def answer(self, http: web.BaseRequest, request: Request, raw: bytes) -> web.StreamResponse:
        user = self.authenticate(http)
        request.user = "" if request.resource == "pods/log" else user
        if http.path in {*PUBLIC, REVIEW}:
            return self.open_to_all(http.path, request.body, user)
        if not http.path.startswith(("/api/", "/apis/apps/", f"/apis/{GROUP}/")):
            raise plain(404, "404 page not found")
        self.authorise(user, request)
        return await self.authorised(http, request, raw)

    async def authorised(self, http: web.BaseRequest, request: Request, raw: bytes) -> web.StreamResponse:
        if request.resource == MEASURED:
            return ok(self.cluster.metrics.answer(request))
        resource, _, sub = request.resource.partition("/")
        if resource not in KINDS or sub not in {"", "log", "eviction"} or not http.path.startswith(root(resource)):
            raise no_such_path()
        if sub == "log":
            return await self.log(http, request)
        check_types(http, request)
        if sub == "eviction":
            return self.evict(request)
        return await getattr(self, f"do_{request.verb}")(http, request, raw)

    def open_to_all(self, path: str, body: Any, user: str) -> web.Response:
        if path == REVIEW:
            return ok(reviewed(body, self.cluster.rules.get(user, {})), 201)
        return ok(VERSION) if path == "/version" else web.Response(text="ok")

    def authorise(self, user: str, request: Request) -> None:
        loading = asyncio.get_running_loop().time() < self.loading_until and user != "admin"
        rules = {} if loading else self.cluster.rules.get(user, {})
        namespace = request.name if request.resource == "namespaces" else request.namespace
        authorise(user, rules, request.verb, request.resource, namespace, request.name)

    def subject(self, request: Request) -> Object:
        resource = request.resource.partition("/")[0]
        return self.store.get(resource, request.namespace, request.name)

    def shown(self, resource: str, obj: Object, status: int = 200, warnings: list[str] | None = None) -> web.Response:
        body = {"kind": KINDS[resource], "apiVersion": version(resource)} | obj
        response = ok(body, status)
        for warning in warnings or []:
            text = warning.replace("\\", "\\\\").replace('"', '\\"')
            response.headers.add("Warning", f'299 - "{text}"')
        return response

    async def do_list(self, http: web.BaseRequest, request: Request, raw: bytes) -> web.Response:
        listing = Listing(self.store, request.resource, request.namespace, request.query)
        return web.Response(body=await listing.body(self.cluster.speed), headers=headers())

    async def do_get(self, http: web.BaseRequest, request: Request, raw: bytes) -> web.Response:
        return self.shown(request.resource, self.subject(request))

    async def do_create(self, http: web.BaseRequest, request: Request, raw: bytes) -> web.Response:
        if request.name:
            raise not_allowed()
        made, warnings = self.api.create(request.resource, request.namespace, raw, request.query)
        return self.shown(request.resource, made, 201, warnings)

    async def do_update(self, http: web.BaseRequest, request: Request, raw: bytes) -> web.Response:
        if not request.name:
            raise not_allowed()
        made, warnings = self.api.replace(request.resource, self.subject(request), raw, request.query)
        return self.shown(request.resource, made, 200, warnings)

    async def do_patch(self, http: web.BaseRequest, request: Request, raw: bytes) -> web.Response:
        if not request.name:
            raise not_allowed()
        kind = http.headers.get("Content-Type", "").partition(";")[0]
        if (request.resource, kind) == (RESOURCE, APPLY):
            applied = self.cluster.daemons.apply(self.subject(request), json.loads(raw), request.query)
            return self.shown(RESOURCE, applied)
        return self.shown(
            request.resource, self.api.patch(request.resource, self.subject(request), raw, kind, request.query)
        )

    async def do_delete(self, http: web.BaseRequest, request: Request, raw: bytes) -> web.Response:
        if not request.name:
            raise not_allowed()
        options = dict(request.body or {})
        if "gracePeriodSeconds" in request.query:
            options.setdefault("gracePeriodSeconds", int(request.query["gracePeriodSeconds"]))
        if "dryRun" in request.query:
            options["dryRun"] = [request.query["dryRun"]]
        status, shown = self.api.delete(request.resource, self.subject(request), options)
        return ok(shown, status) if shown.get("kind") == "Status" else self.shown(request.resource, shown, status)

    async def do_watch(self, http: web.BaseRequest, request: Request, raw: bytes) -> web.StreamResponse:
        speed = self.cluster.watch_speed or self.cluster.speed
        watch = Watch(self.store, request.resource, request.namespace, request.query, speed)
        response = web.StreamResponse(headers=headers())
        response.enable_chunked_encoding()
        await response.prepare(http)
        request.status = 200
        self.watches.add(watch)
        try:
            held = b""
            async for change, line in watch.lines():
                text, held = await self.spoiled(change, line, held)
                if text:
                    request.sent += len(text)
                    await response.write(text)
            await response.write_eof()
        except ConnectionError:
            pass  # the client has gone
        finally:
            self.watches.discard(watch)
        return response

    async def spoiled(self, change: Change | None, line: bytes, held: bytes) -> tuple[bytes, bytes]:
        """Return what is sent now and what is held back until the next line."""
        fault = self.cluster.faults.of_line(change) if change else None
        effect = fault.effect if fault else ""
        if fault and effect == "late":
            await asyncio.sleep(fault.seconds)
        if effect == "reorder":
            return held, line
        return {"drop": b"", "duplicate": line * 2}.get(effect, line) + held, b""

    async def log(self, http: web.BaseRequest, request: Request) -> web.StreamResponse:
        pod = self.subject(request)
        wanted = LogRequest(self.cluster.logs, pod, request.query)
        if self.cluster.node_lost and wanted.scheduled:
            raise unreachable(pod, wanted.container)
        if not wanted.scheduled:
            return web.Response(status=204, headers=headers(""))
        if not wanted.follows:
            return web.Response(body=wanted.body(), headers=headers("text/plain"))
        response = web.StreamResponse(headers=headers("text/plain"))
        response.enable_chunked_encoding()
        await response.prepare(http)
        with suppress(ConnectionError):
            await response.write(wanted.body())
            async for text in wanted.more(lambda: self.runs(pod, wanted.container)):
                await response.write(text)
            await response.write_eof()
        return response

    def runs(self, pod: Object, container: str) -> bool:
        found = self.store.find("pods", pod["metadata"]["namespace"], pod["metadata"]["name"])
        status = (found or {}).get("status", {})
        all_of = status.get("containerStatuses", []) + status.get("initContainerStatuses", [])
        return any(one["name"] == container and "running" in one["state"] for one in all_of)

    def evict(self, request: Request) -> web.Response:
        pod = self.subject(request)
        if budget := self.cluster.guarded.get(request.name):
            text = f"The disruption budget {budget} needs 0 healthy pods and has 1 currently"
            details = {"causes": [{"reason": "DisruptionBudget", "message": text}]}
            text = "Cannot evict pod as it would violate the pod's disruption budget."
            raise ApiError(429, text, "TooManyRequests", details=details)
        disrupt(self.cluster, pod, "EvictionByEvictionAPI", "Eviction API: evicting")
        success = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
        return ok(success, 201)


def check_types(http: web.BaseRequest, request: Request) -> None:
    """Raise ApiError(406, 415) for what the API server does not write or read."""
    if not any(kind in http.headers.get("Accept", "*/*") for kind in ACCEPTED):
        raise ApiError(406, UNACCEPTABLE, "NotAcceptable", details={})
    given = http.headers.get("Content-Type", "application/json")
    if request.verb in {"create", "update"} and given.startswith("text/plain"):
        raise ApiError(415, UNKNOWN_BODY, "UnsupportedMediaType")


def disrupt(cluster: "FakeCluster", pod: Object, reason: str, message: str) -> None:
    """Mark a pod as disrupted and delete it, as eviction, preemption and taints do."""
    mark = {"type": "DisruptionTarget", "status": "True", "lastProbeTime": None, "lastTransitionTime": stamp()}
    mark |= {"reason": reason, "message": message}
    conditions = [*pod["status"].get("conditions", []), mark]
    if marked := cluster.put_status(pod, conditions=conditions):
        cluster.api.delete_pod(marked, None)


def headers(kind: str = "application/json") -> dict[str, str]:
    found = {"Audit-Id": str(uuid.uuid4()), "Cache-Control": "no-cache, private"}
    return found | ({"Content-Type": kind} if kind else {})


def ok(body: Object, status: int = 200) -> web.Response:
    return web.Response(status=status, body=dumps(body) + b"\n", headers=headers())


def refusal(error: ApiError) -> web.Response:
    body = error.text.encode() if error.text is not None else dumps(error.body()) + b"\n"
    return web.Response(status=error.status, body=body, headers=headers() | error.headers)
