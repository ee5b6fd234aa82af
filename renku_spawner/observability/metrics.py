"""Prometheus metrics, served with the hub's own at `/hub/metrics`.

Label values come from the code only, never from names of users, projects or images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import product
from time import monotonic, time
from types import TracebackType
from typing import Any

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, Summary
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ..domain.errors import RenkuError
from ..domain.instances import STAGE_LABELS, InstanceStatus, ObservedState
from ..domain.reasons import REASONS_BY_CODE, ReasonGroup

RENKU_REGISTRY = CollectorRegistry()
LAUNCH_OUTCOMES = ("ready", "cancelled", "failed", "refused")
REFUSAL_GROUPS = (
    ReasonGroup.PERMISSION,
    ReasonGroup.POLICY,
    ReasonGroup.QUOTA,
    ReasonGroup.PLATFORM,
    ReasonGroup.IMAGE,
)
_REASON_ALIASES = {
    "log_in_again": "permission_denied",
    "malformed": "options_invalid",
}  # error codes that are not in the table of reasons
COUNTED_STATUSES = tuple(status for status in InstanceStatus if status is not InstanceStatus.INACTIVE)
CALLED_DEPENDENCIES = ("gitlab", "registry", "kubernetes")
CALL_OUTCOMES = ("ok", "refused", "busy", "no_answer", "skipped")
DEPENDENCIES = ("database", *CALLED_DEPENDENCIES)
EXPIRY_STEPS = ("trashed", "brought_back", "deleted")
CACHE_NAMES = ("access", "projects", "ci", "image", "facts")
TASK_NAMES = (
    "environments", "images", "deletions", "lost", "routes", "access", "tidying", "counting", "beside", "prepulling",
    "rounds", "expiry",
)  # fmt: skip


def _create_counter(name: str, text: str, *labels: str) -> Counter:
    return Counter(name, text, labels, namespace="renku", registry=RENKU_REGISTRY)


def _create_gauge(name: str, text: str, *labels: str) -> Gauge:
    return Gauge(name, text, labels, namespace="renku", registry=RENKU_REGISTRY)


def _create_histogram(name: str, text: str, *labels: str, buckets: tuple[float, ...]) -> Histogram:
    return Histogram(name, text, labels, namespace="renku", registry=RENKU_REGISTRY, buckets=buckets)


LAUNCHES_TOTAL = _create_counter(
    "launches",
    "Starts of sessions, by outcome; the group says why they failed or were refused",
    "outcome", "group",
)  # fmt: skip
SESSION_ENDS_TOTAL = _create_counter(
    "session_ends", "Ends of sessions that were running, by the group of the reason", "group"
)
LAUNCH_DURATION_SECONDS = _create_histogram(
    "launch_seconds",
    "Time from the request to the first answer of a session",
    buckets=(3, 10, 20, 30, 60, 120, 300, 600),
)
LAUNCH_STAGE_DURATION_SECONDS = _create_histogram(
    "launch_stage_seconds",
    "Time that successful starts spent in each stage",
    "stage",
    buckets=(2, 10, 60, 300),
)
INSTANCES_BY_STATUS = _create_gauge("instances", "Instances by the status that their owners see", "status")
START_QUEUE_LENGTH = _create_gauge("queue_length", "Starts in the start queue, waiting until the hub has room for them")
START_QUEUE_DURATION_SECONDS = Summary(
    "queue_seconds", "Time that successful starts spent in the start queue", namespace="renku", registry=RENKU_REGISTRY
)
WATCH_AGE_SECONDS = _create_gauge(
    "watch_age_seconds", "Time since the Kubernetes API was last heard, 0 without a cluster"
)
WATCH_RECONNECTS_TOTAL = _create_counter(
    "watch_reconnects", "Watches of the cluster that were restarted before their time, by reason", "reason"
)
DEPENDENCY_CALLS_TOTAL = _create_counter("calls", "Calls to a dependency, by outcome", "to", "outcome")
DEPENDENCY_CALL_DURATION_SECONDS = _create_histogram(
    "call_seconds", "Time of a call to a dependency", "to", buckets=(0.1, 0.3, 1, 3, 10)
)
EXPIRY_WARNINGS_TOTAL = _create_counter(
    "expiry_warnings", "Warnings that data will be deleted, by whether they were delivered", "told"
)
EXPIRED_DATA_TOTAL = _create_counter(
    "expired_data", "Data of paused sessions that was moved to the trash, restored or deleted", "step"
)
DEPENDENCY_UNREACHABLE = _create_gauge("neighbour_away", "1 while a dependency does not respond", "neighbour")
SETTINGS_REFUSED = _create_gauge(
    "settings_refused", "1 while the mounted settings are invalid; the hub keeps its previous settings"
)
CACHE_LOOKUPS_TOTAL = _create_counter("cache_lookups", "Cache lookups by result (hit or miss)", "cache", "result")
DATABASE_TRANSACTION_DURATION_SECONDS = _create_histogram(
    "database_seconds", "Time of a database transaction", "kind", buckets=(0.001, 0.005, 0.025, 0.1, 0.5)
)
DATABASE_RETRIES_TOTAL = _create_counter(
    "database_retries", "Transactions that were run again because the database was busy"
)
DATABASE_GIVEN_UP_TOTAL = _create_counter("database_given_up", "Transactions given up because the database stayed busy")
DATABASE_READ_SECONDS, DATABASE_WRITE_SECONDS = (
    DATABASE_TRANSACTION_DURATION_SECONDS.labels("read"),
    DATABASE_TRANSACTION_DURATION_SECONDS.labels("write"),
)
TASK_LAST_SUCCESS_TIMESTAMP_SECONDS = _create_gauge(
    "task_last_success_timestamp_seconds", "When a periodic job or background task last succeeded, 0 if never", "task"
)
TASK_FAILURES_TOTAL = _create_counter("task_failures", "Failures of periodic jobs and background tasks", "task")
BUILD_INFO = _create_gauge("build_info", "1, with the versions as labels", "version", "jupyterhub", "spawner")


DOWNLOADS_TOTAL = _create_counter(
    "downloads", "Downloads of data: completed, cut off, or cancelled by the user", "outcome"
)


def _initialize_label_values() -> None:
    """Create all series with 0, so that a rate is known from the first increment on."""
    combinations: list[tuple[Any, Iterable[tuple[str, ...]]]] = [
        (
            LAUNCHES_TOTAL,
            [
                ("ready", ""),
                ("cancelled", ""),
                *product(["failed"], ReasonGroup),
                *product(["refused"], REFUSAL_GROUPS),
            ],
        ),
        (SESSION_ENDS_TOTAL, product(ReasonGroup)),
        (LAUNCH_STAGE_DURATION_SECONDS, product(stage for stage in STAGE_LABELS if stage is not ObservedState.QUEUED)),
        (INSTANCES_BY_STATUS, product(COUNTED_STATUSES)),
        (WATCH_RECONNECTS_TOTAL, product(("expired", "failed"))),
        (DEPENDENCY_CALLS_TOTAL, product(CALLED_DEPENDENCIES, CALL_OUTCOMES)),
        (DEPENDENCY_CALL_DURATION_SECONDS, product(CALLED_DEPENDENCIES)),
        (DEPENDENCY_UNREACHABLE, product(DEPENDENCIES)),
        (EXPIRY_WARNINGS_TOTAL, product(("yes", "no"))),
        (EXPIRED_DATA_TOTAL, product(EXPIRY_STEPS)),
        (CACHE_LOOKUPS_TOTAL, product(CACHE_NAMES, ("hit", "miss"))),
        (TASK_LAST_SUCCESS_TIMESTAMP_SECONDS, product(TASK_NAMES)),
        (TASK_FAILURES_TOTAL, product(TASK_NAMES)),
        (DOWNLOADS_TOTAL, product(("whole", "cut", "left"))),
    ]
    for metric, labels in combinations:
        for values in labels:
            metric.labels(*values)


_initialize_label_values()


class _RenkuCollector(Collector):
    """Export the metrics in the hub's own registry."""

    def __init__(self) -> None:
        self.before: dict[str, Callable[[], None]] = {}  # called at the beginning of each scrape

    def collect(self) -> Iterator[Metric]:
        for bring_up_to_date in list(self.before.values()):
            bring_up_to_date()
        yield from RENKU_REGISTRY.collect()

    def describe(self) -> list[Metric]:
        """Return the metrics, so that the registry refuses a second collector with the same names."""
        return list(RENKU_REGISTRY.collect())


