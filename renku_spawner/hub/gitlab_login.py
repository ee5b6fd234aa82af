"""Log users in at GitLab, renew their tokens safely, and map GitLab users to hub names."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from inspect import isawaitable
from typing import Any, Protocol, TypeVar
from urllib.parse import urlencode
from weakref import WeakValueDictionary

from jupyterhub import orm
from oauthenticator.gitlab import GitLabOAuthenticator
from tornado.httpclient import HTTPClientError, HTTPResponse
from tornado.web import HTTPError
from traitlets import default
from traitlets.config import Config

from ..domain.errors import SettingError
from ..integrations.gitlab.auth_state import (
    AUTH_STATE_EXPIRES_KEY,
    AUTH_STATE_USER_KEY,
    AuthState,
    GitLabToken,
    find_missing_scopes,
    get_gitlab_user_id,
    get_token_expiry,
    has_valid_token,
    parse_gitlab_token,
    parse_gitlab_user_id,
    parse_granted_scopes,
)
from ..integrations.gitlab.client import GitLabLoginRequired, GitLabUnavailable, parse_retry_after
from ..integrations.net.retry import Backoff, retry
from ..persistence.database import AnyDatabaseError
from .jupyterhub import HubApp, HubRequestHandler, HubUser

GITLAB_ID_KEY = "gitlab_id"  # in the hub's `user_info`, which is stored with the user and is not encrypted
_NO_IDENTITY_MESSAGE = "GitLab did not say who you are. Please try again."
_NAME_TAKEN_MESSAGE = "Another user of this hub has your GitLab name, {name}. Please ask an admin of this hub for help."


class GitLabUserNames:
    """Hub names by GitLab user id, loaded once."""

    def __init__(self) -> None:
        self._names: dict[int, str] | None = None

    def find_name(self, db: Any, number: int) -> str | None:
        """Return the hub's name of GitLab's user *number*, even if that user has been renamed in GitLab since."""
        if self._names is None:
            self._names = _load_names_by_gitlab_id(db)
        name = self._names.get(number)
        if name is not None and _get_gitlab_id(orm.User.find(db, name)) != number:  # deleted or renamed in the hub
            self._names = _load_names_by_gitlab_id(db)
            name = self._names.get(number)
        return name

    def add_name(self, number: int, name: str) -> None:
        if self._names is not None:
            self._names[number] = name


async def assign_hub_name(known: GitLabUserNames, handler: HubRequestHandler, model: dict[str, Any]) -> dict[str, Any]:
    """Return the auth model *model* with the hub's name for that GitLab user.

    A user who was renamed in GitLab keeps the old name on the hub, and with it all sessions. A GitLab name that belongs
    to another user of the hub gets GitLab's user id as a suffix.

    Raises:
        HTTPError: 403 if both names belong to other users, 503 if GitLab's answer has no user id.
    """
    number = get_gitlab_user_id(model["auth_state"])
    if number is None:
        raise HTTPError(503, _NO_IDENTITY_MESSAGE)
    name = known.find_name(handler.db, number) or await _find_free_name(handler, model["name"], number)
    known.add_name(number, name)
    user = handler.find_user(name)
    before = (user.user_info if user else None) or {}
    return {**model, "name": name, "user_info": {**before, **(model.get("user_info") or {}), GITLAB_ID_KEY: number}}


async def _find_free_name(handler: HubRequestHandler, name: str, number: int) -> str:
    for each in (name, f"{name}-{number}"):
        user = handler.find_user(each)
        if user is None or await _get_owner_gitlab_id(user) in (None, number):
            return each
    raise HTTPError(403, _NAME_TAKEN_MESSAGE.format(name=name))


async def _get_owner_gitlab_id(user: HubUser) -> int | None:
    """Return the GitLab user id of the hub's *user*, from auth state if another authenticator class has stored it."""
    return _get_gitlab_id(user) or get_gitlab_user_id(await user.get_auth_state())


def _get_gitlab_id(user: HubUser | None) -> int | None:
    return ((user.user_info if user else None) or {}).get(GITLAB_ID_KEY)


