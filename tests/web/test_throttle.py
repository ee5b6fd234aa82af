"""How often somebody may write: without a limit until an admin sets one, then for pages and API together."""

import pytest

from renku_spawner.domain.errors import TooManyRequestsError
from renku_spawner.web.rate_limits import RequestRateLimiter
from tests.fixtures.renku import xsrf

SENTENCE = "Each user may make 3 changes a minute, the limit that an admin has set. Please try again in "


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def throttle(clock: Clock) -> RequestRateLimiter:
    return RequestRateLimiter(clock)


def refused(throttle: RequestRateLimiter, name: str, limit: int) -> TooManyRequestsError:
    with pytest.raises(TooManyRequestsError) as refusal:
        throttle.count_or_reject(name, limit)
    return refusal.value


def test_a_minute_takes_as_many_writes_as_are_allowed_and_says_when_the_next_fits(throttle, clock):
    for second in (0, 10, 20):
        clock.now = 1000.0 + second
        throttle.count_or_reject("alice", 3)
    clock.now = 1020.5
    said = refused(throttle, "alice", 3)
    assert (said.code, said.retry_after, said.message) == ("too_many", 40, f"{SENTENCE}40 s.")
    clock.now = 1000.0 + said.retry_after + 20
    throttle.count_or_reject("alice", 3)
    assert refused(throttle, "alice", 3).retry_after == 10


def test_the_window_slides_and_does_not_open_again_as_a_whole(throttle, clock):
    for second in (0, 59, 59):
        clock.now = 1000.0 + second
        throttle.count_or_reject("alice", 3)
    clock.now = 1060.0
    throttle.count_or_reject("alice", 3)
    assert refused(throttle, "alice", 3).retry_after == 59


def test_what_is_refused_does_not_count(throttle, clock):
    throttle.count_or_reject("alice", 1)
    for second in range(60):
        clock.now = 1000.0 + second
        assert refused(throttle, "alice", 1).retry_after == 60 - second
    clock.now = 1060.0
    throttle.count_or_reject("alice", 1)


def test_the_wait_is_never_nothing(throttle, clock):
    throttle.count_or_reject("alice", 1)
    clock.now = 1059.999
    assert refused(throttle, "alice", 1).retry_after == 1


def test_one_user_is_not_another(throttle):
    throttle.count_or_reject("alice", 1)
    throttle.count_or_reject("bob", 1)
    refused(throttle, "alice", 1)
    refused(throttle, "bob", 1)


def test_nobody_is_remembered_who_has_written_nothing_for_a_minute(throttle, clock):
    for number in range(1000):
        throttle.count_or_reject(f"user-{number}", 5)
    assert len(throttle) == 1000
    clock.now += 30
    throttle.count_or_reject("user-0", 5)  # stays, although it came first
    clock.now += 30
    throttle.count_or_reject("bob", 5)
    assert len(throttle) == 2
    refused_after = [throttle.count_or_reject("user-0", 2), refused(throttle, "user-0", 2).retry_after]
    assert refused_after == [None, 30]


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
