"""The measures: pages (B1), growth (B2), streams, front end (B14). Each gives raw samples, which `report` judges."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

from renku_spawner.domain.ids import create_id
from renku_spawner.persistence.database import Database

from . import seed
from .hubs import ROOT, Hub, login, start
from .load import Connection, Page, compared, percentile

Sample = dict[str, Any]
OWNER, MEMBER = "olga", "mira"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is measured. `sizes` are sessions on a page, `stored` sessions in the database."""

    sizes: tuple[int, ...] = (1, 50, 100, 1000)
    stored: tuple[int, ...] = (10, 1000, 100_000)
    rounds: int = 5
    requests: int = 100
    at_once: tuple[int, ...] = (1, 8)
    streams: int = 64
    events: int = 40


@asynccontextmanager
async def serving(*hubs: tuple[Path, str, bool]) -> AsyncIterator[list[Hub]]:
    """Hubs of (folder, database, with Renku), started together and ended in any case."""
    begun = await asyncio.gather(*(start(*hub[:2], renku=hub[2]) for hub in hubs), return_exceptions=True)
    serving = [hub for hub in begun if isinstance(hub, Hub)]
    try:
        for hub in begun:
            if isinstance(hub, BaseException):
                raise hub
        yield serving
    finally:
        for hub in serving:
            hub.stop()


