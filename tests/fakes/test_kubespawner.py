"""A plain KubeSpawner 7.1 cannot tell the fake cluster from the real one: it asks the same, phase by phase."""

import asyncio
from typing import Any

import aiohttp
import pytest

from tests.fakes.conformance import data
from tests.fakes.kube import FakeCluster
from tests.fakes.kube_faults import Request
from tests.fakes.kubelet import ScriptedKubelet
from tests.fakes.process_kubelet import ProcessKubelet
from tests.fakes.spawning import CLONE, forget_reflectors, spawner, use

REFLECTOR = {"list", "watch"}
METHODS = {"create": "POST", "delete": "DELETE", "get": "GET", "list": "GET", "watch": "WATCH"}
PATIENT = {"start_timeout": 10, "k8s_api_request_timeout": 3}


@pytest.fixture
async def connected(cluster, monkeypatch):
    cluster.speed = 12
    use(cluster, monkeypatch)
    yield cluster
    await forget_reflectors()


@pytest.fixture
def kubelet(connected):
    return ScriptedKubelet(connected)


def asked(request: Request) -> list[Any]:
    """Return a request as the recordings keep it."""
    path = "/".join(["/api/v1/namespaces", request.namespace, request.resource, request.name]).rstrip("/")
    body = request.body if request.verb == "delete" else None
    body = {"kind": "DeleteOptions", "apiVersion": "v1"} | body if body else None
    return [METHODS[request.verb], path, known(request.query), request.status, body]


def known(query: dict[str, str]) -> dict[str, str]:
    """Return a query without the versions that differ from cluster to cluster."""
    return {key: "<version>" if key == "resourceVersion" and value != "0" else value for key, value in query.items()}


def recorded(phase: str) -> list[Any]:
    return [[verb, path, known(query), status, body] for verb, path, query, status, body in data("phases")[phase]]


def is_reflector(request: list[Any]) -> bool:
    return request[0] == "WATCH" or "labelSelector" in request[2]


class Phases:
    """Compares what is asked between two looks with a recorded phase."""

    def __init__(self, cluster: FakeCluster) -> None:
        self.cluster, self.seen = cluster, 0

    def next(self) -> list[Any]:
        found = self.cluster.requests[self.seen :]
        self.seen = len(self.cluster.requests)
        return [asked(request) for request in found]

    def compare(self, phase: str) -> None:
        """See that the spawner's own requests are those of the phase, and the reflectors' of no other form."""
        wanted = recorded(phase)
        got = self.next()
        own = [request for request in wanted if not is_reflector(request)]
        assert [request for request in got if not is_reflector(request)] == own
        forms = [request for phase in data("phases") for request in recorded(phase) if is_reflector(request)]
        assert all(request in forms or request[3] == 0 for request in got if is_reflector(request))


async def test_a_life_of_a_server_asks_what_was_recorded(cluster, kubelet):
    cluster.watch_speed = 1  # so that the first start is over before its watches are
    phases = Phases(cluster)
    server = spawner(**PATIENT)
    await server.start()
    await cluster.until(lambda: cluster.counts()["watch events"])
    wanted = sorted(map(str, recorded("first start with PVC")))
    assert sorted(map(str, phases.next())) == wanted
    assert await server.poll() is None

    await server.stop()
    phases.compare("stop")
    await server.start()
    phases.compare("second start (PVC exists)")
    await server.stop()
    phases.compare("delete with remove=true of a running server")
    assert not cluster.objects("pods")
    assert cluster.find("persistentvolumeclaims", "claim-ada--work")


async def test_the_pod_and_the_claim_are_the_recorded_ones(cluster, kubelet):
    server = spawner(**PATIENT)
    await server.start()
    pod, claim = (cluster.requests[i].body for i in places(cluster, "create"))
    shown = data("spawner")
    for part in ("labels", "annotations"):
        assert pod["metadata"][part] == shown["pod"]["request"]["metadata"][part]
        assert claim["metadata"][part] == shown["pvc"]["request"]["metadata"][part]
    kept = cluster.find("pods", "jupyter-ada--work")["spec"]
    wanted = shown["pod"]["response"]["spec"]
    assert without_env(kept) == without_env(wanted)
    claim = cluster.find("persistentvolumeclaims", "claim-ada--work")
    assert claim["spec"] == shown["pvc"]["response"]["spec"] | {"volumeName": claim["spec"]["volumeName"]}


