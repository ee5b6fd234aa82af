"""Tokens are renewed once, are never lost, and only GitLab's plain word ends a log-in."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from jupyterhub import orm
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from renku_spawner.domain.errors import RenkuError
from renku_spawner.hub import gitlab_login
from renku_spawner.hub.gitlab_login import ACCEPTED_TOKEN_SECONDS, MIN_TOKEN_LIFETIME_SECONDS, RenkuGitLabOAuthenticator
from renku_spawner.integrations.gitlab.client import GitLabClient, GitLabLoginRequired, GitLabUnavailable
from tests.fixtures.renku import until
from tests.integrations.gitlab import logins
from tests.integrations.gitlab.logins import Begin, Desk

lab, begin, desk = logins.lab, logins.begin, logins.desk

NO_ANSWER = ["429", "429:3600", "403", "500", "502", "503", "html", "bad json"]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """GitLab is asked again at once after it has failed."""
    monkeypatch.setattr(gitlab_login, "_GITLAB_BACKOFF_SECONDS", 0)
    monkeypatch.setattr(gitlab_login, "parse_retry_after", lambda value: 0)


# ---- what the hub does every five minutes, by what GitLab answers -----------------------------------------


async def test_a_valid_token_is_looked_at_and_stays(desk: Desk) -> None:
    before = await desk.of()
    assert await desk.looked_at() is True
    assert (desk.asked("user"), desk.asked("token")) == (1, 0)
    assert await desk.of() == before


async def test_a_token_that_ends_within_the_time_of_a_start_is_renewed_before(desk: Desk) -> None:
    before = await desk.of()
    await desk.change_state(renku_expires_at=time.time() + MIN_TOKEN_LIFETIME_SECONDS - 5)
    assert await desk.looked_at() is True
    assert (desk.asked("user"), desk.asked("token")) == (0, 1)
    assert await desk.works()
    assert (await desk.of()).access != before.access


async def test_a_token_that_gitlab_does_not_take_is_renewed(desk: Desk) -> None:
    desk.lab.expire("alice")
    assert await desk.looked_at() is True
    assert (desk.asked("user"), desk.asked("token")) == (1, 1)
    assert await desk.works()


async def test_no_answer_about_a_token_changes_nothing(desk: Desk, impatient: None) -> None:
    before = await desk.of()
    modes = [*NO_ANSWER, "reset", "truncated", "404", "scope"]
    for mode in modes:
        desk.lab.fault("/api/v4/user", mode)
        assert await desk.looked_at() is True, mode
    assert (desk.asked("user"), desk.asked("token")) == (len(modes), 0)
    assert await desk.of() == before


async def test_no_answer_to_a_renewal_logs_nobody_out(desk: Desk, impatient: None) -> None:
    await desk.expire()
    for mode in NO_ANSWER:
        desk.lab.fault("/oauth/token", mode, 2)
        assert await desk.looked_at() is True, mode
        with pytest.raises(GitLabUnavailable):
            await desk.of()
    assert await desk.works()


async def test_a_log_in_that_gitlab_has_ended_is_over_and_not_asked_about_again(desk: Desk) -> None:
    desk.lab.revoke("alice")
    old = (await desk.state())["access_token"]
    assert await desk.looked_at() is False
    for _ in range(3):
        with pytest.raises(GitLabLoginRequired):
            await desk.of(not_this=old)
    assert desk.asked("token") == 1
    assert await desk.works("bob")


async def test_a_blocked_user_is_logged_out_when_the_token_ends(desk: Desk) -> None:
    desk.lab.world.users["alice"].state = "blocked"
    assert await desk.looked_at() is True
    await desk.expire()
    assert await desk.looked_at() is False


async def test_without_an_auth_state_a_log_in_is_needed(desk: Desk) -> None:
    await desk.user("alice").save_auth_state(None)
    assert await desk.looked_at() is False
    with pytest.raises(GitLabLoginRequired):
        await desk.of()


async def test_who_is_not_there_has_no_token(desk: Desk) -> None:
    desk.app.db.add(orm.User(name="never"))
    desk.app.db.commit()
    for name in ("nobody", "never"):
        with pytest.raises(GitLabLoginRequired):
            await desk.of(name)


async def test_while_gitlab_is_away_it_is_left_alone(desk: Desk) -> None:
    desk.lab.fault("/api/v4/user", "502")
    for name in ("alice", "bob", "alice"):
        assert await desk.looked_at(name) is True
    await desk.expire("bob")
    with pytest.raises(GitLabUnavailable) as away:
        await desk.of("bob")
    assert 1 <= away.value.retry_after <= 15
    assert (desk.asked("user"), desk.asked("token")) == (1, 0)


# ---- many at once ----------------------------------------------------------------------------------------


async def test_who_asks_while_another_asks_takes_that_answer(desk: Desk) -> None:
    assert await asyncio.gather(*[desk.looked_at() for _ in range(6)]) == [True] * 6
    assert desk.asked("user") == 1


async def test_twenty_who_want_a_token_get_the_same(desk: Desk) -> None:
    await desk.expire()
    tokens = await asyncio.gather(*[desk.of() for _ in range(20)])
    assert len({token.access for token in tokens}) == desk.asked("token") == 1


async def test_twenty_whose_token_was_refused_get_the_same_new_one(desk: Desk) -> None:
    old = (await desk.of()).access
    tokens = await asyncio.gather(*[desk.of(not_this=old) for _ in range(20)])
    assert len({token.access for token in tokens}) == desk.asked("token") == 1
    assert tokens[0].access != old


async def test_who_is_slow_does_not_bring_the_old_pair_back(desk: Desk) -> None:
    """The lost update: a look that began with the old token ends after another request has renewed it."""
    old = (await desk.of()).access
    desk.lab.slow_seconds = 0.5
    desk.lab.world.users["alice"].email = "new@example.com"  # something to store
    desk.lab.fault("/api/v4/user", "slow", 1)
    slow = asyncio.ensure_future(desk.looked_at())
    await until(lambda: desk.asked("user"), seconds=60)
    new = await desk.of(not_this=old)
    assert await slow is True
    assert await desk.of() == new
    assert await desk.works()


async def test_a_pair_is_stored_although_nobody_waits_for_it(desk: Desk) -> None:
    await desk.expire()
    desk.lab.slow_seconds = 0.5
    desk.lab.fault("/oauth/token", "slow", 1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await desk.of()
    assert await desk.works()
    assert desk.asked("token") == 1


async def test_a_renewal_that_takes_long_is_not_waited_for(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    await desk.expire()
    monkeypatch.setattr(gitlab_login, "RENEWAL_WAIT_SECONDS", 0.1)
    monkeypatch.setattr(gitlab_login, "_GITLAB_BACKOFF_SECONDS", 0.2)
    desk.lab.slow_seconds = 0.5
    desk.lab.fault("/oauth/token", "slow", 1)
    with pytest.raises(GitLabUnavailable):
        await desk.of()
    monkeypatch.setattr(gitlab_login, "RENEWAL_WAIT_SECONDS", 30)
    await asyncio.sleep(0.3)
    assert await desk.works()
    assert desk.asked("token") == 1


async def test_a_busy_database_loses_no_pair(desk: Desk) -> None:
    failing = iter([True])

    def busy(session: Any) -> None:
        if next(failing, False):
            raise OperationalError("", None, Exception("database is locked"))

    await desk.expire()
    event.listen(desk.app.db, "before_commit", busy)
    assert await desk.looked_at() is True
    assert (desk.asked("token"), next(failing, None)) == (1, None)
    assert await desk.works()


async def test_a_token_is_renewed_again_and_again(desk: Desk) -> None:
    seen = set()
    for _ in range(5):
        await desk.expire()
        assert await desk.looked_at() is True
        seen.add((await desk.of()).access)
    assert len(seen) == desk.asked("token") == 5


async def test_who_logs_in_while_the_old_log_in_ends_stays(desk: Desk) -> None:
    old = (await desk.of()).access
    desk.lab.revoke("alice")
    desk.lab.slow_seconds = 0.5
    desk.lab.fault("/oauth/token", "slow", 1)
    waiting = asyncio.ensure_future(desk.of(not_this=old))
    await until(lambda: desk.asked("token"), seconds=60)
    pair = desk.lab.pair("alice")
    await desk.change_state(access_token=pair.access, refresh_token=pair.refresh)
    assert (await waiting).access == pair.access


async def test_a_page_waits_once_for_a_gitlab_that_hangs(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gitlab_login, "_TOKEN_CHECK_TIMEOUT_SECONDS", 0.3)
    monkeypatch.setattr(gitlab_login, "FAILED_WAIT_SECONDS", 60.0)  # on a busy machine
    desk.lab.fault("/api/v4/user", "hang")
    assert await desk.looked_at() is True
    with pytest.raises(GitLabUnavailable):
        await desk.of()
    assert await desk.works("bob")
    monkeypatch.setattr(gitlab_login, "FAILED_WAIT_SECONDS", 0.0)
    assert await desk.works()


# ---- what need not be asked ---------------------------------------------------------------------------------


PATH = "/projects/alice%2Fnotes"
LONG_AGO = ACCEPTED_TOKEN_SECONDS + 1


@pytest.fixture
async def gitlab(desk: Desk) -> AsyncIterator[GitLabClient]:
    """Asks with the tokens of the desk; alice's has just been looked at."""
    desk.lab.project("alice/notes")
    assert await desk.looked_at() is True
    desk.lab.calls.clear()
    made = GitLabClient(desk.lab.url, desk.tokens)
    yield made
    made.close()


