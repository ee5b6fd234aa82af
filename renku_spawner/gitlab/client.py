"""Asks GitLab's API as a user of the hub: never on the loop, never for ever, never as somebody else."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
from gitlab import Gitlab

from .. import metrics
from ..remote.breaker import Breaker
from ..remote.cache import Cache
from . import waiting
from .errors import Away, Denied, LogInAgain, Missing
from .pool import THREADS, WAITING, Pool
from .sorting import Broken, Busy, answered
from .tokens import Token, Tokens
from .wire import Wire

PER_PAGE = 20
_JITTER = (0.05, 0.2)  # seconds before another try
_REMEMBERED = 10_000
_MEANINGS: dict[type[BaseException], str] = {
    Busy: "busy", LogInAgain: "refused", Denied: "refused", Missing: "refused", Away: "no_answer",
}  # fmt: skip
Work = Callable[[Gitlab], Any]


class GitLab:
    """The GitLab at *url*, asked with the tokens of *tokens*; *ca* is a file of certificates in place of the system's.

    Every call ends in its time. After five failures in a row GitLab is left alone for
    15 s; whom it tells to wait is not asked for again before, but within 30 s.
    """

    def __init__(
        self,
        url: str,
        tokens: Tokens,
        *,
        threads: int = THREADS,
        queue: int = WAITING,
        ca: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = url.rstrip("/")
        self.host = urlsplit(url).netloc
        self.tokens = tokens
        self._clock = clock
        self._pool = Pool(threads=threads, waiting=queue)
        self._wire = Wire(url, connections=threads, ca=ca)
        self._breaker = Breaker(clock)
        self._told_to_wait: Cache[float] = Cache(_REMEMBERED, clock)

    async def get(
        self, name: str | None, path: str, query: Mapping[str, Any] | None = None, *, within: float = 2.0
    ) -> Any:
        """What `GET /api/v4<path>` answers (JSON) to the hub's user *name*, or to nobody for None.

        *path* begins with a slash and is quoted already; *within* is in seconds, for everything.

        Raises:
            LogInAgain, Denied, Missing: definitive answers.
            Away: no answer from which anything follows.
        """
        asked = dict(query or {})

        def work(gitlab: Gitlab) -> Any:
            return _json(gitlab.http_get(path, query_data=asked, obey_rate_limit=False))

        return await self._asked(name, work, within)

    async def listed(
        self,
        name: str | None,
        path: str,
        query: Mapping[str, Any] | None = None,
        *,
        pages: int = 1,
        within: float = 2.0,
    ) -> list[Any]:
        """At most *pages* pages of a list of objects (20 each, or the query's `per_page`).

        Raises:
            LogInAgain, Denied, Missing, Away: as `get`.
        """
        asked = {"per_page": PER_PAGE, **(query or {})}

        def work(gitlab: Gitlab) -> list[Any]:
            more: dict[str, Any] = {"get_all": False} if pages == 1 else {"iterator": True}
            found = gitlab.http_list(path, query_data=asked, obey_rate_limit=False, **more)
            return _objects(list(itertools.islice(found, pages * int(asked["per_page"]))))

        found: list[Any] = await self._asked(name, work, within)
        return found

    async def answers(self) -> bool:
        """Whether it says anything at all, if only that it does not know us."""
        try:
            await self.get(None, "/version")
        except Away:
            return False
        except (LogInAgain, Denied, Missing):
            pass
        return True

    @property
    def silent(self) -> float | None:
        """Seconds since GitLab last answered, as far as it is left alone for that; None while it is not."""
        return self._breaker.silent(self.host)

    def close(self) -> None:
        """Ask nothing any more."""
        self._pool.close()
        self._wire.close()

    async def _asked(self, name: str | None, work: Work, within: float) -> Any:
        self._require_patience(name)
        try:
            async with asyncio.timeout(within):
                return await self._as(name, work, self._clock() + within)
        except TimeoutError:
            self._breaker.failed(self.host)
            raise Away from None
        except Busy as busy:
            self._told_to_wait.put(name, self._clock() + busy.retry_after, seconds=busy.retry_after)
            raise

    def _require_patience(self, name: str | None) -> None:
        until = self._told_to_wait.get(name)
        if until is not None:
            raise Away(retry_after=max(round(until - self._clock()), waiting.SHORTEST))
        if not self._breaker.lets_through(self.host):
            metrics.skipped("gitlab")
            raise Away

    async def _as(self, name: str | None, work: Work, until: float) -> Any:
        """As *name*, with another token when GitLab does not take the first one any more."""
        if name is None:
            return await self._again(None, work, until)
        token = await self.tokens.of(name)
        try:
            return await self._with(name, token, work, until)
        except LogInAgain:
            token = await self.tokens.of(name, not_this=token.access)
        return await self._with(name, token, work, until)

    async def _with(self, name: str, token: Token, work: Work, until: float) -> Any:
        begun = self._clock()
        value = await self._again(token.access, work, until)
        self.tokens.taken(name, token, ago=self._clock() - begun)
        return value

    async def _again(self, access: str | None, work: Work, until: float) -> Any:
        """Once more where a connection broke or a proxy had no answer, and there is time."""
        try:
            return await self._once(access, work, until)
        except Broken:
            await asyncio.sleep(random.uniform(*_JITTER))
        return await self._once(access, work, until)

    async def _once(self, access: str | None, work: Work, until: float) -> Any:
        """Only what is no answer counts against GitLab; whatever it says, it works."""
        if access == "":  # python-gitlab would ask as nobody
            raise LogInAgain
        left = max(until - self._clock(), 0.001)
        try:
            with metrics.Asking("gitlab", _MEANINGS):
                value = await self._pool.run(lambda call: answered(call, self._client(access, left), work), within=left)
        except Away as away:
            (self._breaker.worked if isinstance(away, Busy) else self._breaker.failed)(self.host)
            raise
        except (LogInAgain, Denied, Missing):
            self._breaker.worked(self.host)
            raise
        self._breaker.worked(self.host)
        return value

    def _client(self, access: str | None, left: float) -> Gitlab:
        """One for each call: it holds a token."""
        return Gitlab(
            self.url,
            oauth_token=access,
            timeout=left,
            user_agent="renku-spawner",
            session=self._wire.session(),
            keep_base_url=True,
        )


def _json(value: Any) -> Any:
    """python-gitlab hands over what is no JSON as it came: a page of a proxy, most often."""
    if isinstance(value, requests.Response):
        raise Away
    return value


def _objects(found: list[Any]) -> list[Any]:
    if not all(isinstance(one, dict) for one in found):  # a text of JSON is a list of letters to python-gitlab
        raise Away
    return found
