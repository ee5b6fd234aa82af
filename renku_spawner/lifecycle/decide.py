"""Decide the next step in an instance's life, from its row, its pod or process, and JupyterHub's server.

`RULES` is the whole decision. `lifecycle.reconciler` performs the steps, and `docs/architecture.md` shows the table.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from ..domain.instances import DesiredState, Instance, ObservedState


class RecordedState(StrEnum):
    """The state on record: `Instance.desired` and `Instance.observed`, with all stages of a launch as one."""

    NONE = "none"
    AT_REST = "at rest"
    DELETED = "deleted"
    QUEUED = "queued"
    LAUNCHING = "launching"
    RUNNING = "running"
    STOPPING = "stopping"


class ActualState(StrEnum):
    """The state of the pod or process, as the spawner sees it now."""

    RUNNING = "running"  # it exists, and may still be starting
    ENDED = "ended"  # it ended or does not exist
    UNKNOWN = "unknown"  # the cluster does not respond


class ServerState(StrEnum):
    """The state of JupyterHub's server of the session."""

    NONE = "none"
    STARTING = "starting"
    CHECKING = "checking"  # JupyterHub polls it after a restart of the hub
    READY = "ready"
    STOPPING = "stopping"


class Step(StrEnum):
    """A step that brings record, actual state and JupyterHub's server together. Each may be performed twice."""

    NOTHING = "nothing"
    WAIT = "wait"
    RECORD_SEEN = "record_seen"
    RECORD_UNKNOWN = "record_unknown"
    RECORD_END = "record_end"
    RECORD_STOPPED = "record_stopped"
    CONFIRM_RUNNING = "confirm_running"
    RESUME_LAUNCH = "resume_launch"
    STOP_SERVER = "stop_server"
    STOP_SESSION = "stop_session"
    FAIL_LOST = "fail_lost"
    DELETE_DATA = "delete_data"


@dataclass(frozen=True)
class Rule:
    """One row of the table; an empty collection stands for any state."""

    recorded: Collection[RecordedState]
    actual: Collection[ActualState]
    server: Collection[ServerState]
    step: Step
    reason: str

    def matches(self, recorded: RecordedState, actual: ActualState, server: ServerState) -> bool:
        return (
            (not self.recorded or recorded in self.recorded)
            and (not self.actual or actual in self.actual)
            and (not self.server or server in self.server)
        )


_R, _A, _S = RecordedState, ActualState, ServerState

# The first rule that matches decides.
RULES = (
    Rule((_R.DELETED,), (), (_S.NONE,), Step.DELETE_DATA, "Its owner confirmed the deletion, or the data expired."),
    Rule((_R.NONE, _R.AT_REST), (), (_S.NONE,), Step.NOTHING, "Record and hub agree."),
    Rule(
        (_R.NONE, _R.AT_REST, _R.DELETED, _R.QUEUED), (), (_S.CHECKING, _S.READY), Step.STOP_SERVER,
        "Nothing runs, so JupyterHub has to forget its server.",
    ),
    Rule((_R.NONE, _R.AT_REST, _R.DELETED), (), (), Step.WAIT, "JupyterHub starts or stops the server at this moment."),
    Rule((_R.QUEUED,), (), (), Step.WAIT, "The start queue starts it when its turn comes."),
    Rule(
        (_R.LAUNCHING, _R.RUNNING), (), (_S.NONE,), Step.FAIL_LOST,
        "JupyterHub has lost the server and its token, so the session cannot be reached.",
    ),
    Rule((_R.LAUNCHING,), (), (_S.STARTING,), Step.WAIT, "The launch records its own stages and its end."),
    Rule((_R.LAUNCHING,), (), (_S.CHECKING,), Step.RESUME_LAUNCH, "The earlier hub ended during the launch."),
    Rule((_R.LAUNCHING,), (_A.ENDED,), (_S.STOPPING,), Step.RECORD_STOPPED, "JupyterHub stops what does not run yet."),
    Rule((_R.LAUNCHING, _R.RUNNING), (_A.ENDED,), (), Step.RECORD_END, "It ended by itself."),
    Rule((_R.LAUNCHING, _R.RUNNING), (_A.UNKNOWN,), (), Step.RECORD_UNKNOWN, "An outage must not stop a session."),
    Rule(
        (_R.RUNNING,), (_A.RUNNING,), (_S.CHECKING,), Step.CONFIRM_RUNNING,
        "JupyterHub stops a server that does not respond right after the check.",
    ),
    Rule((_R.LAUNCHING, _R.RUNNING), (_A.RUNNING,), (), Step.RECORD_SEEN, "It runs as wanted."),
    Rule((_R.STOPPING,), (_A.ENDED,), (_S.STOPPING,), Step.RECORD_STOPPED, "Nothing of it runs any more."),
    Rule((_R.STOPPING,), (), (_S.STOPPING,), Step.WAIT, "JupyterHub calls `stop` of the spawner, which stops it."),
    Rule((_R.STOPPING,), (), (_S.NONE,), Step.STOP_SESSION, "JupyterHub knows no server that it could stop."),
    Rule((_R.STOPPING,), (), (), Step.STOP_SERVER, "JupyterHub stops the server, and with it the session."),
)  # fmt: skip


def decide(recorded: RecordedState, actual: ActualState, server: ServerState) -> Step:
    """Return the step of the first rule that matches; the rules cover every combination."""
    return next(rule.step for rule in RULES if rule.matches(recorded, actual, server))


def get_recorded_state(instance: Instance | None) -> RecordedState:
    """Return the state of *instance* as the table names it."""
    if instance is None:
        return RecordedState.NONE
    if instance.desired is DesiredState.RUNNING:
        if instance.turn is not None:
            return RecordedState.QUEUED
        is_running = instance.observed in (ObservedState.READY, ObservedState.UNKNOWN)
        return RecordedState.RUNNING if is_running else RecordedState.LAUNCHING
    if instance.observed is not ObservedState.ABSENT:
        return RecordedState.STOPPING
    return RecordedState.DELETED if instance.desired is DesiredState.DELETED else RecordedState.AT_REST
