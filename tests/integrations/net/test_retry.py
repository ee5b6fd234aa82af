"""What has failed is tried again after growing pauses, until it succeeds, attempts are used up or time is over."""

import asyncio

import pytest

from renku_spawner.integrations.net.retry import Backoff, retry

AT_ONCE = Backoff(first=0, longest=0)


class Work:
    """Work that fails as often as given."""

    def __init__(self, failures: int, error: type[Exception] = OSError) -> None:
        self.failures, self.error, self.attempts = failures, error, 0

    async def run(self) -> int:
        self.attempts += 1
        if self.attempts <= self.failures:
            raise self.error(self.attempts)
        return self.attempts


def test_pauses_grow_up_to_the_longest():
    backoff = Backoff(first=1, longest=20, factor=3, jitter=0)
    assert [backoff.get_pause(failures) for failures in (1, 2, 3, 4, 10_000)] == [1, 3, 9, 20, 20]


def test_jitter_shortens_pauses():
    pauses = {Backoff(first=8, longest=8, jitter=0.25).get_pause(1) for _ in range(50)}
    assert len(pauses) > 10
    assert min(pauses) >= 6
    assert max(pauses) <= 8


async def test_it_is_tried_until_it_succeeds_and_each_failure_is_told():
    told = []
    work = Work(3)
    result = await retry(
        work.run, errors=OSError, backoff=AT_ONCE, on_failure=lambda error, n: told.append((*error.args, n))
    )
    assert (result, told) == (4, [(1, 1), (2, 2), (3, 3)])


async def test_the_last_error_is_raised_when_attempts_are_used_up():
    work = Work(9)
    with pytest.raises(OSError, match="3"):
        await retry(work.run, errors=OSError, backoff=AT_ONCE, attempts=3)
    assert work.attempts == 3


async def test_no_attempt_begins_after_the_time_is_over():
    work, before = Work(9), asyncio.get_running_loop().time()
    with pytest.raises(OSError, match="1"):
        await retry(work.run, errors=OSError, backoff=Backoff(first=60, longest=60, jitter=0), within=59)
    assert asyncio.get_running_loop().time() - before < 30


async def test_other_errors_are_raised_at_once():
    work = Work(1, KeyError)
    with pytest.raises(KeyError):
        await retry(work.run, errors=(OSError, ValueError), backoff=AT_ONCE)
    assert work.attempts == 1
