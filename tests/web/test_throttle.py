"""How often a user may write: without a limit until an admin sets one, then for pages and API together."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from renku_spawner.context.app_context import AppContext
from renku_spawner.domain.errors import TooManyRequestsError
from renku_spawner.domain.policy import HubPolicy
from renku_spawner.integrations.net.rate_limiter import SlidingWindowLimiter
from renku_spawner.integrations.project_source import HubProjectSource
from renku_spawner.persistence.database import Database
from renku_spawner.web.rate_limits import LimitedRequest, count_request
from tests.fixtures.clock import StoppedClock
from tests.fixtures.renku import xsrf

SENTENCE = "Each user may make 3 changes a minute, the limit that an admin has set. Please try again in "


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def context(clock: StoppedClock, sqlite_tables_url: str) -> Iterator[AppContext]:
    database = Database(sqlite_tables_url)
    counts = SlidingWindowLimiter(60, clock)
    yield AppContext(db=database, source=HubProjectSource(database), policy=HubPolicy(), request_counts=counts)
    database.dispose()


def allow(context: AppContext, changes: int) -> AppContext:
    return replace(context, policy=replace(context.policy, writes_per_minute=changes))


def change(context: AppContext, name: str = "alice") -> None:
    count_request(context, name, LimitedRequest.CHANGE)


def refused(count: Callable[..., None], *arguments: object) -> TooManyRequestsError:
    with pytest.raises(TooManyRequestsError) as refusal:
        count(*arguments)
    return refusal.value


def test_a_minute_takes_as_many_writes_as_are_allowed_and_says_when_the_next_fits(context, clock):
    three = allow(context, 3)
    for second in (0, 10, 20):
        clock.now = 1000.0 + second
        change(three)
    clock.now = 1020.5
    said = refused(change, three)
    assert (said.code, said.retry_after, said.message) == ("too_many", 40, f"{SENTENCE}40 s.")
    clock.now = 1000.0 + said.retry_after + 20
    change(three)
    assert refused(change, three).retry_after == 10


def test_the_window_slides_and_does_not_open_again_as_a_whole(context, clock):
    three = allow(context, 3)
    for second in (0, 59, 59):
        clock.now = 1000.0 + second
        change(three)
    clock.now = 1060.0
    change(three)
    assert refused(change, three).retry_after == 59


def test_what_is_refused_does_not_count(context, clock):
    one = allow(context, 1)
    change(one)
    for second in range(60):
        clock.now = 1000.0 + second
        assert refused(change, one).retry_after == 60 - second
    clock.now = 1060.0
    change(one)


def test_the_wait_is_never_nothing(context, clock):
    one = allow(context, 1)
    change(one)
    clock.now = 1059.999
    assert refused(change, one).retry_after == 1


def test_one_user_is_not_another(context):
    one = allow(context, 1)
    change(one, "alice")
    change(one, "bob")
    refused(change, one, "alice")
    refused(change, one, "bob")


def test_each_kind_of_request_is_counted_apart(context):
    one = replace(context, policy=replace(context.policy, writes_per_minute=1, image_checks_per_minute=1))
    for kind in LimitedRequest:
        count_request(one, "alice", kind)
    for kind in (LimitedRequest.CHANGE, LimitedRequest.IMAGE_CHECK):
        refused(count_request, one, "alice", kind)
    count_request(one, "alice", LimitedRequest.STORAGE_CHECK)


def test_a_copy_of_the_context_counts_with_the_original(context):
    change(allow(context, 1))
    refused(change, allow(context, 1))


def test_without_a_limit_nothing_is_remembered(context):
    for _ in range(1000):
        change(context)
    assert len(context.request_counts) == 0


def test_a_user_without_a_write_for_a_minute_is_forgotten(clock):
    counts = SlidingWindowLimiter(60, clock)
    for number in range(1000):
        assert counts.try_acquire(f"user-{number}", 5) == 0
    assert len(counts) == 1000
    clock.now += 30
    assert counts.try_acquire("user-0", 5) == 0  # stays, although it came first
    clock.now += 30
    assert counts.try_acquire("bob", 5) == 0
    assert len(counts) == 2
    assert [counts.try_acquire("user-0", 2), counts.try_acquire("user-0", 2)] == [0, 30]


# ---- on a live hub ---------------------------------------------------------------------------------------


async def test_pages_and_api_count_together_and_say_whose_limit_it_is_t16(renku_hub):
    hub = await renku_hub(Renku={"session_limits": {"writes_per_minute": 3}})
    page, api = await hub.visitor("alice"), hub.client("alice")
    for slug in ("one", "two"):
        made = await api.post("api/renku/projects", json={"path": f"alice/{slug}", "title": slug})
        assert made.status_code == 201, made.text
    form = {"title": "Three", "slug": "three", "_xsrf": xsrf(page)}
    assert (await page.post("renku/projects", data=form)).status_code == 303

    for _ in range(5):
        call = await api.post("api/renku/projects", json={"path": "alice/four", "title": "Four"})
        said = call.json()
        assert (call.status_code, said["status"], said["code"]) == (429, 429, "too_many")
        assert 1 <= int(call.headers["retry-after"]) <= 60
        assert said["message"] == f"{SENTENCE}{call.headers['retry-after']} s."
    shown = await page.post("renku/projects", data=form | {"slug": "four"})
    assert shown.status_code == 429
    assert 1 <= int(shown.headers["retry-after"]) <= 60
    assert f"{SENTENCE}{shown.headers['retry-after']} s." in shown.text
    assert "Too many changes at once" in shown.text
    assert (await api.delete("api/renku/projects/alice%2Fone")).status_code == 429

    seen = await api.get("api/renku/projects")  # looking is free
    assert {project["title"] for project in seen.json()["items"]} == {"one", "two", "Three"}
    assert (await page.get("renku/projects/new")).status_code == 200
    bob = await hub.client("bob").post("api/renku/projects", json={"path": "bob/one", "title": "One"})
    assert bob.status_code == 201, bob.text


async def test_without_an_admins_limit_there_is_none(renku_hub):
    api = (await renku_hub()).client("alice")
    answers = [
        await api.post("api/renku/projects", json={"path": f"alice/p{number}", "title": "P"}) for number in range(60)
    ]
    assert {answer.status_code for answer in answers} == {201}