def _load_names_by_gitlab_id(db: Any) -> dict[int, str]:
    """Read names with plain SQL, since loading all of the hub's users as ORM objects is slow."""
    rows = db.connection().exec_driver_sql("SELECT name, user_info FROM users WHERE user_info IS NOT NULL")
    read = ((name, json.loads(info)) for name, info in rows)
    return {info[GITLAB_ID_KEY]: name for name, info in read if isinstance(info, dict) and GITLAB_ID_KEY in info}


_GITLAB_UNAVAILABLE_MESSAGE = (
    "GitLab does not answer at the moment. Please log in again in a minute; your sessions keep running."
)
_LOGIN_REJECTED_MESSAGE = "GitLab did not accept this log-in; perhaps it took too long. Please log in again."
_ACCOUNT_BLOCKED_MESSAGE = "GitLab does not let this account in. Please log in at GitLab itself to see why."
_LOGIN_ERRORS_BY_STATUS = {
    400: (400, _LOGIN_REJECTED_MESSAGE),
    401: (400, _LOGIN_REJECTED_MESSAGE),
    403: (403, _ACCOUNT_BLOCKED_MESSAGE),
}


@contextmanager
def convert_gitlab_login_errors() -> Iterator[None]:
    """Convert errors of GitLab in the block to an `HTTPError` with a message for the user.

    Without it the hub would show an internal error with GitLab's raw answer.
    """
    try:
        yield
    except HTTPClientError as problem:
        raise _build_login_error(problem.code) from None
    except HTTPError as problem:
        if problem.status_code < 500:
            raise
        raise _build_login_error(problem.status_code) from None
    except (OSError, ValueError):
        raise _build_login_error(503) from None


def _build_login_error(code: int) -> HTTPError:
    status, words = _LOGIN_ERRORS_BY_STATUS.get(code, (503, _GITLAB_UNAVAILABLE_MESSAGE))
    return HTTPError(status, words)


def check_granted_scopes(response: Mapping[str, Any], needed: Mapping[str, str]) -> None:
    """Raise HTTPError 403 that lists the scopes missing from GitLab's token *response*, each with its purpose.

    A response without `scope` grants all requested scopes: https://www.rfc-editor.org/rfc/rfc6749#section-5.1.
    """
    granted = parse_granted_scopes(response)
    missing = find_missing_scopes(granted, needed) if granted else {}
    if missing:
        list_of = ", ".join(f"{scope} ({purpose})" for scope, purpose in missing.items())
        raise HTTPError(
            403,
            f"GitLab has not granted what this hub needs: {list_of}. Log in again and allow all of it; if GitLab "
            "does not offer that, an admin has to add these scopes to the application registered there.",
        )


ACCEPTED_TOKEN_SECONDS = 60.0  # a token counts as valid for this long after GitLab has accepted it
FAILED_WAIT_SECONDS = 1.0  # after a wait without an answer, the same page does not wait again for this long


class TokenVerificationCache:
    """Times at which GitLab last verified users and accepted their tokens.

    Keys are names of the hub's users; times are of the monotonic clock.
    """

    def __init__(self) -> None:
        self._asked: dict[str, float] = {}
        self._taken: dict[str, tuple[str, float]] = {}
        self._in_vain: dict[str, float] = {}

    def record_verification(self, name: str) -> None:
        """Record that GitLab has just answered a user info request for *name*, with any result."""
        self._asked[name] = time.monotonic()

    def was_verified_since(self, name: str, moment: float) -> bool:
        return self._asked.get(name, -math.inf) >= moment

    def record_accepted(self, name: str, access: str, *, ago: float = 0.0) -> None:
        """Record that GitLab has accepted the token *access* of *name*, *ago* seconds ago."""
        self._taken[name] = (access, time.monotonic() - ago)

    def record_rejected(self, name: str, access: str | None) -> None:
        if access is not None and self._taken.get(name, (None, 0.0))[0] == access:
            del self._taken[name]

    def is_verified(self, name: str, access: str, *, within: float) -> bool:
        """Return True if GitLab has accepted this token lately and has verified the user *within* so many seconds."""
        token, taken = self._taken.get(name, ("", -math.inf))
        now = time.monotonic()
        return token == access and now - taken <= ACCEPTED_TOKEN_SECONDS and self.was_verified_since(name, now - within)

    def record_failed_wait(self, name: str) -> None:
        """Record that a wait for GitLab has just ended without an answer."""
        self._in_vain[name] = time.monotonic()

    def has_recent_failed_wait(self, name: str) -> bool:
        return time.monotonic() - self._in_vain.get(name, -math.inf) < FAILED_WAIT_SECONDS


