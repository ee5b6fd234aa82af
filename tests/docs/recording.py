"""Four hours of a hub's metrics, counted by the hub's own code within a second: `python -m tests.docs.recording`.

What happens is invented (a morning on which GitLab and then the cluster are away for a while), so that every panel of
the dashboard has something to show; it is the same each time.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

from renku_spawner.domain.reasons import ReasonGroup
from renku_spawner.observability.metrics import (
    BUILD_INFO,
    DATABASE_GIVEN_UP_TOTAL,
    DATABASE_READ_SECONDS,
    DATABASE_RETRIES_TOTAL,
    DATABASE_WRITE_SECONDS,
    DEPENDENCY_CALL_DURATION_SECONDS,
    DEPENDENCY_CALLS_TOTAL,
    DEPENDENCY_UNREACHABLE,
    INSTANCES_BY_STATUS,
    LAUNCHES_TOTAL,
    RENKU_REGISTRY,
    TASK_LAST_SUCCESS_TIMESTAMP_SECONDS,
    WATCH_AGE_SECONDS,
    WATCH_RECONNECTS_TOTAL,
    record_cache_lookup,
    record_launch_ready,
    record_launch_refused,
    record_session_end,
    record_task_failure,
)

BEGIN = int(datetime(2026, 11, 28, 6, tzinfo=UTC).timestamp())
SECONDS, STEP = 4 * 3600, 30
_GITLAB_AWAY, _CLUSTER_AWAY = range(4500, 6300), range(9000, 9600)
_STAGES = {"creating": 0.3, "scheduling": 4, "pulling": 9, "preparing": 5, "starting": 2, "waiting": 3}
_WHY = (ReasonGroup.CRASH, ReasonGroup.CRASH, ReasonGroup.SCHEDULE, ReasonGroup.IMAGE, ReasonGroup.TIMEOUT)


def exposition() -> Iterator[str]:
    """All samples as lines of OpenMetrics with their times."""
    chance = random.Random(7)
    BUILD_INFO.labels("0.2.0", "6.1.1", "kubernetes").set(1)
    for at in range(0, SECONDS + 1, STEP):
        _live(chance, at)
        for family in RENKU_REGISTRY.collect():
            for sample in family.samples:
                if not sample.name.endswith("_created"):
                    labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
                    yield f"{sample.name}{{{labels}}} {sample.value} {BEGIN + at}"
    yield "# EOF"


def _live(chance: random.Random, at: int) -> None:
    """What happens in half a minute; most of it in the middle of the morning."""
    busy = 1 - abs(at - SECONDS / 2) / SECONDS
    gitlab, cluster = at not in _GITLAB_AWAY, at not in _CLUSTER_AWAY
    _starts(chance, busy, cluster)
    _calls(chance, busy, gitlab=gitlab, cluster=cluster)
    _lookups(chance, busy)
    _database(chance, busy)
    lost = 0 if cluster else round(90 * busy)
    standing = {
        "running": round(90 * busy) - lost, "unknown": lost, "paused": 60 + at // 400, "launching": round(5 * busy),
        "failed": 4, "stopping": chance.randrange(2),
    }  # fmt: skip
    for status, count in standing.items():
        INSTANCES_BY_STATUS.labels(status).set(count)
    DEPENDENCY_UNREACHABLE.labels("gitlab").set(not gitlab)
    DEPENDENCY_UNREACHABLE.labels("kubernetes").set(not cluster)
    WATCH_AGE_SECONDS.set(at % 50 if cluster else at - _CLUSTER_AWAY.start)
    for task, every in {"counting": 30, "access": 300, "tidying": 3600}.items():
        TASK_LAST_SUCCESS_TIMESTAMP_SECONDS.labels(task).set(BEGIN + at - at % every)
    if not gitlab and at % 600 == 0:
        record_task_failure("access")


def _starts(chance: random.Random, busy: float, cluster: bool) -> None:
    for _ in range(chance.randrange(round(4 * busy) + 1)):
        if chance.random() < 0.08:
            record_launch_refused(chance.choice(("limit_user", "class_none", "not_found")))
        elif chance.random() < (0.06 if cluster else 0.9):
            LAUNCHES_TOTAL.labels("failed", chance.choice(_WHY) if cluster else ReasonGroup.PLATFORM).inc()
        else:
            spent = {stage: usual * chance.lognormvariate(0, 0.7) for stage, usual in _STAGES.items()}
            record_launch_ready(sum(spent.values()), spent)
        record_session_end("stopped_by_user" if chance.random() < 0.95 else chance.choice(("crash_oom", "node_lost")))


def _calls(chance: random.Random, busy: float, *, gitlab: bool, cluster: bool) -> None:
    _calls_to("gitlab", chance, 0.12, busy, answers=gitlab)
    _calls_to("registry", chance, 0.4, busy / 3, answers=True)
    _calls_to("kubernetes", chance, 0.03, busy / 2, answers=cluster)
    if not cluster:
        WATCH_RECONNECTS_TOTAL.labels("failed").inc(6)
    elif chance.random() < 0.02:
        WATCH_RECONNECTS_TOTAL.labels("expired").inc()


def _calls_to(to: str, chance: random.Random, usual: float, busy: float, *, answers: bool) -> None:
    for _ in range(round(chance.uniform(15, 25) * busy)):
        outcome = chance.choice(("ok",) * 99 + ("refused",)) if answers else chance.choice(("no_answer", "skipped"))
        DEPENDENCY_CALLS_TOTAL.labels(to, outcome).inc()
        if outcome != "skipped":
            DEPENDENCY_CALL_DURATION_SECONDS.labels(to).observe(usual * chance.lognormvariate(0, 0.6) if answers else 2)


def _lookups(chance: random.Random, busy: float) -> None:
    for cache, share in {"access": 0.93, "projects": 0.6, "ci": 0.7, "image": 0.85, "facts": 0.97}.items():
        for _ in range(round(30 * busy)):
            record_cache_lookup(cache, hit=chance.random() < share)


def _database(chance: random.Random, busy: float) -> None:
    for _ in range(round(100 * busy)):
        DATABASE_READ_SECONDS.observe(0.0012 * chance.lognormvariate(0, 0.5))
    for _ in range(round(12 * busy)):
        DATABASE_WRITE_SECONDS.observe(0.004 * chance.lognormvariate(0, 0.6))
    if chance.random() < 0.1 * busy:
        DATABASE_RETRIES_TOTAL.inc(chance.randrange(1, 4))
    if chance.random() < 0.005:
        DATABASE_GIVEN_UP_TOTAL.inc()


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in exposition())
