"""A cluster as a process of its own, so that its CPU time is not that of a hub that is measured.

`python -m tests.bench.fake_cluster_process '{"api": 1, "control": 2, "machine": "127.1.2.3"}'` serves until SIGTERM.
The control port takes `POST /<word>` with a JSON object: the methods of `Control` say which.
"""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import sys
import time
from collections import Counter, defaultdict
from typing import Any

from aiohttp import web

from tests.fakes import kubelet_status
from tests.fakes.kube import HUB_ROLE, FakeCluster
from tests.fakes.kube_store import Change, stamp
from tests.fakes.kubelet import ScriptedKubelet

Object = dict[str, Any]
HUBS = ("plain", "ours")  # users of the cluster, with tokens of the same name
NAMESPACE, FOREIGN = "sessions", "foreign-"
READY_AFTER = 0.05  # seconds from a pod's making to its readiness
PORT = 8888  # where all programs of all pods listen, at the address `machine`
_ABOUT = 5000  # pods that events are about which are seeded alone; these pods have gone
_VOLUMES = [{"name": "work", "mountPath": "/work"}]


class Kubelet(ScriptedKubelet):
    """Pods get ready after 50 ms, stay as they are (mode `pending`), or live a recorded life (mode is its name)."""

    mode = "ready"
    ready_after = READY_AFTER
    machine = "127.0.0.1"

    def added(self, pod: Object) -> None:
        if pod["metadata"]["name"].startswith(FOREIGN):
            return
        if self.mode == "ready":
            self.cluster.spawn(self.soon_ready(pod))
        elif self.mode != "pending":
            self.plan(self.mode, pod["metadata"]["name"])
            super().added(pod)

    def address(self) -> str:
        return self.machine

    async def soon_ready(self, pod: Object) -> None:
        await asyncio.sleep(self.ready_after)
        spec = pod["spec"] | {"nodeName": self.cluster.node}
        inits = [
            kubelet_status.Container(each, kubelet_status.terminated(0, "Completed", stamp()), ready=True)
            for each in spec.get("initContainers", [])
        ]
        mains = [kubelet_status.Container(each, kubelet_status.running(), ready=True) for each in spec["containers"]]
        status = kubelet_status.status(pod, "Running", self.machine, inits, mains)
        newest = self.cluster.find("pods", pod["metadata"]["name"], NAMESPACE)
        if newest:
            self.cluster.store.put("pods", newest | {"spec": spec, "status": newest["status"] | status})

    def stopping(self, pod: Object) -> None:
        self.cluster.spawn(self.soon_gone(pod))

    async def soon_gone(self, pod: Object) -> None:
        await asyncio.sleep(READY_AFTER)
        newest = self.cluster.find("pods", pod["metadata"]["name"], NAMESPACE)
        if newest and newest["metadata"]["uid"] == pod["metadata"]["uid"]:
            self.cluster.api.delete_pod(newest, 0)


class Control:
    """What the bench asks of the cluster; each method answers one word."""

    def __init__(self, cluster: FakeCluster, kubelet: Kubelet) -> None:
        self.cluster, self.kubelet = cluster, kubelet
        self.failures: defaultdict[str, dict[str, float]] = defaultdict(dict)  # by pod: what went wrong, when (s)
        cluster.store.listeners.append(self.heard)

    def mode(self, mode: str) -> None:
        self.kubelet.mode = mode

    def ready_after(self, seconds: float) -> None:
        """How long pods take from now on in the mode `ready`."""
        self.kubelet.ready_after = seconds

    def seed(self, pods: int, size: int, events: int) -> None:
        """So many running pods of others, of *size* bytes, and events about them."""
        for number in range(pods):
            self.cluster.store.put("pods", _foreign(number, size))
        for number in range(events):
            self.cluster.store.put("events", _event(number, pods or _ABOUT))

    def running(self, pods: int, size: int, secrets: list[str]) -> None:
        """So many pods of *size* bytes whose programs answer, and Secrets of these names."""
        for number in range(pods):
            self.cluster.store.put("pods", _foreign(number, size, self.kubelet.machine))
        for number, name in enumerate(secrets):
            self.cluster.store.put("secrets", _secret(number, name))

    def clear(self) -> None:
        for resource in ("events", "pods", "secrets"):
            for thing in self.cluster.objects(resource, NAMESPACE):
                self.cluster.store.remove(resource, thing)
        self.cluster.compact()

    def forget(self) -> None:
        self.cluster.requests = [one for one in self.cluster.requests if one.verb == "watch"]
        for one in self.cluster.requests:
            one.sent = 0

    def seen(self) -> dict[str, Any]:
        """Requests by verb and resource, and bytes sent, of each hub since `forget`."""
        found: dict[str, Any] = {name: {"requests": Counter(), "bytes": 0} for name in HUBS}
        for one in self.cluster.requests:
            if one.user in found:
                found[one.user]["requests"][f"{one.verb} {one.resource}"] += 1
                found[one.user]["bytes"] += one.sent
        return found

    def pods(self) -> list[str]:
        names = (pod["metadata"]["name"] for pod in self.cluster.objects("pods", NAMESPACE))
        return [name for name in names if not name.startswith(FOREIGN)]

    def place(self, pod: str) -> float:
        """Give a pod its node and its containers; answers when (monotonic)."""
        found = self.cluster.store.get("pods", NAMESPACE, pod)
        spec = found["spec"] | {"nodeName": self.cluster.node}
        wait = kubelet_status.waiting("ContainerCreating")
        mains = [kubelet_status.Container(each, wait) for each in spec["containers"]]
        status = found["status"] | kubelet_status.status(found, "Pending", "", [], mains)
        moment = time.monotonic()
        self.cluster.store.put("pods", found | {"spec": spec, "status": status})
        return moment

    def tell(self, pod: str, reason: str, message: str) -> float:
        """An event of the kubelet about the container of a pod; answers when (monotonic)."""
        found, moment = self.cluster.store.get("pods", NAMESPACE, pod), time.monotonic()
        name = found["spec"]["containers"][0]["name"]
        self.cluster.controllers.event(found, reason, message, path=f"spec.containers{{{name}}}")
        return moment

    def moments(self) -> dict[str, dict[str, float]]:
        """When each pod first met which trouble (monotonic)."""
        return self.failures

    def heard(self, change: Change) -> None:
        if change.resource == "events":
            self._event(change.object)
        elif change.resource == "pods" and not change.object["metadata"]["name"].startswith(FOREIGN):
            self._status(change.object)

    def _event(self, event: Object) -> None:
        if event["reason"] == "Failed" and "pull image" in event["message"] and event.get("count", 1) >= 2:
            self.failures[event["involvedObject"]["name"]].setdefault("second pull error", time.monotonic())

    def _status(self, pod: Object) -> None:
        name = pod["metadata"]["name"]
        for one in pod["status"].get("containerStatuses", []):
            if one["state"].get("waiting", {}).get("reason") == "InvalidImageName":
                self.failures[name].setdefault("invalid name", time.monotonic())
            if one["restartCount"] >= 2 and "terminated" in one["state"]:
                self.failures[name].setdefault("third crash", time.monotonic())


