"""Server-sent events through the real proxy."""

import asyncio
import json
import threading

import httpx

from renku_spawner.client import Busy, Client
from renku_spawner.domain.instances import InstanceStatus
from renku_spawner.web import events as pump
from tests.fixtures.renku import until


async def events(client, address, seen, *, headers=None):
    """Put what a stream says into *seen* until it ends."""
    async with client.stream("GET", address, headers=headers, timeout=300) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.headers["x-accel-buffering"] == "no"
        async for line in answer.aiter_lines():
            if line.startswith("event: ping"):
                seen.append("ping")
            if line == "event: replaced":
                seen.append("replaced")
            if line.startswith("data: "):
                seen.append(json.loads(line.removeprefix("data: ")))


def statuses(seen):
    return [each["status"] for each in seen if isinstance(each, dict)]


async def test_a_stream_begins_with_a_ping_and_tells_every_change(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    alice, seen = hub.client("alice"), []
    listening = asyncio.ensure_future(events(alice, "api/renku/sessions/events", seen))
    await until(lambda: seen, why="the first ping")
    assert seen == ["ping"]
    await alice.post(f"api/renku/projects/alice%2Fclimate/sessions/{session.id}/start")
    await until(lambda: "running" in statuses(seen))
    assert statuses(seen)[0] == "launching"
    await alice.post(f"api/renku/sessions/{session.id}/pause")
    await until(lambda: "paused" in statuses(seen))
    await alice.delete(f"api/renku/sessions/{session.id}/instance")
    await until(lambda: "inactive" in statuses(seen))
    listening.cancel()


async def test_a_stream_begins_with_what_there_is(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    alice, seen = hub.client("alice"), []
    await alice.post(f"api/renku/projects/alice%2Fclimate/sessions/{session.id}/start")
    await hub.becomes(session, InstanceStatus.RUNNING)
    listening = asyncio.ensure_future(events(alice, "api/renku/sessions/events", seen))
    await until(lambda: statuses(seen) == ["running"])
    assert seen[-1]["session"] == session.id
    listening.cancel()


async def test_the_stream_of_one_session_ends_when_it_has_settled(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    alice, seen = hub.client("alice"), []
    await events(alice, f"api/renku/projects/alice%2Fclimate/sessions/{session.id}/events", seen)
    assert statuses(seen) == ["inactive"]


async def test_nobody_hears_of_somebody_elses_instance(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    heard, seen = [], []
    listening = [
        asyncio.ensure_future(events(hub.client("alice"), "api/renku/sessions/events", heard)),
        asyncio.ensure_future(events(hub.client("bob"), "api/renku/sessions/events", seen)),
    ]
    await until(lambda: heard and seen)
    await hub.client("alice").post(f"api/renku/projects/alice%2Fclimate/sessions/{session.id}/start")
    await until(lambda: "running" in statuses(heard))
    assert statuses(seen) == []
    for each in listening:
        each.cancel()


async def test_a_page_that_is_closed_is_listened_for_no_longer(renku_hub):
    hub = await renku_hub()
    seen = []
    listening = asyncio.ensure_future(events(hub.client("alice"), "api/renku/sessions/events", seen))
    await until(lambda: seen)
    assert len(hub.parts.progress_streams) == 1
    listening.cancel()
    await until(lambda: len(hub.parts.progress_streams) == 0, why="the pump stopped")


async def test_the_oldest_of_more_than_fifty_streams_of_one_user_is_closed(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project(), variables={"TINY_WAIT": "yes"})
    alice = hub.client("alice")
    await alice.post(f"api/renku/projects/alice%2Fclimate/sessions/{session.id}/start")
    kinds = ["api/renku/sessions/events", f"api/renku/projects/alice%2Fclimate/sessions/{session.id}/events"]
    heard, listening = [], []

    async def listen(client, address):
        seen = []
        task = asyncio.ensure_future(events(client, address, seen))
        await until(lambda: statuses(seen), why="the stream has begun")
        heard.append(seen)
        listening.append(task)
        return task

    other = []
    bobs = asyncio.ensure_future(events(hub.client("bob"), kinds[0], other))
    await until(lambda: other)
    for number in range(50):
        await listen(alice, kinds[number % 2])
    assert not any(task.done() for task in listening), "fifty are allowed"
    for number in range(2):
        await listen(alice, kinds[0])
        await until(listening[number].done, why="the oldest is closed")
        assert heard[number][-1] == "replaced"
    assert [task.done() for task in listening] == [True] * 2 + [False] * 50
    assert not bobs.done(), "another user's are counted apart"
    await alice.post(f"api/renku/sessions/{session.id}/pause")
    await until(lambda: all(statuses(seen)[-1] in ("inactive", "paused") for seen in heard[2:]), why="the others hear")
    for each in (*listening, bobs):
        each.cancel()


async def test_the_client_waits_before_it_asks_again_for_a_stream_that_was_replaced(renku_hub, monkeypatch):
    hub = await renku_hub()
    session = await hub.session(await hub.project(), variables={"TINY_WAIT": "yes"})
    alice, ref = hub.client("alice"), "alice/climate"
    await alice.post(f"api/renku/projects/alice%2Fclimate/sessions/{session.id}/start")
    token = alice.headers["Authorization"].removeprefix("token ")
    monkeypatch.setattr(pump, "MAX_STREAMS_PER_USER", 1)

    def first_two():
        with Client(hub.url, token) as client:
            told = client.session_events(ref, session.id)
            first = next(told)
            follower.set()
            try:
                list(told)
            except Busy as busy:
                return first.status, busy.code, busy.retry_after
            return None

    follower = threading.Event()
    older = asyncio.ensure_future(asyncio.to_thread(first_two))
    await asyncio.to_thread(follower.wait, 60)
    newer = asyncio.ensure_future(events(alice, "api/renku/sessions/events", []))
    assert await older == ("launching", "stream_replaced", 30)
    newer.cancel()
    await alice.post(f"api/renku/sessions/{session.id}/pause")


async def test_the_events_of_a_page_need_its_token_in_the_address(renku_hub):
    hub = await renku_hub()
    alice = await hub.visitor("alice")
    headers = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}
    assert (await alice.get("api/renku/sessions/events", headers=headers)).status_code == 403
    session = await hub.session(await hub.project())
    page = (await alice.get(f"renku/projects/alice/climate/-/sessions/{session.id}")).text
    address = page.partition('data-events="')[2].partition('"')[0].replace("&amp;", "&")
    seen = []
    listening = asyncio.ensure_future(events(alice, str(httpx.URL(hub.url).join(address)), seen, headers=headers))
    await until(lambda: seen == ["ping"])
    listening.cancel()
