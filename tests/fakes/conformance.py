"""What the conformance test compares, and how: the state that each recorded request needs, and what may differ."""

import io
import json
import re
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import aiohttp

from .compact import unpacked
from .kube import FakeCluster
from .pod_life import DATA

Object = dict[str, Any]

# What is never the same twice. Everything else must be equal.
NORMALISED = (
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "<time>"),  # creation, deletion, transitions, log lines
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uid>"),
    (r'"resourceVersion": ?"\d+"', '"resourceVersion": "<version>"'),
    (r"too old resource version: \d+ \(\d+\)", "too old resource version: <version>"),
    (r"Too large resource version: \d+, current: \d+", "Too large resource version: <version>"),
    (r"containerd://[0-9a-f]{64}", "<container>"),
    (r"\b(127|10)\.\d+\.\d+\.\d+\b(?!:)", "<address>"),  # of pods and nodes; a registry's has a port
    # The token holds a version; what comes after it is compared by walking through the pages.
    (r'"continue": "[A-Za-z0-9_-]+"', '"continue": "<token>"'),
    # After the first line of some refusals comes a dump of Go structs, which changes with each release.
    (r"(pod updates may not change fields other than|spec is immutable after creation)[^\"]*", r"\1"),
)
GATE = "the feature gate WatchList is off by default in 1.33"
PRINTING = "only kubectl asks for this form"
# Recordings that the fake does not imitate, and why nobody needs them.
NOT_IMITATED = {
    "list/pods-table.json": PRINTING,
    "list/pods-partial-metadata.json": PRINTING,
    "watch/watchlist-enabled-empty.ndjson": GATE,
    "watch/watchlist-enabled-send-initial-events.ndjson": GATE,
    "watch/watchlist-enabled-without-match.ndjson": GATE,
    "watch/bookmarks.ndjson": "130 s of other pods' lives; bookmarks-short shows the same lines",
    "errors/_index.json": "a table of contents",
    "errors/resourcequota-object.json": "the status of a quota, which no client reads; the refusals are imitated",
    "pods/happy-path-full-objects.json": "happy-path once more, with each object whole",
    "pods/happy-path-running-with-managedFields.json": "managedFields are not kept",
    "pods/two-containers.json": "a Pod that runs; its logs are imitated",
    "pvc/pv-hostpath.json": "PersistentVolumes are not kept",
}
# Recordings that tests of their own imitate, not the parametrised ones.
ELSEWHERE = {
    "errors/apiserver-restart.json": "test_faults: outage, restart",
    "pods/service-account-missing.json": "errors/403-service-account-missing",
    "pvc/claim-being-deleted.json": "test_cluster: a claim in use stays",
}
HEADERS = {"Content-Type", "Retry-After", "Warning", "X-Content-Type-Options"}
# Headers that every answer has: present, but not compared.
ALWAYS = {"Audit-Id", "Cache-Control", "Date"}


@cache
def data(name: str) -> Any:
    return json.loads((DATA / f"{name}.json").read_text())


def cases(name: str) -> list[str]:
    return [case for case in data(name) if case]


def normal(value: Any) -> Any:
    text = json.dumps(value, sort_keys=True)
    for pattern, shown in NORMALISED:
        text = re.sub(pattern, shown, text)
    return json.loads(text)


def body_of(request: Object) -> Any:
    body = request.get("body")
    if isinstance(body, dict):
        claim = "/persistentvolumeclaims" in request["path"]
        body = unpacked(data("base")["claim" if claim else "request"], body)
    return body


class Client:
    """Sends recorded requests. `token`: see FakeCluster.users; None: anonymous."""

    def __init__(self, cluster: FakeCluster, session: aiohttp.ClientSession) -> None:
        self.cluster, self.session = cluster, session

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = "admin-token",
        kind: str = "",
        accept: str = "",
    ) -> Object:
        split = urlsplit(path)
        headers = {"Accept": accept or "application/json", "Content-Type": kind or "application/json"}
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        raw = io.BytesIO(raw) if raw and len(raw) > 100_000 else raw  # type: ignore[assignment]
        query = parse_qsl(split.query, keep_blank_values=True)
        call = self.session.request(method, self.cluster.url + split.path, params=query, data=raw, headers=headers)
        async with call as response:
            text = await response.text()
            shown = json.loads(text) if response.content_type == "application/json" else text
            kept = sorted([key, value] for key, value in response.headers.items() if key in HEADERS)
            assert response.headers.keys() >= ALWAYS
            return {"status": response.status, "headers": kept, "body": shown}

    async def watch(self, path: str, token: str = "admin-token") -> list[Object]:
        async with self.session.get(self.cluster.url + path, headers={"Authorization": f"Bearer {token}"}) as response:
            assert response.headers["Content-Type"] == "application/json"
            return [json.loads(line) async for line in response.content if line.strip()]


