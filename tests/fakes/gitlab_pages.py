"""What a browser sees of the fake GitLab: signing in, and the question whether an application may act for one."""

import hmac
import secrets
from dataclasses import dataclass, field
from html import escape
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlencode, urlsplit

from .gitlab_call import Call, Refusal, Reply
from .gitlab_oauth import new_code
from .gitlab_world import User

COOKIE = "_gitlab_session"
HTML = {"Content-Type": "text/html; charset=utf-8"}
SCOPES = {"api", "read_api", "read_user", "read_repository", "write_repository", "read_registry", "write_registry"}
SCOPES |= {"openid", "profile", "email"}
ASKED = ("client_id", "redirect_uri", "state", "response_type", "scope", "code_challenge", "code_challenge_method")
DENIED = "The resource owner or authorization server denied the request."


@dataclass
class Session:
    """A browser; `csrf` is in every form of it."""

    key: str = field(default_factory=lambda: secrets.token_hex(16))
    csrf: str = field(default_factory=lambda: secrets.token_hex(16))
    user: User | None = None
    after: str = "/"


def page(title: str, body: str, status: int = 200) -> Reply:
    head = f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title} · GitLab</title></head>'
    return Reply(f"{head}<body><h1>{title}</h1>{body}</body></html>\n", status, dict(HTML))


def to(place: str, session: Session | None = None) -> Reply:
    cookie = {"Set-Cookie": f"{COOKIE}={session.key}; path=/; HttpOnly; SameSite=Lax"} if session else {}
    return Reply("", 302, HTML | {"Location": place} | cookie)


def session(call: Call) -> Session:
    """That of the browser's cookie, or a new one."""
    try:
        cookie = SimpleCookie(call.headers.get("Cookie", "")).get(COOKIE)
    except CookieError:
        cookie = None
    found = call.lab.sessions.get(cookie.value) if cookie else None
    return found or call.lab.sessions.setdefault((made := Session()).key, made)


def form(action: str, browser: Session, inner: str) -> str:
    hidden = f'<input type="hidden" name="authenticity_token" value="{browser.csrf}">'
    return f'<form method="post" action="{action}" accept-charset="UTF-8">{hidden}{inner}</form>'


def sign_in(call: Call) -> Reply:
    browser = session(call)
    inner = (
        '<p><label for="user_login">Username or primary email</label> <input id="user_login" name="user[login]"></p>'
        '<p><label for="user_password">Password</label> '
        '<input id="user_password" name="user[password]" type="password"></p>'
        '<p><button type="submit">Sign in</button></p>'
    )
    shown = page("Sign in", form("/users/sign_in", browser, inner))
    shown.headers["Set-Cookie"] = f"{COOKIE}={browser.key}; path=/; HttpOnly; SameSite=Lax"
    return shown


def signed_in(call: Call) -> Reply:
    """A password is the name once more."""
    browser, given = checked(call), call.form
    user = call.lab.world.users.get(given.get("user[login]", ""))
    if user is None or given.get("user[password]") != user.username or user.state == "blocked":
        return page("Sign in", "<p>Invalid login or password.</p>" + str(sign_in(call).body))
    call.lab.sessions.pop(browser.key)
    fresh = Session(user=user)  # as GitLab does, against fixation
    call.lab.sessions[fresh.key] = fresh
    return to(browser.after, fresh)


def checked(call: Call) -> Session:
    """The browser's session, whose form this is; raises Refusal."""
    browser = session(call)
    if not hmac.compare_digest(call.form.get("authenticity_token", ""), browser.csrf):
        raise Refusal(422, "The change you requested was rejected.")
    return browser


def sign_out(call: Call) -> Reply:
    call.lab.sessions.pop(session(call).key)
    return to("/users/sign_in")


def _asked(call: Call, given: dict[str, str]) -> dict[str, str]:
    """What the application asks for; raises Refusal where there is nobody to be sent back to."""
    asked = {name: given.get(name, "") for name in ASKED}
    if asked["client_id"] not in call.lab.applications:
        raise _no_way("Client authentication failed due to unknown client.")
    if not call.lab.leads_to(asked["redirect_uri"]):
        raise _no_way("The redirect URI included is not valid.")
    return asked


def _no_way(text: str) -> Refusal:
    refusal = Refusal(401, "")
    refusal.reply = page("An error has occurred", f"<p>{text}</p>", 401)
    return refusal


def authorize(call: Call) -> Reply:
    """Send people back with a code, after they have signed in and agreed; at once where they have before."""
    asked, browser = _asked(call, call.query), session(call)
    unknown = set(asked["scope"].split()) - SCOPES
    if asked["response_type"] != "code" or unknown:
        return back(asked, error="invalid_scope" if unknown else "unsupported_response_type")
    if browser.user is None:
        browser.after = f"{call.path}?{call.query_string}"
        return to("/users/sign_in", browser)
    agreed = (browser.user.id, asked["client_id"], asked["scope"])
    if call.lab.trusted or agreed in call.lab.agreed:
        return _granted(call, browser.user, asked)
    return _consent(browser, asked)


def _consent(browser: Session, asked: dict[str, str]) -> Reply:
    hidden = "".join(f'<input type="hidden" name="{name}" value="{escape(value)}">' for name, value in asked.items())
    scopes = "".join(f"<li>{scope}</li>" for scope in asked["scope"].split())
    deny = '<input type="hidden" name="_method" value="delete"><button type="submit">Cancel</button>'
    agree = '<button type="submit">Authorize</button>'
    text = f"<p>The application wants to use your account ({browser.user.username if browser.user else ''}).</p>"
    forms = form("/oauth/authorize", browser, hidden + deny) + form("/oauth/authorize", browser, hidden + agree)
    return page("Authorize the hub to use your account?", f"{text}<ul>{scopes}</ul>{forms}")


def answered(call: Call) -> Reply:
    """What somebody has decided on the page of `_consent`."""
    browser, asked = checked(call), _asked(call, call.form)
    if browser.user is None:
        return to("/users/sign_in", browser)
    if call.form.get("_method") == "delete":
        return back(asked, error="access_denied", error_description=DENIED)
    call.lab.agreed.add((browser.user.id, asked["client_id"], asked["scope"]))
    return _granted(call, browser.user, asked)


def _granted(call: Call, user: User, asked: dict[str, str]) -> Reply:
    wanted = asked["scope"].split() or ["api"]
    scopes = tuple(scope for scope in wanted if scope not in call.lab.withheld)
    return back(asked, code=new_code(call, user, asked, scopes))


def back(asked: dict[str, str], **said: str) -> Reply:
    separator = "&" if urlsplit(asked["redirect_uri"]).query else "?"
    return to(asked["redirect_uri"] + separator + urlencode(said | {"state": asked["state"]}))


PAGES = {
    ("GET", "/users/sign_in"): sign_in,
    ("POST", "/users/sign_in"): signed_in,
    ("GET", "/users/sign_out"): sign_out,
    ("GET", "/oauth/authorize"): authorize,
    ("POST", "/oauth/authorize"): answered,
}
