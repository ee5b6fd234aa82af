"""One pod lives a recorded life: what the scheduler and the kubelet wrote, when, and which events they sent."""

import asyncio
import hashlib
import json
import re
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import kubelet_status
from .compact import unpacked
from .kube_api import dying
from .kube_store import parse_stamp, stamp

if TYPE_CHECKING:
    from .kube import FakeCluster

Object = dict[str, Any]
Step = list[Any]
DATA = Path(__file__).parents[1] / "data" / "kube"
TOKEN = re.compile(r"<(\+?-?\d+|run \d+|ip(?: \d+)?|uid|name|namespace|image)>")


@cache
def lives() -> dict[str, Object]:
    return json.loads((DATA / "lives.json").read_text())


@cache
def resources(case: str) -> Object:
    """Return what the first container of the recorded pod asked for."""
    base = json.loads((DATA / "base.json").read_text())["answer"]
    return unpacked(base, lives()[case]["answer"])["spec"]["containers"][0]["resources"]


@cache
def statuses(case: str) -> list[Object]:
    """Return the status of each step of a life that has one, written out."""
    found: list[Object] = []
    for step in lives()[case]["steps"]:
        if step[1] == "status":
            packed = step[3]
            base, packed = (lives()[""], packed["usual"]) if "usual" in packed else (found[-1] if found else {}, packed)
            found.append(unpacked(base, packed))
    return found


