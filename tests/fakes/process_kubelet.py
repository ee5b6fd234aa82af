"""A kubelet that runs containers as processes of this machine, each pod on a loopback address of its own."""

import asyncio
import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.fixtures.built_images import Root

from . import kubelet_status
from .kube_controllers import claims
from .kubelet import SCHEDULER, ScriptedKubelet
from .pod_life import Life
from .process_container import Runner
from .process_env import Machine, MountError, View
from .process_root import RootView

if TYPE_CHECKING:
    from .kube import FakeCluster, Trouble

Object = dict[str, Any]
REMADE = 6.0  # seconds until a sandbox that was killed is there again, as recorded
GONE = 0.05  # seconds between the end of the containers and of the pod


class ProcessPod:
    """One pod whose containers run here."""

    def __init__(self, kubelet: "ProcessKubelet", life: Life) -> None:
        self.kubelet, self.cluster, self.life, self.ip = kubelet, kubelet.cluster, life, life.ip
        self.pod = life.pod
        self.stopping = False
        self.mains: list[Runner] = []
        self.inits: list[Runner] = []
        self.machine = Machine(kubelet.root, self.cluster.store, self.pod, self.ip)
        self.machine.programs = kubelet.programs
        self.sandbox = ""  # the address, as soon as it shows
        self.remade: asyncio.Event | None = None  # while the sandbox is gone

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self.cluster.speed)

    def event(self, reason: str, message: str, kind: str = "Normal", **fields: Any) -> Object:
        return self.cluster.controllers.event(self.life.newest() or self.pod, reason, message, kind, **fields)

    @property
    def phase(self) -> str:
        if any(one.final and code_of(one) != 0 for one in self.inits):
            return "Failed"
        if all(one.final for one in self.mains):
            return "Failed" if any(code_of(one) for one in self.mains) else "Succeeded"
        return "Running" if any(one.view.id for one in self.mains) else "Pending"

    def publish(self) -> None:
        """Write the status, as long as the pod is there."""
        pod = self.life.newest()
        if pod:
            inits, mains = [one.view for one in self.inits], [one.view for one in self.mains]
            gone = self.remade is not None
            self.cluster.put_status(
                pod, **kubelet_status.status(pod, self.phase, self.sandbox, inits, mains, sandbox_gone=gone)
            )

    def schedule(self) -> bool:
        pod = self.life.newest()
        if pod is None:
            return False
        node = self.cluster.node
        status = pod["status"] | {"conditions": [kubelet_status.condition("PodScheduled", True)]}
        self.cluster.store.put("pods", pod | {"spec": pod["spec"] | {"nodeName": node}, "status": status})
        name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        text = f"Successfully assigned {name} to {node}"
        self.event("Scheduled", text, component=SCHEDULER, action="Binding")
        return True

    async def run(self) -> None:
        await self.kubelet.wait_for_claims(self.life)
        if not self.schedule():
            return
        spec = self.pod["spec"]
        reason = "PodInitializing" if spec.get("initContainers") else "ContainerCreating"
        self.inits = [Runner(self, one, init=True, reason=reason) for one in spec.get("initContainers", [])]
        self.mains = [Runner(self, one, init=False, reason=reason) for one in spec["containers"]]
        self.publish()
        await self.mounted()
        self.sandbox = self.ip
        for runner in self.inits:
            if await runner.live() != 0 or self.stopping:
                self.publish()
                return
            self.publish()
        await asyncio.gather(*(self.live(runner) for runner in self.mains))

    async def live(self, runner: Runner) -> None:
        await runner.live()
        self.publish()

    async def mounted(self) -> None:
        """Wait until every volume can be mounted; nothing but events tells of it."""
        for trouble in self.cluster.troubles:
            await self.troubled(trouble)
        event: Object | None = None
        while True:
            try:
                for volume in self.pod["spec"].get("volumes", []):
                    self.machine.volume(volume)
                return
            except MountError as error:
                if event is None:
                    event = self.event("FailedMount", str(error), "Warning")
                else:
                    event = self.cluster.controllers.again(event, count=event["count"] + 1)
                await self.sleep(0.5)

    def lose_sandbox(self, held: asyncio.Event | None = None) -> None:
        """End everything of the pod as a reboot of its node does; it comes back with its name, its uid and another
        address, after six seconds or when *held* is set. Until then its status says that it is ready, at an address
        that is gone."""
        self.remade = asyncio.Event()
        self.event("SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")
        for one in self.mains:
            self.event("Killing", f"Stopping container {one.view.name}", path=one.path)
        self.publish()
        self.cluster.spawn(self.make_sandbox(self.remade, held))
        for one in self.mains:
            one.kill_rest()

    async def make_sandbox(self, remade: asyncio.Event, held: asyncio.Event | None) -> None:
        await (held.wait() if held else self.sleep(REMADE))
        self.ip = self.sandbox = self.machine.ip = self.kubelet.address()
        self.remade = None
        remade.set()

    async def troubled(self, trouble: "Trouble") -> None:
        """Repeat the event until it heals; it stays afterwards, as events do."""
        event: Object | None = None
        while not trouble.healed.is_set():
            if event is None:
                message = trouble.message.replace("{claim}", claims(self.pod)[0])
                event = self.event(trouble.reason, message, "Warning")
            else:
                event = self.cluster.controllers.again(event, count=event["count"] + 1)
            with suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await trouble.healed.wait()

    async def end(self, task: asyncio.Task[None], grace: float) -> None:
        """End all containers: SIGTERM, and after `grace` (true seconds) SIGKILL."""
        self.stopping = True
        running = [one for one in [*self.inits, *self.mains] if "running" in one.view.state]
        for one in running:
            self.event("Killing", f"Stopping container {one.view.name}", path=one.path)
            one.signal(signal.SIGTERM)
        if not running:
            task.cancel()
        _, late = await asyncio.wait([task], timeout=grace)
        if late:
            for one in running:
                one.kill_rest()
            await asyncio.wait([task], timeout=5)
        await self.leave()

    async def leave(self) -> None:
        for one in self.mains:
            one.final = True
            self.kubelet.stopped(one.view)
        self.publish()
        await asyncio.sleep(GONE)
        if pod := self.life.newest():
            self.cluster.api.delete_pod(pod, 0)

    def processes(self) -> list[Runner]:
        """Return the containers of which a process still lives."""
        all_of = [*self.inits, *self.mains]
        return [one for one in all_of if one.process and one.process.returncode is None]

    def kill(self) -> None:
        self.stopping = True
        for one in [*self.inits, *self.mains]:
            one.kill_rest()