T = TypeVar("T")
MIN_TOKEN_LIFETIME_SECONDS = 900.0  # remaining lifetime required of a token that starts a session: a clone may be long
RENEWAL_WAIT_SECONDS = 5.0  # a request waits this long for a new token
_RENEWAL_TIMEOUT_SECONDS = 20.0  # of a request to the token endpoint
_TOKEN_CHECK_TIMEOUT_SECONDS = 1.5  # of a request that checks whether GitLab still accepts a token
_GITLAB_BACKOFF_SECONDS = 15  # no requests for this long after GitLab has not answered
_STORE_BACKOFF, _MAX_STORE_ATTEMPTS = Backoff(first=0.2, factor=4, longest=3, jitter=0), 4  # of auth state
_DEAD_TOKEN_STATUSES = (400, 401)  # of the token endpoint: the refresh token is invalid


class TokenRenewingAuthenticator(GitLabOAuthenticator):
    """GitLabOAuthenticator that renews tokens safely under concurrent requests.

    GitLab revokes a token pair as soon as it is exchanged for a new one. Two concurrent renewals would log the user
    out, and a request that stores auth state which it has read before would lose the new pair. Therefore each user has
    a lock, auth state is read again inside it, and a renewal finishes even if its request was cancelled.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._under_way: set[asyncio.Task[Any]] = set()
        self._dead: dict[str, str] = {}  # by user, the refresh token that GitLab has refused
        self.heard = TokenVerificationCache()
        self._quiet_until = -math.inf

    async def get_valid_state(self, user: HubUser, *, left: float, not_this: str | None) -> AuthState:
        """Return auth state of the hub's *user* with a token that lasts *left* more seconds and is not *not_this*.

        Raises:
            GitLabLoginRequired, GitLabUnavailable: as `integrations.gitlab.auth_state.GitLabTokenProvider`.
        """
        self.heard.record_rejected(user.name, not_this)
        if self.heard.has_recent_failed_wait(user.name):
            raise GitLabUnavailable
        state = await user.get_auth_state()
        if has_valid_token(state, time.time(), left=left, not_this=not_this):
            return state or {}
        return await self._finish_despite_cancellation(self._load_or_renew(user, left, not_this))

    async def get_verified_state(self, user: HubUser) -> AuthState:
        """Return auth state with a token that GitLab accepts and that lasts `MIN_TOKEN_LIFETIME_SECONDS` more.

        GitLab is not asked about a token that it has accepted within `ACCEPTED_TOKEN_SECONDS`, if it has verified the
        user within `auth_refresh_age`.

        Raises:
            GitLabLoginRequired: GitLab does not renew the token.
            GitLabUnavailable: GitLab does not answer.
        """
        return await self._finish_despite_cancellation(self._verify_or_renew(user, time.monotonic()))

    async def _finish_despite_cancellation(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of *work*, which continues if the caller is cancelled: a pair not stored is lost.

        Raises:
            GitLabUnavailable: it takes longer than `RENEWAL_WAIT_SECONDS`.
        """
        task = asyncio.ensure_future(work)
        self._under_way.add(task)
        task.add_done_callback(self._discard_task)
        done, _ = await asyncio.wait({task}, timeout=RENEWAL_WAIT_SECONDS)
        if not done:
            raise self._mark_gitlab_unavailable(_GITLAB_BACKOFF_SECONDS)
        return task.result()

    def _discard_task(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # mark it as retrieved: the request that waited may be gone

    async def _load_or_renew(self, user: HubUser, left: float, not_this: str | None) -> AuthState:
        self._require_gitlab_available()
        async with self._get_user_lock(user.name):
            state = await self._load_state(user)
            if has_valid_token(state, time.time(), left=left, not_this=not_this):
                return state  # another request has renewed it
            return await self._renew_tokens(user, state)

    async def _verify_or_renew(self, user: HubUser, asked: float) -> AuthState:
        self._require_gitlab_available()
        async with self._get_user_lock(user.name):
            state = await self._load_state(user)
            if not has_valid_token(state, time.time(), left=MIN_TOKEN_LIFETIME_SECONDS):
                return await self._renew_tokens(user, state)
            if self.heard.was_verified_since(user.name, asked):
                return state  # another request has verified it meanwhile
            if self.heard.is_verified(user.name, state["access_token"], within=self.auth_refresh_age):
                return state
            return await self._verify_with_gitlab(user, state)

    async def _verify_with_gitlab(self, user: HubUser, state: AuthState) -> AuthState:
        started = time.monotonic()
        try:
            answer = await self._fetch_from_gitlab(
                self.userdata_url, _TOKEN_CHECK_TIMEOUT_SECONDS, headers=self._build_bearer_headers(state)
            )
        except GitLabUnavailable:
            if time.monotonic() - started > _TOKEN_CHECK_TIMEOUT_SECONDS / 2:
                self.heard.record_failed_wait(user.name)
            raise
        self.heard.record_verification(user.name)
        if answer.code == 401:
            return await self._renew_tokens(user, state)
        return await self._update_user_data(user, state, answer, started)

    def _get_user_lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())

    async def _load_state(self, user: HubUser) -> AuthState:
        state = await user.get_auth_state()
        if state is None or parse_gitlab_token(state) is None:
            raise GitLabLoginRequired
        return dict(state)

    async def _update_user_data(
        self, user: HubUser, state: AuthState, answer: HTTPResponse, started: float
    ) -> AuthState:
        """Store GitLab's current user data in *state*. Keep *state* if *answer* is an error or about another user."""
        user_data = _parse_json_body(answer)
        if answer.code != 200 or parse_gitlab_user_id(user_data) != get_gitlab_user_id(state):
            return state
        self.heard.record_accepted(user.name, state["access_token"], ago=time.monotonic() - started)
        return (
            state
            if user_data == state[AUTH_STATE_USER_KEY]
            else await self._save_state(user, {**state, AUTH_STATE_USER_KEY: user_data})
        )

    async def _renew_tokens(self, user: HubUser, state: AuthState) -> AuthState:
        refresh = state.get("refresh_token")
        if not refresh or self._dead.get(user.name) == refresh:
            raise GitLabLoginRequired
        body = urlencode(self.build_refresh_token_request_params(refresh)).encode()
        headers = self.build_token_info_request_headers()
        started = time.monotonic()
        answer = await self._fetch_from_gitlab(
            self.token_url, _RENEWAL_TIMEOUT_SECONDS, method="POST", headers=headers, body=body
        )
        if answer.code in _DEAD_TOKEN_STATUSES:
            return await self._load_newer_state(user, refresh)
        made = _parse_json_body(answer)
        if answer.code != 200 or not isinstance(made, dict) or not made.get("access_token"):
            raise self._mark_gitlab_unavailable(parse_retry_after(answer.headers.get("Retry-After")))
        self.heard.record_accepted(user.name, made["access_token"], ago=time.monotonic() - started)
        return await self._save_state(user, await self._merge_token_response(state, made))

    async def _load_newer_state(self, user: HubUser, refused: str) -> AuthState:
        """Return auth state that a log-in has stored meanwhile. Raises GitLabLoginRequired if there was none."""
        state = await self._load_state(user)
        if state.get("refresh_token") == refused:
            self._dead[user.name] = refused
            self.log.info("GitLab refused the refresh token of %s", user.name)
            raise GitLabLoginRequired
        return state

    async def _merge_token_response(self, state: AuthState, made: dict[str, Any]) -> AuthState:
        """Merge a new token pair into *state*, which keeps all other keys."""
        kept = {"refresh_token": state["refresh_token"], "scope": " ".join(sorted(parse_granted_scopes(state)))}
        built = self.build_auth_state_dict(kept | made, state[AUTH_STATE_USER_KEY])
        return {**state, **(await built if isawaitable(built) else built)}

    async def _save_state(self, user: HubUser, state: AuthState) -> AuthState:
        """Store *state*, then the result of the admin's hook: a new pair must not be lost if the hook fails."""
        await _save_auth_state(user, state)
        if self.modify_auth_state_hook is None:
            return state
        changed: AuthState = await self._call_modify_auth_state_hook(dict(state))
        await _save_auth_state(user, changed)
        return changed

    def build_auth_state_dict(self, token_info: Any, user_info: Any) -> Any:
        """Add the token's expiry by the hub's own clock to the auth state of GitLabOAuthenticator."""
        state = super().build_auth_state_dict(token_info, user_info)
        return {**state, AUTH_STATE_EXPIRES_KEY: get_token_expiry(token_info, time.time())}

    # Requests to GitLab

    async def _fetch_from_gitlab(self, url: str, within: float, **request: Any) -> HTTPResponse:
        """Return GitLab's answer to one request with a timeout of *within* seconds. Raises GitLabUnavailable."""
        self._require_gitlab_available()
        limits = {"connect_timeout": within, "request_timeout": within, "follow_redirects": False}
        checks = {"validate_cert": self.validate_server_cert, "parse_json": False, "raise_error": False}
        try:
            answer: HTTPResponse = await self.httpfetch(url, **limits, **checks, **request)
        except (HTTPClientError, OSError):
            raise self._mark_gitlab_unavailable(_GITLAB_BACKOFF_SECONDS) from None
        if answer.code >= 500:
            raise self._mark_gitlab_unavailable(_GITLAB_BACKOFF_SECONDS)
        return answer

    def _build_bearer_headers(self, state: AuthState) -> dict[str, str]:
        kind = (state.get("token_response") or {}).get("token_type") or "Bearer"
        headers: dict[str, str] = self.build_userdata_request_headers(state["access_token"], kind)
        return headers

    def _require_gitlab_available(self) -> None:
        left = self._quiet_until - time.monotonic()
        if left > 0:
            raise GitLabUnavailable(retry_after=math.ceil(left))

    def _mark_gitlab_unavailable(self, seconds: float) -> GitLabUnavailable:
        self._quiet_until = time.monotonic() + seconds
        return GitLabUnavailable(retry_after=math.ceil(seconds))


