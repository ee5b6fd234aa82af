"""Four hours of a hub's metrics, counted by the hub's own code within a second: `python -m tests.docs.recording`.

What happens is invented (a morning on which GitLab and then the cluster are away for a while), so that every panel of
the dashboard has something to show; it is the same each time.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

from renku_spawner import metrics
from renku_spawner.domain.reasons import Group

BEGIN = int(datetime(2026, 11, 28, 6, tzinfo=UTC).timestamp())
SECONDS, STEP = 4 * 3600, 30
_GITLAB_AWAY, _CLUSTER_AWAY = range(4500, 6300), range(9000, 9600)
_STAGES = {"creating": 0.3, "scheduling": 4, "pulling": 9, "preparing": 5, "starting": 2, "waiting": 3}
_WHY = (Group.CRASH, Group.CRASH, Group.SCHEDULE, Group.IMAGE, Group.TIMEOUT)


def exposition() -> Iterator[str]:
    """All samples as lines of OpenMetrics with their times."""
    chance = random.Random(7)
    metrics.build.labels("0.2.0", "6.1.1", "kubernetes").set(1)
    for at in range(0, SECONDS + 1, STEP):
        _live(chance, at)
        for family in metrics.OURS.collect():
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
        metrics.instances.labels(status).set(count)
    metrics.away.labels("gitlab").set(not gitlab)
    metrics.away.labels("kubernetes").set(not cluster)
    metrics.watch_age.set(at % 50 if cluster else at - _CLUSTER_AWAY.start)
    for task, every in {"counting": 30, "access": 300, "tidying": 3600}.items():
        metrics.task_success.labels(task).set(BEGIN + at - at % every)
    if not gitlab and at % 600 == 0:
        metrics.failed("access")


def _starts(chance: random.Random, busy: float, cluster: bool) -> None:
    for _ in range(chance.randrange(round(4 * busy) + 1)):
        if chance.random() < 0.08:
            metrics.refused(chance.choice(("limit_user", "class_none", "not_found")))
        elif chance.random() < (0.06 if cluster else 0.9):
            metrics.launches.labels("failed", chance.choice(_WHY) if cluster else Group.PLATFORM).inc()
        else:
            spent = {stage: usual * chance.lognormvariate(0, 0.7) for stage, usual in _STAGES.items()}
            metrics.came_up(sum(spent.values()), spent)
        metrics.ended("stopped_by_user" if chance.random() < 0.95 else chance.choice(("crash_oom", "node_lost")))


def _calls(chance: random.Random, busy: float, *, gitlab: bool, cluster: bool) -> None:
    _calls_to("gitlab", chance, 0.12, busy, answers=gitlab)
    _calls_to("registry", chance, 0.4, busy / 3, answers=True)
    _calls_to("kubernetes", chance, 0.03, busy / 2, answers=cluster)
    if not cluster:
        metrics.reconnects.labels("failed").inc(6)
    elif chance.random() < 0.02:
        metrics.reconnects.labels("expired").inc()


def _calls_to(to: str, chance: random.Random, usual: float, busy: float, *, answers: bool) -> None:
    for _ in range(round(chance.uniform(15, 25) * busy)):
        outcome = chance.choice(("ok",) * 99 + ("refused",)) if answers else chance.choice(("no_answer", "skipped"))
        metrics.calls.labels(to, outcome).inc()
        if outcome != "skipped":
            metrics.call_seconds.labels(to).observe(usual * chance.lognormvariate(0, 0.6) if answers else 2)


def _lookups(chance: random.Random, busy: float) -> None:
    for cache, share in {"access": 0.93, "projects": 0.6, "ci": 0.7, "image": 0.85, "facts": 0.97}.items():
        for _ in range(round(30 * busy)):
            metrics.looked_up(cache, hit=chance.random() < share)


def _database(chance: random.Random, busy: float) -> None:
    for _ in range(round(100 * busy)):
        metrics.reading.observe(0.0012 * chance.lognormvariate(0, 0.5))
    for _ in range(round(12 * busy)):
        metrics.writing.observe(0.004 * chance.lognormvariate(0, 0.6))
    if chance.random() < 0.1 * busy:
        metrics.database_retries.inc(chance.randrange(1, 4))
    if chance.random() < 0.005:
        metrics.database_busy.inc()


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in exposition())
