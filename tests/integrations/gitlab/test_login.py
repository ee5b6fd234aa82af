"""People log in at GitLab, with what is needed, and are who they are there."""

from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
from jupyterhub import orm

from renku_spawner.config.gitlab import GITLAB_LOGIN_SCOPES
from renku_spawner.hub import gitlab_login
from tests.fixtures.fair import Stopwatch
from tests.integrations.gitlab import logins
from tests.integrations.gitlab.logins import Hub, Start

renku_hub, lab, start, hub = logins.renku_hub, logins.lab, logins.start, logins.hub


def path(hub: Hub, page: str) -> str:
    return urlsplit(hub.hub.url).path + page


def names(hub: Hub) -> set[str]:
    """The people whom the hub has by now; `user` is in it from the start."""
    return {name for (name,) in hub.hub.app.db.query(orm.User.name)} - {"user"}


def code_in(answer: httpx.Response) -> str:
    """The address with the code that GitLab sent a browser to."""
    return next(str(one.url) for one in answer.history if "code=" in str(one.url))


async def test_who_logs_in_is_asked_for_what_is_needed_and_comes_back_to_the_page(hub: Hub) -> None:
    client, page = await hub.browser(), path(hub, "renku/sessions")
    sent = await client.get("oauth_login", params={"next": page}, follow_redirects=False)
    asked = {key: value[0] for key, value in parse_qs(urlsplit(sent.headers["Location"]).query).items()}
    assert asked["scope"].split() == list(GITLAB_LOGIN_SCOPES)
    assert (asked["code_challenge_method"], len(asked["code_challenge"])) == ("S256", 43)
    answer = await hub.log_in(client, "alice", f"oauth_login?next={page}")
    assert (answer.status_code, answer.url.path) == (200, unquote(page))
    token = await hub.of("alice")
    assert (token.user_id, token.scopes) == (hub.lab.world.users["alice"].id, set(GITLAB_LOGIN_SCOPES))
    assert token.access not in repr(token)


async def test_what_an_admin_asks_for_besides_is_asked_for_too(start: Start) -> None:
    hub = await start(scope=["email", "read_user"])
    sent = await (await hub.browser()).get("oauth_login", follow_redirects=False)
    asked = parse_qs(urlsplit(sent.headers["Location"]).query)["scope"][0].split()
    assert asked == ["email", "read_user", "openid", "read_api", "read_repository"]


async def test_a_code_lets_one_browser_in_once(hub: Hub) -> None:
    """What is stolen on its way is of no use without the verifier, and nothing is of use twice."""
    client, thief = await hub.browser(), await hub.browser()
    answer = await hub.log_in(client, "alice")
    again = await client.get(code_in(answer))
    await thief.get("oauth_login", follow_redirects=False)
    stolen = await thief.get(code_in(answer))
    assert (again.status_code, stolen.status_code) == (400, 400)
    assert "hub/login" not in str((await client.get("home")).url)
    assert "hub/login" in str((await thief.get("home")).url)


async def test_less_than_is_needed_is_refused_with_what_it_is_for(hub: Hub) -> None:
    hub.lab.withheld = {"read_user", "read_repository"}
    answer = await hub.log_in(await hub.browser(), "alice")
    assert answer.status_code == 403
    for scope in ("read_user", "read_repository"):
        assert f"{scope} ({GITLAB_LOGIN_SCOPES[scope]})" in answer.text
    assert "read_api (" not in answer.text
    assert names(hub) == set()


async def test_whatever_gitlab_does_at_a_log_in_is_told(hub: Hub) -> None:
    away, shut = (503, "GitLab does not answer"), (403, "GitLab does not let this account in")
    for where, mode, (status, words) in [
        ("/oauth/token", "500", away),
        ("/oauth/token", "bad json", away),
        ("/oauth/token", "reset", away),
        ("/api/v4/user", "502", away),
        ("/api/v4/user", "html", away),
        ("/api/v4/user", "429", away),
        ("/api/v4/user", "403", shut),
    ]:
        hub.lab.fault(where, mode, 1)
        answer = await hub.log_in(await hub.browser(), "alice")
        assert (answer.status_code, words in answer.text) == (status, True), (where, mode)
    assert names(hub) == set()


async def test_a_gitlab_that_fails_while_groups_are_looked_at_is_told(start: Start) -> None:
    hub = await start(allow_all=False, allowed_gitlab_groups={"7"})
    hub.lab.fault("/api/v4/version", "502")
    answer = await hub.log_in(await hub.browser(), "alice")
    assert (answer.status_code, "GitLab does not answer" in answer.text) == (503, True)


async def test_who_is_in_before_more_is_asked_for_logs_in_again_for_it(hub: Hub) -> None:
    alice = await hub.visitor("alice")
    hub.hub.app.authenticator.require_scopes({**GITLAB_LOGIN_SCOPES, "write_repository": "to push from your sessions"})
    assert await hub.page(alice) == 302
    assert (await alice.get("oauth_login")).status_code == 200
    hub.look_again("alice")
    assert await hub.page(alice) == 200
    assert "write_repository" in (await hub.of("alice")).scopes


# ---- who is who --------------------------------------------------------------------------------------


async def test_somebody_renamed_in_gitlab_keeps_the_name_and_what_is_theirs_here(hub: Hub) -> None:
    await hub.visitor("alice")
    rename(hub, "alice", "alicia")
    answer = await hub.log_in(await hub.browser(), "alicia")
    assert answer.status_code == 200
    assert names(hub) == {"alice"}
    assert (await hub.state("alice"))["gitlab_user"]["username"] == "alicia"


