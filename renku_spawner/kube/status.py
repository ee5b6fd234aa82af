"""A pod and its events, as the API gives them, to what is told of the session.

Nothing here asks, waits or remembers: the same objects always read the same. What a
failure's lasting means is for `verdict.judge`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from ..domain.instance import Observed
from . import crashes, endings, pulls, waits
from .asked import Asked
from .objects import Container, Raw, condition, containers, dig, items, last_time, matching, text, when
from .verdict import Failure, Notice

_GRACE = timedelta(seconds=30)  # beyond its own, until it is told that stopping takes long


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a pod is at: the step of its start (READY is for whoever asks it over HTTP),
    whether its container is ready at `address`, how often it was restarted in place,
    what to tell beside, and what is wrong."""

    stage: Observed
    running: bool = False
    address: str | None = None
    restarts: int = 0
    notices: tuple[Notice, ...] = ()
    failure: Failure | None = None


def read(pod: Raw | None, events: Sequence[Raw], asked: Asked, *, last: Raw | None = None) -> Seen:
    """What *pod* is at; None is a pod that was there and is gone, and was *last* seen so.

    *events* are those of the pod and of its claim, in any order. A pod that is removed
    reads as a failure also when we have asked for it: that is for the caller to know.
    """
    if pod is None:
        return Seen(stage=Observed.ABSENT, failure=endings.of_nothing(events, last))
    events = items(list(events))
    main = next((c for c in containers(pod, "containerStatuses") if c.name == asked.container), None)
    before = containers(pod, "initContainerStatuses")
    ending = endings.of_pod(pod) is not None  # its containers may be as they last were
    address = text(dig(pod, "status", "podIP")) or None
    return Seen(
        stage=_stage(pod, main, before, events),
        running=main is not None and main.running and main.ready and address is not None and not ending,
        address=address,
        restarts=main.restarts if main else 0,
        notices=tuple(_notices(pod, main, before, events, asked)),
        failure=_failure(pod, main, before, events, asked),
    )


def _over(pod: Raw) -> bool:
    """Whether none of its containers is started again, whatever its restart policy
    (https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-phase)."""
    return dig(pod, "status", "phase") in ("Succeeded", "Failed")


# ---- the step ------------------------------------------------------------------------------------------


def _stage(pod: Raw, main: Container | None, before: Sequence[Container], events: Sequence[Raw]) -> Observed:
    if dig(pod, "metadata", "deletionTimestamp"):
        return Observed.TERMINATING
    if _over(pod):
        return Observed.ABSENT
    if main is None:
        placed = dig(pod, "spec", "nodeName") or condition(pod, "PodScheduled").get("status") == "True"
        return Observed.PREPARING if placed else Observed.SCHEDULING
    return _step(main, before, events)


def _step(main: Container, before: Sequence[Container], events: Sequence[Raw]) -> Observed:
    if main.running:
        return Observed.WAITING
    current = next((c for c in before if not (c.ended and c.end and c.end.exit_code == 0)), None)
    if _pulls(current or main, events):
        return Observed.PULLING
    if current or (main.waiting == "ContainerCreating" and not matching(events, "Pulled", container=main.name)):
        return Observed.PREPARING
    return Observed.STARTING


def _pulls(container: Container, events: Sequence[Raw]) -> bool:
    if container.running or container.ends:
        return False
    return container.waiting in pulls.RETRIED or pulls.under_way(container.name, events)


# ---- what is wrong ---------------------------------------------------------------------------------------


def _failure(
    pod: Raw, main: Container | None, before: Sequence[Container], events: Sequence[Raw], asked: Asked
) -> Failure | None:
    """The one that explains the others: the pod's own end, then in the order of a start."""
    return (
        endings.of_pod(pod)
        or waits.machine(pod, events, asked)
        or _before(pod, before, events, asked)
        or (_of(main, pod, events, asked) if main else None)
        or (None if _started(main, before) else waits.disk(events, asked))
        or endings.unexplained(pod)
    )


def _of(container: Container, pod: Raw, events: Sequence[Raw], asked: Asked) -> Failure | None:
    policy = "Never" if _over(pod) else text(dig(pod, "spec", "restartPolicy")) or "OnFailure"
    return pulls.failure(container, events, asked) or crashes.failure(container, asked, policy=policy)


def _before(pod: Raw, before: Sequence[Container], events: Sequence[Raw], asked: Asked) -> Failure | None:
    """Init containers are ours or an admin's: whatever breaks them is no fault of the session's image."""
    for container in before:
        succeeded = container.ended and container.end is not None and container.end.exit_code == 0
        found = None if succeeded else _of(container, pod, events, asked)
        if found is not None and found.code == "config_error":
            return found
        if found is not None:
            message = found.values.get("message") or container.waiting or found.code
            return Failure(
                code="setup_broken", values={"container": container.name, "message": message}, after=found.after,
                progress="setting_up" if found.progress else "", quiet=found.quiet,
            )  # fmt: skip
    return None


def _started(main: Container | None, before: Sequence[Container]) -> bool:
    """Whether any container ran already, so that all volumes are there."""
    return any(c.running or c.ends for c in [*before, *([main] if main else [])])


# ---- what to tell beside -----------------------------------------------------------------------------------


def _notices(
    pod: Raw, main: Container | None, before: Sequence[Container], events: Sequence[Raw], asked: Asked
) -> list[Notice]:
    stage = _stage(pod, main, before, events)
    found = []
    if stage is Observed.TERMINATING and _stuck(pod, asked):
        found.append(Notice(code="stuck_terminating"))
    if stage is Observed.SCHEDULING and waits.is_scaling_up(events):
        found.append(Notice(code="scaling_up"))
    if stage is Observed.PULLING:
        found += _pulling(main, events, asked)
    if asked.was_ready and main is not None and main.waiting == "CrashLoopBackOff" and main.end is not None:
        found.append(Notice(code="restarts_soon", values={"exit_code": main.end.exit_code}))
    if stage is Observed.WAITING and main is not None:
        found += [*_restarted(main, asked), *_silent(pod, main)]
    if told := waits.resize(events):
        found.append(told)
    return found


def _stuck(pod: Raw, asked: Asked) -> bool:
    until = when(dig(pod, "metadata", "deletionTimestamp"))
    return until is not None and asked.now is not None and asked.now > until + _GRACE


def _pulling(main: Container | None, events: Sequence[Raw], asked: Asked) -> list[Notice]:
    """`since` is when the download of the session's image began; nothing while the last try has failed."""
    if main is None or main.waiting in pulls.RETRIED or not pulls.under_way(main.name, events):
        return []
    begun = [last_time(event) for event in matching(events, "Pulling", container=main.name)]
    return [Notice(code="pulling", values={"image": asked.image, "since": next(iter(begun), None)})]


def _restarted(main: Container, asked: Asked) -> list[Notice]:
    """Restarted in place it runs, and its owner is told (decision 17)."""
    if not main.restarts or main.end is None:
        return []
    oom = main.end.reason == "OOMKilled"
    values = {"limit": asked.limit or "…", "exit_code": main.end.exit_code}
    return [Notice(code="restarted_oom" if oom else "restarted_crash", values=values)]


def _silent(pod: Raw, main: Container) -> list[Notice]:
    """A machine that is lost leaves everything as it was, but for a pod that is not ready for no reason."""
    ready = condition(pod, "Ready")
    lost = main.ready and ready.get("status") == "False" and not ready.get("reason")
    return [Notice(code="node_silent")] if lost else []
