"""Requests for the same thing share one task, and requests of the same moment share one query."""

import asyncio
from collections.abc import Iterable

import pytest

from renku_spawner.integrations.net.single_flight import BatchLoader, SingleFlight


async def test_parallel_requests_for_the_same_thing_share_one_task():
    flights, started, open_gate = SingleFlight(), [], asyncio.Event()

    async def work() -> int:
        started.append(1)
        await open_gate.wait()
        return 7

    asked = [asyncio.ensure_future(flights.run("key", work)) for _ in range(3)]
    await asyncio.sleep(0)
    assert len(flights.list_tasks()) == 1
    asked[0].cancel()
    open_gate.set()
    assert await asyncio.gather(*asked[1:]) == [7, 7]
    assert (len(started), flights.list_tasks()) == (1, [])


async def test_closing_cancels_what_runs():
    flights = SingleFlight()
    task = flights.start("key", asyncio.Event().wait)
    await flights.close()
    assert task.cancelled()


async def test_requests_of_the_same_moment_share_one_query():
    loader: BatchLoader[str, str] = BatchLoader()
    queries: list[list[str]] = []

    async def load_many(keys: Iterable[str]) -> dict[str, str]:
        queries.append(list(keys))
        return {key: key.upper() for key in queries[-1]}

    assert await asyncio.gather(*(loader.load(key, load_many) for key in "aba")) == ["A", "B", "A"]
    assert await loader.load("c", load_many) == "C"
    assert queries == [["a", "b"], ["c"]]


async def test_a_query_that_fails_fails_all_that_share_it():
    loader: BatchLoader[str, str] = BatchLoader()

    async def load_many(keys: Iterable[str]) -> dict[str, str]:
        raise LookupError(*keys)

    problems = await asyncio.gather(*(loader.load(key, load_many) for key in "ab"), return_exceptions=True)
    assert [type(problem) for problem in problems] == [LookupError, LookupError]
    with pytest.raises(LookupError):
        await loader.load("c", load_many)
