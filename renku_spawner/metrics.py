"""What is counted for Prometheus, beside the hub's own metrics at `/hub/metrics`.

Every combination of labels is made here and in advance, from what the code itself knows:
nothing that a user, a project or an image is called ever becomes a label.
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

from .domain.errors import RenkuError
from .domain.instance import STAGES, Observed, Status
from .domain.reasons import REASONS, Group

OURS = CollectorRegistry()
ENDINGS = ("ready", "cancelled", "failed", "refused")
REFUSALS = (Group.PERMISSION, Group.POLICY, Group.QUOTA, Group.PLATFORM, Group.IMAGE)
_AS = {"log_in_again": "permission_denied", "malformed": "options_invalid"}  # what is no reason of the table
STATUSES = tuple(status for status in Status if status is not Status.INACTIVE)
CALLED = ("gitlab", "registry", "kubernetes")
OUTCOMES = ("ok", "refused", "busy", "no_answer", "skipped")
NEIGHBOURS = ("database", *CALLED)
EXPIRY_STEPS = ("trashed", "brought_back", "deleted")
CACHES = ("access", "projects", "ci", "image", "facts")
TASKS = (
    "environments", "images", "deletions", "lost", "routes", "access", "tidying", "counting", "beside", "prepulling",
    "rounds", "expiry",
)  # fmt: skip


def _counter(name: str, text: str, *labels: str) -> Counter:
    return Counter(name, text, labels, namespace="renku", registry=OURS)


def _gauge(name: str, text: str, *labels: str) -> Gauge:
    return Gauge(name, text, labels, namespace="renku", registry=OURS)


def _histogram(name: str, text: str, *labels: str, buckets: tuple[float, ...]) -> Histogram:
    return Histogram(name, text, labels, namespace="renku", registry=OURS, buckets=buckets)


launches = _counter(
    "launches",
    "Starts of sessions, by how they came out; the group says why they failed or were refused",
    "outcome", "group",
)  # fmt: skip
ends = _counter("session_ends", "Ends of sessions that were running, by the group of the reason", "group")
launch_seconds = _histogram(
    "launch_seconds",
    "Time from the request to the first answer of a session",
    buckets=(3, 10, 20, 30, 60, 120, 300, 600),
)
stage_seconds = _histogram(
    "launch_stage_seconds",
    "Time that starts which came out well spent in each stage",
    "stage",
    buckets=(2, 10, 60, 300),
)
instances = _gauge("instances", "Instances by what their owners see", "status")
queue_length = _gauge("queue_length", "Starts that wait in line until the hub has room for them")
queue_seconds = Summary(
    "queue_seconds", "Time in that line of starts which came out well", namespace="renku", registry=OURS
)
watch_age = _gauge("watch_age_seconds", "Time since the Kubernetes API was last heard, 0 without a cluster")
reconnects = _counter(
    "watch_reconnects", "Watches of the cluster that were begun anew before their time, by reason", "reason"
)
calls = _counter("calls", "Calls to a neighbour, by how they came out", "to", "outcome")
call_seconds = _histogram("call_seconds", "Time of a call to a neighbour", "to", buckets=(0.1, 0.3, 1, 3, 10))
warnings = _counter("expiry_warnings", "Warnings that data will be deleted, by whether they were told", "told")
expirations = _counter("expired_data", "Data of paused sessions that went into the trash, or for good", "step")
away = _gauge("neighbour_away", "1 while a neighbour does not answer", "neighbour")
settings_refused = _gauge(
    "settings_refused", "1 while changed settings are mounted that the hub would not start with; it keeps its own"
)
lookups = _counter("cache_lookups", "Questions that a cache could answer (hit) or not (miss)", "cache", "result")
database_seconds = _histogram(
    "database_seconds", "Time of a database transaction", "kind", buckets=(0.001, 0.005, 0.025, 0.1, 0.5)
)
database_retries = _counter("database_retries", "Transactions that were run again because the database was busy")
database_busy = _counter("database_given_up", "Transactions given up because the database stayed busy")
reading, writing = database_seconds.labels("read"), database_seconds.labels("write")
task_success = _gauge(
    "task_last_success_timestamp_seconds", "When work beside the requests last came out well, 0 if never", "task"
)
task_failures = _counter("task_failures", "Failures of work beside the requests", "task")
build = _gauge("build_info", "1, with the versions as labels", "version", "jupyterhub", "spawner")


downloads = _counter("downloads", "Downloads of data: sent whole, cut off, or left by who asked", "outcome")


def _in_advance() -> None:
    """Whoever draws a rate needs the zero before the first time."""
    combinations: list[tuple[Any, Iterable[tuple[str, ...]]]] = [
        (launches, [("ready", ""), ("cancelled", ""), *product(["failed"], Group), *product(["refused"], REFUSALS)]),
        (ends, product(Group)),
        (stage_seconds, product(stage for stage in STAGES if stage is not Observed.QUEUED)),
        (instances, product(STATUSES)),
        (reconnects, product(("expired", "failed"))),
        (calls, product(CALLED, OUTCOMES)),
        (call_seconds, product(CALLED)),
        (away, product(NEIGHBOURS)),
        (warnings, product(("yes", "no"))),
        (expirations, product(EXPIRY_STEPS)),
        (lookups, product(CACHES, ("hit", "miss"))),
        (task_success, product(TASKS)),
        (task_failures, product(TASKS)),
        (downloads, product(("whole", "cut", "left"))),
    ]
    for metric, labels in combinations:
        for values in labels:
            metric.labels(*values)


_in_advance()


class _Scrape(Collector):
    """Ours in the hub's own registry, without the `_created` series, which nobody draws and which are as many again."""

    def __init__(self) -> None:
        self.before: dict[str, Callable[[], None]] = {}  # brought up to date, as each scrape begins

    def collect(self) -> Iterator[Metric]:
        for bring_up_to_date in list(self.before.values()):
            bring_up_to_date()
        for metric in OURS.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric

    def describe(self) -> list[Metric]:
        """The names, so that a second one in the same registry is refused (trap 22)."""
        return list(OURS.collect())