class Life:
    """One pod on its way through a recorded case."""

    def __init__(self, cluster: "FakeCluster", pod: Object, case: str, logs: dict[str, str], ip: str) -> None:
        self.cluster, self.pod, self.case, self.logs, self.ip = cluster, pod, case, logs, ip
        self.made = parse_stamp(pod["metadata"]["creationTimestamp"])
        self.later: dict[str, str] = {}  # addresses of sandboxes that are made again, by their tokens
        self.written: dict[str, int] = {}  # runs of containers whose log is there
        self.held: dict[str, asyncio.Event] = {}  # by the reason of the event that waits for it
        self.ending = False  # the life itself goes on after the deletion
        steps = lives()[case]["steps"]
        remembered = iter(statuses(case))
        self.steps: list[Step] = [
            [*step[:3], next(remembered), *step[4:]] if step[1] == "status" else step for step in steps
        ]
        first = next((step[0] for step in self.steps if step[1] == "status" and step[4]), None)
        by_client = lives()[case]["by_client"] and first is not None
        self.before = [step for step in self.steps if not by_client or step[0] < first]
        self.after = [step for step in self.steps if by_client and step[0] >= first][1:] if by_client else []
        self.deleted_at = first

    async def sleep_until(self, start: float, at: float) -> None:
        clock = asyncio.get_running_loop().time
        await asyncio.sleep(max(0.0, start + at / self.cluster.speed - clock()))

    async def play(self) -> None:
        start = asyncio.get_running_loop().time()
        for step in self.before[1:]:  # the first one is the creation
            await self.sleep_until(start, step[0])
            if step[1] == "event" and (held := self.held.get(step[2]["reason"])):
                await held.wait()
            self.take(step)

    async def end(self) -> None:
        """Play what followed the deletion in the recording."""
        start = asyncio.get_running_loop().time()
        for step in self.after:
            await self.sleep_until(start, step[0] - (self.deleted_at or 0))
            self.take(step)

    def newest(self) -> Object | None:
        metadata = self.pod["metadata"]
        found = self.cluster.find("pods", metadata["name"], metadata["namespace"])
        return found if found and found["metadata"]["uid"] == metadata["uid"] else None

    def take(self, step: Step) -> None:
        """Do one step; events may come when the pod has gone already."""
        pod = self.newest()
        if step[1] == "event":
            self.event(pod or self.pod, step[2], step[0])
        elif pod is not None:
            self.write(pod, step)

    def write(self, pod: Object, step: Step) -> None:
        _, _, scheduled, status, marks = step
        new = pod | {"status": self.filled(status) | {"qosClass": pod["status"]["qosClass"]}}
        if scheduled:
            new["spec"] = pod["spec"] | {"nodeName": self.cluster.node}
        self.write_logs(new)
        if marks.get("gone"):
            self.cluster.store.remove("pods", new)
            return
        grace = marks.get("grace")
        if grace is not None and pod["metadata"].get("deletionGracePeriodSeconds") != grace:
            self.ending = True
            new = dying(new, grace)
            if grace == 0:
                new["metadata"]["deletionTimestamp"] = stamp()
        self.cluster.store.put("pods", new)

    def write_logs(self, pod: Object) -> None:
        shown = pod["status"].get("initContainerStatuses", []) + pod["status"].get("containerStatuses", [])
        for one in shown:
            name, run = one["name"], one["restartCount"]
            if name in self.logs and "containerID" in one and self.written.get(name, -1) < run:
                output = self.cluster.logs.of(pod, name)
                if name in self.written:
                    output.restart()
                self.written[name] = run
                output.write(self.logs[name])

    def event(self, pod: Object, told: Object, at: float) -> None:
        fields = self.named({key: value for key, value in told.items() if key not in {"count", "series", "last"}})
        component = fields.pop("reportingComponent")
        reason, message, kind = (fields.pop(key) for key in ("reason", "message", "type"))
        event = self.cluster.controllers.event(pod, reason, message, kind, component=component, **fields)
        times = told.get("count", told.get("series", 1))
        if times > 1:
            seconds = float(told["last"].strip("<+>")) - at
            self.cluster.spawn(self.repeat(event, times, max(seconds, 0) / (times - 1) / self.cluster.speed))

    async def repeat(self, event: Object, times: int, pause: float) -> None:
        for count in range(2, times + 1):
            await asyncio.sleep(pause)
            if self.newest() is None:
                return
            if event["eventTime"]:
                series = {"count": count, "lastObservedTime": stamp(micro=True)}
                self.cluster.controllers.again(event, series=series)
            else:
                self.cluster.controllers.again(event, count=count, lastTimestamp=stamp())

    # from the recorded pod to this one

    def filled(self, status: Object) -> Object:
        found = self.named(status)
        for part, key in (("initContainers", "initContainerStatuses"), ("containers", "containerStatuses")):
            specs = self.pod["spec"].get(part, [])
            shown = found.pop(key, [])
            if not shown and specs and part == "initContainers" and "containerStatuses" in found:
                shown = [self.invented(found["containerStatuses"][0])]
            if specs and shown:
                found[key] = [self.dressed(shown[min(place, len(shown) - 1)], spec) for place, spec in enumerate(specs)]
        return found

    def invented(self, main: Object) -> Object:
        """Return the status of an init container where the recorded pod had none."""
        if main["state"].get("waiting", {}).get("reason") == "ContainerCreating" and not main["restartCount"]:
            main["state"]["waiting"]["reason"] = "PodInitializing"
            return main | {"state": {"waiting": {"reason": "PodInitializing"}}}
        state = kubelet_status.terminated(0, "Completed", stamp())
        shown = {key: value for key, value in main.items() if key != "allocatedResources"}
        return shown | {"state": state, "lastState": {}, "ready": True, "restartCount": 0, "started": False}

    def dressed(self, shown: Object, spec: Object) -> Object:
        found = {key: value for key, value in shown.items() if key != "volumeMounts"} | {"name": spec["name"]}
        if mounts := spec.get("volumeMounts"):
            found["volumeMounts"] = mounts
        own = spec.get("resources", {})
        if "allocatedResources" in found and own != resources(self.case):
            found |= {"resources": own, "allocatedResources": own.get("requests", {})}
        return found

    def named(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self.named(entry) for key, entry in value.items()}
        if isinstance(value, list):
            return [self.named(entry) for entry in value]
        return TOKEN.sub(self.word, value) if isinstance(value, str) else value

    def word(self, found: re.Match[str]) -> str:
        token = found[1]
        metadata = self.pod["metadata"]
        if token.startswith("run"):
            return f"containerd://{hashlib.sha256((metadata['uid'] + token).encode()).hexdigest()}"
        if token.lstrip("+-").isdigit():
            return stamp(self.made + timedelta(seconds=int(token) / self.cluster.speed))
        if token in {"uid", "name", "namespace"}:
            return metadata[token]
        if token.startswith("ip"):
            return self.ip if token == "ip" else self.later_address(token)
        return str(self.pod["spec"]["containers"][0]["image"])

    def later_address(self, token: str) -> str:
        assert self.cluster.kubelet is not None
        if token not in self.later:
            self.later[token] = self.cluster.kubelet.address()
        return self.later[token]