async def test_a_token_that_gitlab_took_within_a_minute_is_not_asked_about(desk: Desk, gitlab: GitLabClient) -> None:
    for _ in range(3):
        assert (await desk.looked_at(), desk.asked("user")) == (True, 0)
    desk.tokens.record_accepted("alice", await desk.of(), ago=LONG_AGO)
    assert (await desk.looked_at(), desk.asked("user")) == (True, 1)
    desk.tokens.record_accepted("alice", await desk.of(), ago=LONG_AGO)
    await gitlab.get("alice", PATH)
    assert (await desk.looked_at(), desk.asked("user")) == (True, 1)


async def test_nothing_but_what_was_asked_for_says_that_a_token_is_good(desk: Desk, gitlab: GitLabClient) -> None:
    for number, mode in enumerate(["403", "404", "500", "html", "bad json"], 1):
        desk.tokens.record_accepted("alice", await desk.of(), ago=LONG_AGO)
        desk.lab.fault("/api/v4/projects", mode, 1)
        with pytest.raises(RenkuError):
            await gitlab.get("alice", PATH)
        assert (await desk.looked_at(), desk.asked("user")) == (True, number), mode


async def test_a_log_in_that_gitlab_has_ended_is_not_thought_good_for_a_minute(
    desk: Desk, gitlab: GitLabClient
) -> None:
    desk.lab.revoke("alice")
    with pytest.raises(GitLabLoginRequired):
        await gitlab.get("alice", PATH)
    assert await desk.looked_at() is False