async def test_a_name_that_another_has_given_up_opens_nothing_of_theirs(start: Start) -> None:
    hub = await start(admin_users={"alice"})
    await hub.visitor("alice")
    first = await hub.of("alice")
    rename(hub, "alice", "alicia")
    number = rename(hub, "bob", "alice")
    assert (await hub.log_in(await hub.browser(), "alice")).status_code == 200
    assert names(hub) == {"alice", f"alice-{number}"}
    assert not hub.user(f"alice-{number}").admin
    assert await hub.of("alice") == first
    assert (await hub.of(f"alice-{number}")).user_id == number


async def test_what_a_hub_knew_before_renku_counts_too(hub: Hub) -> None:
    """Its authenticator noted nothing but the auth state."""
    await hub.visitor("alice")
    hub.user("alice").orm_user.user_info = None
    hub.hub.app.db.commit()
    rename(hub, "alice", "alicia")
    number = rename(hub, "bob", "alice")
    await hub.log_in(await hub.browser(), "alice")
    assert f"alice-{number}" in names(hub)


async def test_the_lost_key_of_the_auth_state_gives_nobody_away(hub: Hub) -> None:
    await hub.visitor("alice")
    await hub.user("alice").save_auth_state(None)
    number = rename(hub, "alice", "alicia") and rename(hub, "bob", "alice")
    await hub.log_in(await hub.browser(), "alice")
    assert names(hub) == {"alice", f"alice-{number}"}


async def test_a_name_deleted_in_the_hub_is_free(hub: Hub) -> None:
    await hub.visitor("alice")
    rename(hub, "alice", "alicia")
    hub.hub.app.users.delete(hub.user("alice"))
    rename(hub, "bob", "alice")
    await hub.log_in(await hub.browser(), "alice")
    await hub.log_in(await hub.browser(), "alicia")
    assert names(hub) == {"alice", "alicia"}


async def test_nobody_gets_in_by_a_name_made_to_look_like_a_number(hub: Hub) -> None:
    hub.lab.user("alice-900", id=901)
    await hub.visitor("alice-900")
    await hub.visitor("alice")
    rename(hub, "alice", "alicia")
    hub.lab.user("alice", id=900)
    answer = await hub.log_in(await hub.browser(), "alice")
    assert answer.status_code == 403
    assert "Another user of this hub has your GitLab name, alice." in answer.text


def rename(hub: Hub, old: str, new: str) -> int:
    """Their number, which stays."""
    user = hub.lab.world.users.pop(old)
    user.username = new
    hub.lab.world.users[new] = user
    return user.id


# ---- what nobody gets ----------------------------------------------------------------------------------


async def test_people_read_no_auth_state(hub: Hub) -> None:
    """Only an admin of the hub can, by the role that JupyterHub lets nobody change."""
    await hub.visitor("alice")
    shown: dict[str, Any] = (await hub.hub.client("alice").get("api/users/alice")).json()
    assert shown["name"] == "alice"
    assert "auth_state" not in shown
    held = {scope for role in hub.hub.app.db.query(orm.Role) if role.name != "admin" for scope in role.scopes}
    assert "custom:renku:admin" in held
    assert not {scope for scope in held if scope.startswith("admin:auth_state")}


# ---- while somebody is in ---------------------------------------------------------------------------------


async def test_six_pages_at_once_renew_once_and_all_come(hub: Hub) -> None:
    alice = await hub.visitor("alice")
    await hub.expire("alice")
    assert await hub.at_once(alice, 6) == [200] * 6
    assert hub.asked("token") == 1
    assert await hub.works("alice")


async def test_a_page_after_the_end_of_a_log_in_leads_to_the_next(hub: Hub) -> None:
    alice = await hub.visitor("alice")
    hub.lab.revoke("alice")
    assert await hub.page(alice) == 302
    assert (await alice.get("oauth_login")).status_code == 200
    assert await hub.page(alice) == 200
    assert await hub.works("alice")


async def test_a_gitlab_that_hangs_holds_up_one_page_and_nobody_else(hub: Hub, monkeypatch: Any) -> None:
    monkeypatch.setattr(gitlab_login, "_TOKEN_CHECK_TIMEOUT_SECONDS", 0.5)
    alice, bob = await hub.visitor("alice"), await hub.visitor("bob")
    hub.lab.mode = "hang"
    took = Stopwatch()
    assert await hub.page(alice) == 200
    assert took() < 30
    asked = hub.asked("user")
    assert await hub.page(bob) == 200
    assert hub.asked("user") == asked


async def test_groups_follow_gitlab_and_no_token_is_lost_to_that(start: Start) -> None:
    hub = await start(manage_groups=True, auth_state_groups_key=lambda state: [state["gitlab_user"]["email"]])
    alice = await hub.visitor("alice")
    assert [group.name for group in hub.user("alice").groups] == ["alice@example.com"]
    hub.lab.world.users["alice"].email = "new@example.com"
    assert await hub.page(alice) == 200
    hub.look_again("alice")
    hub.lab.expire("alice")
    assert await hub.page(alice) == 200
    assert [group.name for group in hub.user("alice").groups] == ["new@example.com"]
    assert await hub.works("alice")
