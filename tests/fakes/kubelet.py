"""A kubelet whose pods live recorded lives, as planned, else happy ones."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import kubelet_status
from .kube_controllers import CLAIMS, claims
from .pod_life import Life, lives

if TYPE_CHECKING:
    from .kube import FakeCluster

Object = dict[str, Any]
STOPPING = 0.5  # seconds in which a container ends after SIGTERM
LEAVING = 0.7  # seconds between the end of the containers and of the pod
SCHEDULER = "default-scheduler"


@dataclass
class Plan:
    """Which pods (`match`) live like the recorded `case`; `logs`: what their containers write, by name.

    `held`: what has to be set before an event of that reason, and all that comes after it, happens.
    """

    case: str
    match: Callable[[Object], bool] = lambda pod: True
    logs: dict[str, str] = field(default_factory=dict)
    held: dict[str, asyncio.Event] = field(default_factory=dict)
    times: int | None = None
    seen: int = 0


class ScriptedKubelet:
    """Gives every pod the life that is planned for it, else a happy one."""

    def __init__(self, cluster: "FakeCluster") -> None:
        self.cluster = cluster
        cluster.kubelet = self
        self.plans: list[Plan] = []
        self.living: dict[str, tuple[Life, asyncio.Task[None]]] = {}
        self.addresses = 0

    def plan(self, case: str, match: Callable[[Object], bool] | str | None = None, **what: Any) -> Plan:
        """Let pods (a name, a question, None: all) live like a case of tests/data/kube/lives.json."""
        if isinstance(match, str):
            name = match
            match = lambda pod: pod["metadata"]["name"] == name  # noqa: E731
        plan = Plan(case, match or (lambda pod: True), **what)
        assert case in lives(), f"no such recorded life: {case}"
        self.plans.insert(0, plan)
        return plan

    def address(self) -> str:
        self.addresses += 1
        return f"127.0.{self.addresses // 250}.{self.addresses % 250 + 2}"

    def planned(self, pod: Object) -> Plan | None:
        for plan in self.plans:
            if (plan.times is None or plan.seen < plan.times) and plan.match(pod):
                plan.seen += 1
                return plan
        return None

    def added(self, pod: Object) -> None:
        plan = self.planned(pod)
        usual = "happy-path" if pod["spec"].get("initContainers") else "delete-graceful-term"
        life = Life(self.cluster, pod, plan.case if plan else usual, plan.logs if plan else {}, self.address())
        life.held = plan.held if plan else {}
        task = self.cluster.spawn(self.play(life, planned=plan is not None))
        self.living[pod["metadata"]["uid"]] = life, task
        life.after = life.after if plan else []

    async def play(self, life: Life, *, planned: bool) -> None:
        if not planned:
            await self.wait_for_claims(life)
        await life.play()

    async def wait_for_claims(self, life: Life) -> None:
        """Say as the scheduler does which claim is missing, until all are there."""
        said = ""
        while text := self.missing(life.pod):
            pod = life.newest()
            if pod is None:
                return
            if text != said:
                said = text
                told = kubelet_status.condition("PodScheduled", False, "Unschedulable", text)
                self.cluster.put_status(pod, conditions=[told])
                event = {"component": SCHEDULER, "action": "Scheduling"}
                self.cluster.controllers.event(pod, "FailedScheduling", text, "Warning", **event)
            await asyncio.sleep(0.05 / self.cluster.speed)

    def missing(self, pod: Object) -> str:
        end = " preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
        for name in claims(pod):
            claim = self.cluster.find(CLAIMS, name, pod["metadata"]["namespace"])
            if claim is None:
                return f'0/1 nodes are available: persistentvolumeclaim "{name}" not found.{end}'
            if "deletionTimestamp" in claim["metadata"]:
                return f'0/1 nodes are available: persistentvolumeclaim "{name}" is being deleted.{end}'
            if claim["status"]["phase"] != "Bound":
                return f"0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.{end}"
        return ""

    def stopping(self, pod: Object) -> None:
        life, task = self.living.get(pod["metadata"]["uid"], (None, None))
        if life is None or life.ending or self.cluster.node_lost:
            return
        life.ending = True
        if task:
            task.cancel()
        self.cluster.spawn(life.end() if life.after else self.end(life))

    async def end(self, life: Life) -> None:
        """End a pod on SIGTERM, whatever it did until now."""
        pod = life.newest()
        if pod is None:
            return
        mains = kubelet_status.read(pod, "containers")
        self.kill(pod, mains)
        await asyncio.sleep(STOPPING / self.cluster.speed)
        if not (pod := life.newest()):
            return
        phase = "Succeeded" if all(self.stopped(one) == 0 for one in mains) else "Failed"
        inits, ip = kubelet_status.read(pod, "initContainers"), pod["status"].get("podIP", "")
        pod = self.cluster.put_status(pod, **kubelet_status.status(pod, phase, ip, inits, mains))
        await asyncio.sleep(LEAVING / self.cluster.speed)
        if pod := life.newest():
            self.cluster.api.delete_pod(pod, 0)

    def kill(self, pod: Object, mains: list[kubelet_status.Container]) -> None:
        for one in mains:
            if "running" in one.state:
                path = f"spec.containers{{{one.name}}}"
                self.cluster.controllers.event(pod, "Killing", f"Stopping container {one.name}", path=path)

    @staticmethod
    def stopped(container: kubelet_status.Container) -> int:
        """Let a container end and return its exit code."""
        state = container.state
        if "running" in state:
            started = state["running"]["startedAt"]
            container.state = kubelet_status.terminated(0, "Completed", started, container.id)
        elif "waiting" in state:
            container.state = kubelet_status.terminated(137, "ContainerStatusUnknown", None)
            container.state["terminated"] |= {
                "finishedAt": None,
                "message": "The container could not be located when the pod was terminated",
            }
        container.ready = False
        return container.state["terminated"]["exitCode"]

    def gone(self, pod: Object) -> None:
        life, task = self.living.pop(pod["metadata"]["uid"], (None, None))
        if life and task and not life.ending:
            task.cancel()

    async def close(self) -> None:
        for _, task in self.living.values():
            task.cancel()