_SCRAPE = _Scrape()
REGISTRY.register(_SCRAPE)


def before_scrape(what: str, bring_up_to_date: Callable[[], None]) -> None:
    """Have *what* brought up to date whenever somebody asks; it must take no time. A later hub takes its place."""
    _SCRAPE.before[what] = bring_up_to_date


# ---- what is told from above -----------------------------------------------------------------------------


def group_of(reason: str | None) -> str:
    """The group of a reason's code, by which failures are counted; many codes would be many series."""
    found = REASONS.get(reason or "") or REASONS["start_error"]
    return str(found.group)


def came_up(seconds: float, stages: Mapping[str, float]) -> None:
    """A start came out well, after *seconds*; *stages* says how many of them went where."""
    launches.labels("ready", "").inc()
    launch_seconds.observe(max(seconds, 0.0))
    for stage, spent in stages.items():
        timing = queue_seconds if stage == Observed.QUEUED else stage_seconds.labels(stage)
        timing.observe(spent)


def gave_up(outcome: str, reason: str | None) -> None:
    """A start was `cancelled`, or `failed` for *reason*."""
    launches.labels(outcome, group_of(reason) if outcome == "failed" else "").inc()


def refused(reason: str) -> None:
    """A start was refused before it began."""
    group = group_of(_AS.get(reason, reason))
    launches.labels("refused", group if group in REFUSALS else str(Group.PLATFORM)).inc()


@contextmanager
def refusals() -> Iterator[None]:
    """Count the refusal that ends the block."""
    try:
        yield
    except RenkuError as refusal:
        refused(refusal.code)
        raise


def ended(reason: str | None) -> None:
    """What was running runs no more."""
    ends.labels(group_of(reason)).inc()


class Asking:
    """Times the block and counts how it comes out: by `outcome`, or by the kind of what is raised."""

    def __init__(self, to: str, meanings: Mapping[type[BaseException], str]) -> None:
        self._to, self._meanings = to, meanings
        self.outcome = "ok"

    def __enter__(self) -> Asking:
        self._began = monotonic()
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: object, _where: TracebackType | None) -> None:
        call_seconds.labels(self._to).observe(monotonic() - self._began)
        if kind is not None:
            self.outcome = next((self._meanings[each] for each in kind.__mro__ if each in self._meanings), "no_answer")
        calls.labels(self._to, self.outcome).inc()


def skipped(to: str) -> None:
    """A call was not made, since that neighbour is left alone for a while."""
    calls.labels(to, "skipped").inc()


def downloaded(outcome: str) -> None:
    """A download that had begun is over: `whole`, `cut` or `left`."""
    downloads.labels(outcome).inc()


def looked_up(cache: str, *, hit: bool) -> None:
    lookups.labels(cache, "hit" if hit else "miss").inc()


def done(task: str) -> None:
    """Work beside the requests came out well just now."""
    task_success.labels(task).set(time())


def failed(task: str) -> None:
    task_failures.labels(task).inc()


def warned(*, told: bool) -> None:
    """Somebody was to be told that data will be deleted."""
    warnings.labels("yes" if told else "no").inc()


def expired(step: str) -> None:
    """One of EXPIRY_STEPS was taken with somebody's data."""
    expirations.labels(step).inc()
