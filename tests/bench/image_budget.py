"""B10: how often a registry is asked for what users do with images."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import update

from renku_spawner.persistence import tables
from renku_spawner.persistence.database import Database
from tests.fakes.registry import FakeRegistry
from tests.fixtures import images

from . import seed
from .cluster import OWNER, Side
from .hubs import login
from .load import Connection
from .registries import counted
from .visitor import PROJECT, Visitor

Sample = dict[str, Any]
CONFIG = {"User": "1000", "Cmd": ["start-notebook.py"], "ExposedPorts": {"8888/tcp": {}}}
BOTH = ("linux/amd64", "linux/arm64")
_ONE = "bench/one"
_AT_ONCE = 8
_STARTED = 120.0  # seconds in which all have started, on a busy machine


class Counter:
    """What is asked of a registry from now on."""

    def __init__(self, registry: FakeRegistry) -> None:
        self._registry, self._since = registry, len(registry.requests)

    def sample(self, what: str, **more: Any) -> Sample:
        """The hub's own look at its ready-made image is nobody's act."""
        asked = [one for one in self._registry.requests[self._since :] if "bench/ready" not in one.target]
        return {"what": what, **counted(asked, self._registry), **more}


@dataclass(frozen=True)
class Project:
    """The project whose members act, by the API."""

    side: Side
    id: str

    async def add(self, image: str, title: str) -> str:
        """A session with that image; its id."""
        said = {"image": image, "title": title}
        return str((await self._post(OWNER, "sessions", said))["id"])

    async def start(self, who: str, session: str) -> None:
        await self._post(who, f"sessions/{session}/start", {})

    async def pause(self, who: str, session: str) -> None:
        await self._post(who, f"sessions/{session}/pause", {})

    async def page(self, who: Visitor, session: str) -> None:
        """The session's page, which tells of newer images."""
        path = f"{PROJECT}/-/sessions/{session}"
        async with Connection(who.page(path)) as connection:
            await connection.get(path)

    async def becomes(self, who: str, session: str, status: str) -> None:
        end = time.monotonic() + _STARTED
        while (found := await self._status(who, session)) != status:
            assert time.monotonic() < end and found != "failed", f"{session} of {who} is {found}, not {status}"
            await asyncio.sleep(0.1)

    async def _status(self, who: str, session: str) -> str:
        answer = await self.side.client.get(self._at(f"sessions/{session}"), headers=self.side.headers(who))
        return str((answer.json()["instance"] or {}).get("status", ""))

    async def _post(self, who: str, what: str, said: dict[str, Any]) -> Any:
        answer = await self.side.client.post(self._at(what), json=said, headers=self.side.headers(who))
        assert answer.is_success, f"{what}: {answer.status_code} {answer.text}"
        return answer.json()

    def _at(self, what: str) -> str:
        return f"api/renku/projects/{self.id}/{what}"


async def one_by_one(
    side: Side, plain: FakeRegistry, tokens: FakeRegistry, sessions: int
) -> tuple[list[Sample], list[str]]:
    """Images that are added, so many sessions with one, and starts of one of these; also the ids of those sessions."""
    project = Project(side, await _id(side))
    samples = await _adding(project, plain, tokens)
    added, sample = await _many(project, plain, sessions)
    return [*samples, sample, *await _warm(project, plain, added[0])], added


async def _id(side: Side) -> str:
    answer = await side.client.get("api/renku/projects", headers=side.headers(OWNER))
    return str(answer.json()["items"][0]["id"])


async def _adding(project: Project, plain: FakeRegistry, tokens: FakeRegistry) -> list[Sample]:
    """The first sessions with images that nobody has asked about."""
    samples = []
    for what, registry, platforms in (
        ("one", plain, BOTH[:1]), ("index", plain, BOTH), ("token", tokens, BOTH), ("next token", tokens, BOTH),
    ):  # fmt: skip
        name = f"bench/add-{what.replace(' ', '-')}"
        registry.put(name, "1", images.image(config=CONFIG | {"Labels": {"of": what}}, platforms=platforms))
        asked = Counter(registry)
        await project.add(f"127.0.0.1:{registry.port}/{name}:1", what)
        samples.append(asked.sample(f"add {what}"))
    return samples


async def _many(project: Project, registry: FakeRegistry, count: int) -> tuple[list[str], Sample]:
    """So many sessions with one image, a few at once."""
    registry.put(_ONE, "1", images.image(config=CONFIG | {"Labels": {"of": _ONE}}))
    asked, turns = Counter(registry), asyncio.Semaphore(_AT_ONCE)

    async def add(number: int) -> str:
        async with turns:
            return await project.add(f"127.0.0.1:{registry.port}/{_ONE}:1", f"number {number}")

    added = await asyncio.gather(*map(add, range(count)))
    return list(added), asked.sample("sessions", count=count)


async def _warm(project: Project, registry: FakeRegistry, session: str) -> list[Sample]:
    """A start, and one more a moment later."""
    samples = []
    for what in ("first start", "warm start"):
        asked = Counter(registry)
        await project.start(OWNER, session)
        await project.becomes(OWNER, session, "running")
        samples.append(asked.sample(what))
        await project.pause(OWNER, session)
        await project.becomes(OWNER, session, "paused")
    await project.page(Visitor(project.side.hub, await login(project.side.hub, OWNER)), session)
    return samples


async def at_once(side: Side, registry: FakeRegistry, whose: list[tuple[str, str]]) -> list[Sample]:
    """Starts of one image by as many people, then as many pages, in a hub that remembers no answer."""
    project = Project(side, await _id(side))
    asked = Counter(registry)
    await asyncio.gather(*(project.start(who, session) for who, session in whose))
    for who, session in whose:
        await project.becomes(who, session, "running")
    started = asked.sample("starts", count=len(whose))
    owner = Visitor(project.side.hub, await login(project.side.hub, OWNER))
    asked = Counter(registry)
    await asyncio.gather(*(project.page(owner, session) for _, session in whose))
    return [started, asked.sample("pages", count=len(whose))]


def long_ago(db_url: str) -> None:
    """What was seen of images is from yesterday."""
    db = Database(db_url)
    with db.engine.begin() as connection:
        connection.execute(update(tables.images).values(looked_at=seed.NOW - timedelta(days=1)))
    db.dispose()