_RENKU_COLLECTOR = _RenkuCollector()
REGISTRY.register(_RENKU_COLLECTOR)


def register_scrape_callback(what: str, bring_up_to_date: Callable[[], None]) -> None:
    """Call *bring_up_to_date* at each scrape; it must return at once. A later hub replaces the callback of *what*."""
    _RENKU_COLLECTOR.before[what] = bring_up_to_date


# Functions that record events, for all other layers


def get_reason_group(reason: str | None) -> str:
    """Return the group of a reason's code; failures are counted by group, to limit the number of series."""
    known_reason = REASONS_BY_CODE.get(reason or "") or REASONS_BY_CODE["start_error"]
    return str(known_reason.group)


def record_launch_ready(seconds: float, stages: Mapping[str, float]) -> None:
    """Count a successful start that took *seconds*; *stages* are the seconds by stage."""
    LAUNCHES_TOTAL.labels("ready", "").inc()
    LAUNCH_DURATION_SECONDS.observe(max(seconds, 0.0))
    for stage, spent in stages.items():
        timing = (
            START_QUEUE_DURATION_SECONDS
            if stage == ObservedState.QUEUED
            else LAUNCH_STAGE_DURATION_SECONDS.labels(stage)
        )
        timing.observe(spent)


def record_launch_aborted(outcome: str, reason: str | None) -> None:
    """Count a start that was `cancelled`, or `failed` for *reason*."""
    LAUNCHES_TOTAL.labels(outcome, get_reason_group(reason) if outcome == "failed" else "").inc()


