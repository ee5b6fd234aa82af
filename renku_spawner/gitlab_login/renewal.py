"""Renews a pair of tokens once, however many ask, and stores the new one whatever happens to those who wait."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Coroutine
from inspect import isawaitable
from typing import Any, TypeVar
from urllib.parse import urlencode
from weakref import WeakValueDictionary

from oauthenticator.gitlab import GitLabOAuthenticator
from tornado.httpclient import HTTPClientError, HTTPResponse

from ..gitlab import auth_state, waiting
from ..gitlab.auth_state import EXPIRES, USER, State
from ..gitlab.errors import Away, LogInAgain
from .heard import Heard

T = TypeVar("T")
MARGIN = 900.0  # seconds that a token still lasts when somebody acts: as long as a start may take
WAIT = 5.0  # seconds that a request waits for a new token
_RENEWAL = 20.0  # seconds after which GitLab's answer about a new pair is given up
_QUESTION = 1.5  # seconds for the question whether GitLab still takes a token
_QUIET = 15  # seconds without questions when GitLab does not answer
_PAUSES = (0.2, 1.0, 3.0)  # seconds between tries to store
_DEAD = (400, 401)  # of the token endpoint: this refresh token is of no use any more


class Renewing(GitLabOAuthenticator):
    """GitLab revokes a pair of tokens as soon as a new one is made of it: two requests that both renew would
    log the person out, and one that stores what it has read before would lose the new pair. So each user has
    one lock, what is stored is read again inside it, and what was begun is finished although nobody waits.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._under_way: set[asyncio.Task[Any]] = set()
        self._dead: dict[str, str] = {}  # by user, the refresh token that GitLab has refused
        self.heard = Heard()
        self._quiet_until = -math.inf

    async def good(self, user: Any, *, left: float, not_this: str | None) -> State:
        """The auth state of the hub's *user* with a token that lasts *left* more seconds and is not *not_this*.

        Raises:
            LogInAgain, Away: as `gitlab.tokens.Tokens`.
        """
        self.heard.refused(user.name, not_this)
        if self.heard.was_in_vain(user.name):
            raise Away
        state = await user.get_auth_state()
        if auth_state.is_good(state, time.time(), left=left, not_this=not_this):
            return state or {}
        return await self._seen_through(self._good(user, left, not_this))

    async def checked(self, user: Any) -> State:
        """The auth state of the hub's *user* that GitLab still takes and that lasts `MARGIN` more seconds.

        It is not asked about a token with which it has given an answer within the last minute, as long as
        it has said within `auth_refresh_age` who the person is.

        Raises:
            LogInAgain: GitLab does not renew it.
            Away: GitLab does not say.
        """
        return await self._seen_through(self._checked(user, time.monotonic()))

    async def _seen_through(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of *work*, which goes on when the caller gives up: a pair that nobody stores is lost."""
        task = asyncio.ensure_future(work)
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        done, _ = await asyncio.wait({task}, timeout=WAIT)
        if not done:
            raise self._away(_QUIET)
        return task.result()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # nobody may be waiting for it any longer

    async def _good(self, user: Any, left: float, not_this: str | None) -> State:
        self._require_answers()
        async with self._lock(user.name):
            state = await self._stored(user)
            if auth_state.is_good(state, time.time(), left=left, not_this=not_this):
                return state  # somebody was faster
            return await self._renewed(user, state)

    async def _checked(self, user: Any, asked: float) -> State:
        self._require_answers()
        async with self._lock(user.name):
            state = await self._stored(user)
            if not auth_state.is_good(state, time.time(), left=MARGIN):
                return await self._renewed(user, state)
            if self.heard.asked_since(user.name, asked):
                return state  # by somebody else, while we waited
            if self.heard.is_good(user.name, state["access_token"], within=self.auth_refresh_age):
                return state
            return await self._asked(user, state)

    async def _asked(self, user: Any, state: State) -> State:
        begun = time.monotonic()
        try:
            answer = await self._fetched(self.userdata_url, _QUESTION, headers=self._bearer(state))
        except Away:
            if time.monotonic() - begun > _QUESTION / 2:
                self.heard.in_vain(user.name)
            raise
        self.heard.asked(user.name)
        if answer.code == 401:
            return await self._renewed(user, state)
        return await self._noted(user, state, answer, begun)

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())

    async def _stored(self, user: Any) -> State:
        state = await user.get_auth_state()
        if auth_state.token_of(state) is None:
            raise LogInAgain
        return dict(state)

    async def _noted(self, user: Any, state: State, answer: HTTPResponse, begun: float) -> State:
        """With what GitLab says about the person now; whatever else it says, the token stays."""
        said = _json(answer)
        if answer.code != 200 or auth_state.number_of(said) != auth_state.user_id(state):
            return state
        self.heard.took(user.name, state["access_token"], ago=time.monotonic() - begun)
        return state if said == state[USER] else await self._saved(user, {**state, USER: said})

    async def _renewed(self, user: Any, state: State) -> State:
        refresh = state.get("refresh_token")
        if not refresh or self._dead.get(user.name) == refresh:
            raise LogInAgain
        body = urlencode(self.build_refresh_token_request_params(refresh)).encode()
        headers = self.build_token_info_request_headers()
        begun = time.monotonic()
        answer = await self._fetched(self.token_url, _RENEWAL, method="POST", headers=headers, body=body)
        if answer.code in _DEAD:
            return await self._newer(user, refresh)
        made = _json(answer)
        if answer.code != 200 or not isinstance(made, dict) or not made.get("access_token"):
            raise self._away(waiting.retry_after(answer.headers.get("Retry-After")))
        self.heard.took(user.name, made["access_token"], ago=time.monotonic() - begun)
        return await self._saved(user, await self._merged(state, made))

    async def _newer(self, user: Any, refused: str) -> State:
        """What a new log-in has stored while GitLab refused. Raises LogInAgain where there was none."""
        state = await self._stored(user)
        if state.get("refresh_token") == refused:
            self._dead[user.name] = refused
            self.log.info("GitLab does not renew the log-in of %s", user.name)
            raise LogInAgain
        return state

    async def _merged(self, state: State, made: dict[str, Any]) -> State:
        """The new pair in the state that is stored: what others keep there stays."""
        kept = {"refresh_token": state["refresh_token"], "scope": " ".join(sorted(auth_state.scopes(state)))}
        built = self.build_auth_state_dict(kept | made, state[USER])
        return {**state, **(await built if isawaitable(built) else built)}

    async def _saved(self, user: Any, state: State) -> State:
        """Store first what cannot be got again, then what an admin's hook makes of it."""
        await _store(user, state)
        if self.modify_auth_state_hook is None:
            return state
        changed: State = await self._call_modify_auth_state_hook(dict(state))
        await _store(user, changed)
        return changed

    def build_auth_state_dict(self, token_info: Any, user_info: Any) -> Any:
        """As GitLabOAuthenticator's, with when the token ends by our own clock."""
        state = super().build_auth_state_dict(token_info, user_info)
        return {**state, EXPIRES: auth_state.ends(token_info, time.time())}

    # ---- asking GitLab -----------------------------------------------------------------------------

    async def _fetched(self, url: str, within: float, **request: Any) -> HTTPResponse:
        """GitLab's answer to one request, in *within* seconds. Raises Away."""
        self._require_answers()
        limits = {"connect_timeout": within, "request_timeout": within, "follow_redirects": False}
        checks = {"validate_cert": self.validate_server_cert, "parse_json": False, "raise_error": False}
        try:
            answer: HTTPResponse = await self.httpfetch(url, **limits, **checks, **request)
        except (HTTPClientError, OSError):
            raise self._away(_QUIET) from None
        if answer.code >= 500:
            raise self._away(_QUIET)
        return answer

    def _bearer(self, state: State) -> dict[str, str]:
        kind = (state.get("token_response") or {}).get("token_type") or "Bearer"
        headers: dict[str, str] = self.build_userdata_request_headers(state["access_token"], kind)
        return headers

    def _require_answers(self) -> None:
        left = self._quiet_until - time.monotonic()
        if left > 0:
            raise Away(retry_after=math.ceil(left))

    def _away(self, seconds: float) -> Away:
        self._quiet_until = time.monotonic() + seconds
        return Away(retry_after=math.ceil(seconds))


async def _store(user: Any, state: State) -> None:
    """Once more where the database fails: it may just be busy, and nobody else has the pair."""
    for pause in _PAUSES:
        try:
            return await user.save_auth_state(state)
        except Exception as problem:
            if not type(problem).__module__.startswith("sqlalchemy"):
                raise
            user.db.rollback()  # the hub shares one session among all requests
        await asyncio.sleep(pause)
    return await user.save_auth_state(state)


def _json(answer: HTTPResponse) -> Any:
    """What was answered; None where that is no JSON."""
    try:
        return json.loads(answer.body)
    except ValueError:
        return None
