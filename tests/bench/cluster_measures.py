"""The measures on a cluster beside plain KubeSpawner: B4 (starts), B5 (restart), B6, B7 and B13 (streams), B11."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from . import restart
from .cluster import SIDES, Cluster, Side, cluster, sides
from .load import percentile

Sample = dict[str, Any]
POD_SIZE = 8000  # bytes
CASES = {
    "image-invalid-name": "invalid name",
    "image-missing-tag": "second pull error",
    "exit-1-onfailure": "third crash",
}
_SETTLE = 5.0  # seconds after many objects were made


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is measured: numbers of pods, events, starts, streams; durations in seconds.

    `shares`, `groups` and `tries` are samples of each case of B7, B13 and B11. `restarted` are servers that run when
    hubs start again, while `defined` sessions (the most of them) are stored; with `few` that run, both numbers of
    these are compared.
    """

    foreign: int = 5000
    events: int = 10_000
    many_events: int = 35_000
    rounds: int = 5
    one_by_one: int = 10
    at_once: int = 20
    idle: float = 12.0
    streams: int = 64
    listen: float = 15.0
    cases: tuple[str, ...] = tuple(CASES)
    in_a_row: int = 50
    timeout: int = 45
    shares: int = 5
    groups: int = 4
    tries: int = 3
    restarted: tuple[int, ...] = (1000, 5000)
    restarts: int = 2
    few: int = 100
    defined: tuple[int, ...] = (10, 100_000)
    counted: tuple[str, ...] = ("requests", "commits")

    @classmethod
    def of(cls, stored: dict[str, Any]) -> Plan:
        """From samples.json."""
        return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in stored.items()})


@asynccontextmanager
async def both(folder: Path, people: list[str], **settings: Any) -> AsyncIterator[tuple[Cluster, tuple[Side, Side]]]:
    async with cluster(folder) as on, sides(folder, on, people, **settings) as hubs:
        yield on, hubs


def _people(count: int) -> list[str]:
    return [f"mira{number}" for number in range(count)]


async def starts(folder: Path, plan: Plan) -> list[Sample]:
    """B4: starts of pods that are ready after 50 ms, one by one and at once, without and with pods of others."""
    samples: list[Sample] = []
    each = plan.one_by_one + plan.at_once
    for foreign in (0, plan.foreign):
        people = iter(_people(plan.rounds * each + 1))
        async with both(folder / str(foreign), _people(plan.rounds * each + 1)) as (on, hubs):
            await on.ask("seed", pods=foreign, size=POD_SIZE, events=2 * foreign)
            warm = next(people)
            for side in hubs:
                await side.start(warm)
            for number in range(plan.rounds):
                for how, count in (("one by one", plan.one_by_one), ("at once", plan.at_once)):
                    names = [next(people) for _ in range(count)]
                    for side in hubs:
                        found = await _started(on, side, names, together=how == "at once")
                        samples.append({"round": number, "foreign": foreign, "how": how, "side": side.name, **found})
    return samples


async def _started(on: Cluster, side: Side, names: list[str], *, together: bool) -> Sample:
    """CPU-ms, wall-clock ms and requests for each start."""
    await on.ask("forget")
    commits = await side.commits()
    used, begin = side.hub.cpu(), time.monotonic()
    if together:
        await asyncio.gather(*(side.start(name) for name in names))
    else:
        for name in names:
            await side.start(name)
    used, wall = side.hub.cpu() - used, time.monotonic() - begin
    requests = (await on.ask("seen"))[side.name]["requests"]
    return {
        "cpu": round(used * 1000 / len(names), 3), "wall": round(wall * 1000 / len(names), 3),
        "commits": round((await side.commits() - commits) / len(names), 3),
        "requests": {what: round(count / len(names), 3) for what, count in requests.items()
                     if not what.startswith("watch")},
    }  # fmt: skip


async def watching(folder: Path, plan: Plan) -> list[Sample]:
    """B6: hubs that only watch, with one server each. Memory is what came with the first look at the cluster."""
    async with both(folder, ["mira"]) as (on, hubs):
        await on.ask("seed", pods=plan.foreign, size=POD_SIZE, events=plan.events)
        before = {side.name: side.resident() for side in hubs}
        first = {side.name: await _first_look(side) for side in hubs}
        samples: list[Sample] = []
        for number in range(plan.rounds):
            await on.ask("forget")
            used = {side.name: side.hub.cpu() for side in hubs}
            stalls = await asyncio.gather(*(side.longest_stall(plan.idle) for side in hubs))
            seen = await on.ask("seen")
            for side, stall in zip(hubs, stalls, strict=True):
                samples.append({
                    "round": number, "side": side.name, "stall": round(stall, 2),
                    "share": round((side.hub.cpu() - used[side.name]) / plan.idle, 5),
                    "bytes": seen[side.name]["bytes"], "first_stall": round(first[side.name], 2),
                    "per_pod": round((side.resident() - before[side.name]) / max(1, plan.foreign)),
                })  # fmt: skip
        return samples


