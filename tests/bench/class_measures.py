"""A class that starts at the same moment: more people than the hub may start at a time, each with one click."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .cluster import OWNER, Side, alone, cluster, seeded
from .load import percentile

Sample = dict[str, Any]
_PATIENCE = 240.0  # seconds until somebody who still does not run counts as lost
_LOOK = 0.05  # seconds between two looks at /hub/health


@dataclass(frozen=True, kw_only=True)
class Plan:
    """So many *people* click within *within* seconds, of whom *at_once* may start at a time; a pod is ready after
    *ready_after* seconds. Each round has people of its own, and those of earlier rounds run on."""

    people: int = 100
    at_once: int = 64
    within: float = 1.0
    ready_after: float = 2.0
    rounds: int = 3

    @classmethod
    def of(cls, stored: dict[str, Any]) -> Plan:
        """From samples.json."""
        return cls(**stored)


async def everything(folder: Path, plan: Plan) -> dict[str, list[Sample]]:
    """The raw samples, one a round."""
    people = [f"mira{number}" for number in range(plan.people * plan.rounds)]
    async with cluster(folder) as on:
        where, db_url, server = await asyncio.to_thread(seeded, folder / "ours", "ours", [*people, "warm"])
        async with alone(where, on, db_url, server, RENKU_BENCH_AT_ONCE=str(plan.at_once)) as side:
            await side.start("warm")  # the hub looks at the cluster
            await on.ask("ready_after", seconds=plan.ready_after)
            rounds = [people[first : first + plan.people] for first in range(0, len(people), plan.people)]
            return {"rush": [await _rush(side, plan, number, names) for number, names in enumerate(rounds)]}


async def _rush(side: Side, plan: Plan, number: int, names: list[str]) -> Sample:
    path = f"api/renku/projects/{await _project(side, names[0])}/sessions/{side.server}/start"
    async with _watched(side) as health:
        found = await asyncio.gather(
            *(_click(side, path, name, late * plan.within / len(names)) for late, name in enumerate(names))
        )
    return {
        "round": number,
        "answers": dict(Counter(str(one["answer"]) for one in found)),
        "waited": sum(one["waited"] for one in found),
        "seconds": [one["seconds"] for one in found],
        "lost": [one["ended"] for one in found if one["seconds"] is None],
        "health": [round(each * 1000, 1) for each in health],
    }


async def _project(side: Side, person: str) -> str:
    items = (await side.client.get("api/renku/projects", headers=side.headers(person))).json()["items"]
    return next(str(item["id"]) for item in items if item["path"] == f"{OWNER}/p")


async def _click(side: Side, path: str, person: str, late: float) -> Sample:
    """One click, and then only what the page's own stream tells."""
    await asyncio.sleep(late)
    begin = time.monotonic()
    answer = await side.client.post(path, json={}, headers=side.headers(person))
    waited = answer.is_success and answer.json()["queue_position"] is not None
    try:
        async with asyncio.timeout(_PATIENCE):
            ended = await _until_it_ends(side, person) if answer.is_success else answer.text
    except TimeoutError:
        ended = f"does not run after {_PATIENCE:g} s"
    seconds = round(time.monotonic() - begin, 2) if ended == "running" else None
    return {"answer": answer.status_code, "waited": waited, "seconds": seconds, "ended": ended}


async def _until_it_ends(side: Side, person: str) -> str:
    """`running`, or what it is instead in the end; what cannot be seen for a moment has not ended."""
    async with side.client.stream("GET", "api/renku/sessions/events", headers=side.headers(person)) as stream:
        async for line in stream.aiter_lines():
            status = str(json.loads(line[6:])["status"]) if line.startswith("data: {") else "launching"
            if status not in ("launching", "inactive", "unknown"):
                return status
    return "no more news"


@asynccontextmanager
async def _watched(side: Side) -> AsyncIterator[list[float]]:
    """How long /hub/health takes within, in seconds."""
    took: list[float] = []

    async def look() -> None:
        while True:
            begin = time.monotonic()
            assert (await side.client.get("health")).is_success
            took.append(time.monotonic() - begin)
            await asyncio.sleep(_LOOK)

    task = asyncio.ensure_future(look())
    try:
        yield took
    finally:
        task.cancel()


def spent(sample: Sample, which: int) -> float:
    """A percentile of the seconds until those ran who did."""
    ran = [each for each in sample["seconds"] if each is not None]
    return percentile(ran, which) if ran else 0.0
