"""From raw samples of a class that starts together to figures beside their bars."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .class_measures import Plan, Sample, spent
from .lines import Line, spread
from .load import percentile

ABOUT = """\
## A class that starts together

People click once each, all within a second, on a hub that starts fewer at a time (`concurrent_spawn_limit`, as z2jh has
it); from then on each only listens to the stream of its page. The hub is ours on the cluster of above. Plain
JupyterHub answers those who come too late with 429, and they have to come again. Everything runs on one machine: the
hub, the cluster and all the people share its processors.

Not measured: real image pulls, people behind a proxy.
"""


def lines(samples: dict[str, list[Sample]], plan: Plan) -> list[Line]:
    """Every figure that the plan asks for. Raises AssertionError if a sample for one is missing."""
    rounds = sorted(samples["rush"], key=lambda each: int(each["round"]))
    assert len(rounds) == plan.rounds, f"{len(rounds)} of {plan.rounds} samples of a class"
    assert all(len(each["seconds"]) == plan.people for each in rounds)
    return list(_lines(rounds, plan))


def _lines(rounds: list[Sample], plan: Plan) -> Iterator[Line]:
    who = f"Class: {plan.people} starts within {plan.within:g} s, {plan.at_once} at a time"
    lost = [sum(one is None for one in each["seconds"]) for each in rounds]
    ran, waited = plan.people * plan.rounds - sum(lost), [each["waited"] for each in rounds]
    note = f"{ran} of {plan.people * plan.rounds} run after one click; {min(waited)} to {max(waited)} waited in line"
    yield spread(lost, what=f"{who}, not running in the end", bar=0, unit="", note=note)
    for which in (50, 95, 99):
        note = f"a pod is ready after {plan.ready_after:g} s" if which == 50 else ""
        values = [spent(each, which) for each in rounds]
        yield spread(values, what=f"Class: from click to running, p{which}", bar=None, unit="s", note=note)
    for which, bar in ((50, None), (99, 150)):
        values = [percentile(each["health"], which) for each in rounds]
        yield spread(values, what=f"Class: /hub/health meanwhile, p{which}", bar=bar, unit="ms")


def section(raw: dict[str, Any], where: Callable[[dict[str, Any]], str], table: Callable[[list[Line]], str]) -> str:
    """What results.md says of *raw*."""
    plan = Plan.of(raw["plan"])
    return f"{ABOUT}\n{where(raw)}; {plan.rounds} rounds.\n\n{table(lines(raw['samples'], plan))}\n"