async def _first_look(side: Side) -> float:
    """The longest stall (ms) while the hub starts its first server, for which it has to look at the cluster."""
    stall = asyncio.ensure_future(side.longest_stall(_SETTLE))
    await asyncio.sleep(0.2)  # the probe runs before the start begins
    await side.start("mira")
    return await stall


async def streams(folder: Path, plan: Plan) -> list[Sample]:
    """B13 and B7: streams of starts that are under way; first what they tell and when, then what many events cost."""
    people = _people(plan.streams)
    samples: list[Sample] = []
    async with both(folder, people, patience=0.01, timeout=600) as (on, hubs):
        await on.ask("mode", mode="pending")
        for side in hubs:
            for name in people:
                answer = await side.begin(name)
                assert answer.status_code in (201, 202), answer.text
        await _until(partial(_count, on, 2 * plan.streams), 60)
        for side in hubs:
            samples += _in_groups(side, await _latency(on, side, people), plan.groups)
        for events in (0, plan.many_events):
            await on.ask("seed", pods=0, size=0, events=events)
            await _quiet(on)
            for side in hubs:
                shares = await _heard_shares(side, people, plan)
                samples += [
                    {"what": "share", "round": number, "events": events, "side": side.name, "share": share}
                    for number, share in enumerate(shares)
                ]
    return samples


def _in_groups(side: Side, late: list[float | None], groups: int) -> list[Sample]:
    samples = []
    for number in range(groups):
        some = late[number::groups]
        heard = [one for one in some if one is not None]
        found = {"told": len(some), "heard": len(heard), "p50": _ms(heard, 50), "p99": _ms(heard, 99)}
        samples.append({"what": "latency", "round": number, "side": side.name, **found})
    return samples


async def _count(on: Cluster, least: int) -> bool:
    return len(await on.ask("pods")) >= least


async def _has(on: Cluster, person: str) -> bool:
    """Whether both hubs have made the pod of that person."""
    return sum(f"-{person}-" in f"-{pod}-" for pod in await on.ask("pods")) >= len(SIDES)