async def test_what_gitlab_took_of_one_says_nothing_of_another(desk: Desk, gitlab: GitLabClient) -> None:
    await desk.looked_at("bob")
    desk.lab.revoke("bob")
    desk.tokens.record_accepted("bob", await desk.of("alice"), ago=0.0)
    assert await desk.looked_at("bob") is False
    assert await desk.looked_at("alice") is True


async def test_who_somebody_is_is_asked_every_five_minutes_all_the_same(desk: Desk) -> None:
    desk.tokens.record_accepted("alice", await desk.of(), ago=0.0)
    assert (await desk.looked_at(), desk.asked("user")) == (True, 1)


async def test_a_token_that_was_made_just_now_is_not_asked_about(desk: Desk, gitlab: GitLabClient) -> None:
    await desk.expire()
    await desk.of()
    assert (await desk.looked_at(), desk.asked("user"), desk.asked("token")) == (True, 0, 1)


# ---- what is kept ------------------------------------------------------------------------------------------


async def test_what_others_keep_beside_the_tokens_stays(desk: Desk) -> None:
    await desk.change_state(theirs={"a": 1})
    await desk.expire()
    await desk.looked_at()
    state = await desk.state()
    assert (state["theirs"], state["gitlab_user"]["username"]) == ({"a": 1}, "alice")
    assert state["scope"] == state["token_response"]["scope"].split()


