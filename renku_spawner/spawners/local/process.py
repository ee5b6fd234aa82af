"""Start, find, measure and stop the server process of a local instance, also after a hub restart."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL, SIGTERM
from time import monotonic

from . import launcher
from .launcher import EXIT_DISK_FULL, EXIT_LOCKED, EXIT_UNWRITABLE, INSTANCE_MARKER_VARIABLE

_CLOCK_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PROCESS_POLL_INTERVAL_SECONDS = 0.02


@dataclass(frozen=True, kw_only=True)
class ProcessInfo:
    """A process as /proc shows it; *started* (clock ticks since boot) tells it from a later one with the same pid.

    *seconds* is the CPU time that the process and its reaped children have used.
    """

    pid: int
    state: str
    parent: int
    group: int
    session: int
    started: int
    seconds: float = field(compare=False)

    @property
    def identity(self) -> tuple[int, int]:
        """Pid and start time, which are unique until the machine is booted again."""
        return self.pid, self.started

    @property
    def is_alive(self) -> bool:
        """True unless it has ended; a zombie has ended and only waits for its parent."""
        return self.state not in "ZX"


def read_boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def find_process(pid: int) -> ProcessInfo | None:
    """Return the process with this pid, None if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The name of the command is in parentheses and may contain parentheses itself.
    fields = stat.rpartition(b")")[2].split()
    parent, group, session = (int(field) for field in fields[1:4])
    return ProcessInfo(
        pid=pid, state=fields[0].decode(), parent=parent, group=group, session=session, started=int(fields[19]),
        seconds=sum(map(int, fields[11:15])) / _CLOCK_TICKS_PER_SECOND,
    )  # fmt: skip


def list_processes() -> Iterator[ProcessInfo]:
    for name in os.listdir("/proc"):
        if name.isdigit() and (process := find_process(int(name))):
            yield process


def read_process_environment(pid: int) -> dict[bytes, bytes]:
    """Return the initial environment of a process; empty if it has ended or belongs to another user."""
    try:
        block = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return {}
    pairs = (entry.partition(b"=") for entry in block.split(b"\0") if entry)
    return {name: value for name, _, value in pairs}


def read_process_command(pid: int) -> list[str]:
    """Return the command line of a process; empty if it has ended or is a zombie."""
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return [os.fsdecode(word) for word in line.split(b"\0") if word]


def read_pid_file(file: Path) -> int:
    """Return the pid in a pid file, or 0, which is no process's pid."""
    try:
        return int(file.read_text().strip())
    except (OSError, ValueError):
        return 0


def find_process_by_pid_file(file: Path, command_names: Collection[str]) -> ProcessInfo | None:
    """Return the process of a pid file if its command is one of *command_names*: pids are reused."""
    pid = read_pid_file(file)
    words = {os.path.basename(word) for word in read_process_command(pid)}
    return find_process(pid) if words & {os.path.basename(name) for name in command_names} else None


async def stop_process(process: ProcessInfo, *, grace_seconds: float | None = None) -> None:
    """Send SIGTERM and wait until the process has ended; send SIGKILL after *grace_seconds*, never if None."""
    loop = asyncio.get_running_loop()
    kill_at = None if grace_seconds is None else loop.time() + grace_seconds
    send_signal(process, signal.SIGTERM)
    while (now := find_process(process.pid)) and now.identity == process.identity and now.is_alive:
        if kill_at is not None and loop.time() >= kill_at:
            send_signal(process, signal.SIGKILL)
        await asyncio.sleep(_PROCESS_POLL_INTERVAL_SECONDS)


def send_signal(process: ProcessInfo, number: signal.Signals) -> None:
    """Signal this process, never a later one with the same pid."""
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(process.pid)
        try:
            now = find_process(process.pid)
            if now and now.identity == process.identity:
                signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)


_SERVER_POLL_INTERVAL_SECONDS = 0.02
_KILL_TIMEOUT_SECONDS = 5.0  # for killed processes to disappear
_LAUNCHER_ERRORS = {EXIT_UNWRITABLE: "The session's lock, pid or log file cannot be written."}
_INSTANCE_MARKER = INSTANCE_MARKER_VARIABLE.encode()

# Servers that this hub process started: only a parent can reap a process and read its exit code.
_server_processes: dict[Path, subprocess.Popen[bytes]] = {}


