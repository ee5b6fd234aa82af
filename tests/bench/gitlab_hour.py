"""What an hour of many users costs GitLab (B9): the source of projects itself, by a clock that is set forward."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from renku_spawner.domain.access import ProjectAction
from renku_spawner.integrations.gitlab import projects
from tests.integrations.gitlab.worlds import Place, place

PEOPLE, PROJECTS = 10, 10  # of a group
READERS = 3  # of these people are reporters, the others developers
EVERY, RELOADS, STARTS = 10, 2, (2, 4)  # minutes from look to look; of each page; after which looks
_AT_ONCE = 4


async def hour(folder: Path, users: int) -> list[dict[str, Any]]:
    """Calls of GitLab's API by what people did: they see their list, look at one of their projects every ten
    minutes, load its page twice more, and start a session now and then. Of tokens nothing is asked."""
    with pytest.MonkeyPatch.context() as patience:  # of a busy machine: it is calls that are counted
        patience.setattr(projects, "VIEW_TIMEOUT_SECONDS", 60.0)
        patience.setattr(projects, "_LIST_TIMEOUT_SECONDS", 60.0)
        return [{"what": "hour", "users": users, **await _counted(folder, users)}]


async def _counted(folder: Path, users: int) -> Counter[str]:
    async with place(folder) as world:
        _furnish(world, users)
        counts: Counter[str] = Counter()
        for minute in range(60):
            acting = [user for user in range(users) if (minute - user) % EVERY == 0]
            for begin in range(0, len(acting), _AT_ONCE):
                some = acting[begin : begin + _AT_ONCE]
                await _acted(world, some, minute // EVERY, counts)
            world.ahead += 60
        return counts


def _furnish(world: Place, users: int) -> None:
    for group in range(-(-users // PEOPLE)):
        made = world.lab.group(f"g{group}")
        for number in range(PROJECTS):
            world.lab.project(f"g{group}/p{number}")
        for person in range(PEOPLE):
            world.lab.user(f"u{group * PEOPLE + person}")
            world.lab.member(made, f"u{group * PEOPLE + person}", 20 if person < READERS else 30)


async def _acted(world: Place, some: list[int], turn: int, counts: Counter[str]) -> None:
    """The same of a few people at once, kind by kind."""
    if turn == 0:
        await asyncio.gather(*(world.listed(f"u{user}") for user in some))
        _count(world, counts, "lists", len(some))
    where = {f"u{user}": f"g{user // PEOPLE}/p{(user * 7 + turn * 3) % PROJECTS}" for user in some}
    for what in ("looks", *("reloads" for _ in range(RELOADS))):
        await asyncio.gather(*(world.get(name, path) for name, path in where.items()))
        _count(world, counts, what, len(some))
    if turn in STARTS:
        world.ahead += 61  # the page was left open
        await asyncio.gather(*(_start(world, name, path) for name, path in where.items()))
        world.ahead -= 61
        _count(world, counts, "starts", len(some))


async def _start(world: Place, name: str, path: str) -> None:
    """What a start asks the source."""
    project = await world.get(name, path, ProjectAction.LAUNCH)
    await world.member(name, project, ProjectAction.READ)


def _count(world: Place, counts: Counter[str], what: str, times: int) -> None:
    counts[what] += times
    counts[f"{what} calls"] += world.calls()