def record_launch_refused(reason: str) -> None:
    """Count a start that was refused before it began."""
    group = get_reason_group(_REASON_ALIASES.get(reason, reason))
    LAUNCHES_TOTAL.labels("refused", group if group in REFUSAL_GROUPS else str(ReasonGroup.PLATFORM)).inc()


@contextmanager
def count_launch_refusals() -> Iterator[None]:
    """Count a `RenkuError` that leaves the block as a refused start."""
    try:
        yield
    except RenkuError as refusal:
        record_launch_refused(refusal.code)
        raise


def record_session_end(reason: str | None) -> None:
    """Count the end of a running session."""
    SESSION_ENDS_TOTAL.labels(get_reason_group(reason)).inc()


class DependencyCallTimer:
    """Time the block and count its result: `outcome`, or the meaning of the exception's type."""

    def __init__(self, to: str, meanings: Mapping[type[BaseException], str]) -> None:
        self._to, self._meanings = to, meanings
        self.outcome = "ok"

    def __enter__(self) -> DependencyCallTimer:
        self._began = monotonic()
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: object, _where: TracebackType | None) -> None:
        DEPENDENCY_CALL_DURATION_SECONDS.labels(self._to).observe(monotonic() - self._began)
        if kind is not None:
            self.outcome = next((self._meanings[each] for each in kind.__mro__ if each in self._meanings), "no_answer")
        DEPENDENCY_CALLS_TOTAL.labels(self._to, self.outcome).inc()


def record_skipped_call(to: str) -> None:
    """Count a call that was not made because the dependency's circuit breaker is open."""
    DEPENDENCY_CALLS_TOTAL.labels(to, "skipped").inc()


def record_download_outcome(outcome: str) -> None:
    """Count a download that has ended: `whole`, `cut` or `left`."""
    DOWNLOADS_TOTAL.labels(outcome).inc()


def record_cache_lookup(cache: str, *, hit: bool) -> None:
    CACHE_LOOKUPS_TOTAL.labels(cache, "hit" if hit else "miss").inc()


def record_task_success(task: str) -> None:
    """Record the time of a task's last success."""
    TASK_LAST_SUCCESS_TIMESTAMP_SECONDS.labels(task).set(time())


def record_task_failure(task: str) -> None:
    TASK_FAILURES_TOTAL.labels(task).inc()


def record_expiry_warning(*, told: bool) -> None:
    """Count a warning to an owner; *told* is whether it was delivered."""
    EXPIRY_WARNINGS_TOTAL.labels("yes" if told else "no").inc()


def record_expiry_step(step: str) -> None:
    """Count a step of `EXPIRY_STEPS`."""

    EXPIRED_DATA_TOTAL.labels(step).inc()