class ServerStartFailed(Exception):
    """The server could not be started; the message says why."""


class DiskFull(ServerStartFailed):
    """The disk is too full for the server's pid and log files."""


class ServerAlreadyRunning(ServerStartFailed):
    """The instance's lock is held; *pid* is its server, or None if only a child of a dead server holds it.

    In the second case, `stop_server_process` stops that child.
    """

    def __init__(self, pid: int | None) -> None:
        super().__init__("This session's server is running already.")
        self.pid = pid


class ServerStillRunning(Exception):
    """Processes of the instance survived SIGKILL: they hang in the kernel or belong to another user."""


async def start_server_process(
    instance: Path, log: Path, command: Sequence[str], *, env: Mapping[str, str], cwd: Path, timeout: float = 10
) -> int:
    """Start *command* in its own process session and return its pid once it is recorded.

    A command that ends at once is no error here: `find_server_pid` then returns None, and `get_server_exit_code` its
    exit code.

    Raises:
        ServerAlreadyRunning: the instance's lock is held.
        DiskFull: there is no space for the pid and log files.
        ServerStartFailed: the launcher failed, or took longer than *timeout* seconds.
    """
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", launcher.__file__, str(instance), str(log), "--", *command],
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        await _wait_until_recorded(instance, child, timeout)
    except asyncio.CancelledError:
        _server_processes[instance.resolve()] = child  # it may be running, and has to be reaped
        raise
    _server_processes[instance.resolve()] = child
    return child.pid


def find_server_pid(instance: Path) -> int | None:
    """Return the pid of the instance's running server, or None."""
    leader = _find_leader(instance)
    return leader.pid if leader else None


def get_server_exit_code(instance: Path) -> int | None:
    """Return the server's exit code (negative: a signal); None while it runs or if another hub process started it."""
    child = _server_processes.get(instance.resolve())
    return child.poll() if child else None


def read_server_variable(instance: Path, name: str) -> str | None:
    """Return a variable of the running server's environment, such as the API token that a restarted hub needs."""
    pid = find_server_pid(instance)
    value = read_process_environment(pid).get(name.encode()) if pid else None
    return value.decode(errors="surrogateescape") if value is not None else None


def measure_cpu_seconds(instances: Collection[Path]) -> dict[Path, float]:
    """Return the CPU seconds that the processes of each instance have used; /proc is read once for all of them.

    A reaped process passes its seconds on to its parent, so a sum does not shrink when a process ends.
    """
    marks = {os.fsencode(each.resolve()): each for each in instances}
    everyone = {process.pid: process for process in list_processes()}
    owners = {pid: marks.get(read_process_environment(pid).get(_INSTANCE_MARKER, b"")) for pid in everyone}
    found = dict.fromkeys(instances, 0.0)
    for process in everyone.values():
        if (owner := _find_owner(process, everyone, owners)) is not None:
            found[owner] += process.seconds
    return found


def _find_owner(
    process: ProcessInfo | None, everyone: Mapping[int, ProcessInfo], owners: Mapping[int, Path | None]
) -> Path | None:
    """Return the instance of a process, also by an ancestor's marker: programs can clear their environment."""
    seen: set[int] = set()
    while process is not None and process.pid not in seen:
        if (owner := owners[process.pid]) is not None:
            return owner
        seen.add(process.pid)
        process = everyone.get(process.parent)
    return None


async def stop_server_process(instance: Path, *, grace: float = 5.0) -> None:
    """Stop the server and all processes that it started; return when none is left.

    SIGTERM goes to the server's process group first and, once the server has ended, to the others; SIGKILL goes to
    those that are left after *grace* seconds.

    Raises:
        ServerStillRunning: processes survived SIGKILL.
    """
    end = monotonic() + grace
    seen: set[ProcessInfo] = set()
    asked: set[tuple[int, int]] = set()
    while rest := await asyncio.to_thread(_list_members, instance, seen):
        if monotonic() > end + _KILL_TIMEOUT_SECONDS:
            raise ServerStillRunning(f"{len(rest)} processes of {instance} cannot be stopped.")
        if monotonic() >= end:
            _kill_processes(rest)
        else:
            _request_termination(rest, _find_leader(instance), asked)
        seen.update(rest)
        await asyncio.sleep(_SERVER_POLL_INTERVAL_SECONDS)
    get_server_exit_code(instance)  # reaps the server


