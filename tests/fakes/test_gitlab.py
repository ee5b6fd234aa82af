"""The fake GitLab: people, projects and their rights, tokens, and everything that goes wrong."""

import base64
import hashlib
import re
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from tests.fakes.gitlab import FakeGitLab

BACK = "http://127.0.0.1:1/hub/oauth_callback"
VERIFIER = "v" * 50
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture
async def lab():
    async with FakeGitLab() as lab:
        for name in ("alice", "bob", "carol"):
            lab.user(name)
        yield lab


@pytest.fixture
async def ask(lab):
    """GET a path of the API as somebody, or nobody."""
    async with httpx.AsyncClient(base_url=f"{lab.url}/api/v4", timeout=300, trust_env=False) as client:

        async def get(path, name=None, **more):
            headers = {"Authorization": f"Bearer {lab.token(name)}"} if name else {}
            return await client.get(path, headers=headers, **more)

        yield get


async def test_a_private_project_is_as_missing_to_strangers(lab, ask):
    project = lab.project("ada/climate", owner="alice")
    hidden, missing = await ask(f"projects/{project.id}", "bob"), await ask("projects/99999", "bob")
    assert (hidden.status_code, hidden.json()) == (missing.status_code, missing.json())
    assert (await ask(f"projects/{project.id}", "alice")).json()["path_with_namespace"] == "ada/climate"


async def test_roles_come_from_groups_invitations_and_projects(lab, ask):
    project, friends = lab.project("ada/lab/climate"), lab.group("friends")
    lab.member(lab.group("ada"), "alice", 30)
    lab.member(friends, "bob", 50)
    lab.share(project, friends, 20)
    lab.member(project, "carol", 10, {"read_code": True})
    for name, level in {"alice": 30, "bob": 20, "carol": 10}.items():
        found = await ask(f"projects/{project.id}/members/all/{lab.world.users[name].id}", name)
        assert found.json()["access_level"] == level
    assert found.json()["member_role"]["read_code"] is True
    lab.remove_member(project, "carol")
    assert (await ask(f"projects/{project.id}", "carol")).status_code == 404


async def test_a_guest_of_a_private_project_is_not_told_its_branch(lab, ask):
    project = lab.project("ada/climate")
    lab.member(project, "bob", 10)
    assert "default_branch" not in (await ask(f"projects/{project.id}", "bob")).json()
    lab.member(project, "bob", 20)
    assert (await ask(f"projects/{project.id}", "bob")).json()["default_branch"] == "main"


async def test_minimal_access_to_a_group_is_none_to_its_projects(lab, ask):
    project = lab.project("ada/climate")
    lab.member(lab.group("ada"), "bob", 5)
    assert (await ask(f"projects/{project.id}", "bob")).status_code == 404


async def test_internal_projects_are_hidden_from_external_users_and_strangers(lab, ask):
    project = lab.project("ada/open", visibility="internal")
    lab.user("eve", external=True)
    asked = {name: (await ask(f"projects/{project.id}", name)).status_code for name in ("bob", "eve", None)}
    assert asked == {"bob": 200, "eve": 404, None: 404}


async def test_an_old_path_leads_to_the_number_until_it_is_taken(lab, ask):
    project = lab.project("ada/climate", owner="alice")
    project.move("grace/weather")
    moved = await ask("projects/ada%2Fclimate/members/all?page=1", "alice")
    assert (moved.status_code, urlsplit(moved.headers["Location"]).path) == (
        301,
        f"/api/v4/projects/{project.id}/members/all",
    )
    assert (await ask("projects/ada%2Fclimate", "bob")).status_code == 404
    other = lab.project("ada/climate", owner="alice")
    assert (await ask("projects/ada%2Fclimate", "alice")).json()["id"] == other.id


async def test_lists_come_in_pages_by_number_and_by_key(lab, ask):
    made = [lab.project(f"ada/p{number}", owner="alice").id for number in range(5)]
    page = await ask("projects?membership=true&per_page=2&page=2", "alice")
    assert [one["id"] for one in page.json()] == [made[2], made[1]]
    assert (page.headers["X-Total"], page.headers["X-Next-Page"]) == ("5", "3")
    found, path = [], "projects?membership=true&pagination=keyset&order_by=id&sort=asc&per_page=2&simple=true"
    while path:
        page = await ask(path, "alice")
        found += [one["id"] for one in page.json()]
        path = page.links.get("next", {}).get("url", "")
    assert found == made


async def test_the_list_is_narrowed_by_level_words_and_archive(lab, ask):
    lab.project("ada/climate", owner="alice", description="Rain and snow")
    lab.member(lab.project("ada/birds"), "alice", 20)
    lab.project("ada/old", owner="alice").archive()

    async def paths(query):
        return {one["path"] for one in (await ask(f"projects?membership=true&{query}", "alice")).json()}

    assert await paths("min_access_level=30") == {"climate", "old"}
    assert await paths("archived=false") == {"climate", "birds"}
    assert await paths("search=rain") == {"climate"}


