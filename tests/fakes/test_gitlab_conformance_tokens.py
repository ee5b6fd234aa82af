"""The fake GitLab's tokens, its registry and git answer as GitLab's recorded exchanges do."""

import base64
import hashlib
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.fakes import gitlab_registry
from tests.fakes.compact import differences
from tests.fakes.gitlab_conformance import REGISTRY, claims, exchanges, expected, named

BACK = "https://hub.example.com/hub/oauth_callback"
VERIFIER = "v" * 50
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
REGISTRY_CALLERS = {"root-401": None, "manifest-401": None, "insufficient-scope": "gus"}


@pytest.mark.parametrize("case", named("registry-v2-"))
async def test_the_registry_answers_as_recorded(case, gitlab_client, monkeypatch):
    method, path = exchanges()[case][0].split(" ")[:2]
    short = case.removeprefix("registry-v2-")
    who = REGISTRY_CALLERS.get(short, "jane")
    if short == "token-expired":
        monkeypatch.setattr(gitlab_registry, "LIFE", -1)
    headers = {}
    if who:
        name = (
            path.removeprefix(f"https://{REGISTRY}/v2/").split("/manifests/")[0].split("/blobs/")[0].split("/tags/")[0]
        )
        asked = {"service": "container_registry", "scope": f"repository:{name}:pull"}
        login = ("oauth2", gitlab_client.lab.token(who))
        token = (await gitlab_client.http.get("/jwt/auth", params=asked, auth=login)).json()["token"]
        headers = {"Authorization": f"Bearer {token}"}
    assert not differences(expected(case), await gitlab_client.send(method, path, who=None, headers=headers))


async def test_tokens_for_the_registry_are_the_recorded_ones(gitlab_client):
    path = "/jwt/auth?service=container_registry&scope=repository:astro/lab/spectra:pull"
    good = await gitlab_client.send("GET", path, auth=("oauth2", gitlab_client.lab.token("jane")))
    denied = await gitlab_client.send("GET", path, auth=("oauth2", gitlab_client.lab.token("gus")))
    found = [claims(answer["body"].pop("token")) for answer in (good, denied)]
    wanted = expected("jwt-auth-token"), expected("jwt-auth-token-denied-scope")
    recorded = [claims(answer["body"].pop("token")) for answer in wanted]
    assert (good, denied) == wanted
    assert found[0] == recorded[0] == claims_of("jwt-auth-token-claims")
    assert found[1]["access"] == recorded[1]["access"] == []


def claims_of(case):
    return {key: value for key, value in exchanges()[case][3].items() if key not in {"jti", "iat", "nbf", "exp"}}


async def test_refusals_of_the_token_service_are_the_recorded_ones(gitlab_client):
    path = "/jwt/auth?service=container_registry&scope=repository:astro/lab/spectra:pull"
    narrow = gitlab_client.lab.token("jane", ("read_user",))
    assert await gitlab_client.send("GET", path, auth=("oauth2", "wrong")) == expected("jwt-auth-401")
    assert await gitlab_client.send("GET", path, auth=("oauth2", narrow)) == expected("jwt-auth-403")
    assert await gitlab_client.send("GET", "/jwt/auth?service=unknown", who=None) == expected("jwt-auth-404-service")


async def test_git_is_refused_as_recorded(gitlab_client):
    ours, hidden = (f"/astro/{name}.git/info/refs?service=git-upload-pack" for name in ("lab/spectra", "secret"))
    assert await gitlab_client.send("GET", ours, who=None) == expected("git-info-refs-401")
    for _ in range(30):
        assert await gitlab_client.send("GET", ours, auth=("oauth2", "wrong")) == expected("git-info-refs-401")
    assert await gitlab_client.send("GET", ours, who=None) == expected("git-info-refs-403-ban")
    gitlab_client.lab.failures.clear()
    login = ("oauth2", gitlab_client.lab.token("jane"))
    assert await gitlab_client.send("GET", hidden, auth=login) == expected("git-info-refs-404")