async def _wait_until_recorded(instance: Path, child: subprocess.Popen[bytes], timeout: float) -> None:
    process = find_process(child.pid)  # exists even if it has ended: it is not reaped yet
    end = monotonic() + timeout
    while not process or _read_recorded_identity(instance) != process.identity:
        if child.poll() is not None and (not process or _read_recorded_identity(instance) != process.identity):
            raise await _build_start_error(instance, child.returncode)
        if monotonic() > end:
            child.kill()
            child.wait()
            raise ServerStartFailed(f"The server's launcher did nothing for {timeout:g} seconds.")
        await asyncio.sleep(_SERVER_POLL_INTERVAL_SECONDS / 4)


async def _build_start_error(instance: Path, code: int) -> ServerStartFailed:
    """Turn the launcher's exit code into an error."""
    if code == EXIT_DISK_FULL:
        return DiskFull("The disk is full.")
    if code != EXIT_LOCKED:
        return ServerStartFailed(_LAUNCHER_ERRORS.get(code, f"The server's launcher ended with {code}."))
    end = monotonic() + 1
    # The other launcher may be about to record its pid.
    while not (pid := find_server_pid(instance)) and monotonic() < end:
        await asyncio.sleep(_SERVER_POLL_INTERVAL_SECONDS)
    return ServerAlreadyRunning(pid)


def _read_recorded_identity(instance: Path) -> tuple[int, int] | None:
    """Return the recorded pid and start time; None if there are none since the machine was booted."""
    try:
        pid, started, boot = (instance / "pid").read_text(encoding="ascii").split()
        return (int(pid), int(started)) if boot == read_boot_id() else None
    except (OSError, ValueError):
        return None


def _find_leader(instance: Path) -> ProcessInfo | None:
    get_server_exit_code(instance)  # reaps an ended child, so that it is no zombie
    recorded = _read_recorded_identity(instance)
    process = find_process(recorded[0]) if recorded else None
    return process if process and process.is_alive and process.identity == recorded else None


def _list_members(instance: Path, seen: set[ProcessInfo]) -> list[ProcessInfo]:
    """List the running processes of the instance: the server's process session, those with its marker, and descendants.

    No single criterion is enough: kernels and terminals lead sessions of their own, and orphans have lost their parent.
    Processes *seen* by an earlier call belong to the instance too.
    """
    leader = _find_leader(instance)
    mark = os.fsencode(instance.resolve())
    known = {process.identity for process in seen}
    alive = {process.pid: process for process in list_processes() if process.is_alive and process.pid != os.getpid()}
    members = {
        process.pid
        for process in alive.values()
        if process.identity in known
        or (leader and process.session == leader.pid)
        or read_process_environment(process.pid).get(_INSTANCE_MARKER) == mark
    }
    while more := {pid for pid, process in alive.items() if process.parent in members} - members:
        members |= more
    return [alive[pid] for pid in members]


def _request_termination(processes: list[ProcessInfo], leader: ProcessInfo | None, asked: set[tuple[int, int]]) -> None:
    for process in processes:
        if process.identity not in asked and (leader is None or process.group == leader.group):
            asked.add(process.identity)
            send_signal(process, SIGTERM)


def _kill_processes(processes: list[ProcessInfo]) -> None:
    for process in processes:
        send_signal(process, SIGKILL)


# Over a shorter interval, the start of a single program would dominate the measurement.
MIN_MEASURE_INTERVAL_SECONDS = 10.0


class CPUMeter:
    """Measure the CPU use of instances between calls; an interval is at least *least* seconds."""

    def __init__(self, least: float = MIN_MEASURE_INTERVAL_SECONDS) -> None:
        self._least = least
        self._before: dict[Path, tuple[float, float]] = {}

    def measure_cores(self, instances: Collection[Path]) -> dict[Path, float]:
        """Return the average cores that each instance used since its last measurement; too recent ones are left out."""
        spent, now, found = measure_cpu_seconds(instances), monotonic(), {}
        kept = {instance: self._before.get(instance, (now, spent[instance])) for instance in instances}
        for instance, (since, before) in kept.items():
            if now - since >= self._least:
                found[instance] = max(0.0, spent[instance] - before) / (now - since)
                kept[instance] = (now, spent[instance])
        self._before = kept
        return found