def expected(response: Object) -> Object:
    """Return a recorded answer, unpacked and in the order of `send`."""
    body = unpacked(data("base")["answer"], response["body"])
    return {"status": response["status"], "headers": sorted(response["headers"]), "body": body}


def pod(name: str, **spec: Any) -> Object:
    """Return a pod as KubeSpawner makes it, for the user after whom it is named."""
    text = json.dumps(data("base")["request"])
    found = json.loads(re.sub(r"\bdry\b", name.removeprefix("jupyter-"), text))
    return found | {"metadata": found["metadata"] | {"name": name}, "spec": found["spec"] | spec}


def claim(name: str, size: str = "1Gi", **spec: Any) -> Object:
    base = data("base")["claim"]
    wanted = {"resources": {"requests": {"storage": size}}}
    return base | {"metadata": base["metadata"] | {"name": name}, "spec": base["spec"] | wanted | spec}


LIMITS = [
    {
        "type": "Container",
        "default": {"cpu": "500m", "memory": "256Mi"},
        "defaultRequest": {"cpu": "50m", "memory": "64Mi"},
        "max": {"memory": "512Mi"},
        "min": {"memory": "16Mi"},
    },
    {"type": "PersistentVolumeClaim", "max": {"storage": "5Gi"}, "min": {"storage": "100Mi"}},
]
QUOTA = {
    "limits.memory": "1Gi",
    "persistentvolumeclaims": "1",
    "pods": "1",
    "requests.memory": "1Gi",
    "requests.storage": "2Gi",
}


NAMESPACES = {"limits": {}, "quota": {}, "hubless": {}, "restricted": {"enforce": "restricted"}}
NAMESPACES |= {"baseline": {"enforce": "baseline"}, "warned": {"warn": "restricted"}}
SESSIONS, QUOTED = "/api/v1/namespaces/sessions", "/api/v1/namespaces/quota"


async def furnish(cluster: FakeCluster, client: Client, case: str) -> None:
    """Bring about the state in which the requests of errors/ were recorded."""
    for name, labels in NAMESPACES.items():
        cluster.add_namespace(name, **{f"pod-security.kubernetes.io/{key}": value for key, value in labels.items()})
    cluster.add_namespace("term", terminating=True)
    cluster.add("limitranges", "limits", "limits", spec={"limits": LIMITS})
    cluster.add("resourcequotas", "quota", "team-quota", spec={"hard": QUOTA})
    cluster.guarded["jupyter-pdb"] = "keep"
    if "quota" in case:
        await client.send("POST", f"{QUOTED}/pods", pod("jupyter-q1"))
    if case == "403-quota-pvc-count":
        await client.send("POST", f"{QUOTED}/persistentvolumeclaims", claim("claim-one"))
    await furnish_named(cluster, client, case)


async def furnish_named(cluster: FakeCluster, client: Client, case: str) -> None:
    """Make the objects whose names the case speaks of."""
    words = set(re.findall(r"[a-z0-9-]+", json.dumps(data("errors")[case])))
    for name in words & {"claim-dup", "claim-used", "claim-free"}:
        await client.send("POST", f"{SESSIONS}/persistentvolumeclaims", claim(name))
        await cluster.until(lambda name=name: "capacity" in cluster.find("persistentvolumeclaims", name)["status"])
    used = [{"name": "work", "persistentVolumeClaim": {"claimName": "claim-used"}}]
    pods = {name: pod(name) for name in words & {"jupyter-dup", "jupyter-dupterm", "jupyter-pdb"}}
    pods |= {"jupyter-used": pod("jupyter-used", volumes=used)} if "claim-used" in words else {}
    for name, wanted in pods.items():
        await client.send("POST", f"{SESSIONS}/pods", wanted)
        schedule(cluster, name)
    for case_of, path in DELETED.items():
        if case == case_of:
            await client.send("DELETE", f"{SESSIONS}/{path}")


DELETED = {
    "409-pod-being-deleted": "pods/jupyter-dupterm",
    "201-pod-uses-pvc-being-deleted": "persistentvolumeclaims/claim-used",
}


def schedule(cluster: FakeCluster, name: str, namespace: str = "sessions") -> None:
    found = cluster.store.get("pods", namespace, name)
    cluster.store.put("pods", found | {"spec": found["spec"] | {"nodeName": cluster.node}})


async def make_list(cluster: FakeCluster, client: Client) -> None:
    """Make the five pods of the recordings of list/ and watch/."""
    cluster.add_namespace("sessions-list")
    for number in range(5):
        wanted = pod(f"jupyter-u{number}")
        if number == 4:
            labels = {key: value for key, value in wanted["metadata"]["labels"].items() if key != "component"}
            wanted["metadata"] = wanted["metadata"] | {"labels": labels}
        await client.send("POST", "/api/v1/namespaces/sessions-list/pods", wanted)