def _foreign(number: int, size: int, address: str = "127.0.0.1") -> Object:
    """A pod as large as real ones are, with what tools write into managedFields."""
    name = f"{FOREIGN}{number}"
    container = {
        "name": "notebook", "image": "quay.io/jupyter/scipy-notebook:2026-11-02", "volumeMounts": _VOLUMES,
        "ports": [{"name": "notebook-port", "containerPort": PORT, "protocol": "TCP"}], "resources": {},
        "env": [{"name": f"JUPYTERHUB_{key}", "value": f"value of {key}"} for key in range(20)],
    }  # fmt: skip
    spec = {"containers": [container], "nodeName": "knode", "restartPolicy": "OnFailure"}
    pod: Object = {
        "metadata": {
            "name": name, "namespace": NAMESPACE, "uid": f"uid-{name}", "creationTimestamp": stamp(),
            "labels": {"component": "singleuser-server", "app": "jupyterhub", "hub.jupyter.org/username": name},
            "annotations": {"hub.jupyter.org/username": name},
        },
        "spec": spec,
    }  # fmt: skip
    state = [kubelet_status.Container(container, kubelet_status.running(), ready=True, id=f"containerd://{number:064}")]
    pod["status"] = kubelet_status.status({"status": {}}, "Running", address, [], state)
    field = {"f:metadata": {"f:labels": {".": {}, "f:component": {}}}, "f:spec": {"f:containers": {"f:image": {}}}}
    entry = {"manager": "kubelet", "operation": "Update", "apiVersion": "v1", "time": stamp(), "fieldsV1": field}
    missing = max(0, size - len(json.dumps(pod, separators=(",", ":"))))
    each = len(json.dumps(entry, separators=(",", ":"))) + 1
    pod["metadata"]["managedFields"] = [entry] * (missing // each)
    return pod


def _secret(number: int, name: str) -> Object:
    token = base64.b64encode(f"token-{number}".encode()).decode()
    return {
        "metadata": {"name": name, "namespace": NAMESPACE, "uid": f"uid-{name}", "creationTimestamp": stamp()},
        "type": "Opaque",
        "data": {"JUPYTERHUB_API_TOKEN": token},
    }


def _event(number: int, pods: int) -> Object:
    about = f"{FOREIGN}{number % pods}"
    return {
        "metadata": {"name": f"{about}.{number:x}", "namespace": NAMESPACE, "uid": f"uid-of-event-{number}",
                     "creationTimestamp": stamp()},
        "involvedObject": {"kind": "Pod", "namespace": NAMESPACE, "name": about, "uid": f"uid-{about}",
                           "fieldPath": "spec.containers{notebook}"},
        "reason": "Pulled", "message": f"Container image number {number} is already present on machine",
        "type": "Normal", "count": 1, "firstTimestamp": stamp(), "lastTimestamp": stamp(), "eventTime": None,
        "source": {"component": "kubelet", "host": "knode"}, "reportingComponent": "kubelet",
    }  # fmt: skip


async def serve(api: int, control: int, machine: str) -> None:
    cluster = FakeCluster(namespaces=("default", NAMESPACE))
    cluster.users = {name: name for name in HUBS}
    cluster.rules = dict.fromkeys(HUBS, HUB_ROLE)
    cluster.port = api
    kubelet = Kubelet(cluster)
    kubelet.machine = machine
    async with cluster:
        doors = Control(cluster, kubelet)
        sites = [await _site("127.0.0.1", control, _asked(doors)), await _site(machine, PORT, _program)]
        ended = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
        await ended.wait()
        for each in sites:
            await each.cleanup()


async def _site(host: str, port: int, handler: Any) -> web.ServerRunner:
    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, host, port, reuse_address=True).start()
    return runner


def _asked(doors: Control) -> Any:
    async def answer(request: web.BaseRequest) -> web.Response:
        given = json.loads(await request.read() or b"{}")
        return web.json_response(getattr(doors, request.path.strip("/"))(**given))

    return answer


async def _program(request: web.BaseRequest) -> web.Response:
    """What a pod's program says to everything."""
    return web.json_response({"version": "2.17.0"}, headers={"X-JupyterHub-Version": "6.1.1"})


if __name__ == "__main__":
    asyncio.run(serve(**json.loads(sys.argv[1])))
