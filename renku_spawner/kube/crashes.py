"""Containers that do not come up or end: which reason it is, and whether it can heal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from ..domain import reasons
from . import messages
from .asked import Asked
from .objects import Container, End, words
from .verdict import AT_ONCE, HEALS_OFTEN, THIRD, Failure

_USUAL = {"", "ContainerCreating", "PodInitializing"}
_ABSENT = re.compile(r"no such file or directory|executable file not found|not found in \$PATH", re.IGNORECASE)
_HUBS_SERVERS = {"jupyterhub-singleuser", "jupyter-labhub", "jupyterhub-singleuser.exe"}
_UNHEALABLE = {"command_not_found", "command_not_executable", "no_jupyter", "image_platform_mismatch"}
_MAY_MISS_THE_HUB = {"crash_exit", "hub_unreachable"}
_STARTING_FAILED = {"CreateContainerError", "RunContainerError", "StartError", "ContainerCannotRun"}


def failure(container: Container, asked: Asked, *, policy: str = "OnFailure") -> Failure | None:
    """Why the container does not run; *policy* is the pod's restart policy."""
    if container.running:
        return None
    if container.waiting == messages.CONFIGURATION:
        return _configuration(container.message, asked)
    if container.waiting == "CrashLoopBackOff" or container.ended:
        return _ended(container, asked, policy)
    if container.waiting in _STARTING_FAILED:
        return _patient(container, _not_started(container.message, asked), asked)
    if container.waiting in _USUAL:
        return None
    return Failure(
        code="create_error", values={"message": words(container.message, container.waiting)}, after=HEALS_OFTEN
    )


def _configuration(message: str, asked: Asked) -> Failure | None:
    """Heals by itself when what is missing comes."""
    told = {"message": words(message, messages.CONFIGURATION), "image": asked.image}
    return messages.explain(messages.CONFIGURATION, message, asked, values=told)


def _ended(container: Container, asked: Asked, policy: str) -> Failure | None:
    end = container.end
    if end is None:
        return Failure(
            code="create_error", values={"message": words(container.message, container.waiting)}, after=HEALS_OFTEN
        )
    found = of_end(end, asked)
    stays = policy == "Never" or (policy == "OnFailure" and end.exit_code == 0)
    return replace(found, after=AT_ONCE) if stays and container.ended else _patient(container, found, asked)


def _patient(container: Container, found: Failure, asked: Asked) -> Failure:
    """What no restart can heal is final at once, all else at the third end.

    A session that worked is restarted in place; there only a loop is final, since it may
    run for weeks and end now and then. A program that had no hub to ask has not shown that
    it fails: the kubelet's next try decides, which comes within five minutes.
    """
    if found.code in _MAY_MISS_THE_HUB and _began_without_hub(container, asked):
        return replace(found, after=None)
    if asked.was_ready:
        looping = container.waiting == "CrashLoopBackOff" and container.ends >= THIRD
        return replace(found, after=AT_ONCE if looping else None)
    final = found.code in _UNHEALABLE or container.ends >= THIRD
    return replace(found, after=AT_ONCE if final else None)


def _began_without_hub(container: Container, asked: Asked) -> bool:
    """Return whether its last try began when no hub served: `jupyterhub-singleuser` then ends by itself after 48 s."""
    end, since = container.end, asked.hub_since
    return end is not None and end.started is not None and since is not None and end.started < since


def of_end(end: End, asked: Asked) -> Failure:
    """Why a container ended, as its status tells it; `with_log` knows more."""
    if end.reason in _STARTING_FAILED:
        return _not_started(end.message, asked)
    values = _values(end, asked)
    if end.reason == "OOMKilled":
        return Failure(code="crash_oom", values=values)
    if end.reason == "ContainerStatusUnknown":
        return Failure(code="lost", values=values)
    return Failure(code=_of_exit(end.exit_code, end.message, asked), values=values)


def with_log(found: Failure, log: str, asked: Asked) -> Failure:
    """*found* again, now that the end of the program's log is known."""
    exit_code = found.values.get("exit_code")
    if found.code not in ("crash_exit", "crash_killed") or not isinstance(exit_code, int):
        return found
    return replace(found, code=_of_exit(exit_code, log, asked))


def _of_exit(exit_code: int, log: str, asked: Asked) -> str:
    if "exec format error" in log.lower():
        return "image_platform_mismatch"
    code = reasons.of_exit(exit_code, log, was_ready=asked.was_ready)
    return _missing(asked) if code == "command_not_found" else code


def _missing(asked: Asked) -> str:
    return "no_jupyter" if asked.program.rpartition("/")[2] in _HUBS_SERVERS else "command_not_found"


def _not_started(message: str, asked: Asked) -> Failure:
    """The container runtime's own words; runc quotes the program that it could not start."""
    named = re.search(r'exec: "([^"]+)"', message)
    about = replace(asked, program=named[1]) if named else asked
    values = {"message": words(message, "no reason given"), "program": words(about.program), "image": asked.image}
    if "exec format error" in message:
        return Failure(code="image_platform_mismatch", values=values)
    if _ABSENT.search(message):
        return Failure(code=_missing(about), values=values)
    code = "command_not_executable" if "permission denied" in message.lower() else "create_error"
    return Failure(code=code, values=values)


def _values(end: End, asked: Asked) -> Mapping[str, object]:
    return {
        "exit_code": end.exit_code,
        "limit": asked.limit or "…",
        "program": words(asked.program),
        "image": asked.image,
        "message": words(end.message, end.reason),
    }