async def sign_in(gitlab_client):
    form = {"user[login]": "jane", "user[password]": "jane"}
    page = await gitlab_client.http.get("/users/sign_in")
    form["authenticity_token"] = page.text.split('name="authenticity_token" value="')[1].partition('"')[0]
    assert (await gitlab_client.http.post("/users/sign_in", data=form)).status_code == 302
    return form


def asked(gitlab_client):
    values = {"response_type": "code", "client_id": gitlab_client.lab.client_id, "redirect_uri": BACK, "state": "STATE"}
    values |= {"scope": "read_user read_api read_repository read_registry"}
    return values | {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}


async def test_authorization_answers_as_recorded(gitlab_client):
    await sign_in(gitlab_client)
    response = await gitlab_client.http.get("/oauth/authorize", params=asked(gitlab_client))
    assert gitlab_client.read(response) == expected("oauth-authorize-302")
    gitlab_client.lab.trusted = False
    page = await gitlab_client.http.get("/oauth/authorize", params=asked(gitlab_client))
    csrf = page.text.split('name="authenticity_token" value="')[1].partition('"')[0]
    form = asked(gitlab_client) | {"_method": "delete", "authenticity_token": csrf}
    denied = gitlab_client.read(await gitlab_client.http.post("/oauth/authorize", data=form))
    gitlab_client.lab.trusted = True
    assert denied == expected("oauth-authorize-denied-302")


async def test_tokens_are_given_and_refreshed_as_recorded(gitlab_client):
    await sign_in(gitlab_client)
    back = await gitlab_client.http.get("/oauth/authorize", params=asked(gitlab_client))
    code = dict(parse_qsl(urlsplit(back.headers["Location"]).query))["code"]
    ours = {"client_id": gitlab_client.lab.client_id, "client_secret": gitlab_client.lab.client_secret}
    form = ours | {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK}

    async def send(path="/oauth/token", **fields):
        return gitlab_client.read(await gitlab_client.http.post(path, data=fields))

    wrong = form | {"client_secret": "wrong"}
    assert await send(**wrong) == expected("oauth-error-invalid-client")
    assert await send(**form) == expected("oauth-error-invalid-request")
    assert await send(**form, code_verifier="w" * 50) == expected("oauth-error-invalid-grant")
    assert await send(**ours, grant_type="foo") == expected("oauth-error-unsupported-grant")
    assert await send(**form, code_verifier=VERIFIER) == expected("oauth-token-authorization-code")
    pair = gitlab_client.lab.tokens("jane")[-1]
    refresh = ours | {"grant_type": "refresh_token", "refresh_token": pair.refresh}
    assert await send(**refresh, scope="api") == expected("oauth-error-invalid-scope")
    assert await send(**refresh) == expected("oauth-token-refresh")


async def test_tokens_are_shown_and_revoked_as_recorded(gitlab_client):
    lab = gitlab_client.lab
    pair = lab.pair("jane", ("read_user", "read_api", "read_repository", "read_registry"))
    pair.client_id = exchanges()["oauth-token-info"][3]["application"]["uid"]
    lab.applications |= {pair.client_id: "another secret"}
    headers = {"Authorization": f"Bearer {pair.access}"}
    assert await gitlab_client.send("GET", "/oauth/token/info", headers=headers) == expected("oauth-token-info")
    form = {
        "token": pair.access,
        "client_id": gitlab_client.lab.client_id,
        "client_secret": gitlab_client.lab.client_secret,
    }
    assert await gitlab_client.send("POST", "/oauth/revoke", who=None, data=form) == expected(
        "oauth-revoke-unauthorized"
    )
    form |= {"client_id": pair.client_id, "client_secret": "another secret"}
    assert await gitlab_client.send("POST", "/oauth/revoke", who=None, data=form) == expected("oauth-revoke")
    assert await gitlab_client.send("GET", "/oauth/token/info", headers=headers) == expected("oauth-token-info-invalid")