async def pages(folder: Path, plan: Plan) -> list[Sample]:
    """B1: the page of a project with N sessions beside the home page of a user with N named servers."""
    plain, ours = seed.database(folder / "plain"), seed.database(folder / "ours")
    seed.hub(plain, {f"{MEMBER}{size}": [create_id() for _ in range(size)] for size in plan.sizes})
    parts = await asyncio.to_thread(seed.opened, ours)
    made = seed.projects(parts, plan.sizes, OWNER, lambda size: f"{MEMBER}{size}")
    parts.db.dispose()
    seed.hub(ours, {f"{MEMBER}{size}": [session.id for session in sessions] for size, sessions in made.items()})
    async with serving((folder / "plain", plain, False), (folder / "ours", ours, True)) as (a, b):
        samples: list[Sample] = []
        cookies = {(hub, size): await login(hub, f"{MEMBER}{size}") for hub in (a, b) for size in plan.sizes}
        asked = [(size, *each) for size in plan.sizes for each in (
            ("plain", Page(a, cookies[a, size], "/hub/home")),
            ("ours", Page(b, cookies[b, size], f"/hub/renku/projects/{OWNER}/p{size}")),
        )]  # fmt: skip
        for number, at_once in product(range(plan.rounds), plan.at_once):
            turns = max(1, min(25, plan.requests // at_once))
            pages = [page for _, _, page in asked]
            found = await compared(pages, requests=plan.requests, at_once=at_once, turns=turns)
            for (size, name, _), each in zip(asked, found, strict=True):
                samples.append({"round": number, "size": size, "at_once": at_once, "page": name, **asdict(each)})
        return samples


async def growth(folder: Path, plan: Plan) -> list[Sample]:
    """B2: the page of a project with 20 sessions while the database holds more and more of others."""
    ready = await asyncio.to_thread(lambda: [_grown(folder / str(stored), stored, plan) for stored in plan.stored])
    async with serving(*ready) as hubs:
        samples: list[Sample] = []
        pages = [Page(hub, await login(hub, MEMBER), f"/hub/renku/projects/{OWNER}/p20") for hub in hubs]
        metrics = [replace(page, path="/hub/metrics") for page in pages]
        for number in range(plan.rounds):
            found = await compared(pages, requests=plan.requests, at_once=1)
            scrapes = await compared(metrics, requests=plan.requests, at_once=1)
            for stored, page, each, scrape in zip(plan.stored, pages, found, scrapes, strict=True):
                made = {"round": number, "stored": stored, "scrape": scrape.cpu}
                samples.append({**made, **asdict(each), **await _statements(page)})
        return samples


def _grown(folder: Path, stored: int, plan: Plan) -> tuple[Path, str, bool]:
    db_url = seed.database(folder)
    parts = seed.opened(db_url)
    sessions = seed.projects(parts, [20], OWNER, lambda _: MEMBER)[20]
    others = min(stored, 10_000)
    seed.more(parts, stored, others)
    parts.db.dispose()
    seed.hub(db_url, {MEMBER: [session.id for session in sessions]}, more=others)
    return folder, db_url, True


async def _statements(page: Page) -> dict[str, int]:
    """How many statements one page needs: ours, and those that the hub makes for any page."""
    async with Connection(page) as connection:
        await connection.get("/hub/bench/statements?count=1")
        await connection.get(page.path)
        seen = json.loads(await connection.get("/hub/bench/statements?count=0"))
    return {"statements": len(seen["ours"]), "of_the_hub": len(seen["hub"])}


async def streams(folder: Path, plan: Plan) -> list[Sample]:
    """Streams at two events a second to all: all of one person, then each of another person."""
    samples: list[Sample] = []
    for people in (1, plan.streams):
        own = folder / str(people)
        db_url = seed.database(own)
        names = [f"{MEMBER}{number}" for number in range(people)]
        parts = await asyncio.to_thread(seed.opened, db_url)
        session = seed.projects(parts, [1], OWNER, lambda _: MEMBER)[1][0]
        seed.hub(db_url, {name: [] for name in names})
        async with serving((own, db_url, True)) as (hub,):
            _begin(parts.db, session, names)
            live = [Page(hub, await login(hub, name), "/hub/renku/sessions") for name in names]
            found = await _streamed([live[number % people] for number in range(plan.streams)], plan)
            samples.append({"people": people, **found})
        parts.db.dispose()
    return samples


def _begin(db: Database, session: Any, names: list[str]) -> None:
    """Each of them starts the session: stored when the hub has settled what it found, so that it stays under way."""
    with db.write() as tx:
        seed.history(tx, session, OWNER, 20)
        for name in names:
            seed.started(tx, session, name, seed.NOW - timedelta(seconds=5))


async def _streamed(pages: list[Page], plan: Plan) -> dict[str, Any]:
    hub = pages[0].hub
    heard: list[list[float]] = [[] for _ in pages]
    tasks = [asyncio.ensure_future(_listen(page, moments)) for page, moments in zip(pages, heard, strict=True)]
    try:
        await _until_all_hear(heard)
        idle = await _share(hub, asyncio.sleep(plan.events / 4))
        for moments in heard:
            moments.clear()
        async with Connection(pages[0]) as connection:
            answer: list[bytes] = []

            async def publish() -> None:
                answer.append(await connection.get(f"/hub/bench/publish?times={plan.events}"))

            busy = await _share(hub, publish())
        await _until_all_hear(heard, plan.events)
    finally:
        for task in tasks:
            task.cancel()
    said = json.loads(answer[0])["moments"]
    late = [(at - begin) * 1000 for moments in heard for begin, at in zip(said, moments, strict=False)]
    return {
        "streams": len(pages), "published": len(said) * len(pages), "delivered": sum(map(len, heard)),
        "seconds": round(busy[1], 2), "share": round(busy[0], 5), "idle_share": round(idle[0], 5),
        "p50": round(percentile(late, 50), 2), "p99": round(percentile(late, 99), 2),
    }  # fmt: skip


async def _listen(page: Page, moments: list[float]) -> None:
    async with Connection(page) as connection:
        found = re.search(r'data-events="([^"]+)"', (await connection.get(page.path)).decode())
    assert found, f"{page.path} is no live page"
    async with Connection(page) as connection:
        async for moment, said in connection.events(found[1].replace("&amp;", "&")):
            assert json.loads(said)["status"] == "launching", said
            moments.append(moment)


async def _until_all_hear(heard: list[list[float]], least: int = 1) -> None:
    end = time.monotonic() + 30
    while any(len(moments) < least for moments in heard) and time.monotonic() < end:
        await asyncio.sleep(0.05)


async def _share(hub: Hub, work: Any) -> tuple[float, float]:
    """The share of a core that the hub uses while *work* goes on, and the seconds that took."""
    begin, used = time.monotonic(), hub.cpu()
    await work
    seconds = time.monotonic() - begin
    return (hub.cpu() - used) / seconds, seconds


def script(page: str) -> Sample:
    """B14: what our script weighs, and what a browser fetches for *page*."""
    files = sorted((ROOT / "templates/static").glob("*.js"))
    found = re.findall(r'<(?:script|img)[^>]+src="([^"]+)"|<link[^>]+rel="stylesheet"[^>]+href="([^"]+)"', page)
    fetched = [first or second for first, second in found]
    return {
        "files": [file.name for file in files],
        "bytes": sum(file.stat().st_size for file in files),
        "gzipped": sum(len(gzip.compress(file.read_bytes(), 9, mtime=0)) for file in files),
        "fetched": [address.partition("?")[0] for address in fetched],
        "third_party": [address for address in fetched if re.match(r"(https?:)?//", address)],
    }


async def front(folder: Path, plan: Plan) -> list[Sample]:
    """B14 of the page of a project, and of the hub's home page beside it."""
    db_url = seed.database(folder)
    parts = await asyncio.to_thread(seed.opened, db_url)
    size = min(50, max(plan.sizes))
    seed.projects(parts, [size], OWNER, lambda _: MEMBER)
    parts.db.dispose()
    seed.hub(db_url, {MEMBER: []})
    async with serving((folder, db_url, True)) as (hub,):
        cookies = await login(hub, MEMBER)
        texts = {}
        for name, path in (("home", "/hub/token"), ("project", f"/hub/renku/projects/{OWNER}/p{size}")):
            page = Page(hub, cookies, path)
            async with Connection(page) as connection:
                texts[name] = (await connection.get(path)).decode()
    return [{"page": name, **script(text)} for name, text in texts.items()]


async def everything(folder: Path, plan: Plan) -> dict[str, list[Sample]]:
    """The raw samples of all measures."""
    samples = {}
    for name, measure in (("pages", pages), ("growth", growth), ("streams", streams), ("front", front)):
        samples[name] = await measure(folder / name, plan)
    return samples
