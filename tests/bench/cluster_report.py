"""From raw samples of the measures on a cluster to ratios beside their bars."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

from .cluster_measures import CASES, Plan, Sample
from .lines import Line, spread

Samples = dict[str, list[Sample]]
STARTS_BARS = {"none": 1.1, "many": 0.85}
VERDICT_BARS = {"image-invalid-name": 3.0, "image-missing-tag": 5.0, "exit-1-onfailure": 10.0}
ABOUT = """\
## On a cluster

Ratios are of a hub with plain KubeSpawner and one with ours, both on the same cluster (tests/fakes, real HTTP,
a process of its own) in the same run, over the same pods and events of others; CPU time is that of the hub's
process. Pods of others have 8 kB, those of starts are ready after 50 ms. The hubs take turns where they start;
they watch at the same time. A session of ours has no repositories here, as plain KubeSpawner fetches none.
Where hubs start again (B5), one server runs for each person, and its program answers.

Not measured: a real API server, real image pulls, several machines.
"""


def lines(samples: Samples, plan: Plan) -> list[Line]:
    """Every figure that the plan asks for. Raises AssertionError if a sample for one is missing."""
    return [
        *_starts(samples["starts"], plan), *_watching(samples["watching"], plan), *_share(samples["fanout"], plan),
        *_verdicts(samples["verdicts"], plan), *_latency(samples["fanout"], plan),
        *restarts(samples.get("restarts", []), plan),
    ]  # fmt: skip


def _of(samples: list[Sample], count: int, **case: Any) -> list[Sample]:
    """The samples of a case, by round. Raises AssertionError unless there are so many."""
    found = sorted((s for s in samples if case.items() <= s.items()), key=lambda s: s.get("round", 0))
    assert len(found) == count, f"{len(found)} of {count} samples of {case}"
    return found


def _starts(samples: list[Sample], plan: Plan) -> Iterator[Line]:
    for foreign in (0, plan.foreign):
        for how in ("one by one", "at once"):
            ours, plain = (_of(samples, plan.rounds, side=s, how=how, foreign=foreign) for s in ("ours", "plain"))
            note = f"{_middle(ours, 'cpu')} to {_middle(plain, 'cpu')} CPU-ms; "
            note += f"{_middle(ours, 'wall')} to {_middle(plain, 'wall')} ms a start"
            what = f"B4: start {how}, {foreign} pods of others"
            bar = STARTS_BARS["many" if foreign else "none"]
            yield spread(_ratios(ours, plain, "cpu"), what=what, bar=bar, note=note)
    ours, plain = (_of(samples, plan.rounds, side=s, how="at once", foreign=0) for s in ("ours", "plain"))
    yield spread(_ratios(ours, plain, "wall"), what="B4: time for a start at once, 0 pods of others", bar=1 / 0.9)
    calls = [sum(s["requests"].values()) for s in ours]
    note = f"{_calls(ours)}; plain {_calls(plain)}"
    yield spread(calls, what="B4: API calls for a first start", bar=None, unit="", note=note)
    if "commits" in plan.counted:
        more = [a["commits"] - b["commits"] for a, b in zip(ours, plain, strict=True)]
        note = f"{_middle(ours, 'commits')} to {_middle(plain, 'commits')}; ours do not wait for the disk (WAL)"
        yield spread(more, what="B4: commits for a first start, more than plain", bar=3, unit="", note=note)


def _calls(samples: list[Sample]) -> str:
    found = samples[-1]["requests"]
    return ", ".join(f"{count:.3g} {what}" for what, count in sorted(found.items()))


def _watching(samples: list[Sample], plan: Plan) -> Iterator[Line]:
    ours, plain = (_of(samples, plan.rounds, side=side) for side in ("ours", "plain"))
    about = f"{plan.foreign} pods of others, {plan.events} events"
    for key, name, bar, unit, times in (
        ("share", "CPU", 1 / 2, "% of a core", 100),
        ("stall", "longest stall of the loop", 1 / 5, "ms", 1),
        ("per_pod", "memory for each pod", 1 / 3, "kB", 0.001),
        ("bytes", "bytes from the API server", 1 / 5, "kB", 0.001),
    ):
        note = f"{_scaled(ours, key, times)} to {_scaled(plain, key, times)} {unit}; {about}"
        yield spread(_ratios(ours, plain, key), what=f"B6: {name} while nothing happens", bar=bar, note=note)
    first = [s[0]["first_stall"] / s[1]["first_stall"] for s in zip(ours[:1], plain[:1], strict=True)]
    note = f"{ours[0]['first_stall']:.3g} to {plain[0]['first_stall']:.3g} ms"
    yield spread(first, what="B6: longest stall at the first look at the cluster", bar=None, note=note)


def _share(samples: list[Sample], plan: Plan) -> Iterator[Line]:
    for events, bar in ((0, None), (plan.many_events, 5)):
        ours, plain = (_of(samples, plan.shares, what="share", events=events, side=s) for s in ("ours", "plain"))
        ratio = median(_ratios(ours, plain, "share"))
        note = f"plain {_scaled(plain, 'share', 100)} %; {ratio:.3g} x"
        what = f"B7: {plan.streams} streams of pending starts, {events} events"
        yield spread([s["share"] * 100 for s in ours], what=what, bar=bar, unit="% of the loop", note=note)


def _verdicts(samples: list[Sample], plan: Plan) -> Iterator[Line]:
    for case in plan.cases:
        ours, plain = (_of(samples, plan.tries, case=case, side=side) for side in ("ours", "plain"))
        ratio = median(_ratios(plain, ours, "since_start"))
        note = f"since the start {_middle(ours, 'since_start')} s, plain {_middle(plain, 'since_start')} s "
        note += f"({ratio:.3g} x) as its start_timeout is {plan.timeout} s; ours: {ours[0]['reason']}"
        what = f"B11: {case} to its reason, after {CASES[case]}"
        yield spread([_late(s) for s in ours], what=what, bar=VERDICT_BARS[case], unit="s", note=note)
    (row,) = _of(samples, 1, case="in a row")
    note = f"{row['failed']} of {plan.in_a_row} failed with a reason; consecutive_failure_limit is 5"
    what = f"B11: hubs lost after {plan.in_a_row} starts of an invalid image"
    yield spread([0 if row["alive"] else 1], what=what, bar=0, unit="", note=note)


def _late(sample: Sample) -> float:
    """A verdict before the moment from which the bar counts is not late at all."""
    return float(max(0.0, sample["seconds"])) if sample["seconds"] is not None else 0.0


def _latency(samples: list[Sample], plan: Plan) -> Iterator[Line]:
    ours, plain = (_of(samples, plan.groups, what="latency", side=side) for side in ("ours", "plain"))
    told, heard, others = (
        sum(s[key] for s in some) for some, key in ((ours, "told"), (ours, "heard"), (plain, "heard"))
    )
    for which, bar in (("p50", 150), ("p99", 500)):
        note = f"{heard} of {told} heard; plain {median(s[which] for s in plain):.4g} ms, {others} heard"
        what = f"B13: pod event to text on the stream, {which}"
        yield spread([s[which] for s in ours], what=what, bar=bar, unit="ms", note=note)


def restarts(samples: list[Sample], plan: Plan) -> list[Line]:
    """The figures of B5."""
    return [*_restarts(samples, plan), *_defined(samples, plan)]


def _restarts(samples: list[Sample], plan: Plan) -> Iterator[Line]:
    """Times are compared with what is allowed: 5 % or 0.3 s more than plain, whichever is more."""
    for running in plan.restarted:
        case = {"running": running, "defined": max(plan.defined)}
        ours, plain = (_of(samples, plan.restarts, side=side, **case) for side in ("ours", "plain"))
        for key, what in (
            ("cpu", "CPU time to all routes"),
            ("health", "time to health"),
            ("routes", "time to all routes"),
        ):
            of_allowed = [a[key] / max(b[key] * 1.05, b[key] + 0.3) for a, b in zip(ours, plain, strict=True)]
            note = f"{_middle(ours, key)} to {_middle(plain, key)} s; {case['defined']} sessions are defined"
            yield spread(of_allowed, what=f"B5: {what}, {running} running", bar=1, unit="x allowed", note=note)
        note = f"{_middle(ours, 'memory')} to {_middle(plain, 'memory')} MB"
        yield spread(_ratios(ours, plain, "memory"), what=f"B5: memory, {running} running", bar=1.1, note=note)
        note = f"{_middle(ours, 'stall')} to {_middle(plain, 'stall')} ms between health and a second after all routes"
        yield spread(_ratios(ours, plain, "stall"), what=f"B5: longest stall, {running} running", bar=None, note=note)


def _defined(samples: list[Sample], plan: Plan) -> Iterator[Line]:
    if not plan.restarted:
        return
    many, few = (
        _of(samples, plan.restarts, side="ours", running=plan.few, defined=count)
        for count in (max(plan.defined), min(plan.defined))
    )
    for key, what in (("cpu", "CPU time"), ("routes", "time")):
        note = f"{_middle(many, key)} to {_middle(few, key)} s; {plan.few} run"
        name = f"B5: {what} to all routes, {max(plan.defined):,} to {min(plan.defined)} defined sessions"
        yield spread(_ratios(many, few, key), what=name, bar=1.05, note=note)


def _ratios(over: list[Sample], under: list[Sample], key: str) -> list[float]:
    return [a[key] / b[key] for a, b in zip(over, under, strict=True)]


def _middle(samples: list[Sample], key: str) -> str:
    return _scaled(samples, key, 1)


def _scaled(samples: list[Sample], key: str, times: float) -> str:
    return f"{median(s[key] for s in samples) * times:.3g}"


def section(raw: dict[str, Any], where: Callable[[dict[str, Any]], str], table: Callable[[list[Line]], str]) -> str:
    """What results.md says of *raw*."""
    plan = Plan.of(raw["plan"])
    return f"{ABOUT}\n{where(raw)}; {plan.rounds} rounds.\n\n{table(lines(raw['samples'], plan))}\n"
