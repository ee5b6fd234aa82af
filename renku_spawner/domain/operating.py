"""What an operator asks of everybody's instances and starts, and what the answers are made of."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from statistics import median

from .instance import STAGES, Instance, Status


@dataclass(frozen=True, kw_only=True)
class InstanceFilter:
    """Only instances of which all that is given holds: `owner` is a user's name, `project` an id or
    a path, `reason` a code of `reasons`."""

    status: Status | None = None
    owner: str = ""
    project: str = ""
    reason: str = ""

    @property
    def words(self) -> str:
        """`status=failed owner=ada`; empty when everything is asked for."""
        return " ".join(f"{name}={value}" for name, value in vars(self).items() if value)


@dataclass(frozen=True, kw_only=True)
class InstanceRow:
    """Somebody's instance, and as much of its session and project as tells which one it is.

    `disk` is the size that the session asks for (a quantity).
    """

    instance: Instance
    title: str
    disk: str
    project_path: str | None


@dataclass(frozen=True, kw_only=True)
class NodeSessions:
    """How many sessions run or start on a node, and how many are stopping there; an empty name is for those that are
    on no node, or on one that is not known."""

    node: str
    sessions: int
    stopping: int


@dataclass(frozen=True, kw_only=True)
class NodeOverview:
    """What runs on which node; `unknown` says why nobody can tell the nodes now: then all is under an empty name."""

    nodes: Sequence[NodeSessions]
    unknown: str | None = None


@dataclass(frozen=True, kw_only=True)
class FailureCount:
    """How many starts of that day (UTC) ended with that reason."""

    day: date
    reason: str
    count: int


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Seconds of `count` starts: half of them took at most `median`, 19 of 20 at most `p95`."""

    count: int
    median: float
    p95: float


@dataclass(frozen=True, kw_only=True)
class EnvironmentStarts:
    """How the starts of one environment went: all that are on record, and how long the latest good ones
    took, as a whole and by stage."""

    environment: str
    name: str
    kind: str
    starts: int
    failed: int
    whole: Spread | None
    stages: Mapping[str, Spread]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Seconds that one good start took; `stages` is None of one from before stages were written down."""

    seconds: float
    stages: Mapping[str, float] | None


def spread(seconds: Iterable[float]) -> Spread | None:
    """None of nothing; the 95th percentile is the nearest rank, a value that was measured."""
    found = sorted(seconds)
    if not found:
        return None
    return Spread(count=len(found), median=median(found), p95=found[math.ceil(0.95 * len(found)) - 1])


def spreads(samples: Sequence[Sample]) -> tuple[Spread | None, dict[str, Spread]]:
    """Of the whole start, and of each stage that any of them came to, in the order of a start."""
    parts = {}
    for stage in STAGES:
        found = spread(s.stages[stage] for s in samples if s.stages and stage in s.stages)
        if found is not None:
            parts[stage.value] = found
    return spread(sample.seconds for sample in samples), parts
