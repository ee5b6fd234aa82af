"""What Linux tells of processes (proc(5)), our children or not."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")  # of the clock, a second
_POLL_INTERVAL_SECONDS = 0.02


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process as /proc showed it; *started* (clock ticks since boot) tells it from a later one with the same pid.

    *seconds* of processors it and those that it waited for have used.
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
        """Pid and start time: never the same for two processes until the machine is booted again."""
        return self.pid, self.started

    @property
    def alive(self) -> bool:
        """Whether it still runs; a zombie only waits for its parent."""
        return self.state not in "ZX"


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def look(pid: int) -> Process | None:
    """Return the process with this pid, None if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The command's name stands in parentheses and may itself contain some.
    fields = stat.rpartition(b")")[2].split()
    parent, group, session = (int(field) for field in fields[1:4])
    return Process(
        pid=pid, state=fields[0].decode(), parent=parent, group=group, session=session, started=int(fields[19]),
        seconds=sum(map(int, fields[11:15])) / _TICKS,
    )  # fmt: skip


def everyone() -> Iterator[Process]:
    for name in os.listdir("/proc"):
        if name.isdigit() and (process := look(int(name))):
            yield process


def environment(pid: int) -> dict[bytes, bytes]:
    """Return the environment the process began with; empty if it is gone or somebody else's."""
    try:
        block = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return {}
    pairs = (entry.partition(b"=") for entry in block.split(b"\0") if entry)
    return {name: value for name, _, value in pairs}


def command(pid: int) -> list[str]:
    """Return the words the process was begun with; none if it is gone, or a zombie."""
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return [os.fsdecode(word) for word in line.split(b"\0") if word]


def read_pid(file: Path) -> int:
    """Return the pid that a pid file names; 0, as no process is numbered, if it names none."""
    try:
        return int(file.read_text().strip())
    except (OSError, ValueError):
        return 0


def find_by_pid_file(file: Path, command_names: Collection[str]) -> Process | None:
    """Return the process that a pid file names, if it was started by one of those commands: pids are given again."""
    pid = read_pid(file)
    words = {os.path.basename(word) for word in command(pid)}
    return look(pid) if words & {os.path.basename(name) for name in command_names} else None


async def end(process: Process, *, grace_seconds: float | None = None) -> None:
    """Ask a process to end (SIGTERM) and wait until it has; kill it after *grace_seconds*, never without them."""
    loop = asyncio.get_running_loop()
    kill_at = None if grace_seconds is None else loop.time() + grace_seconds
    send(process, signal.SIGTERM)
    while (now := look(process.pid)) and now.identity == process.identity and now.alive:
        if kill_at is not None and loop.time() >= kill_at:
            send(process, signal.SIGKILL)
        await asyncio.sleep(_POLL_INTERVAL_SECONDS)


def send(process: Process, number: signal.Signals) -> None:
    """Signal exactly this process, never a later one with the same pid."""
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(process.pid)
        try:
            now = look(process.pid)
            if now and now.identity == process.identity:
                signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)
