"""The fake GitLab's tokens: codes with PKCE, refresh with rotation, revocation, what a token is good for."""

import base64
import hashlib
import hmac
import secrets
import time
from typing import Any

from .gitlab_auth import check_account
from .gitlab_call import Call, Refusal, Reply
from .gitlab_world import Code, Token, User

TEXTS = {
    "invalid_client": "Client authentication failed due to unknown client, no client authentication included, "
    "or unsupported authentication method.",
    "invalid_grant": "The provided authorization grant is invalid, expired, revoked, does not match the redirection "
    "URI used in the authorization request, or was issued to another client.",
    "unsupported_grant_type": "The authorization grant type is not supported by the authorization server.",
    "invalid_scope": "The requested scope is invalid, unknown, or malformed.",
    "invalid_request": "The request is missing a required parameter, includes an unsupported parameter value, "
    "or is otherwise malformed.",
}
JSON = {"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store, no-cache", "Pragma": "no-cache"}
JSON["X-Content-Type-Options"] = "nosniff"


def answer(body: Any, status: int = 200) -> Reply:
    return Reply(body, status, JSON | {"X-Request-Id": secrets.token_hex(13).upper()})


def refused(error: str, text: str = "") -> Refusal:
    text = text or TEXTS[error]
    refusal = Refusal(0, None)
    body = {"error": error, "error_description": text}
    refusal.reply = answer(body, 401 if error == "invalid_client" else 400)
    said = f'Bearer realm="Doorkeeper", error="{error}", error_description="{text}"'
    refusal.reply.headers["WWW-Authenticate"] = said
    return refusal


def client(call: Call) -> str:
    """The application that asks, by its id and secret in the form or in the header; raises Refusal."""
    given = call.form.get("client_id", ""), call.form.get("client_secret", "")
    header = call.headers.get("Authorization", "")
    if header.lower().startswith("basic "):
        name, _, secret = base64.b64decode(header[6:]).decode().partition(":")
        given = name, secret
    secret = call.lab.applications.get(given[0])
    if secret is None or not hmac.compare_digest(secret, given[1]):
        raise refused("invalid_client")
    return given[0]


def token(call: Call) -> Reply:
    grants = {"authorization_code": _by_code, "refresh_token": _by_refresh}
    grant = grants.get(call.form.get("grant_type", ""))
    if grant is None:
        raise refused("unsupported_grant_type")
    made = grant(call, client(call))
    body = {"access_token": made.access, "token_type": "Bearer", "expires_in": round(made.expires - made.created)}
    body |= {"refresh_token": made.refresh, "scope": " ".join(made.scopes), "created_at": int(made.created)}
    return answer(body)


def _by_code(call: Call, asking: str) -> Token:
    form = call.form
    code = call.lab.world.codes.get(form.get("code", ""))
    if code is None or time.time() > code.until or code.client_id != asking:
        raise refused("invalid_grant")
    if code.redirect_uri != form.get("redirect_uri"):
        raise refused("invalid_grant")
    _check_verifier(code, form.get("code_verifier", ""))
    del call.lab.world.codes[form["code"]]
    check_account(code.user, call.lab.link_url)
    return call.lab.world.issue(code.user, asking, code.scopes, call.lab.lifetime)


def _check_verifier(code: Code, verifier: str) -> None:
    if not code.challenge:
        return
    if not verifier:
        raise refused("invalid_request", "Missing required parameter: code_verifier.")
    if code.method == "S256":
        digest = hashlib.sha256(verifier.encode()).digest()
        verifier = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    if not hmac.compare_digest(verifier, code.challenge):
        raise refused("invalid_grant")


def _by_refresh(call: Call, asking: str) -> Token:
    """A new pair; at this moment both values of the old one stop working."""
    given = call.form.get("refresh_token", "")
    old = next((one for one in call.lab.world.tokens if one.refresh == given), None)
    if old is None or old.revoked or old.client_id != asking or old.user.state == "blocked":
        raise refused("invalid_grant")
    scopes = tuple(call.form["scope"].split()) if call.form.get("scope") else old.scopes
    if not set(scopes) <= set(old.scopes):
        raise refused("invalid_scope")
    old.revoked = True
    return call.lab.world.issue(old.user, asking, scopes, call.lab.lifetime)


def revoke(call: Call) -> Reply:
    """Either token of a pair ends both; unknown ones are no error."""
    asking, given = client(call), call.form.get("token", "")
    for one in call.lab.world.tokens:
        if given in {one.access, one.refresh}:
            if one.client_id != asking:
                text = "You are not authorized to revoke this token"
                return answer({"error": "unauthorized_client", "error_description": text}, 403)
            one.revoked = True
    return answer({})


def info(call: Call) -> Reply:
    given = call.headers.get("Authorization", "").removeprefix("Bearer ") or call.query.get("access_token", "")
    found = call.lab.world.token(given)
    if found is None or found.revoked or found.expired:
        raise refused("invalid_request")
    left, scopes = int(found.expires - time.time()), list(found.scopes)
    body = {"resource_owner_id": found.user.id, "scope": scopes, "expires_in": left}
    body |= {"application": {"uid": found.client_id}, "created_at": int(found.created), "scopes": scopes}
    return answer(body | {"expires_in_seconds": left})


def new_code(call: Call, user: User, asked: dict[str, str], scopes: tuple[str, ...]) -> str:
    """A code for the person who has agreed."""
    value, challenge = secrets.token_hex(32), asked.get("code_challenge", "")
    method = asked.get("code_challenge_method") or "plain"
    made = Code(user, asked["client_id"], asked["redirect_uri"], scopes, challenge, method, time.time() + 600)
    call.lab.world.codes[value] = made
    return value


ENDPOINTS = {
    ("POST", "/oauth/token"): token,
    ("POST", "/oauth/revoke"): revoke,
    ("GET", "/oauth/token/info"): info,
}
