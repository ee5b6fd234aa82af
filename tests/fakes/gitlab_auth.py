"""Whose token a request carries, and what the fake GitLab says to those that are no good."""

from .gitlab_call import Call, Refusal, message
from .gitlab_world import Token, User

EXPIRED = "Token is expired. You can either do re-authorization or token refresh."
REVOKED = "Token was revoked. You have to re-authorize from the user."
UNKNOWN = "Bad Access Token."
NARROW = "The request requires higher privileges than provided by the access token."


def invalid(text: str) -> Refusal:
    said = f'Bearer realm="Protected by OAuth 2.0", error="invalid_token", error_description="{text}"'
    return Refusal(401, {"error": "invalid_token", "error_description": text}, WWW_Authenticate=said)


def authenticate(call: Call) -> Token | None:
    """The token of a call, None without any; a bad one is refused also where none is needed."""
    given = call.headers.get("Authorization", "")
    access = given[7:] if given.lower().startswith("bearer ") else call.query.get("access_token", "")
    if not access:
        return None
    token = call.lab.world.token(access)
    if token is None:
        raise invalid(UNKNOWN)
    if token.revoked:
        raise invalid(REVOKED)
    if token.expired:
        raise invalid(EXPIRED)
    check_account(token.user, call.lab.link_url)
    return token


def check_account(user: User, url: str) -> None:
    if user.state == "blocked":
        raise message(403, "Forbidden - Your account has been blocked.")
    if not user.terms_accepted:
        text = "must accept the Terms of Service in order to perform this action. To accept these terms, please access"
        raise message(403, f"Forbidden - You (@{user.username}) {text} GitLab from a web browser at {url}.")


def check_scope(token: Token | None, scopes: tuple[str, ...]) -> None:
    if token and not set(scopes) & set(token.scopes):
        body = {"error": "insufficient_scope", "error_description": NARROW, "scope": " ".join(scopes)}
        raise Refusal(403, body)
