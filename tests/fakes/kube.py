"""A Kubernetes API server to test against: real HTTP on a loopback port, in this process, with objects in memory."""

import asyncio
import logging
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiohttp import web
from kubernetes_asyncio.client import Configuration

from . import kube_admission
from .kube_api import Api
from .kube_controllers import Controllers
from .kube_daemons import Daemons
from .kube_faults import Fault, Faults, Request, WatchFault
from .kube_http import Handler
from .kube_logs import Logs
from .kube_metrics import Metrics
from .kube_store import Change, Store

Object = dict[str, Any]
HUB_ROLE: kube_admission.Rules = {  # what a hub with plain KubeSpawner is usually given in its own namespace
    "sessions": {
        "pods": {"get", "list", "watch", "create", "delete"},
        "pods/log": {"get"},
        "persistentvolumeclaims": {"get", "list", "watch", "create", "delete", "patch"},
        "secrets": {"get", "list", "watch", "create", "delete"},
        "services": {"get", "list", "watch", "create", "delete"},
        "events": {"get", "list", "watch"},
    }
}


class Kubelet(Protocol):
    """Who gives pods their lives."""

    def address(self) -> str: ...
    def added(self, pod: Object) -> None: ...
    def stopping(self, pod: Object) -> None: ...
    def gone(self, pod: Object) -> None: ...
    async def close(self) -> None: ...


@dataclass
class Trouble:
    """An event that a kubelet repeats instead of starting a pod, until it is `healed`; `{claim}` is the pod's first."""

    reason: str
    message: str
    healed: asyncio.Event = field(default_factory=asyncio.Event)


# Messages of a real kubelet 1.33 about what heals by itself.
HEALING = {
    "node authoriser": Trouble(
        "FailedMount",
        'MountVolume.SetUp failed for volume "renku-work" : failed to fetch PVC from API server: '
        'persistentvolumeclaims "{claim}" is forbidden: User "system:node:knode" cannot get resource '
        '"persistentvolumeclaims" in API group "" '
        "in the namespace \"sessions\": no relationship found between node 'knode' and this object",
    ),
    "secret cache": Trouble(
        "FailedMount",
        'MountVolume.SetUp failed for volume "renku-clone" : failed to sync secret cache: timed out waiting for the '
        "condition",
    ),
    "attach": Trouble("FailedAttachVolume", 'Multi-Attach error for volume "pvc-1" Volume is already used by pod(s) x'),
    "sandbox": Trouble(
        "FailedCreatePodSandBox",
        "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox: plugin "
        'type="cilium-cni" failed (add): unable to connect to Cilium agent',
    ),
}


