"""From raw samples of what images cost to figures beside their bars."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

from .image_measures import Plan, Sample
from .lines import Line, spread
from .registries import KINDS

Samples = dict[str, list[Sample]]
ABOUT = """\
## Images

A hub alone on the cluster of the other measures, and registries of the bench's own (tests/fakes, real HTTP).
B8: people check images, each by the API and by the form of the page, again and again. In one half of each round
all registries answer; in the other those that the people ask take the request and never answer, or send a byte
a second, each another one, so that none is left alone after its failures. Meanwhile somebody looks at a project's page
and checks images at a registry that answers, and the hub's health is asked for 50 times a second. Waits are measured
from outside, with the bench on the same cores. B10 counts requests; the same counts at a real registry are
asserted in tests/images. The first time that a registry wants a token it has to say from whom: one request more,
once for each start of the hub.

Not measured: Docker Hub and other real registries, name servers that hang.
"""
# What is added: its name in the samples, its name in the table.
ADDED = {
    "add one": "an image of one platform",
    "add index": "an image of two platforms",
    "add token": "the same where a token is wanted, the first of that registry",
    "add next token": "the same where a token is wanted, the next one",
}


def lines(samples: Samples, plan: Plan) -> list[Line]:
    """Every figure that the plan asks for. Raises AssertionError if a sample for one is missing."""
    return [*_waits(samples["waits"], plan), *_budget(samples["budget"], plan)]


def _waits(samples: list[Sample], plan: Plan) -> Iterator[Line]:
    quiet, hung = (_of(samples, plan.rounds, hang=hang) for hang in (False, True))
    open_now = min(s["open"] for s in hung)
    for key, what, bar in (("p99", "health, p99", 20), ("longest", "health, longest", 100)):
        note = f"{_middle(quiet, key)} ms while they answer; {open_now} requests and more hang"
        name = f"B8: {what}, {plan.users} people ask registries that hang"
        yield spread([s[key] for s in hung], what=name, bar=bar, unit="ms", note=note)
    for key, what, unit in (
        ("page", "wait for a project's page", "ms"),
        ("cpu", "CPU time of a project's page", "CPU-ms"),
        ("check", "wait for a check elsewhere", "ms"),
    ):
        ratios = [a[key] / b[key] for a, b in zip(hung, quiet, strict=True)]
        note = f"{_middle(hung, key)} to {_middle(quiet, key)} {unit}"
        yield spread(ratios, what=f"B8: {what}, to the same while all answer", bar=1.2, note=note)
    more = [a["threads"] - b["threads"] for a, b in zip(hung, quiet, strict=True)]
    note = f"{_middle(hung, 'threads')} threads"
    yield spread(more, what="B8: threads more while registries hang", bar=0, unit="", note=note)


def _budget(samples: list[Sample], plan: Plan) -> Iterator[Line]:
    for key, what in ADDED.items():
        yield _count(samples, key, f"B10: requests to add {what}", 4)
    sessions = _one(samples, "sessions")
    assert sessions["count"] == plan.sessions, f"{sessions['count']} of {plan.sessions} sessions"
    yield _count(samples, "sessions", f"B10: GETs of its manifest for {plan.sessions} sessions with one image", 1,
                 only="manifest")  # fmt: skip
    yield _count(samples, "first start", "B10: requests at the first start of an image that was added just now", None)
    yield _count(samples, "warm start", "B10: requests at a warm start", 0)
    for key, what in (("starts", "starts at once"), ("pages", "pages at once, a day after the last look")):
        count = _one(samples, key)["count"]
        assert count == plan.starts, f"{count} of {plan.starts} {key}"
        yield _count(samples, key, f"B10: requests for {count} {what}, one image", 1 if key == "starts" else 2)
    found = sum(_one(samples, key)["manifest"] for key in ("first start", "warm start", "starts", "pages"))
    yield Line(what="B10: GETs of a manifest to see whether it is still there", value=found, least=found, most=found,
               bar=0, unit="")  # fmt: skip


def _count(samples: list[Sample], key: str, what: str, bar: float | None, *, only: str = "") -> Line:
    sample = _one(samples, key)
    value = sample[only] if only else sum(sample[kind] for kind in KINDS)
    note = ", ".join(f"{sample[kind]} {kind}" for kind in KINDS if sample[kind])
    return Line(what=what, value=value, least=value, most=value, bar=bar, unit="", note=note)


def _one(samples: list[Sample], what: str) -> Sample:
    return _of(samples, 1, what=what)[0]


def _of(samples: list[Sample], count: int, **case: Any) -> list[Sample]:
    """The samples of a case, by round. Raises AssertionError unless there are so many."""
    found = sorted((s for s in samples if case.items() <= s.items()), key=lambda s: s.get("round", 0))
    assert len(found) == count, f"{len(found)} of {count} samples of {case}"
    return found


def _middle(samples: list[Sample], key: str) -> str:
    return f"{median(s[key] for s in samples):.3g}"


def section(raw: dict[str, Any], where: Callable[[dict[str, Any]], str], table: Callable[[list[Line]], str]) -> str:
    """What results.md says of *raw*."""
    plan = Plan(**raw["plan"])
    return f"{ABOUT}\n{where(raw)}; {plan.rounds} rounds.\n\n{table(lines(raw['samples'], plan))}\n"
