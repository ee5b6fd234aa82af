"""Call GitLab's API on behalf of a hub user, with timeouts, retries and a circuit breaker.

Logging in and refreshing tokens is in hub.gitlab_login.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import requests
from gitlab import Gitlab
from gitlab.exceptions import GitlabError
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError
from urllib3.util import parse_url

from ...domain.errors import NOT_FOUND_MESSAGE, ForbiddenError, NotFoundError, UnavailableError
from ...domain.text import to_single_line
from ...observability.metrics import DependencyCallTimer, record_skipped_call
from ..net.cache import TTLCache
from ..net.circuit_breaker import CircuitBreaker
from .auth_state import GitLabToken, GitLabTokenProvider


class GitLabLoginRequired(ForbiddenError):
    """GitLab no longer accepts the user's token, or there is none (403)."""

    code = "log_in_again"

    def __init__(self) -> None:
        super().__init__("Your log-in at GitLab has ended. Please log in again.")


class GitLabUnavailable(UnavailableError):
    """GitLab did not answer in time, or not with a usable answer (503)."""

    def __init__(self, *, retry_after: int = 10) -> None:
        super().__init__("GitLab does not answer at the moment.", retry_after=retry_after, code="gitlab_unavailable")


class GitLabForbidden(ForbiddenError):
    """GitLab answered 403; `scope` is the scope that the token lacks, if GitLab names it."""

    def __init__(self, *, scope: str | None = None) -> None:
        super().__init__("GitLab does not allow you to do this.")
        self.scope = scope


class GitLabNotFound(NotFoundError):
    """GitLab answered 404: the object does not exist, or the user may not see it."""

    def __init__(self) -> None:
        super().__init__(NOT_FOUND_MESSAGE)


GITLAB_MAX_RESPONSE_BYTES = 12 << 20  # enough for a project description of 10 MB, which is cut and not refused
GITLAB_MAX_REDIRECTS = 3
GITLAB_CONNECT_TIMEOUT_SECONDS = 2.0
_RESPONSE_CHUNK_BYTES = 1 << 16
_thread_state = threading.local()


class GitLabCall:
    """One call in a worker thread, which the event loop can abort.

    requests only limits the time of each read, so a slow server could hold a thread for ever. When the time is up,
    the connection in use is shut down.
    """

    def __init__(self, seconds: float) -> None:
        self.until = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._connection: Any = None
        self._over = False
        self.retry_after: str | None = None  # of the last answer

    @property
    def remaining_seconds(self) -> float:
        """The remaining seconds; always above 0, since 0 would mean no limit."""
        return max(self.until - time.monotonic(), 0.001)

    def attach_connection(self, connection: Any) -> None:
        """Set the connection in use.

        Raises:
            TimeoutError: the call was aborted.
        """
        with self._lock:
            self._connection = connection
            if self._over:
                raise TimeoutError

    def abort(self) -> None:
        with self._lock:
            self._over = True
            sock = getattr(self._connection, "sock", None)
        if sock is not None:
            with contextlib.suppress(OSError):
                # The base class's method: SSLSocket.shutdown would change the TLS state during a read.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def __enter__(self) -> GitLabCall:
        _thread_state.call = self
        return self

    def __exit__(self, *_: object) -> None:
        _thread_state.call = None


class _TrackedConnectionMixin:
    """A connection that attaches itself to the `GitLabCall` of its thread."""

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        _thread_state.call.attach_connection(self)

    def request(self, *args: Any, **kwargs: Any) -> None:
        _thread_state.call.attach_connection(self)
        super().request(*args, **kwargs)  # type: ignore[misc]


class _TrackedHTTPConnection(_TrackedConnectionMixin, HTTPConnection): ...


class _TrackedHTTPSConnection(_TrackedConnectionMixin, HTTPSConnection): ...


class _TrackedHTTPConnectionPool(HTTPConnectionPool):
    ConnectionCls = _TrackedHTTPConnection


class _TrackedHTTPSConnectionPool(HTTPSConnectionPool):
    ConnectionCls = _TrackedHTTPSConnection


