"""Values of the administration pages.

These are audit events, instance filters, launch statistics, orphaned resources and the node coverage of images.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from statistics import median
from typing import Any, Protocol

from .environments import Environment
from .instances import STAGE_LABELS, Instance, InstanceStatus


@dataclass(frozen=True, kw_only=True)
class AuditEvent:
    """An entry of the audit log: *actor* did *action* to *subject*.

    `username` is the owner of the subject, None where it belongs to no user.
    """

    at: datetime
    actor: str
    username: str | None
    action: str
    subject: str
    detail: Mapping[str, Any] = field(default_factory=dict)


ORPHAN_GRACE_PERIOD = timedelta(minutes=10)  # younger resources may belong to a start that is under way


class OrphanKind(StrEnum):
    """The kind of an orphan.

    A pod, PVC (`claim`) or folder that no record names; a resource that mounts a remote for a pod that is
    gone (`storage`); a record of a run without a pod (`run`); or a record of data without a disk (`record`).
    """

    POD = "pod"
    CLAIM = "claim"
    FOLDER = "folder"
    STORAGE = "storage"
    RUN = "run"
    RECORD = "record"


@dataclass(frozen=True, kw_only=True)
class BackendResource:
    """A pod, PVC or folder that exists on the backend.

    `of` is the id by which records name it: the run of a pod or storage, the claim of a PVC or folder.
    `size` is a quantity; `leaving` is true while it is being removed.
    """

    kind: OrphanKind
    name: str
    of: str
    uid: str = ""
    username: str = ""
    session: str = ""
    title: str = ""
    size: str = ""
    made_at: datetime | None = None
    leaving: bool = False

    @property
    def has_files(self) -> bool:
        return self.kind in (OrphanKind.CLAIM, OrphanKind.FOLDER)


@dataclass(frozen=True, kw_only=True)
class BackendInventory:
    """All resources of this hub's sessions on the backend; `pods` is whether the backend has pods.

    `unknown` says why the backend cannot be listed now: then nothing counts as an orphan. `warning` says why
    the resources may belong to another hub: then none of them is offered for clean-up.
    """

    things: tuple[BackendResource, ...] = ()
    pods: bool = True
    unknown: str | None = None
    warning: str | None = None


@dataclass(frozen=True, kw_only=True)
class OrphanedResource:
    """A resource without a record, or a record without a resource.

    `hindrance` says why it is not offered for clean-up.
    """

    kind: OrphanKind
    name: str
    uid: str = ""
    username: str = ""
    session: str = ""
    title: str = ""
    size: str = ""
    since: datetime | None = None
    hindrance: str | None = None


def build_orphan_from_resource(
    thing: BackendResource, beside: Instance | None, *, has_pod: bool, foreign: bool, now: datetime
) -> OrphanedResource:
    """Return *thing* as an orphan.

    *beside* is its owner's instance of the same session, None without one; *foreign* is whether *thing* may
    belong to another hub.
    """
    strange = "Another hub in this namespace may have made it." if foreign else None
    return OrphanedResource(
        kind=thing.kind,
        name=thing.name,
        uid=thing.uid,
        username=thing.username,
        session=thing.session,
        title=thing.title,
        size=thing.size,
        since=thing.made_at,
        hindrance=strange
        or _get_in_use_message(thing, beside, has_pod=has_pod)
        or get_grace_period_message(thing.made_at, now),
    )


def _get_in_use_message(thing: BackendResource, beside: Instance | None, *, has_pod: bool) -> str | None:
    if thing.leaving:
        return "It is being removed already."
    if not thing.has_files:
        return None
    if has_pod:
        return "A pod of its session is there, which may use it."
    if beside is not None and beside.status is InstanceStatus.UNKNOWN:
        return "The status of its owner's session is unknown."
    return "Its owner's session is in use." if beside is not None and beside.is_active else None


def build_orphan_from_record(kind: OrphanKind, instance: Instance, title: str, *, now: datetime) -> OrphanedResource:
    """Return a record whose resource is missing as an orphan."""
    since = (instance.stage_at or instance.requested_at) if kind is OrphanKind.RUN else instance.paused_at
    unsure = "Its status is unknown." if instance.status is InstanceStatus.UNKNOWN else None
    used = "It is in use." if kind is OrphanKind.RECORD and instance.is_active else None
    return OrphanedResource(
        kind=kind, name=instance.id, username=instance.username, session=instance.session, title=title, since=since,
        hindrance=unsure or used or get_grace_period_message(since, now),
    )  # fmt: skip


def get_grace_period_message(since: datetime | None, now: datetime) -> str | None:
    if since is not None and now - since < ORPHAN_GRACE_PERIOD:
        minutes = int(ORPHAN_GRACE_PERIOD.total_seconds() // 60)
        return f"Too young: it may be on its way. Offered {minutes} minutes after it was made."
    return None


def list_resource_owners(things: Iterable[BackendResource]) -> set[tuple[str, str]]:
    """Return the owner and the session of each resource that names both."""
    return {(thing.username, thing.session) for thing in things if thing.username and thing.session}


@dataclass(frozen=True, kw_only=True)
class InstanceFilter:
    """Criteria that an instance must meet, all of them.

    `owner` is a user's name, `project` an id or a path, `reason` a code of `domain.reasons`.
    """

    status: InstanceStatus | None = None
    owner: str = ""
    project: str = ""
    reason: str = ""

    @property
    def query_text(self) -> str:
        """`status=failed owner=ada`; empty without criteria."""
        return " ".join(f"{name}={value}" for name, value in vars(self).items() if value)


@dataclass(frozen=True, kw_only=True)
class InstanceRow:
    """An instance of any user, with the data that identifies its session and project.

    `disk` is the size that the session asks for (a quantity).
    """

    instance: Instance
    title: str
    disk: str
    project_path: str | None


@dataclass(frozen=True, kw_only=True)
class NodeSessionCount:
    """Number of sessions that run or start on a node, and of those that stop there.

    An empty `node` counts the sessions that are on no node, or on an unknown one.
    """

    node: str
    sessions: int
    stopping: int


@dataclass(frozen=True, kw_only=True)
class NodeOverview:
    """Session counts by node.

    `unknown` says why the nodes cannot be listed now: then all sessions are counted under an empty name.
    """

    nodes: Sequence[NodeSessionCount]
    unknown: str | None = None


@dataclass(frozen=True, kw_only=True)
class FailureCount:
    """Number of starts of one day (UTC) that ended with one reason."""

    day: date
    reason: str
    count: int


@dataclass(frozen=True, kw_only=True)
class DurationSummary:
    """Durations of `count` starts in seconds: half of them took at most `median`, 19 of 20 at most `p95`."""

    count: int
    median: float
    p95: float


@dataclass(frozen=True, kw_only=True)
class EnvironmentLaunchStatistics:
    """Launch statistics of one environment.

    `starts` and `failed` count all starts on record; `whole` and `stages` are durations of the latest
    successful ones.
    """

    environment: str
    name: str
    kind: str
    starts: int
    failed: int
    whole: DurationSummary | None
    stages: Mapping[str, DurationSummary]


@dataclass(frozen=True, kw_only=True)
class LaunchDuration:
    """Seconds that one successful start took.

    `stages` is None for a start from before stages were recorded.
    """

    seconds: float
    stages: Mapping[str, float] | None


def summarize_durations(seconds: Iterable[float]) -> DurationSummary | None:
    """Return the summary, None without durations.

    The 95th percentile is the nearest rank, so it is a value that was measured.
    """
    values = sorted(seconds)
    if not values:
        return None
    return DurationSummary(count=len(values), median=median(values), p95=values[math.ceil(0.95 * len(values)) - 1])


def summarize_launch_durations(
    samples: Sequence[LaunchDuration],
) -> tuple[DurationSummary | None, dict[str, DurationSummary]]:
    """Return the summary of whole starts, and one for each stage that any start reached, in the order of a start."""
    parts = {}
    for stage in STAGE_LABELS:
        summary = summarize_durations(s.stages[stage] for s in samples if s.stages and stage in s.stages)
        if summary is not None:
            parts[stage.value] = summary
    return summarize_durations(sample.seconds for sample in samples), parts


class PrepullError(Exception):
    """Images are not pulled ahead, or their nodes are unknown; the argument says why, for an admin."""


@dataclass(frozen=True, kw_only=True)
class ImageNodeCoverage:
    """Names of nodes by whether they have an image.

    `here` have it; `coming` still download it or wait to do so; `failed` are those where the download fails
    or the image cannot be run, with the reason.
    """

    here: tuple[str, ...] = ()
    coming: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)

    @property
    def node_count(self) -> int:
        return len(self.here) + len(self.coming) + len(self.failed)

    @property
    def is_complete(self) -> bool:
        return 0 < self.node_count == len(self.here)


class ImagePrepuller(Protocol):
    """Pull images ahead on every node; images are keyed by the name of their container.

    Both methods raise `PrepullError`.
    """

    async def set_images(self, images: Mapping[str, str]) -> None:
        """Keep exactly these images on the nodes, in place of those of an earlier call."""

    async def get_node_coverage(self, images: Mapping[str, str | None]) -> Mapping[str, ImageNodeCoverage]:
        """Return the node coverage by container name; an image of None matches any image of that container."""


def get_prepull_container_name(environment: Environment) -> str:
    """Return the name of the container that pulls the environment's image.

    The chart names the containers of configured environments in the same way.
    """
    return f"added-{environment.id}" if environment.key is None else f"configured-{environment.key}"


@dataclass(frozen=True, kw_only=True)
class DependencyStatus:
    """Status of one dependency of the hub.

    `kind` is one of `observability.metrics.DEPENDENCIES`; `name` is its host if there can be several. `away_since` is
    None if it answers, or if no request was sent to it lately. `reason` says why it does not answer, if that is known.
    """

    kind: str
    name: str
    away_since: datetime | None
    reason: str | None = None
