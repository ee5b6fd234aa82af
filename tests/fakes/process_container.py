"""One container of a pod as a process of this machine: started, watched, restarted, ended."""

import asyncio
import os
import signal
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp

from . import kubelet_status
from .kubelet_status import Container
from .process_env import ConfigError, View
from .quantity import parse

if TYPE_CHECKING:
    from .process_kubelet import ProcessPod

Object = dict[str, Any]
LOOK = 0.2  # seconds between two looks at the memory or at a probe
BACKOFF, LONGEST = 10.0, 300.0  # seconds before the restart that follows the second end; it doubles
SYNC = 1.0  # seconds between two looks of the kubelet
PAGE = os.sysconf("SC_PAGE_SIZE")
RUNC = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: "
    "unable to start container process: "
)
MESSAGE = 2048  # bytes of the log that become the termination message


class Runner:
    """Lives one container of a pod until its restart policy is content."""

    def __init__(self, pod: "ProcessPod", spec: Object, *, init: bool, reason: str) -> None:
        self.pod, self.spec, self.init = pod, spec, init
        self.view = Container(spec, kubelet_status.waiting(reason))
        self.output = pod.cluster.logs.of(pod.pod, spec["name"])
        self.process: asyncio.subprocess.Process | None = None
        self.out_of_memory = False
        self.ends = 0
        self.final = False
        part = "initContainers" if init else "containers"
        self.path = f"spec.{part}{{{spec['name']}}}"

    def event(self, reason: str, message: str, kind: str = "Normal") -> Object:
        return self.pod.event(reason, message, kind, path=self.path)

    async def live(self) -> int:
        """Run until the end that counts; returns its exit code."""
        while True:
            code = await self.once(await self.prepared())
            if (remade := self.pod.remade) is not None and not self.pod.stopping:
                await remade.wait()  # nothing tells of the end before the container runs again
                self.view.last = self.view.state
                self.view.restarts += 1
                self.output.restart()
                continue
            self.ends += 1
            if self.pod.stopping or not self.again(code):
                self.final = True
                return code
            self.pod.publish()
            await self.pause()
            self.view.restarts += 1
            self.output.restart()

    def again(self, code: int) -> bool:
        policy = self.pod.pod["spec"]["restartPolicy"]
        return policy != "Never" and (code != 0 or (policy == "Always" and not self.init))

    async def prepared(self) -> View:
        """Wait until everything that the container refers to is there."""
        event: Object | None = None
        while True:
            try:
                return self.pod.kubelet.view(self.pod.machine, self.spec)
            except ConfigError as error:
                if event is None:
                    event = self.event("Failed", f"Error: {error}", "Warning")
                    self.view.state = kubelet_status.waiting("CreateContainerConfigError", str(error))
                    self.pod.publish()
                else:
                    event = self.pod.cluster.controllers.again(event, count=event["count"] + 1)
                await self.pod.sleep(1)

    async def pause(self) -> None:
        """Wait before the restart: the first one comes with the kubelet's next look."""
        if "terminated" in self.view.state:
            self.view.last = self.view.state
        if self.ends < 2:
            await self.pod.sleep(SYNC)
            return
        seconds = min(BACKOFF * 2 ** (self.ends - 2), LONGEST)
        metadata = self.pod.pod["metadata"]
        name = f"{metadata['name']}_{metadata['namespace']}({metadata['uid']})"
        text = f"back-off {seconds:.0f}s restarting failed container={self.view.name} pod={name}"
        self.view.state = kubelet_status.waiting("CrashLoopBackOff", text)
        self.event("BackOff", f"Back-off restarting failed container {self.view.name} in pod {name}", "Warning")
        self.pod.publish()
        await self.pod.sleep(seconds)

    async def once(self, view: View) -> int:
        self.event("Pulled", f'Container image "{self.spec["image"]}" already present on machine')
        self.event("Created", f"Created container: {self.view.name}")
        self.view.id = f"containerd://{uuid.uuid4().hex * 2}"
        words = view.command(self.pod.kubelet.images.get(self.spec["image"], self.pod.kubelet.entrypoint))
        try:
            self.process = await asyncio.create_subprocess_exec(
                *words,
                env=view.environment(),
                cwd=view.folder(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            return self.not_started(words[0], error)
        self.event("Started", f"Started container {self.view.name}")
        return await self.ended(view, kubelet_status.running())

    def not_started(self, word: str, error: OSError) -> int:
        why = "no such file or directory" if isinstance(error, FileNotFoundError) else "permission denied"
        found = f"stat {word}: {why}: unknown" if "/" in word else "executable file not found in $PATH: unknown"
        text = f'{RUNC}exec: "{word}": {found}'
        self.event("Failed", f"Error: {text}", "Warning")
        self.view.last = kubelet_status.terminated(128, "StartError", "1970-01-01T00:00:00Z", self.view.id, text)
        self.view.state = kubelet_status.waiting("RunContainerError", text)
        return 128

    async def ended(self, view: View, state: Object) -> int:
        """Watch the process until it ends and write down how."""
        assert self.process is not None
        self.out_of_memory = False
        self.view.state = state
        self.view.ready = not self.init and "readinessProbe" not in self.spec
        self.pod.publish()
        helpers = [asyncio.create_task(work) for work in (self.watch_memory(), self.probe())]
        try:
            await self.read(view)
            code = await self.process.wait()
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            self.kill_rest()
        code = 128 - code if code < 0 else code
        reason = "OOMKilled" if self.out_of_memory else "Error" if code else "Completed"
        started = state["running"]["startedAt"]
        self.view.state = kubelet_status.terminated(code, reason, started, self.view.id, self.message(code))
        self.view.ready = self.init and code == 0
        return code

    def message(self, code: int) -> str:
        if not code or self.spec.get("terminationMessagePolicy") != "FallbackToLogsOnError":
            return ""
        return b"".join(line for _, line in self.output.runs[-1])[-MESSAGE:].decode(errors="replace")

    async def read(self, view: View) -> None:
        assert self.process is not None and self.process.stdout is not None
        held = b""
        while chunk := await self.process.stdout.read(65_536):
            lines, _, held = (held + chunk).rpartition(b"\n")
            if lines:
                self.output.write(view.outer(lines + b"\n"))
        if held:
            self.output.write(view.outer(held))

    def signal(self, number: signal.Signals) -> None:
        if self.process and self.process.returncode is None:
            with suppress(ProcessLookupError):
                self.process.send_signal(number)

    def kill_rest(self) -> None:
        """End what the process has left behind, as a container ends with its first process."""
        if self.process:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def run_out_of_memory(self) -> None:
        self.out_of_memory = True
        self.kill_rest()

    async def watch_memory(self) -> None:
        limit = self.spec.get("resources", {}).get("limits", {}).get("memory")
        while limit and self.process:
            if memory(self.process.pid) > parse(limit).value:
                self.run_out_of_memory()
            await asyncio.sleep(LOOK)

    async def probe(self) -> None:
        """Ask the readiness probe (httpGet or tcpSocket) until it says yes."""
        probe = self.spec.get("readinessProbe", {})
        await self.pod.sleep(probe.get("initialDelaySeconds", 0))
        while probe and not self.view.ready:
            if await answers(probe, self.pod.ip, self.spec):
                self.view.ready = True
                self.pod.publish()
            await asyncio.sleep(LOOK)


def port_of(given: int | str, spec: Object) -> int:
    named = {port.get("name"): port["containerPort"] for port in spec.get("ports", [])}
    return named.get(given) or int(given)


async def answers(probe: Object, ip: str, spec: Object) -> bool:
    port = port_of((probe.get("httpGet") or probe["tcpSocket"])["port"], spec)
    try:
        if "httpGet" not in probe:
            _, writer = await asyncio.open_connection(ip, port)
            writer.close()
            return True
        url = f"http://{ip}:{port}{probe['httpGet'].get('path', '/')}"
        timeout = aiohttp.ClientTimeout(total=probe.get("timeoutSeconds", 1))
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url, allow_redirects=False) as found:
            return 200 <= found.status < 400
    except (OSError, aiohttp.ClientError, TimeoutError):
        return False


def memory(session: int) -> int:
    """Return the resident memory in bytes of all processes of a session."""
    found = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError, ValueError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session:
                found += int(fields[21]) * PAGE
    return found