@pytest.mark.parametrize(
    ("spoil", "said"), [("expire", "Token is expired."), ("revoke", "Token was revoked."), (None, "Bad Access Token.")]
)
async def test_tokens_that_are_no_good_are_told_why(lab, spoil, said):
    token = lab.token("alice") if spoil else "nonsense"
    if spoil:
        getattr(lab, spoil)("alice")
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"{lab.url}/api/v4/user", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401
    assert said in answer.json()["error_description"]


async def test_a_token_of_too_few_scopes_is_told_which_would_do(lab):
    token = lab.token("alice", ("read_user",))
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"{lab.url}/api/v4/projects", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["scope"]) == (403, "api read_api")


async def agree(client, lab, **more):
    """Sign in as alice and agree, as a browser would; return what the application is sent back with."""
    asked = {
        "client_id": lab.client_id,
        "redirect_uri": BACK,
        "response_type": "code",
        "state": "s",
        "scope": "read_api",
    }
    asked |= {"code_challenge": CHALLENGE, "code_challenge_method": "S256"} | more
    page = await client.get("/oauth/authorize", params=asked, follow_redirects=True)
    form = {"authenticity_token": hidden(page.text), "user[login]": "alice", "user[password]": "alice"}
    page = await client.post("/users/sign_in", data=form, follow_redirects=True)
    agreed = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page.text))
    answer = await client.post("/oauth/authorize", data=agreed | {"_method": "post"})
    return dict(parse_qsl(urlsplit(answer.headers["Location"]).query))


def hidden(text):
    return re.search(r'name="authenticity_token" value="(\w+)"', text)[1]


async def test_people_sign_in_agree_and_the_code_is_good_once(lab):
    lab.withheld = {"read_repository"}
    async with httpx.AsyncClient(base_url=lab.url, trust_env=False) as client:
        back = await agree(client, lab, scope="read_api read_repository")
        form = {"grant_type": "authorization_code", "code": back["code"], "redirect_uri": BACK, "data": "None"}
        form |= {"client_id": lab.client_id, "client_secret": lab.client_secret}
        without = await client.post("/oauth/token", data=form)
        wrong = await client.post("/oauth/token", data=form | {"code_verifier": "w" * 50})
        good = await client.post("/oauth/token", data=form | {"code_verifier": VERIFIER})
        again = await client.post("/oauth/token", data=form | {"code_verifier": VERIFIER})
    assert back["state"] == "s"
    assert [answer.status_code for answer in (without, wrong, good, again)] == [400, 400, 200, 400]
    assert (good.json()["scope"], good.json()["token_type"]) == ("read_api", "Bearer")


async def test_a_refresh_ends_the_old_pair_at_once(lab):
    old = lab.pair("alice")
    form = {"grant_type": "refresh_token", "refresh_token": old.refresh}
    form |= {"client_id": lab.client_id, "client_secret": lab.client_secret}
    async with httpx.AsyncClient(base_url=lab.url, trust_env=False) as client:
        new = await client.post("/oauth/token", data=form)
        again = await client.post("/oauth/token", data=form)
        users = [
            await client.get("/api/v4/user", headers={"Authorization": f"Bearer {access}"})
            for access in (old.access, new.json()["access_token"])
        ]
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert [answer.status_code for answer in users] == [401, 200]


async def test_an_application_that_is_unknown_is_sent_nobody_back(lab):
    lab.redirect_uris = {BACK}
    async with httpx.AsyncClient(base_url=lab.url, trust_env=False) as client:
        asked = {"client_id": lab.client_id, "redirect_uri": "http://evil.example/", "response_type": "code"}
        assert "Location" not in (await client.get("/oauth/authorize", params=asked)).headers


ANSWERS = {
    "401": (401, "application/json"),
    "403": (403, "application/json"),
    "404": (404, "application/json"),
    "429:Wed, 25 Nov 2026 07:28:00 GMT": (429, "text/plain"),
    "429 json:60": (429, "application/json"),
    "500": (500, "application/json"),
    "502": (502, "text/html"),
    "html": (200, "text/html; charset=utf-8"),
    "bad json": (200, "application/json"),
}


@pytest.mark.parametrize("mode", ANSWERS)
async def test_every_mode_answers_as_it_says(mode, lab, ask):
    lab.mode = mode
    answer = await ask("user", "alice")
    assert (answer.status_code, answer.headers["Content-Type"]) == ANSWERS[mode]
    assert answer.headers.get("Retry-After", "") == mode.partition(":")[2]


@pytest.mark.parametrize("mode", ["hang", "drip", "slow"])
async def test_a_mode_that_takes_time_outlasts_its_client(mode, lab, ask):
    lab.fault("/api/v4/user", mode, times=1)
    with pytest.raises(httpx.ReadTimeout):
        await ask("user", "alice", timeout=httpx.Timeout(30, read=0.15))
    assert (await ask("user", "alice")).status_code == 200
    assert lab.counted("/api/v4/user", user="alice") == 2


@pytest.mark.parametrize("mode", ["reset", "truncated"])
async def test_a_connection_may_break(mode, lab, ask):
    lab.fault("/api/v4/user", mode)
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        await ask("user", "alice")


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="no mode"):
        FakeGitLab().mode = "sleepy"