async def _until(condition: Callable[[], Awaitable[bool]], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        await asyncio.sleep(0.1)


async def _quiet(on: Cluster) -> None:
    """Until both hubs have heard of everything: for 2 s nothing is sent."""
    last, since, end = -1, time.monotonic(), time.monotonic() + 120
    while time.monotonic() < min(since + 2, end):
        sent = sum(one["bytes"] for one in (await on.ask("seen")).values())
        if sent != last:
            last, since = sent, time.monotonic()
        await asyncio.sleep(0.25)


async def _heard_shares(side: Side, people: list[str], plan: Plan) -> list[float]:
    """The share of the loop that goes into streams to all of *people*, once all are open, again and again."""
    async with _listening(side, people) as heard:
        await _until(partial(_all_hear, heard), 60)
        return [await _share(side, plan.listen / plan.shares) for _ in range(plan.shares)]


async def _share(side: Side, seconds: float) -> float:
    begin, used = time.monotonic(), side.hub.cpu()
    await asyncio.sleep(seconds)
    return round((side.hub.cpu() - used) / (time.monotonic() - begin), 5)


Heard = list[tuple[float, str]]


@asynccontextmanager
async def _listening(side: Side, people: list[str]) -> AsyncIterator[dict[str, Heard]]:
    """What the stream of each person tells, with the moment (monotonic) when it came."""
    heard: dict[str, Heard] = {name: [] for name in people}
    tasks = [asyncio.ensure_future(_listen(side, name, heard[name])) for name in people]
    try:
        yield heard
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    broken = [one for one in results if isinstance(one, Exception)]
    assert not broken, broken[0]


async def _listen(side: Side, person: str, heard: Heard) -> None:
    path = "api/renku/sessions/events" if side.name == "ours" else f"api/users/{person}/servers/{side.server}/progress"
    async with side.client.stream("GET", path, headers=side.headers(person)) as answer:
        assert answer.status_code == 200, f"{path}: {answer.status_code}"
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                heard.append((time.monotonic(), line[6:]))


async def _latency(on: Cluster, side: Side, people: list[str]) -> list[float | None]:
    """ms from a change in the cluster to its text on the stream of who started that pod; None if it is missing."""
    pods = await on.ask("pods")
    own = {name: next(pod for pod in pods if _belongs(pod, name, side)) for name in people}
    late: list[float | None] = []
    async with _listening(side, people) as heard:
        await _until(partial(_all_hear, heard), 60)
        said: list[tuple[str, float, str]] = []
        for pod in own.values():
            await on.ask("place", pod=pod)
        await asyncio.sleep(1.5)  # longer than anybody's poll: what follows is heard by itself
        for name, pod in own.items():
            message = f"Pulling image of {name}."
            moment = await on.ask("tell", pod=pod, reason="Pulling", message=message)
            said.append((name, moment, '"stage":"pulling"' if side.name == "ours" else message))
            await asyncio.sleep(0.05)
        end = time.monotonic() + 10
        while (not late or None in late) and time.monotonic() < end:
            await asyncio.sleep(0.2)
            late = [_after(heard[one[0]], *one[1:]) for one in said]
    return late


def _ms(late: list[float], which: int) -> float:
    return round(percentile(late, which), 2) if late else 0.0


async def _all_hear(heard: dict[str, Heard]) -> bool:
    return all(heard.values())


def _belongs(pod: str, person: str, side: Side) -> bool:
    """Pods are named after who started them and which server it is; names of people have no end in common."""
    mine = side.server[:8].lower() in pod
    return mine and f"-{person}-" in f"-{pod}-"


def _after(heard: Heard, moment: float, text: str) -> float | None:
    return next(((at - moment) * 1000 for at, line in heard if at >= moment and text in line), None)


async def verdicts(folder: Path, plan: Plan) -> list[Sample]:
    """B11: seconds from what went wrong in the cluster to the reason on the stream; many in a row at the end."""
    tried = [(case, f"{case}-{number}") for case in plan.cases for number in range(plan.tries)]
    people = [*(person for _, person in tried), *_people(plan.in_a_row)]
    async with both(folder, people, patience=0.01, timeout=plan.timeout) as (on, (plain, ours)):
        samples: list[Sample] = []
        for case, person in tried:
            await on.ask("mode", mode=case)
            for side in (plain, ours):
                samples.append({"case": case, "person": person, "side": side.name, "asked": time.monotonic()})
                await side.begin(person)
            await _until(partial(_has, on, person), 10)
        ends = await asyncio.gather(*(_ended(plain if s["side"] == "plain" else ours, s["person"]) for s in samples))
        moments = await on.ask("moments")
        for sample, (end, reason) in zip(samples, ends, strict=True):
            side = plain if sample["side"] == "plain" else ours
            when = _moment(moments, sample["case"], sample.pop("person"), side)
            since_start = end - sample.pop("asked")
            sample |= {"seconds": round(end - when, 3) if when else None, "since_start": round(since_start, 3),
                       "reason": reason}  # fmt: skip
        await on.ask("mode", mode="image-invalid-name")
        row = _people(plan.in_a_row)
        await asyncio.gather(*(ours.begin(name) for name in row))
        failed = [reason for _, reason in await asyncio.gather(*(_ended(ours, name) for name in row))]
        alive = (await ours.client.get("health")).is_success
        samples.append({"case": "in a row", "side": "ours", "failed": len(failed), "alive": alive})
        return samples


def _moment(moments: dict[str, dict[str, float]], case: str, person: str, side: Side) -> float | None:
    pods = [pod for pod in moments if _belongs(pod, person, side)]
    return moments[pods[0]].get(CASES[case]) if pods else None


async def _ended(side: Side, person: str) -> tuple[float, str]:
    """When (monotonic) who started it can know that it failed, and the words for it."""
    end = time.monotonic() + 180
    while time.monotonic() < end:
        if found := await _told(side, person):
            return time.monotonic(), found
        await asyncio.sleep(0.1)
    raise AssertionError(f"{side.name}: no verdict for {person}")


async def _told(side: Side, person: str) -> str:
    """Ours says it of the instance; of a plain hub it is the end of its progress stream."""
    if side.name == "plain":
        heard: Heard = []
        async with asyncio.timeout(180):
            await _listen(side, person, heard)
        return str(json.loads(heard[-1][1]).get("message")) if heard else ""
    answer = await side.client.get("api/renku/sessions", headers=side.headers(person))
    found = [one["instance"] for one in answer.json()["items"]]
    return str(found[0]["message"] or found[0]["reason"]) if found and found[0]["status"] == "failed" else ""


async def restarts(folder: Path, plan: Plan) -> list[Sample]:
    """B5: starts of hubs whose servers run on; ours also with few and with many sessions that are only stored."""
    most = max(plan.defined)
    cases = {restart.Case(running=plan.few, defined=defined): ("ours",) for defined in plan.defined}
    cases |= {restart.Case(running=count, defined=most): SIDES for count in plan.restarted}
    return await restart.measure(folder, cases, plan.restarts, POD_SIZE)


async def everything(folder: Path, plan: Plan) -> dict[str, list[Sample]]:
    """The raw samples of all measures."""
    measures = {
        "starts": starts, "watching": watching, "fanout": streams, "verdicts": verdicts, "restarts": restarts,
    }  # fmt: skip
    return {name: await measure(folder / name, plan) for name, measure in measures.items()}