class GitLabHTTPAdapter(HTTPAdapter):
    """An HTTP adapter that is shared by all threads and users; state of a single call is in its session."""

    def __init__(self, url: str, *, connections: int, ca: str = "") -> None:
        self._origin = _parse_origin(url)
        self._ca = ca
        super().__init__(pool_connections=1, pool_maxsize=connections)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Trust the system's CAs and certifi's, or only those of the file *ca*."""
        trust = ssl.create_default_context(cafile=self._ca or None)
        super().init_poolmanager(*args, ssl_context=trust, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {
            "http": _TrackedHTTPConnectionPool,
            "https": _TrackedHTTPSConnectionPool,
        }

    def create_session(self) -> requests.Session:
        """Create the session of one call, without cookies and without the machine's proxies and `.netrc`."""
        session = requests.Session()
        session.trust_env = False
        session.verify = self._ca or True
        session.max_redirects = GITLAB_MAX_REDIRECTS
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        session.mount("https://", self)
        session.mount("http://", self)
        return session

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send one request (of possibly several redirects), and read the whole response.

        Raises:
            requests.RequestException: no response, one that is too large, or a redirect to another origin.
        """
        if _parse_origin(request.url or "") != self._origin:
            raise requests.exceptions.InvalidURL("GitLab redirected to another host")
        call: GitLabCall = _thread_state.call
        limits = (min(GITLAB_CONNECT_TIMEOUT_SECONDS, call.remaining_seconds), call.remaining_seconds)
        response = super().send(request, stream=True, timeout=limits, verify=verify, cert=cert)
        call.retry_after = response.headers.get("Retry-After")
        _read_response_content(response)
        return response


def _parse_origin(url: str) -> tuple[str | None, str | None, int | None]:
    parts = parse_url(url)
    return parts.scheme, parts.host, parts.port or {"http": 80, "https": 443}.get(parts.scheme or "")


def _read_response_content(response: requests.Response) -> None:
    """Read the whole body here, where its size can be limited."""
    body = bytearray()
    try:
        for chunk in response.raw.stream(_RESPONSE_CHUNK_BYTES, decode_content=True):
            body += chunk
            if len(body) > GITLAB_MAX_RESPONSE_BYTES:
                break
    except (HTTPError, OSError, ValueError) as problem:
        response.raw.close()
        raise requests.exceptions.ConnectionError(type(problem).__name__) from None
    if len(body) > GITLAB_MAX_RESPONSE_BYTES:
        response.raw.close()
        raise requests.exceptions.InvalidJSONError("GitLab sent an answer that is too large")
    response._content = bytes(body)  # as `stream=False` does
    response._content_consumed = True
    response.raw.release_conn()


GITLAB_POOL_THREADS = 16
GITLAB_POOL_QUEUE_SIZE = 64


class GitLabThreadPool:
    """Run calls in threads of its own, so that a hanging GitLab does not block other work in threads.

    A call without a thread or an answer in its time is given up, and its connection is shut down.
    """

    def __init__(self, *, threads: int = GITLAB_POOL_THREADS, waiting: int = GITLAB_POOL_QUEUE_SIZE) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="gitlab")
        self._most = threads + waiting
        self._inside = 0

    async def run(self, work: Callable[[GitLabCall], Any], *, within: float) -> Any:
        """Return the result of *work*, within *within* seconds.

        Raises:
            GitLabUnavailable: too many calls are queued, or the time is up.
        """
        if self._inside >= self._most:
            raise GitLabUnavailable
        self._inside += 1
        call = GitLabCall(within)
        try:
            future = self._executor.submit(_run_call, call, work)
        except RuntimeError:  # the executor is shut down
            self._inside -= 1
            raise GitLabUnavailable from None
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: _notify_loop(loop, self._release_slot))
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), within)
        except TimeoutError:
            raise GitLabUnavailable from None
        finally:
            if not future.done():
                call.abort()

    def close(self) -> None:
        """Start no more calls; running ones end within their timeout."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _release_slot(self) -> None:
        self._inside -= 1


def _run_call(call: GitLabCall, work: Callable[[GitLabCall], Any]) -> Any:
    with call:
        return work(call)


