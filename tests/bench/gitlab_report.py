"""From raw samples of what projects in GitLab cost to figures beside their bars."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

from .gitlab_measures import Plan, Sample
from .lines import Line, spread

Samples = dict[str, list[Sample]]
ABOUT = """\
## Projects in GitLab

One hub, and a GitLab of the bench's own (tests/fakes, real HTTP) with all projects in one group. B3: somebody walks
through the list page by page; CPU time is that of pages near its ends, each asked for once, and of its first and last
page again and again. B8: people open projects that nobody has opened before, each another one, while somebody looks
at a page that has nothing to do with GitLab and the hub's health is asked for 50 times a second; in one third of each
round GitLab answers, in one it never does, in one after 5 s. B9 counts calls of GitLab's API and of its tokens. A
reporter's first look is two: GitLab does not tell with a project what its group's invited groups give somebody.
The projects are empty, and an editor of an empty one is offered what a file of its repository describes: one call more.

The hour of many users asks the source of projects itself, by a clock that is set forward: each sees the list, looks at
one of ten projects every ten minutes, loads its page twice more, and starts a session twice, more than a minute after
the look; seven in ten are developers, the others reporters. The hub itself asks who they are, twelve times an hour at
most. Counts are the same on any machine.

Not measured: a real GitLab, pages with what GitLab said minutes ago (tests/integrations/gitlab has
these). Git over HTTP is not counted.
"""
_COUNTS = {
    "login": ("a log-in", 2),
    "list cold": ("the list, where people land", 1),
    "list warm": ("… and once more", 0),
    "editor cold": ("an editor's first look at a project", 1),
    "editor warm": ("… and the next", 0),
    "viewer cold": ("a reporter's first look at a project", 1),
    "viewer warm": ("… and the next", 0),
    "first start": ("a start", 1),
    "next start": ("the next start", 1),
}
_MODES = {"hang": "never answers", "slow": "answers after 5 s"}


def lines(samples: Samples, plan: Plan) -> list[Line]:
    """Every figure that the plan asks for. Raises AssertionError if a sample for one is missing."""
    counted = [*_budget(samples["budget"], plan), *_hour(samples["hour"], plan)]
    return [*_lists(samples["lists"], plan), *_waits(samples["waits"], plan), *counted]


def _lists(samples: list[Sample], plan: Plan) -> Iterator[Line]:
    first, last, search, warm = (_one(samples, what) for what in ("first", "last", "search", "warm"))
    where = f"near page {plan.page} of {plan.projects:,} projects to near page 1"
    note = f"{last['cpu']:.3g} to {first['cpu']:.3g} CPU-ms"
    yield spread([last["cpu"] / first["cpu"]], what=f"B3: {where}, GitLab is asked", bar=1.1, note=note)
    note = f"{warm['cpu'][1]:.3g} to {warm['cpu'][0]:.3g} CPU-ms"
    yield spread([warm["cpu"][1] / warm["cpu"][0]], what=f"B3: {where}, seen before", bar=1.1, note=note)
    calls = max(first["calls"], last["calls"])
    yield _count("B3: calls for a page of the list, at most", calls, 1)
    yield _count("B3: calls for a search", search["calls"], 1)
    yield _count("B3: calls for pages seen before", warm["calls"], 0)


def _waits(samples: list[Sample], plan: Plan) -> Iterator[Line]:
    quiet = _of(samples, plan.rounds, mode="ok")
    for mode, does in _MODES.items():
        hung = _of(samples, plan.rounds, mode=mode)
        for key, what, bar in (("p99", "health, p99", 20), ("longest", "health, longest", 100)):
            note = f"{_middle(quiet, key)} ms while it answers"
            name = f"B8: {what}, {plan.users} people open projects of a GitLab that {does}"
            yield spread([s[key] for s in hung], what=name, bar=bar, unit="ms", note=note)
        for key, what, unit in (("page", "wait for another page", "ms"), ("cpu", "CPU time of another page", "CPU-ms")):
            ratios = [a[key] / b[key] for a, b in zip(hung, quiet, strict=True)]
            note = f"{_middle(hung, key)} to {_middle(quiet, key)} {unit}"
            yield spread(ratios, what=f"B8: {what}, to the same while GitLab answers", bar=1.2, note=note)
        note = f"of {min(s['opened'] for s in hung)} looks and more, which ended with {_statuses(hung)}"
        slowest = [s["slowest"] / 1000 for s in hung]
        yield spread(slowest, what="B8: longest wait for a project's page", bar=2, unit="s", note=note)
        more = [a["threads"] - b["threads"] for a, b in zip(hung, quiet, strict=True)]
        note = f"{_middle(hung, 'threads')} threads"
        yield spread(more, what="B8: threads more than while GitLab answers", bar=None, unit="", note=note)


def _statuses(samples: list[Sample]) -> str:
    return ", ".join(str(status) for status in sorted({status for s in samples for status in s["statuses"]}))


def _budget(samples: list[Sample], plan: Plan) -> Iterator[Line]:
    for key, (what, bar) in _COUNTS.items():
        sample = _one(samples, key)
        yield _count(f"B9: calls for {what}", sample["calls"] - sample.get("landing", 0), bar)
    alike = _one(samples, "alike")
    assert alike["count"] == plan.alike, f"{alike['count']} of {plan.alike} looks"
    yield _count(f"B9: calls for {plan.alike} first looks at the same project at once", alike["calls"], 1)


def _hour(samples: list[Sample], plan: Plan) -> Iterator[Line]:
    found = _one(samples, "hour")
    assert found["users"] == plan.hour, f"{found['users']} of {plan.hour} users"
    about = f"in an hour of {plan.hour:,} users with 10 projects each"
    for kind, what, bar in (("looks", "look", 1), ("reloads", "reload", 0), ("starts", "start", 1)):
        calls, times = found[f"{kind} calls"], found[kind]
        yield _count(f"B9: calls for a {what}, {about}", calls / times, bar, note=f"{calls:,} for {times:,}")
    every = sum(count for key, count in found.items() if key.endswith(" calls"))
    yield _count(f"B9: calls a minute {about}", every / 60, None, note=f"{every:,} in all, with their lists")


def _count(what: str, value: float, bar: float | None, note: str = "") -> Line:
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
