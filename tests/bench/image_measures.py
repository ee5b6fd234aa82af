"""What images cost: B8, a hub whose registries hang; B10, how often a registry is asked for what users do."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.fakes.registry import FakeRegistry
from tests.fixtures import images

from . import image_budget
from .cluster import OWNER, Side, alone, cluster, seeded
from .hubs import login
from .load import Connection, Meter, percentile
from .registries import stuck, with_tokens
from .visitor import PROJECT, Visitor

Sample = dict[str, Any]
_TICK = 0.02  # seconds from look to look at the hub's health
_GIVEN_UP = 30.0  # seconds within which a hub has given up all that hangs


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is measured.

    *users* check images, each by the API and by the page, once every *every* seconds or as soon as they have
    an answer, for *seconds*. *sessions* have one image, and *starts* of them are asked for at once.
    """

    rounds: int = 3
    users: int = 20
    every: float = 8.0
    seconds: float = 12.0
    sessions: int = 1000
    starts: int = 100


async def everything(folder: Path, plan: Plan) -> dict[str, list[Sample]]:
    """The raw samples of both, in one hub that starts again once."""
    names = [f"mira{number}" for number in range(max(plan.users, plan.starts))]
    async with AsyncExitStack() as stack:
        on = await stack.enter_async_context(cluster(folder))
        plain, tokens = [await stack.enter_async_context(FakeRegistry()) for _ in range(2)]
        tokens.answer = with_tokens(tokens)
        plain.put("bench/ready", "1", images.image(config=image_budget.CONFIG))
        ready = await asyncio.to_thread(seeded, folder / "ours", "ours", [OWNER, *names])
        begin = partial(alone, ready[0], on, *ready[1:], RENKU_BENCH_REGISTRY=f"127.0.0.1:{plain.port}")
        async with begin() as side:
            samples = {"waits": await waits(side, names[: plan.users], plain, plan)}
            samples["budget"], added = await image_budget.one_by_one(side, plain, tokens, plan.sessions)
        image_budget.long_ago(ready[1])
        async with begin() as side:
            whose = list(zip(names, added, strict=False))[: plan.starts]
            samples["budget"] += await image_budget.at_once(side, plain, whose)
        return samples


async def waits(side: Side, names: list[str], registry: FakeRegistry, plan: Plan) -> list[Sample]:
    """B8: health and pages while the same people check images of registries that answer, and of some that never do."""
    people = [Visitor(side.hub, await login(side.hub, name)) for name in names]
    owner = Visitor(side.hub, await login(side.hub, OWNER))
    fresh, samples = _fresh(registry), list[Sample]()
    for number in range(plan.rounds):
        async with _checking(people, fresh, plan) as verdicts:
            await _until(partial(_answered, verdicts, plan.users))
            found = await _watched(side, owner, fresh, plan.seconds)
            samples.append({"round": number, "hang": False, **found, **_told(verdicts)})
        samples.append({"round": number, "hang": True, **await _hung(side, owner, people, fresh, plan)})
    return samples


async def _hung(side: Side, owner: Visitor, people: list[Visitor], fresh: Iterator[str], plan: Plan) -> Sample:
    """The same while at least one request of each user hangs; at its end all are broken off."""
    async with stuck(4 * plan.users) as there:
        asked = (f"{host}/a/b:1" for host in itertools.cycle(there.hosts))
        async with _checking(people, asked, plan) as verdicts:
            await _until(lambda: there.open >= plan.users)
            found = await _watched(side, owner, fresh, plan.seconds)
            return found | {"open": there.open, **_told(verdicts)}


def _answered(verdicts: list[str], least: int) -> bool:
    return len(verdicts) >= least


def _told(verdicts: list[str]) -> Sample:
    return {"checked": len(verdicts), "verdicts": sorted(set(verdicts))}


def _fresh(registry: FakeRegistry) -> Iterator[str]:
    """Images that nobody has asked about yet."""
    made = images.image(config=image_budget.CONFIG)
    for number in itertools.count():
        registry.put(f"bench/fresh{number}", "1", made)
        yield f"127.0.0.1:{registry.port}/bench/fresh{number}:1"


@asynccontextmanager
async def _checking(people: list[Visitor], asked: Iterator[str], plan: Plan) -> AsyncIterator[list[str]]:
    """Everybody asks about images, again and again; gives the verdicts so far."""
    verdicts: list[str] = []
    tasks = [
        asyncio.ensure_future(_checks(who, by, asked, verdicts, plan, late=number / len(people) / 2))
        for number, (who, by) in enumerate(itertools.product(people, (Visitor.by_api, Visitor.by_page)))
    ]
    try:
        yield verdicts
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    broken = [one for one in ends if isinstance(one, Exception)]
    assert not broken, broken[0]


async def _checks(
    who: Visitor, by: Callable[[Visitor, Connection, str], Awaitable[str]], asked: Iterator[str],
    verdicts: list[str], plan: Plan, *, late: float,
) -> None:  # fmt: skip
    """One after the other, the first one by the share *late* of the usual time after the others' first."""
    await asyncio.sleep(late * plan.every)
    async with Connection(who.page(PROJECT)) as connection:
        while True:
            begin = time.monotonic()
            verdicts.append(await by(who, connection, next(asked)))
            await asyncio.sleep(max(0.0, begin + plan.every - time.monotonic()))


async def _watched(side: Side, owner: Visitor, fresh: Iterator[str], seconds: float) -> Sample:
    """Waits in ms: of the hub's health, of the page of a project, of a check at a registry that answers."""
    health, checks, threads = list[float](), list[float](), set[int]()
    looks = asyncio.ensure_future(_health(owner, health))
    async with Connection(owner.page(PROJECT)) as one, Connection(owner.page(PROJECT)) as other:
        meter = Meter(owner.page(PROJECT), [one])
        end = time.monotonic() + seconds
        while (begin := time.monotonic()) < end:
            verdict = await owner.by_api(other, next(fresh))
            checks.append((time.monotonic() - begin) * 1000 if verdict == "ok" else 10_000.0)
            for _ in range(5):
                await meter.turn(1)
                threads.add(side.threads())
                await asyncio.sleep(_TICK)
    looks.cancel()
    await asyncio.gather(looks, return_exceptions=True)
    page = meter.cost()
    return {
        "looks": len(health), "p99": round(percentile(health, 99), 2), "longest": round(max(health), 2),
        "page": page.p50, "page_p99": page.p99, "cpu": page.cpu, "check": round(percentile(checks, 50), 2),
        "check_longest": round(max(checks), 2), "threads": max(threads),
    }  # fmt: skip


async def _health(owner: Visitor, waited: list[float]) -> None:
    async with Connection(owner.page("/hub/health")) as connection:
        while True:
            begin = time.monotonic()
            await connection.get("/hub/health")
            took = time.monotonic() - begin
            waited.append(took * 1000)
            await asyncio.sleep(max(0.0, _TICK - took))


async def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + _GIVEN_UP
    while not condition():
        assert time.monotonic() < end, f"not within {_GIVEN_UP} s"
        await asyncio.sleep(0.05)
