"""One kind of object, listed once and then followed by its changes, for ever.

KubeSpawner's reflectors list everything again every 10 to 30 s and give up after a
minute of errors. This lists again only when the API server says that it must.
Facts: https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any

from .. import metrics
from .clock import now
from .refusal import explain_tls_failure

Raw = dict[str, Any]
BACKOFF_MAX = 6.0  # seconds from one try to the next, so that all is right ten seconds after an outage (R5)
_BACKOFF_FIRST = 0.25
_ANSWER_SECONDS = 6  # until an answer begins
HURRY_SECONDS = 1  # between two tries when somebody waits for the answer
RELIST_SECONDS = 900  # a change that a server has kept to itself is learnt after so long
PAGE = 200  # objects; some 2 MB of pods
WATCH_SECONDS = 50  # the server ends a watch after so long, and sends a bookmark shortly before
STALL_SECONDS = 5  # how much later than that its end may come


class Expired(Exception):
    """The server no longer knows the resource version: list again (410)."""


class Refused(Exception):
    """The server answered with an error; `status` is its HTTP status."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"{status}: {body[:300]}")
        self.status = status


class Stream:
    """Keeps *replace* (all objects) and *apply* (one change) informed, of what *prune* leaves of each object.

    *call* is a list method of kubernetes_asyncio, *turned* is called when `healthy`
    changes, and after the first try; `healthy` says whether what was told is still true,
    `tried` whether that try is over, `heard` when the server was last heard (monotonic seconds),
    `problem` why it cannot be asked where that is known.
    """

    def __init__(
        self,
        call: Callable[..., Awaitable[Any]],
        *,
        selectors: Mapping[str, str],
        replace: Callable[[Sequence[Raw]], None],
        apply: Callable[[str, Raw], None],
        prune: Callable[[Raw], Raw],
        log: Any,
        seconds: float = WATCH_SECONDS,
        turned: Callable[[], None] = lambda: None,
    ) -> None:
        self._call, self._selectors, self._replace, self._apply, self._log = call, selectors, replace, apply, log
        self._prune, self._seconds, self._turned = prune, seconds, turned
        self._version: str | None = None
        self._listed = 0.0
        self._failures = self._expired = 0
        self._tried, self._hurried = 0.0, asyncio.Event()
        self.healthy = self.tried = False
        self.heard = now()
        self.problem: str | None = None

    async def run(self) -> None:
        """Never returns and never gives up; a task to be cancelled."""
        while True:
            self._tried = began = now()
            self._hurried.clear()
            try:
                if self._version is None or began - self._listed > RELIST_SECONDS:
                    await self._list()
                await self._follow(self._version or "")
            except Expired:
                await self._begin_anew(began)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                await self._wait(error, began)

    async def _begin_anew(self, began: float) -> None:
        """At once, but a server that knows no version at all is not asked without end."""
        self._version, self._expired = None, self._expired + 1
        metrics.reconnects.labels("expired").inc()
        if self._expired > 1:
            await asyncio.sleep(_delay(self._expired, began))

    async def _wait(self, error: Exception, began: float) -> None:
        """Longer after each failure, never the same for two hubs; a try that took long was a wait already."""
        self._set_healthy(False)
        self._failures += 1
        metrics.reconnects.labels("failed").inc()
        delay = _delay(self._failures, began)
        self.problem = explain_tls_failure(error)
        log = self._log.warning if self._failures in (1, 10) else self._log.debug
        if self.problem is not None and self._failures == 1:
            self._log.error("%s", self.problem)
        log("Kubernetes does not answer (%s: %s); trying again in %.1f s", type(error).__name__, error, delay)
        with suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await self._hurried.wait()

    def hurry(self) -> None:
        """Try again now instead of later, for somebody who waits; a server that is away is not asked without end."""
        if not self.healthy and now() - self._tried >= HURRY_SECONDS:
            self._hurried.set()

    def _well(self) -> None:
        self.heard, self._failures, self.problem = now(), 0, None
        self._set_healthy(True)

    def _set_healthy(self, healthy: bool) -> None:
        turned = healthy is not self.healthy or not self.tried
        self.healthy, self.tried = healthy, True
        if turned:
            self._turned()

    # ---- list -------------------------------------------------------------------------------------

    async def _list(self) -> None:
        """In pages, since reading a large one keeps the hub from everything else.

        All pages are of one version: the newest, as a hub that lists from "0" may be told the past.
        """
        found: list[Raw] = []
        page = await self._page()
        while True:
            found += map(self._prune, page["items"])
            if not (rest := page["metadata"].get("continue")):
                break
            page = await self._page(_continue=rest)
        self._replace(found)
        self._version, self._listed = page["metadata"]["resourceVersion"], now()
        self._well()

    async def _page(self, **following: str) -> Raw:
        response = await self._answer(**following, limit=PAGE, _request_timeout=60)
        async with response:
            body = await response.read()
        if response.status >= 400:
            _check(response.status, body.decode(errors="replace"))
        self.heard = now()
        page: Raw = json.loads(body)
        return page

    async def _answer(self, **asked: Any) -> Any:
        """The beginning of an answer."""
        async with asyncio.timeout(_ANSWER_SECONDS):
            return await self._call(**self._selectors, **asked, _preload_content=False)

    # ---- watch ------------------------------------------------------------------------------------

    async def _follow(self, version: str) -> None:
        """Take changes in until the server ends the watch. Raises Expired if it has become silent."""
        response = await self._answer(
            watch=True,
            resource_version=version,
            allow_watch_bookmarks=True,
            timeout_seconds=max(1, int(self._seconds)),
            _request_timeout=self._seconds + STALL_SECONDS,
        )
        async with response:
            if response.status >= 400:
                _check(response.status, await response.text())
            self._well()
            if not await self._read(response):  # a healthy server sends at least a bookmark before the end
                raise Expired

    async def _read(self, response: Any) -> bool:
        """Take in what comes; whether anything did before the end, which a connection may never tell."""
        heard = False
        try:
            async with asyncio.timeout(self._seconds + STALL_SECONDS), aclosing(_lines(response)) as lines:
                async for line in lines:
                    self._take(json.loads(line))
                    heard = True
        except TimeoutError:
            return False
        return heard

    def _take(self, change: Raw) -> None:
        kind, thing = change["type"], change["object"]
        if kind == "ERROR":
            _check(int(thing.get("code") or 500), str(thing.get("message")))
        version = thing["metadata"]["resourceVersion"]
        ahead = _ahead(version, self._version)
        if ahead < 0 and kind != "BOOKMARK":  # out of order: what else is missing nobody knows
            raise Expired
        self._well()
        if ahead > 0:
            self._version, self._expired = version, 0
            if kind != "BOOKMARK":
                self._apply(kind, self._prune(thing))


def _ahead(version: str, before: str | None) -> int:
    """Whether a version is newer (> 0), the same or older (< 0); of versions that are no numbers nobody can tell."""
    if before is not None and version.isdecimal() and before.isdecimal():
        return int(version) - int(before)
    return 1


def _delay(failures: int, began: float) -> float:
    """Seconds until the next try, counted from when the last one began, which may have been long ago."""
    pause = min(BACKOFF_MAX, _BACKOFF_FIRST * 2 ** min(failures, 10))
    return max(_BACKOFF_FIRST, pause - (now() - began)) * random.uniform(0.5, 1)


def _check(status: int, body: str) -> None:
    if status == 410:
        raise Expired
    if status >= 400:
        raise Refused(status, body)


async def _lines(response: Any) -> AsyncGenerator[bytes, None]:
    """Lines of any length: an object may have 1.5 MB."""
    rest = b""
    async for chunk in response.content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line.strip():
                yield line