async def _save_auth_state(user: HubUser, state: AuthState) -> None:
    """Store auth state, with retries if the database fails: it may be busy, and the pair exists only in memory."""
    await retry(
        lambda: user.save_auth_state(state),
        errors=AnyDatabaseError,
        backoff=_STORE_BACKOFF,
        attempts=_MAX_STORE_ATTEMPTS,
        on_failure=lambda _error, _failures: user.db.rollback(),  # the hub shares one session among all requests
    )


def _parse_json_body(answer: HTTPResponse) -> Any:
    """Return the parsed body; None if it is not JSON."""
    try:
        return json.loads(answer.body)
    except ValueError:
        return None


class RenkuGitLabOAuthenticator(TokenRenewingAuthenticator):
    """GitLabOAuthenticator with tokens that survive concurrent requests and outages of GitLab.

    `install` sets it if `c.Renku.projects` is "gitlab". Settings of `c.GitLabOAuthenticator` apply to it. An admin's
    own authenticator class must derive from it.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._known = GitLabUserNames()
        self._needed: dict[str, str] = {}

    @default("enable_auth_state")
    def _get_default_enable_auth_state(self) -> bool:
        return True

    @default("gitlab_url")
    def _get_project_gitlab_url(self) -> str:
        return str(self.config.Renku.get("gitlab_url") or self._default_gitlab_url()).rstrip("/")

    @default("http_request_kwargs")
    def _get_default_http_request_kwargs(self) -> dict[str, float]:
        return {"connect_timeout": RENEWAL_WAIT_SECONDS, "request_timeout": 2 * RENEWAL_WAIT_SECONDS}

    def require_scopes(self, scopes: Mapping[str, str]) -> None:
        """Also request *scopes* at log-in, given with their purposes, and refuse a log-in that lacks one."""
        self._needed = dict(scopes)
        self.set_trait("scope", [*self.scope, *(each for each in scopes if each not in self.scope)])

    async def get_token_info(self, handler: Any, params: Any) -> Any:
        """Return GitLab's token response to a log-in. Raises HTTPError 403 if required scopes are missing."""
        made = await super().get_token_info(handler, params)
        check_granted_scopes(made, self._needed)
        return made if made.get("scope") else {**made, "scope": " ".join(self.scope)}

    async def authenticate(self, handler: Any, data: Any = None, **kwargs: Any) -> Any:
        """Return the auth model of a user who comes back from GitLab.

        Raises:
            HTTPError: 400, 403 or 503; the hub shows its message.
        """
        started = time.monotonic()
        with convert_gitlab_login_errors():
            model = await super().authenticate(handler, data, **kwargs)
        named = await assign_hub_name(self._known, handler, model)
        self.heard.record_verification(named["name"])
        self.heard.record_accepted(named["name"], named["auth_state"]["access_token"], ago=time.monotonic() - started)
        return named if named["name"] == model["name"] else await self._reapply_name_rules(named)

    async def _reapply_name_rules(self, model: dict[str, Any]) -> dict[str, Any]:
        """Decide admin status and managed groups of *model* again: its name was changed after they were decided."""
        model = {**model, "admin": True if model["name"] in self.admin_users else None}
        made: dict[str, Any] = await self._apply_managed_groups(model)
        return made

    async def check_allowed(self, username: str, auth_model: Any) -> Any:
        """Check the admin's allow rules, some of which need requests to GitLab about its groups and projects."""
        with convert_gitlab_login_errors():
            return await super().check_allowed(username, auth_model)

    async def refresh_user(self, user: HubUser, handler: Any = None, **kwargs: Any) -> Any:
        """Verify the log-in of the hub's *user*.

        Return False if scopes are missing or GitLab refuses the log-in, True also while GitLab does not answer.
        """
        if self.refresh_user_hook is not None:
            answer = await self._call_refresh_user_hook(user, await user.get_auth_state())
            if answer is not None:
                return answer
        try:
            state = await self.get_verified_state(user)
        except GitLabUnavailable:
            return True
        except GitLabLoginRequired:
            return False
        if find_missing_scopes(
            parse_granted_scopes(state), self._needed
        ):  # an admin has added required scopes since the log-in
            return False
        return await self._get_auth_model_changes(user, state)

    async def _get_auth_model_changes(self, user: HubUser, state: AuthState) -> Any:
        """Return the auth model if managed groups or admin status have changed, otherwise True: nothing to store."""
        if not self.manage_groups:
            return True
        admin = True if user.name in self.admin_users else None
        model = await self.update_auth_model({"name": user.name, "admin": admin, "auth_state": dict(state)})
        model = await self._apply_managed_groups(model)
        same = set(model["groups"]) == {group.name for group in user.groups}
        return True if same and model["admin"] in (None, user.admin) else model

    async def get_access_token(self, user: HubUser, *, left: float, not_this: str | None = None) -> GitLabToken:
        """Return the access token of the hub's *user*; see `integrations.gitlab.auth_state.GitLabTokenProvider`.

        Raises:
            GitLabLoginRequired, GitLabUnavailable: as there.
        """
        token = parse_gitlab_token(await self.get_valid_state(user, left=left, not_this=not_this))
        if token is None:
            raise GitLabLoginRequired
        return token