async def test_a_new_address_at_gitlab_is_known_at_the_next_look(desk: Desk) -> None:
    desk.lab.world.users["alice"].email = "new@example.com"
    await desk.looked_at()
    assert (await desk.state())["gitlab_user"]["email"] == "new@example.com"


async def test_short_lives_are_not_renewed_for_ever(lab: Any, begin: Begin) -> None:
    """A GitLab whose tokens live shorter than a start may take."""
    lab.lifetime = 300
    desk = await begin()
    for _ in range(3):
        await desk.looked_at()
        await desk.of(left=900)
    assert desk.asked("token") == 0


async def test_a_gitlab_with_another_idea_of_the_time_is_asked_no_more_often(desk: Desk) -> None:
    response = (await desk.state())["token_response"]
    await desk.change_state(token_response={**response, "created_at": 0})
    await desk.of(left=900)
    assert desk.asked("token") == 0


async def test_the_state_of_an_authenticator_before_ours_is_read(desk: Desk) -> None:
    state = await desk.state()
    del state["renku_expires_at"]
    response = state["token_response"]
    await desk.user("alice").save_auth_state(state)
    assert (await desk.of()).expires_at == response["created_at"] + response["expires_in"]
    await desk.user("alice").save_auth_state({**state, "token_response": {}})
    assert (await desk.of()).expires_at == math.inf


class Teams(RenkuGitLabOAuthenticator):
    """An admin's own authenticator."""

    async def get_user_groups(self, auth_state: dict[str, Any]) -> set[str]:
        return set(auth_state["gitlab_user"]["email"].split("@")[1:])


async def test_a_look_at_groups_gives_the_hub_what_is_stored_just_now(begin: Begin) -> None:
    desk = await begin(Teams, manage_groups=True)
    desk.lab.expire("alice")
    said = await desk.looked_at()
    assert said["groups"] == ["example.com"]
    assert said["auth_state"] == await desk.state()
    desk.user("alice").sync_groups(said["groups"])
    assert await desk.looked_at() is True


async def test_an_admins_hook_sees_every_new_state_and_can_lose_none(begin: Begin) -> None:
    async def hook(authenticator: Any, state: dict[str, Any]) -> dict[str, Any]:
        if state.get("stumble"):
            raise ValueError
        return {**state, "seen": state.get("seen", 0) + 1}

    desk = await begin(modify_auth_state_hook=hook)
    await desk.expire()
    await desk.of()
    assert (await desk.state())["seen"] == 2
    await desk.change_state(stumble=True)
    await desk.expire()
    with pytest.raises(ValueError):
        await desk.of()
    assert await desk.works()


async def test_an_admins_hook_that_answers_is_obeyed(begin: Begin) -> None:
    desk = await begin(refresh_user_hook=lambda authenticator, user, state: user.name != "alice" and None)
    assert await desk.looked_at("alice") is False
    assert await desk.looked_at("bob") is True
    assert desk.asked("user") == 1
