"""Start, find and end the one server of an instance on this machine, also after the hub was killed and restarted."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from signal import SIGKILL, SIGTERM
from time import monotonic

from . import launcher, proc
from .proc import Process

_POLL = 0.02  # seconds between two looks
_KILL_WAIT = 5.0  # seconds that killed processes have to disappear
_LAUNCHER_SAYS = {launcher.UNWRITABLE: "The session's lock, pid or log file cannot be written."}
_MARKER = launcher.MARKER.encode()

# Servers that this very hub started: only a parent can reap a process and learn how it ended.
_children: dict[Path, subprocess.Popen[bytes]] = {}


class StartFailed(Exception):
    """The server could not be started; the message says why."""


class DiskFull(StartFailed):
    """There is no room for the few bytes that a server needs before it is one."""


class AlreadyRunning(StartFailed):
    """The instance's lock is held; *pid* is its server, or None if only something that a dead server left holds it.

    In the second case ``stop`` clears the way.
    """

    def __init__(self, pid: int | None) -> None:
        super().__init__("This session's server is running already.")
        self.pid = pid


class StillRunning(Exception):
    """Processes of the instance survived being killed (stuck in the kernel, or not ours to kill)."""


async def start(
    instance: Path, log: Path, command: Sequence[str], *, env: Mapping[str, str], cwd: Path, timeout: float = 10
) -> int:
    """Start *command* in its own session and return its pid once that is written down.

    A command that ends at once is no error here: ``running`` is None then and ``exit_code`` tells how it ended.
    Raises AlreadyRunning if the instance's lock is held, DiskFull, and StartFailed if the launcher could not do its
    work within *timeout* seconds.
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
        await _until_written_down(instance, child, timeout)
    except asyncio.CancelledError:
        _children[instance.resolve()] = child  # it may well run: somebody has to reap it
        raise
    _children[instance.resolve()] = child
    return child.pid


def running(instance: Path) -> int | None:
    """Return the pid of the instance's server, None if there is none or it has ended."""
    leader = _leader(instance)
    return leader.pid if leader else None


def exit_code(instance: Path) -> int | None:
    """Return how the server ended (negative: by that signal); None while it runs and if this hub did not start it."""
    child = _children.get(instance.resolve())
    return child.poll() if child else None


def environment(instance: Path, name: str) -> str | None:
    """Return a variable of the running server's environment, such as the API token that a restarted hub forgot."""
    pid = running(instance)
    value = proc.environment(pid).get(name.encode()) if pid else None
    return value.decode(errors="surrogateescape") if value is not None else None


def spent(instances: Collection[Path]) -> dict[Path, float]:
    """Return the seconds of processors that what runs of each has used. All are looked at together.

    Who is waited for by its parent hands its seconds on, so that the sum stays when one of them ends.
    """
    marks = {os.fsencode(each.resolve()): each for each in instances}
    everyone = {process.pid: process for process in proc.everyone()}
    owners = {pid: marks.get(proc.environment(pid).get(_MARKER, b"")) for pid in everyone}
    found = dict.fromkeys(instances, 0.0)
    for process in everyone.values():
        if (owner := _owner(process, everyone, owners)) is not None:
            found[owner] += process.seconds
    return found


def _owner(process: Process | None, everyone: Mapping[int, Process], owners: Mapping[int, Path | None]) -> Path | None:
    """Return whose it is: a program may begin others without the mark."""
    seen: set[int] = set()
    while process is not None and process.pid not in seen:
        if (owner := owners[process.pid]) is not None:
            return owner
        seen.add(process.pid)
        process = everyone.get(process.parent)
    return None


async def stop(instance: Path, *, grace: float = 5.0) -> None:
    """End the server and all that it started; return when nothing of it is left.

    The server's process group is asked first (SIGTERM); when the server is gone, whatever remains is asked; what is
    left after *grace* seconds is killed. Raises StillRunning.
    """
    end = monotonic() + grace
    seen: set[Process] = set()
    asked: set[tuple[int, int]] = set()
    while rest := await asyncio.to_thread(_members, instance, seen):
        if monotonic() > end + _KILL_WAIT:
            raise StillRunning(f"{len(rest)} processes of {instance} cannot be ended.")
        if monotonic() >= end:
            _kill(rest)
        else:
            _ask(rest, _leader(instance), asked)
        seen.update(rest)
        await asyncio.sleep(_POLL)
    exit_code(instance)  # reaps it


async def _until_written_down(instance: Path, child: subprocess.Popen[bytes], timeout: float) -> None:
    process = proc.look(child.pid)  # nobody has reaped it yet, so that it is there even if it has ended
    end = monotonic() + timeout
    while not process or _recorded(instance) != process.identity:
        if child.poll() is not None and (not process or _recorded(instance) != process.identity):
            raise await _refusal(instance, child.returncode)
        if monotonic() > end:
            child.kill()
            child.wait()
            raise StartFailed(f"The server's launcher did nothing for {timeout:g} seconds.")
        await asyncio.sleep(_POLL / 4)


async def _refusal(instance: Path, code: int) -> StartFailed:
    """Say why the launcher ended before it was the server."""
    if code == launcher.FULL:
        return DiskFull("The disk is full.")
    if code != launcher.LOCKED:
        return StartFailed(_LAUNCHER_SAYS.get(code, f"The server's launcher ended with {code}."))
    end = monotonic() + 1
    while not (pid := running(instance)) and monotonic() < end:  # the other one may be about to write its pid down
        await asyncio.sleep(_POLL)
    return AlreadyRunning(pid)


def _recorded(instance: Path) -> tuple[int, int] | None:
    """Return the pid and start time that the launcher wrote down since this machine was booted."""
    try:
        pid, started, boot = (instance / "pid").read_text(encoding="ascii").split()
        return (int(pid), int(started)) if boot == proc.boot_id() else None
    except (OSError, ValueError):
        return None


def _leader(instance: Path) -> Process | None:
    exit_code(instance)  # an ended child must not linger as a zombie
    recorded = _recorded(instance)
    process = proc.look(recorded[0]) if recorded else None
    return process if process and process.alive and process.identity == recorded else None


def _members(instance: Path, seen: set[Process]) -> list[Process]:
    """Return the living processes of the instance: the server's session, what carries its mark, and all begun by these.

    Kernels and terminals lead sessions of their own and orphans have lost their parent, so no single sign is enough.
    Who was *seen* at an earlier look belongs too.
    """
    leader = _leader(instance)
    mark = os.fsencode(instance.resolve())
    known = {process.identity for process in seen}
    alive = {process.pid: process for process in proc.everyone() if process.alive and process.pid != os.getpid()}
    members = {
        process.pid
        for process in alive.values()
        if process.identity in known
        or (leader and process.session == leader.pid)
        or proc.environment(process.pid).get(_MARKER) == mark
    }
    while more := {pid for pid, process in alive.items() if process.parent in members} - members:
        members |= more
    return [alive[pid] for pid in members]


def _ask(processes: list[Process], leader: Process | None, asked: set[tuple[int, int]]) -> None:
    for process in processes:
        if process.identity not in asked and (leader is None or process.group == leader.group):
            asked.add(process.identity)
            proc.send(process, SIGTERM)


def _kill(processes: list[Process]) -> None:
    for process in processes:
        proc.send(process, SIGKILL)