_GITLAB_AUTHENTICATOR_CLASSES = ("gitlab", "oauthenticator.gitlab.GitLabOAuthenticator", GitLabOAuthenticator)
_REQUIRED_TRAITS = {
    "client_id": "set it to the id of the application that is registered at GitLab for this hub",
    "client_secret": "set it to the secret of that application, best as GITLAB_CLIENT_SECRET in the environment",
    "enable_auth_state": "Renku requests projects with the tokens that are stored there; leave it out",
    "enable_pkce": "without it a log-in can be intercepted; leave it out",
}


class GitLabLoginSettings(Protocol):
    projects: str
    gitlab_url: str
    gitlab_ca: str

    def get_login_scopes(self) -> dict[str, str]: ...


def use_gitlab_authenticator(c: Config) -> None:
    """Replace GitLabOAuthenticator by `RenkuGitLabOAuthenticator` if the hub's projects are in GitLab.

    Any other authenticator class is kept; `check_gitlab_authenticator` reports what is wrong with it.
    """
    if (
        c.Renku.get("projects") == "gitlab"
        and c.JupyterHub.get("authenticator_class", "gitlab") in _GITLAB_AUTHENTICATOR_CLASSES
    ):
        c.JupyterHub.authenticator_class = RenkuGitLabOAuthenticator