def _notify_loop(loop: asyncio.AbstractEventLoop, what: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed, so the counter no longer matters
        loop.call_soon_threadsafe(what)


MAX_RETRY_AFTER_SECONDS = 30  # even if GitLab asks for more
MIN_RETRY_AFTER_SECONDS = 1
DEFAULT_RETRY_AFTER_SECONDS = 5


def _utcnow() -> datetime:
    return datetime.now(UTC)


def parse_retry_after(value: str | None, now: Callable[[], datetime] = _utcnow) -> int:
    """Return the seconds (1 to 30) of a `Retry-After` header; 5 if it is missing or invalid.

    The header is a number of seconds or a date (RFC 9110, section 10.2.3). GitLab asks for up to an hour; an earlier
    attempt is harmless, since GitLab then answers 429 again.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return _clamp_retry_after(float(text[:12]))
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, OverflowError, TypeError):
        return DEFAULT_RETRY_AFTER_SECONDS
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return _clamp_retry_after((when - now()).total_seconds())


def _clamp_retry_after(seconds: float) -> int:
    return round(min(max(seconds, MIN_RETRY_AFTER_SECONDS), MAX_RETRY_AFTER_SECONDS))


_DEFINITIVE_ERRORS = {401: GitLabLoginRequired, 403: GitLabForbidden, 404: GitLabNotFound}
_TRANSIENT_STATUSES = {502, 503, 504}


class GitLabRateLimited(GitLabUnavailable):
    """GitLab answered 429: too many requests."""


class GitLabTransientError(GitLabUnavailable):
    """A failure that a retry may well fix."""


def run_gitlab_operation(call: GitLabCall, gitlab: Gitlab, work: Callable[[Gitlab], Any]) -> Any:
    """Return the result of *work*, and translate all exceptions.

    Raises:
        GitLabLoginRequired, GitLabForbidden, GitLabNotFound: GitLab's definitive answers.
        GitLabUnavailable: any other failure.
    """
    try:
        return work(gitlab)
    except GitlabError as problem:
        raise _to_gitlab_error(problem, call) from None
    except requests.ConnectionError:
        raise GitLabTransientError from None
    except (requests.RequestException, TimeoutError, LookupError, TypeError, ValueError, AttributeError):
        raise GitLabUnavailable from None


def _to_gitlab_error(problem: GitlabError, call: GitLabCall) -> Exception:
    status = problem.response_code
    definitive: type[Exception] | None = _DEFINITIVE_ERRORS.get(status or 0)
    if status == 403 and problem.error_message == "insufficient_scope":
        return GitLabForbidden(scope=_parse_required_scope(problem))
    if definitive is not None:
        return definitive()
    if status == 429:
        return GitLabRateLimited(retry_after=parse_retry_after(call.retry_after))
    return GitLabTransientError() if status in _TRANSIENT_STATUSES else GitLabUnavailable()


def _parse_required_scope(problem: GitlabError) -> str:
    """Return the scopes of which the token needs one, as GitLab lists them; `?` if it does not."""
    try:
        return to_single_line(str(json.loads(problem.response_body or b"{}")["scope"]))
    except (ValueError, LookupError, TypeError):
        return "?"


GITLAB_PAGE_SIZE = 20
_RETRY_DELAY_SECONDS = (0.05, 0.2)  # random delay before a retry
_MAX_REMEMBERED_BACKOFFS = 10_000
_GITLAB_METRIC_OUTCOMES: dict[type[BaseException], str] = {
    GitLabRateLimited: "busy",
    GitLabLoginRequired: "refused",
    GitLabForbidden: "refused",
    GitLabNotFound: "refused",
    GitLabUnavailable: "no_answer",
}
GitLabOperation = Callable[[Gitlab], Any]


class GitLabClient:
    """A client of the GitLab at *url* that uses the tokens of *tokens*; *ca* is a CA file that replaces the system's.

    Every call has a timeout. After five failures in a row, no requests are made for 15 s. A user whose request was
    rate-limited (429) makes no further requests until the time that GitLab gave, at most 30 s.
    """

    def __init__(
        self,
        url: str,
        tokens: GitLabTokenProvider,
        *,
        threads: int = GITLAB_POOL_THREADS,
        queue: int = GITLAB_POOL_QUEUE_SIZE,
        ca: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = url.rstrip("/")
        self.host = urlsplit(url).netloc
        self.tokens = tokens
        self._clock = clock
        self._pool = GitLabThreadPool(threads=threads, waiting=queue)
        self._wire = GitLabHTTPAdapter(url, connections=threads, ca=ca)
        self._breaker = CircuitBreaker(clock)
        self._told_to_wait: TTLCache[float] = TTLCache(_MAX_REMEMBERED_BACKOFFS, clock)

    async def get(
        self, name: str | None, path: str, query: Mapping[str, Any] | None = None, *, within: float = 2.0
    ) -> Any:
        """Return the JSON answer to `GET /api/v4<path>` as the hub user *name*, or without a login for None.

        *path* begins with a slash and is already quoted; *within* is the total timeout in seconds.

        Raises:
            GitLabLoginRequired, GitLabForbidden, GitLabNotFound: definitive answers.
            GitLabUnavailable: no definitive answer.
        """
        parameters = dict(query or {})

        def work(gitlab: Gitlab) -> Any:
            return _require_json(gitlab.http_get(path, query_data=parameters, obey_rate_limit=False))

        return await self._request(name, work, within)

    async def list_objects(
        self,
        name: str | None,
        path: str,
        query: Mapping[str, Any] | None = None,
        *,
        pages: int = 1,
        within: float = 2.0,
    ) -> list[Any]:
        """Return at most *pages* pages of a list of objects (20 per page, or the query's `per_page`).

        Raises:
            GitLabLoginRequired, GitLabForbidden, GitLabNotFound, GitLabUnavailable: as `get`.
        """
        parameters = {"per_page": GITLAB_PAGE_SIZE, **(query or {})}

        def work(gitlab: Gitlab) -> list[Any]:
            more: dict[str, Any] = {"get_all": False} if pages == 1 else {"iterator": True}
            objects = gitlab.http_list(path, query_data=parameters, obey_rate_limit=False, **more)
            return _require_objects(list(itertools.islice(objects, pages * int(parameters["per_page"]))))

        objects: list[Any] = await self._request(name, work, within)
        return objects

    async def is_reachable(self) -> bool:
        """Return whether GitLab answers at all, even with a refusal."""
        try:
            await self.get(None, "/version")
        except GitLabUnavailable:
            return False
        except (GitLabLoginRequired, GitLabForbidden, GitLabNotFound):
            pass
        return True

    @property
    def outage_seconds(self) -> float | None:
        """Seconds since the first of the failures that opened the circuit breaker; None while it is closed."""
        return self._breaker.get_outage_seconds(self.host)

    def close(self) -> None:
        """Stop all requests, and close the connections."""
        self._pool.close()
        self._wire.close()

    async def _request(self, name: str | None, work: GitLabOperation, within: float) -> Any:
        self._check_backoff(name)
        try:
            async with asyncio.timeout(within):
                return await self._request_as(name, work, self._clock() + within)
        except TimeoutError:
            self._breaker.record_failure(self.host)
            raise GitLabUnavailable from None
        except GitLabRateLimited as busy:
            self._told_to_wait.put(name, self._clock() + busy.retry_after, seconds=busy.retry_after)
            raise

    def _check_backoff(self, name: str | None) -> None:
        until = self._told_to_wait.get(name)
        if until is not None:
            raise GitLabUnavailable(retry_after=max(round(until - self._clock()), MIN_RETRY_AFTER_SECONDS))
        if not self._breaker.allow_request(self.host):
            record_skipped_call("gitlab")
            raise GitLabUnavailable

    async def _request_as(self, name: str | None, work: GitLabOperation, until: float) -> Any:
        """Send the request as *name*; retry once with another token if GitLab refuses the first one."""
        if name is None:
            return await self._request_with_retry(None, work, until)
        token = await self.tokens.get_token(name)
        try:
            return await self._request_with_token(name, token, work, until)
        except GitLabLoginRequired:
            token = await self.tokens.get_token(name, not_this=token.access)
        return await self._request_with_token(name, token, work, until)

    async def _request_with_token(self, name: str, token: GitLabToken, work: GitLabOperation, until: float) -> Any:
        started = self._clock()
        value = await self._request_with_retry(token.access, work, until)
        self.tokens.record_accepted(name, token, ago=self._clock() - started)
        return value

    async def _request_with_retry(self, access: str | None, work: GitLabOperation, until: float) -> Any:
        """Send the request; retry once after a broken connection or a gateway error, within the timeout."""
        try:
            return await self._request_once(access, work, until)
        except GitLabTransientError:
            await asyncio.sleep(random.uniform(*_RETRY_DELAY_SECONDS))
        return await self._request_once(access, work, until)

    async def _request_once(self, access: str | None, work: GitLabOperation, until: float) -> Any:
        """Send the request once. Only missing answers count as failures of GitLab, any answer as a success."""
        if access == "":  # python-gitlab would send the request without a token
            raise GitLabLoginRequired
        left = max(until - self._clock(), 0.001)
        try:
            with DependencyCallTimer("gitlab", _GITLAB_METRIC_OUTCOMES):
                value = await self._pool.run(
                    lambda call: run_gitlab_operation(call, self._build_client(access, left), work), within=left
                )
        except GitLabUnavailable as away:
            (self._breaker.record_success if isinstance(away, GitLabRateLimited) else self._breaker.record_failure)(
                self.host
            )
            raise
        except (GitLabLoginRequired, GitLabForbidden, GitLabNotFound):
            self._breaker.record_success(self.host)
            raise
        self._breaker.record_success(self.host)
        return value

    def _build_client(self, access: str | None, left: float) -> Gitlab:
        """Create a python-gitlab client for one call, since it holds the user's token."""
        return Gitlab(
            self.url,
            oauth_token=access,
            timeout=left,
            user_agent="renku-spawner",
            session=self._wire.create_session(),
            keep_base_url=True,
        )


def _require_json(value: Any) -> Any:
    """Refuse an answer that is not JSON, most often a proxy's page: python-gitlab returns it as a raw response."""
    if isinstance(value, requests.Response):
        raise GitLabUnavailable
    return value


def _require_objects(found: list[Any]) -> list[Any]:
    if not all(isinstance(one, dict) for one in found):  # python-gitlab iterates over the characters of a JSON string
        raise GitLabUnavailable
    return found