def places(cluster: FakeCluster, verb: str) -> list[int]:
    """Return where the requests for pods, then claims are."""
    found = [place for place, request in enumerate(cluster.requests) if request.verb == verb]
    return sorted(found, key=lambda place: cluster.requests[place].resource, reverse=True)


def without_env(spec: dict) -> dict:
    containers = [{key: value for key, value in one.items() if key != "env"} for one in spec["containers"]]
    return {key: value for key, value in spec.items() if key != "nodeName"} | {"containers": containers}


async def test_a_server_runs_as_a_process_and_is_reached(cluster, connected, tmp_path):
    ProcessKubelet(cluster, tmp_path)
    clone = CLONE | {"command": ["python", "-c"], "args": ["open('/work/hello', 'w').write('from the claim')"]}
    serve = ["python", "-m", "http.server", "8888", "--bind", "0.0.0.0", "--directory", "/work"]
    server = spawner(cmd=serve, args=[], init_containers=[clone], **PATIENT)
    url = await server.start()
    body = await cluster.until(lambda: cluster.find("pods", "jupyter-ada--work"))
    assert url == f"http://{body['status']['podIP']}:8888"
    assert await fetched(f"{url}/hello") == "from the claim"
    await server.stop()
    assert not cluster.objects("pods")


async def fetched(url: str) -> str:
    """Get a page from a server that has only just been started."""
    async with asyncio.timeout(60), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(url) as response:
                    return await response.text()
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.05)


async def test_a_left_over_pod_is_removed_first(cluster, kubelet):
    kubelet.plan("unschedulable-cpu", times=1)
    phases = Phases(cluster)
    server = spawner("dup", **PATIENT)
    await server._start_watching_pods()
    await server.api.create_namespaced_pod("sessions", await server.get_pod_manifest())
    phases.next()
    await server.start()
    phases.compare("start while a pod of that name is still there (409 on pod create)")


@pytest.mark.parametrize(
    ("server", "phase", "quota", "config", "status"),
    [
        ("w4", "start refused by a ResourceQuota pods=0 (403 exceeded quota)", {"pods": "0"}, {}, 403),
        (
            "w5",
            "start refused by a ResourceQuota persistentvolumeclaims=0 (403 on PVC create)",
            {"persistentvolumeclaims": "0"},
            {},
            403,
        ),
        ("w6", "start refused by 422 (image name with a leading blank)", {}, {"image": " k8s.local/busybox:1"}, 422),
    ],
)
async def test_a_refused_start_asks_what_was_recorded(cluster, kubelet, server, phase, quota, config, status):
    cluster.add("resourcequotas", "sessions", "full", spec={"hard": quota})
    phases = Phases(cluster)
    with pytest.raises(Exception) as error:
        await spawner(server, **PATIENT, **config).start()
    assert error.value.status == status
    phases.compare(phase)


async def test_a_claim_that_was_lost_is_not_made_again(cluster, kubelet):
    phases = Phases(cluster)
    server = spawner("w3", **PATIENT)
    await server.start()
    await server.stop()
    phases.compare("start of a server, then the claim deleted by an admin while stopped, then start again")
    cluster.api.delete("persistentvolumeclaims", cluster.find("persistentvolumeclaims", "claim-ada--w3"), {})
    await cluster.until(lambda: not cluster.find("persistentvolumeclaims", "claim-ada--w3"))
    server.start_timeout = 1
    with pytest.raises(TimeoutError):
        await server.start()
    condition = cluster.find("pods", "jupyter-ada--w3")["status"]["conditions"][0]
    assert 'persistentvolumeclaim "claim-ada--w3" not found' in condition["message"]
    await server.stop()
    phases.compare("... the second start: no PVC request is made, the pod stays unschedulable")
