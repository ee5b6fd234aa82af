"""The status of a pod as the kubelet writes it, from the states of its containers."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

from .kube_store import stamp

Object = dict[str, Any]
HOST = "10.245.0.10"
FINISHED = {"Succeeded": "PodCompleted", "Failed": "PodFailed"}


@dataclass
class Container:
    """One container of a pod: its spec, and what has become of it."""

    spec: Object
    state: Object
    last: Object = field(default_factory=dict)
    ready: bool = False
    restarts: int = 0
    id: str = ""

    @property
    def name(self) -> str:
        return self.spec["name"]

    def shown(self) -> Object:
        found: Object = {"name": self.name, "state": self.state, "lastState": self.last, "ready": self.ready}
        found |= {"restartCount": self.restarts, "image": self.spec["image"], "imageID": ""}
        found["started"] = "running" in self.state
        if self.id:
            digest = hashlib.sha256(self.spec["image"].encode()).hexdigest()
            found |= {"imageID": f"sha256:{digest}", "containerID": self.id}
            found["resources"] = self.spec.get("resources", {})
            if requests := found["resources"].get("requests"):
                found["allocatedResources"] = requests
        if mounts := self.spec.get("volumeMounts"):
            found["volumeMounts"] = mounts
        return found


def waiting(reason: str, message: str = "") -> Object:
    return {"waiting": {"reason": reason} | ({"message": message} if message else {})}


def running() -> Object:
    return {"running": {"startedAt": stamp()}}


def terminated(code: int, reason: str, started: str | None, container: str = "", message: str = "") -> Object:
    found = {"exitCode": code, "reason": reason, "startedAt": started, "finishedAt": stamp()}
    found |= {"message": message} if message else {}
    return {"terminated": found | ({"containerID": container} if container else {})}


def condition(kind: str, true: bool, reason: str = "", message: str = "") -> Object:
    found = {"type": kind, "status": str(true), "lastProbeTime": None, "lastTransitionTime": stamp()}
    return found | ({"reason": reason} if reason else {}) | ({"message": message} if message else {})


def conditions(
    phase: str, ip: str, inits: list[Container], mains: list[Container], *, sandbox_gone: bool = False
) -> list[Object]:
    begun = [one for one in inits if one.state.get("terminated", {}).get("exitCode") != 0]
    unready = [one.name for one in mains if not one.ready]
    initialized = condition("Initialized", True)
    if begun:
        text = f"containers with incomplete status: [{' '.join(one.name for one in begun)}]"
        initialized = condition("Initialized", False, "ContainersNotInitialized", text)
    text = "" if phase in FINISHED else f"containers with unready status: [{' '.join(unready)}]"
    reason = FINISHED.get(phase, "ContainersNotReady")
    ready = [
        condition(kind, False, reason, text) if unready else condition(kind, True)
        for kind in ("Ready", "ContainersReady")
    ]
    sandbox = condition("PodReadyToStartContainers", bool(ip) and phase not in FINISHED and not sandbox_gone)
    return [sandbox, initialized, *ready, condition("PodScheduled", True)]


def kept_times(old: list[Object], new: list[Object]) -> list[Object]:
    """Return the new conditions; those that did not turn keep their times, foreign ones stay."""
    before = {one["type"]: one for one in old}
    found = []
    for one in new:
        same = before.pop(one["type"], {})
        time = {"lastTransitionTime": same["lastTransitionTime"]} if same.get("status") == one["status"] else {}
        found.append(one | time)
    return [*before.values(), *found]


def status(
    pod: Object, phase: str, ip: str, inits: list[Container], mains: list[Container], *, sandbox_gone: bool = False
) -> Object:
    """Return the status of a scheduled pod; while its sandbox is gone it says all else as before."""
    old = pod["status"]
    found: Object = {"phase": phase, "hostIP": HOST, "hostIPs": [{"ip": HOST}]}
    found["conditions"] = kept_times(
        old.get("conditions", []), conditions(phase, ip, inits, mains, sandbox_gone=sandbox_gone)
    )
    found["startTime"] = old.get("startTime", stamp())
    found |= {"podIP": ip, "podIPs": [{"ip": ip}]} if ip else {}
    found |= {"initContainerStatuses": [one.shown() for one in inits]} if inits else {}
    return found | {"containerStatuses": [one.shown() for one in mains]}


def read(pod: Object, part: str) -> list[Container]:
    """Return the containers of a status that somebody has written (`part`: containers or initContainers)."""
    specs = {one["name"]: one for one in pod["spec"].get(part, [])}
    shown = pod["status"].get("initContainerStatuses" if part == "initContainers" else "containerStatuses", [])
    return [
        Container(
            specs[one["name"]], one["state"], one["lastState"], one["ready"], one["restartCount"],
            one.get("containerID", ""),
        )
        for one in shown
    ]  # fmt: skip