def check_gitlab_authenticator(hub: HubApp, wishes: GitLabLoginSettings) -> None:
    """Have the hub's authenticator request the scopes that Renku needs. Raises SettingError if it cannot."""
    if wishes.projects != "gitlab":
        return
    login = hub.authenticator
    if not isinstance(login, RenkuGitLabOAuthenticator):
        raise SettingError(
            f"c.JupyterHub.authenticator_class is {type(login).__name__}, and with c.Renku.projects = 'gitlab' people "
            "log in at GitLab. Leave it out, or set it to 'gitlab' or a class derived from RenkuGitLabOAuthenticator."
        )
    for trait, why in _REQUIRED_TRAITS.items():
        if not getattr(login, trait):
            raise SettingError(f"c.GitLabOAuthenticator.{trait} is {getattr(login, trait)!r}: {why}.")
    if login.gitlab_url.rstrip("/") != wishes.gitlab_url:
        raise SettingError(
            f"People log in at c.GitLabOAuthenticator.gitlab_url, {login.gitlab_url}, and their projects are at "
            f"c.Renku.gitlab_url, {wishes.gitlab_url}. Set only one of them."
        )
    login.http_request_kwargs = _build_ca_options(wishes) | login.http_request_kwargs
    login.require_scopes(wishes.get_login_scopes())