def code_of(runner: Runner) -> int:
    return runner.view.state.get("terminated", {}).get("exitCode", 0)


class ProcessKubelet(ScriptedKubelet):
    """Runs every pod for which no recorded life is planned.

    root: where claims and pods have their folders; images: what an image runs when the pod does not say, by name;
    roots: file systems of images, by how their names begin. Containers of others have this machine's.
    """

    def __init__(self, cluster: "FakeCluster", root: Path, images: dict[str, list[str]] | None = None) -> None:
        super().__init__(cluster)
        self.root, self.images = root, images or {}
        self.entrypoint = ["jupyterhub-singleuser"]
        self.programs: list[str] = []
        self.roots: dict[str, Root] = {}
        self.running: dict[str, tuple[ProcessPod, asyncio.Task[None]]] = {}

    def view(self, machine: Machine, container: Object) -> View:
        """Raises ConfigError."""
        for begin, root in self.roots.items():
            if container["image"].startswith(begin):
                return RootView(machine, container, root)
        return View(machine, container)

    def address(self) -> str:
        """Return an address of this process's own corner of 127.0.0.0/8."""
        self.addresses += 1
        process = os.getpid()
        return f"127.{64 + process % 128}.{process // 128 % 250}.{self.addresses % 250 + 2}"

    def added(self, pod: Object) -> None:
        if any(plan.match(pod) and (plan.times is None or plan.seen < plan.times) for plan in self.plans):
            super().added(pod)
            return
        life = Life(self.cluster, pod, "delete-graceful-term", {}, self.address())
        run = ProcessPod(self, life)
        self.running[pod["metadata"]["uid"]] = run, self.cluster.spawn(run.run())

    def stopping(self, pod: Object) -> None:
        run, task = self.running.get(pod["metadata"]["uid"], (None, None))
        if run is None or task is None:
            super().stopping(pod)
        elif not run.stopping and not self.cluster.node_lost:
            run.stopping = True
            self.cluster.spawn(run.end(task, float(pod["metadata"]["deletionGracePeriodSeconds"])))

    def gone(self, pod: Object) -> None:
        run, task = self.running.pop(pod["metadata"]["uid"], (None, None))
        if run is None or task is None:
            super().gone(pod)
            return
        run.kill()
        if not run.processes():
            task.cancel()

    async def close(self) -> None:
        """End all processes and wait until they have."""
        await super().close()
        for run, task in self.running.values():
            run.kill()
            if not run.processes():
                task.cancel()
        tasks = [task for _, task in self.running.values()]
        await asyncio.gather(*tasks, return_exceptions=True)

    # what tests do to pods

    def pod(self, name: str) -> ProcessPod:
        return next(run for run, _ in self.running.values() if run.pod["metadata"]["name"] == name)

    def run_out_of_memory(self, name: str, container: int = 0) -> None:
        self.pod(name).mains[container].run_out_of_memory()

    def lose_sandbox(self, name: str, held: asyncio.Event | None = None) -> None:
        self.pod(name).lose_sandbox(held)

    def lose_claim(self, claim: Object) -> None:
        """Remove the files of a claim."""
        shutil.rmtree(self.root / "claims" / claim["metadata"]["uid"], ignore_errors=True)

    def claim_of(self, pod: Object) -> Path:
        """Return the folder of the first claim that a pod mounts."""
        found = self.cluster.find("persistentvolumeclaims", claims(pod)[0], pod["metadata"]["namespace"])
        assert found is not None
        return self.root / "claims" / found["metadata"]["uid"]
