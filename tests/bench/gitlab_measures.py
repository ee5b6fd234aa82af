"""What projects in GitLab cost: B3, long lists; B8, a hub whose GitLab hangs; B9, how often GitLab is asked."""

from __future__ import annotations

import asyncio
import itertools
import re
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from tests.fakes.gitlab import FakeGitLab
from tests.fixtures.gitlab import log_in

from . import seed
from .gitlab_hour import hour
from .hubs import Hub, start
from .load import Connection, Meter, Page, compared, percentile

Sample = dict[str, Any]
LIST, ELSEWHERE = "/hub/renku/projects", "/hub/renku/images/guide"
OWNER, GUEST = "mira", "gail"  # of the group that has all projects, with 30 and 20
_TICK = 0.02  # seconds from look to look at the hub's health
_AGAIN = 60.0  # seconds within which a hub asks GitLab again that answers again
_STARTED = 60.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is measured.

    *projects* are in GitLab, and somebody walks through the list up to *page*. *users* open projects, each another
    one every *every* seconds or as soon as there is an answer, for *seconds*; *alike* ask for the same at once.
    *hour* users work for an hour.
    """

    projects: int = 10_000
    page: int = 200
    requests: int = 100
    rounds: int = 3
    users: int = 20
    every: float = 2.0
    seconds: float = 12.0
    alike: int = 50
    hour: int = 1000


@dataclass(frozen=True)
class Place:
    """A hub and its GitLab."""

    hub: Hub
    lab: FakeGitLab

    def asked(self) -> int:
        """How often GitLab was asked, but for git and its pages."""
        return self.lab.counted("/api/v4/") + self.lab.counted("/oauth/token")

    def threads(self) -> int:
        return len(list(Path(f"/proc/{self.hub.process.pid}/task").iterdir()))

    async def cookies(self, name: str) -> str:
        """The cookies of *name* after a log-in at GitLab, as one header."""
        async with httpx.AsyncClient(base_url=self.hub.url, trust_env=False, timeout=60) as client:
            answer = await log_in(client, self.lab, name)
            assert answer.status_code == 200, answer.text
            jar = sorted(client.cookies.jar, key=lambda cookie: -len(cookie.path))
            return "; ".join(f"{one.name}={one.value}" for one in jar if "gitlab" not in one.name)

    async def page(self, name: str, path: str) -> Page:
        return Page(self.hub, await self.cookies(name), path)


@asynccontextmanager
async def place(folder: Path, plan: Plan) -> AsyncIterator[Place]:
    """Our hub, and a GitLab in which *plan.projects* are in one group."""
    async with FakeGitLab(trusted=True) as lab:
        everybody = lab.group("many")
        for name, level in [(OWNER, 30), (GUEST, 20), *((f"user{number}", 30) for number in range(plan.users))]:
            lab.user(name)
            lab.member(everybody, name, level)
        for number in range(plan.projects):
            lab.project(f"many/p{number}", description="Daily means of two stations.")
        more = {"RENKU_BENCH_GITLAB": lab.url, "JUPYTERHUB_CRYPT_KEY": secrets.token_hex(32)}
        more |= {"GITLAB_CLIENT_ID": lab.client_id, "GITLAB_CLIENT_SECRET": lab.client_secret}
        hub = await start(folder, seed.database(folder), renku=True, more=more)
        try:
            yield Place(hub, lab)
        finally:
            hub.stop()


async def everything(folder: Path, plan: Plan) -> dict[str, list[Sample]]:
    """The raw samples of all three, of one hub, and those of an hour without a hub."""
    (folder / "hour").mkdir()
    whole_hour = await hour(folder / "hour", plan.hour)
    async with place(folder, plan) as there:
        budget_first = await budget(there, plan)
        listed = await lists(there, plan)
        return {"budget": budget_first, "lists": listed, "waits": await waits(there, plan), "hour": whole_hour}


# B9


class _Counter:
    """What GitLab is asked from now on."""

    def __init__(self, there: Place) -> None:
        self._there, self._since = there, there.asked()

    def sample(self, what: str, **more: Any) -> Sample:
        return {"what": what, "calls": self._there.asked() - self._since, **more}


async def budget(there: Place, plan: Plan) -> list[Sample]:
    """Calls of GitLab for what users do, the first time and once more."""
    asked, lab = _Counter(there), there.lab
    owner = Page(there.hub, await there.cookies(OWNER), LIST)
    landing = lab.counted("/api/v4/projects")  # the list, where people land after the log-in
    samples = [asked.sample("login", landing=landing), {"what": "list cold", "calls": landing}]
    guest = await there.page(GUEST, LIST)
    for who, what, path in (
        (owner, "list warm", ""), (owner, "editor cold", "/many/p0"), (owner, "editor warm", "/many/p0"),
        (guest, "viewer cold", "/many/p1"), (guest, "viewer warm", "/many/p1"),
    ):  # fmt: skip
        asked = _Counter(there)
        await _get(Page(there.hub, who.cookies, LIST + path))
        samples.append(asked.sample(what))
    asked = _Counter(there)
    await asyncio.gather(*(_get(Page(there.hub, owner.cookies, f"{LIST}/many/p2")) for _ in range(plan.alike)))
    samples.append(asked.sample("alike", count=plan.alike))
    return [*samples, *await _starts(there, owner)]


async def _get(page: Page) -> bytes:
    async with Connection(page) as connection:
        return await connection.get(page.path)


async def _starts(there: Place, owner: Page) -> list[Sample]:
    """A start of a session, and another one within the minute for which a role counts."""
    xsrf = re.search("_xsrf=([^;]+)", owner.cookies)
    assert xsrf
    headers = {"Cookie": owner.cookies, "X-XSRFToken": xsrf[1]}
    async with httpx.AsyncClient(base_url=f"{there.hub.url}api/renku/", headers=headers, trust_env=False) as client:
        found = (await client.get("environments")).json()["items"][0]["id"]
        project = (await client.get("projects", params={"search": "p3", "limit": 1})).json()["items"][0]["id"]
        made = await client.post(f"projects/{project}/sessions", json={"environment": found, "title": "Explore"})
        assert made.status_code == 201, made.text
        session, samples = f"projects/{project}/sessions/{made.json()['id']}", []
        for what, path, status in (("first start", "start", "running"), ("", "pause", "paused"),
                                   ("next start", "start", "running"), ("", "pause", "paused")):  # fmt: skip
            asked = _Counter(there)
            answer = await client.post(f"{session}/{path}", json={})
            assert answer.is_success, answer.text
            await _becomes(client, session, status)
            samples += [asked.sample(what)] if what else []
        return samples


async def _becomes(client: httpx.AsyncClient, session: str, status: str) -> None:
    end = time.monotonic() + _STARTED
    while (found := (await client.get(session)).json()["instance"]["status"]) != status:
        assert time.monotonic() < end and found != "failed", f"{found}, not {status}"
        await asyncio.sleep(0.1)


# B3


async def lists(there: Place, plan: Plan) -> list[Sample]:
    """A walk through the list page by page, then the first and the last of these pages once more, and a search."""
    page, path, steps = await there.page(OWNER, LIST), LIST, list[Sample]()
    async with Connection(page) as connection:
        for number in range(1, plan.page + 1):
            asked, begin = _Counter(there), there.hub.cpu()
            body = (await connection.get(path)).decode()
            cpu = (there.hub.cpu() - begin) * 1000
            steps.append(asked.sample("walk", page=number, cpu=round(cpu, 3)))
            last, path = path, _following(body)
        asked = _Counter(there)
        await connection.get(f"{LIST}?search=p{plan.projects - 1}")
        search = asked.sample("search")
    end = max(1, min(20, plan.page // 2))
    ends = {"first": steps[1 : end + 1], "last": steps[-end:]}  # the very first page was asked for before
    samples: list[Sample] = [
        {"what": name, "cpu": round(median(step["cpu"] for step in some), 3), "calls": max(s["calls"] for s in some)}
        for name, some in ends.items()
    ]
    pages = [Page(there.hub, page.cookies, path) for path in (LIST, last)]
    for one in pages:
        await _get(one)  # the first was asked for a while ago
    asked = _Counter(there)
    found = await compared(pages, requests=plan.requests, at_once=1)
    warm = asked.sample("warm", cpu=[cost.cpu for cost in found])
    return [*samples, search, warm]


def _following(body: str) -> str:
    found = re.findall(r'href="(/hub/renku/projects\?[^"]*after=[^"]+)"', body)
    assert found, "no further page"
    return str(found[-1]).replace("&amp;", "&")


# B8


async def waits(there: Place, plan: Plan) -> list[Sample]:
    """Health and pages while people open projects of a GitLab that answers, and of one that does not."""
    people = [await there.cookies(f"user{number}") for number in range(plan.users)]
    watcher = await there.page(OWNER, ELSEWHERE)
    fresh, samples = itertools.count(4), list[Sample]()
    for number in range(plan.rounds):
        for mode in ("ok", "hang", "slow"):
            there.lab.mode, there.lab.slow_seconds = mode, 5.0
            async with _opening(there, people, fresh, plan) as opened:
                found = await _watched(there, watcher, plan.seconds)
            samples.append({"round": number, "mode": mode, **found, **_told(opened)})
            there.lab.mode = "ok"
            await _recovered(there, people[0], fresh)
    return samples


def _told(opened: list[tuple[int, float]]) -> Sample:
    """`slowest` is the longest wait in ms of those who opened a project."""
    statuses = sorted({status for status, _ in opened})
    return {"opened": len(opened), "statuses": statuses, "slowest": round(max((ms for _, ms in opened), default=0), 1)}


@asynccontextmanager
async def _opening(
    there: Place, people: list[str], fresh: Iterator[int], plan: Plan
) -> AsyncIterator[list[tuple[int, float]]]:
    """Everybody opens projects that nobody has opened before; gives the statuses and waits so far."""
    opened: list[tuple[int, float]] = []
    enough, limits = asyncio.Event(), httpx.Limits(max_connections=None)

    async def one(client: httpx.AsyncClient, cookies: str, late: float) -> None:
        await asyncio.sleep(late)
        while not enough.is_set():
            begin = time.monotonic()
            path = f"renku/projects/many/p{next(fresh) % plan.projects}"
            answer = await client.get(path, headers={"Cookie": cookies})
            took = time.monotonic() - begin
            opened.append((answer.status_code, took * 1000))
            await asyncio.sleep(max(0.0, plan.every - took))

    async with httpx.AsyncClient(base_url=there.hub.url, timeout=60, trust_env=False, limits=limits) as client:
        tasks = [
            asyncio.ensure_future(one(client, cookies, plan.every * number / len(people)))
            for number, cookies in enumerate(people)
        ]
        try:
            yield opened
        finally:
            enough.set()
            await asyncio.gather(*tasks)


async def _watched(there: Place, watcher: Page, seconds: float) -> Sample:
    """Waits in ms: of the hub's health, and of a page that has nothing to do with GitLab."""
    health, threads = list[float](), set[int]()
    looks = asyncio.ensure_future(_health(watcher, health))
    async with Connection(watcher) as connection:
        meter, end = Meter(watcher, [connection]), time.monotonic() + seconds
        while time.monotonic() < end:
            await meter.turn(1)
            threads.add(there.threads())
            await asyncio.sleep(_TICK)
    looks.cancel()
    await asyncio.gather(looks, return_exceptions=True)
    page = meter.cost()
    return {
        "looks": len(health), "p99": round(percentile(health, 99), 2), "longest": round(max(health), 2),
        "page": page.p50, "cpu": page.cpu, "threads": max(threads),
    }  # fmt: skip


async def _health(watcher: Page, waited: list[float]) -> None:
    async with Connection(watcher) as connection:
        while True:
            begin = time.monotonic()
            await connection.get("/hub/health")
            took = time.monotonic() - begin
            waited.append(took * 1000)
            await asyncio.sleep(max(0.0, _TICK - took))


async def _recovered(there: Place, cookies: str, fresh: Iterator[int]) -> None:
    """GitLab is asked again, so that the next measure begins as the first did."""
    end = time.monotonic() + _AGAIN
    async with httpx.AsyncClient(base_url=there.hub.url, timeout=60, trust_env=False) as client:
        path = f"renku/projects/many/p{next(fresh)}"
        while (await client.get(path, headers={"Cookie": cookies})).status_code != 200:
            assert time.monotonic() < end, f"not within {_AGAIN} s"
            await asyncio.sleep(0.2)