class FakeCluster:
    """A cluster of one node.

    speed: every duration of the cluster (kubelet, watch timeouts, bookmarks) is divided by it;
    watch_speed: another one for watches, when it is set.
    users: names by token; rules: what each may do, by name (see kube_admission.Rules).
    """

    def __init__(self, speed: float = 1.0, namespaces: tuple[str, ...] = ("default", "sessions")) -> None:
        self.speed, self.watch_speed = speed, 0.0
        self.node = "knode"
        self.store = Store()
        self.api = Api(self.store)
        self.logs = Logs()
        self.faults = Faults()
        self.users = {"admin-token": "admin", "hub-token": "hub"}
        self.rules: dict[str, kube_admission.Rules] = {"admin": kube_admission.EVERYTHING, "hub": HUB_ROLE}
        self.node_lost = False
        self.provisioning: asyncio.Event | None = None  # set: what a provisioner waits for before it makes a volume
        self.troubles: list[Trouble] = []
        self.guarded: dict[str, str] = {}  # PodDisruptionBudget by name of a pod whose eviction it forbids
        self.requests: list[Request] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.errors: list[BaseException] = []
        self.controllers = Controllers(self)
        self.daemons = Daemons(self)
        self.metrics = Metrics(self)
        self.store.listeners.append(self.heard)
        self.kubelet: Kubelet | None = None
        self.handler = Handler(self)
        self.host, self.port = "127.0.0.1", 0
        self.tls: ssl.SSLContext | None = None  # serves by HTTPS
        self.trusted: str | None = None  # file of the authority that its clients trust; None: the system's
        self.server: web.Server[Any] | None = None
        self.runner: web.ServerRunner | None = None
        self.site: web.TCPSite | None = None
        for name in namespaces:
            self.add_namespace(name)

    # life of the server

    async def start(self) -> "FakeCluster":
        logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
        self.server = web.Server(self.handler.handle, handler_cancellation=True)
        self.runner = web.ServerRunner(self.server, shutdown_timeout=0.1)
        await self.runner.setup()
        await self.listen()
        return self

    async def listen(self) -> None:
        assert self.runner is not None
        self.site = web.TCPSite(self.runner, self.host, self.port, reuse_address=True, ssl_context=self.tls)
        await self.site.start()
        self.port = self.runner.addresses[0][1]

    async def stop(self) -> None:
        """End the server and all that lives in it; raises what went wrong behind the scenes."""
        if self.kubelet:
            await self.kubelet.close()
        await self.go_away()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        if self.runner:
            await self.runner.cleanup()
        if self.errors:
            raise self.errors[0]

    async def __aenter__(self) -> "FakeCluster":
        return await self.start()

    async def __aexit__(self, *error: object) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"

    def configuration(self, token: str = "admin-token") -> Configuration:
        """Return what a client of kubernetes_asyncio needs."""
        found = Configuration(host=self.url)
        found.ssl_ca_cert = self.trusted
        found.api_key["BearerToken"] = f"Bearer {token}"
        return found

    # outages

    async def go_away(self, *, break_watches: bool = True) -> None:
        """Refuse connections; open ones break off without a last chunk, unless `break_watches` is false."""
        if self.site:
            site, self.site = self.site, None
            with suppress(RuntimeError):
                await site.stop()
        if break_watches:
            self.break_connections()

    def break_connections(self) -> None:
        for connection in list(self.server.connections) if self.server else []:
            if connection.transport:
                connection.transport.abort()

    async def come_back(self) -> None:
        await self.listen()

    @asynccontextmanager
    async def outage(self, *, break_watches: bool = True) -> AsyncIterator[None]:
        await self.go_away(break_watches=break_watches)
        try:
            yield
        finally:
            await self.come_back()

    async def restart(self, *, confused: float = 0.1) -> None:
        """Go and come back on the same port; for `confused` seconds RBAC is not loaded yet: 403 for all but admins."""
        await self.go_away()
        self.handler.loading_until = asyncio.get_running_loop().time() + confused
        await self.come_back()

    # faults

    def fault(self, match: Callable[[Request], bool] | None = None, **what: Any) -> Fault:
        """Let something happen to the next request that matches; see Fault."""
        fault = Fault(match or (lambda request: True), **what)
        self.faults.requests.append(fault)
        return fault

    def watch_fault(
        self, effect: str, match: Callable[[Change], bool] = lambda change: True, **what: Any
    ) -> WatchFault:
        """Let something happen to the next line of a watch that matches; see WatchFault."""
        assert effect in {"drop", "duplicate", "reorder", "late"}
        fault = WatchFault(effect, match, **what)
        self.faults.lines.append(fault)
        return fault

    def compact(self, *, caches: bool = True) -> None:
        """Forget the history: the next list or watch from an old version is told 410 (open watches go on)."""
        self.store.compact(caches=caches)

    def expire_watches(self) -> None:
        """Tell every open watch 410 and forget the history."""
        for watch in self.handler.watches:
            watch.expired = True
        self.compact()
        self.store.wake()

    # what the tests see and set

    def objects(self, resource: str, namespace: str = "") -> list[Object]:
        return self.store.objects(resource, namespace)

    def find(self, resource: str, name: str, namespace: str = "sessions") -> Object | None:
        return self.store.find(resource, namespace, name)

    def events_of(self, pod: Object) -> list[Object]:
        uid = pod["metadata"]["uid"]
        return [event for event in self.objects("events") if event["involvedObject"].get("uid", uid) == uid]

    def add_namespace(self, name: str, *, terminating: bool = False, **labels: str) -> Object:
        """Add a namespace; labels are written with _ for - and __ for /."""
        named = {key.replace("__", "/").replace("_", "-"): value for key, value in labels.items()}
        named["kubernetes.io/metadata.name"] = name
        phase = "Terminating" if terminating else "Active"
        return self.store.create(
            "namespaces", {"metadata": {"name": name, "labels": named}, "status": {"phase": phase}}
        )

    def add(self, resource: str, namespace: str, name: str, **fields: Any) -> Object:
        """Put an object straight into the store, e.g. a resourcequota or a limitrange."""
        return self.store.create(resource, {"metadata": {"name": name, "namespace": namespace}, **fields})

    def write_log(self, pod: str, text: str | bytes, container: str = "notebook", namespace: str = "sessions") -> None:
        self.logs.of(self.store.get("pods", namespace, pod), container).write(text)

    def counts(self) -> Counter[str]:
        """Count the requests by verb and resource, e.g. {"watch pods": 2}."""
        return Counter(f"{request.verb} {request.resource}" for request in self.requests)

    def sent(self, verb: str = "", resource: str = "") -> int:
        """Return the bytes of all answers to such requests."""
        found = [one for one in self.requests if verb in {"", one.verb} and resource in {"", one.resource}]
        return sum(one.sent for one in found)

    async def until(self, true: Callable[[], Any], seconds: float = 60) -> Any:
        """Wait for a condition on the cluster; raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while not (found := true()):
                news = self.store.news
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await news.wait()
            return found

    # inner life

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.done)
        return task

    def done(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self.errors.append(error)

    def heard(self, change: Change) -> None:
        if self.kubelet is None or change.resource != "pods" or self.daemons.owns(change.object):
            return
        if change.type == "ADDED":
            self.kubelet.added(change.object)
        elif change.type == "DELETED":
            self.kubelet.gone(change.object)
        elif "deletionTimestamp" in change.object["metadata"]:
            self.kubelet.stopping(change.object)

    def put_status(self, pod: Object, **status: Any) -> Object | None:
        """Write the status of a pod as its kubelet does; None when it has gone."""
        found = self.store.find("pods", pod["metadata"]["namespace"], pod["metadata"]["name"])
        if found is None or found["metadata"]["uid"] != pod["metadata"]["uid"]:
            return None
        return self.store.put("pods", found | {"status": found["status"] | status})