def _build_ca_options(wishes: GitLabLoginSettings) -> dict[str, Any]:
    return {"ca_certs": wishes.gitlab_ca} if wishes.gitlab_ca else {}


class HubTokenProvider:
    """Implement `integrations.gitlab.auth_state.GitLabTokenProvider` with the hub's authenticator."""

    def __init__(self, hub: HubApp) -> None:
        self._hub = hub

    async def get_token(self, name: str, *, left: float = 60.0, not_this: str | None = None) -> GitLabToken:
        """Return the token of the hub's user *name*; see `integrations.gitlab.auth_state.GitLabTokenProvider`.

        Raises:
            GitLabLoginRequired, GitLabUnavailable: as there.
        """
        authenticator, user = self._get_gitlab_authenticator(), self._hub.users.get(name)
        if authenticator is None or user is None:
            raise GitLabLoginRequired
        return await authenticator.get_access_token(user, left=left, not_this=not_this)

    def record_accepted(self, name: str, token: GitLabToken, *, ago: float) -> None:
        """See `integrations.gitlab.auth_state.GitLabTokenProvider`."""
        authenticator = self._get_gitlab_authenticator()
        if authenticator is not None:
            authenticator.heard.record_accepted(name, token.access, ago=ago)

    def _get_gitlab_authenticator(self) -> RenkuGitLabOAuthenticator | None:
        found = self._hub.authenticator
        return found if isinstance(found, RenkuGitLabOAuthenticator) else None
