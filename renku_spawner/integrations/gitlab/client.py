"""Call GitLab's API by python-gitlab on behalf of a hub user, with timeouts, retries and a circuit breaker.

`docs/decisions/0021-gitlab-by-python-gitlab.md` says which parts of requests are extended, and why.

Logging in and refreshing tokens is in hub.gitlab_login.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import requests
from gitlab import Gitlab
from gitlab.exceptions import GitlabError
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError
from urllib3.response import HTTPResponse

from ...domain.errors import NOT_FOUND_MESSAGE, ForbiddenError, NotFoundError, UnavailableError
from ...domain.text import to_single_line
from ...observability.metrics import DependencyCallTimer, record_skipped_call
from ..net.cache import TTLCache
from ..net.circuit_breaker import CircuitBreaker
from ..net.retry import Backoff, retry
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
_worker = threading.local()  # `call` is the GitLabCall that the thread works on


class GitLabCall:
    """One call in a worker thread, which the event loop can abort.

    requests limits neither the size of a response nor its total time: a server that sends a byte now and then would
    hold the thread for ever.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._aborted = False
        self.retry_after: str | None = None  # of the last response

    def attach_socket(self, sock: socket.socket) -> None:
        """Set the socket on which a response is awaited.

        Raises:
            TimeoutError: the call was aborted.
        """
        with self._lock:
            self._socket = sock
            if self._aborted:
                raise TimeoutError

    def abort(self) -> None:
        with self._lock:
            self._aborted = True
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    # The base class's method: SSLSocket.shutdown would change the TLS state during a read.
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def read_response(self, response: requests.Response, **_: Any) -> None:
        """Read the body of *response*, also of a redirect or an error, before requests does; a response hook.

        Raises:
            requests.RequestException: it is too large.
            urllib3.exceptions.HTTPError: the connection broke.
        """
        self.retry_after = response.headers.get("Retry-After")
        body = response.raw.read(GITLAB_MAX_RESPONSE_BYTES + 1, decode_content=True)
        if len(body) > GITLAB_MAX_RESPONSE_BYTES:
            response.raw.close()
            raise requests.exceptions.InvalidJSONError("GitLab sent an answer that is too large")
        response.raw = BytesIO(body)


class _AbortableHTTPConnection(HTTPConnection):
    """A connection that gives its socket to the call of its thread."""

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as in urllib3
        _worker.call.attach_socket(self.sock)
        return super().getresponse()


class _AbortableHTTPSConnection(_AbortableHTTPConnection, HTTPSConnection): ...


class _AbortableHTTPConnectionPool(HTTPConnectionPool):
    ConnectionCls = _AbortableHTTPConnection


class _AbortableHTTPSConnectionPool(HTTPSConnectionPool):
    ConnectionCls = _AbortableHTTPSConnection


class GitLabHTTPAdapter(HTTPAdapter):
    """The connections to GitLab, shared by all threads."""

    def __init__(self, *, connections: int, ca: str = "") -> None:
        self._ca = ca
        super().__init__(pool_connections=1, pool_maxsize=connections)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Trust the system's CAs and certifi's, or only those of the file *ca*."""
        trust = ssl.create_default_context(cafile=self._ca or None)
        super().init_poolmanager(*args, ssl_context=trust, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {
            "http": _AbortableHTTPConnectionPool,
            "https": _AbortableHTTPSConnectionPool,
        }


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


GITLAB_POOL_THREADS = 16
GITLAB_POOL_QUEUE_SIZE = 64
GITLAB_PAGE_SIZE = 20
_RETRY_BACKOFF = Backoff(first=0.2, longest=0.2, jitter=0.75)
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
        self._ca = ca
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="gitlab")
        self._max_calls = threads + queue
        self._calls: set[Future[Any]] = set()  # running and queued
        self._adapter = GitLabHTTPAdapter(connections=threads, ca=ca)
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
        """Start no more calls, and close the connections; running calls end within their timeout."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._adapter.close()

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
        once = partial(self._request_once, access, work, until)
        return await retry(once, errors=GitLabTransientError, backoff=_RETRY_BACKOFF, attempts=2)

    async def _request_once(self, access: str | None, work: GitLabOperation, until: float) -> Any:
        """Send the request once. Only missing answers count as failures of GitLab, any answer as a success."""
        if access == "":  # python-gitlab would send the request without a token
            raise GitLabLoginRequired
        try:
            with DependencyCallTimer("gitlab", _GITLAB_METRIC_OUTCOMES):
                value = await self._run_in_thread(access, work, max(until - self._clock(), 0.001))
        except (GitLabRateLimited, GitLabLoginRequired, GitLabForbidden, GitLabNotFound):
            self._breaker.record_success(self.host)
            raise
        except GitLabUnavailable:
            self._breaker.record_failure(self.host)
            raise
        self._breaker.record_success(self.host)
        return value

    async def _run_in_thread(self, access: str | None, work: GitLabOperation, left: float) -> Any:
        """Run *work* in a thread of the client's own, so that a hanging GitLab does not block other threads.

        A call that is cancelled, or whose time is up, frees its thread at once.
        """
        if len(self._calls) >= self._max_calls:
            raise GitLabUnavailable
        call = GitLabCall()
        try:
            future = self._threads.submit(self._run_call, call, access, work, left)
        except RuntimeError:  # the client is closed
            raise GitLabUnavailable from None
        self._calls.add(future)
        future.add_done_callback(self._calls.discard)
        try:
            return await asyncio.wrap_future(future)
        finally:
            if not future.done():
                call.abort()

    def _run_call(self, call: GitLabCall, access: str | None, work: GitLabOperation, left: float) -> Any:
        """Return the result of *work*, in a worker thread, and translate all exceptions.

        Raises:
            GitLabLoginRequired, GitLabForbidden, GitLabNotFound: GitLab's definitive answers.
            GitLabUnavailable: any other failure.
        """
        _worker.call = call
        try:
            return work(self._build_client(self._create_session(call), access, left))
        except GitlabError as problem:
            raise _to_gitlab_error(problem, call) from None
        except (requests.ConnectionError, HTTPError):
            raise GitLabTransientError from None
        except (requests.RequestException, TimeoutError, LookupError, TypeError, ValueError, AttributeError):
            raise GitLabUnavailable from None

    def _create_session(self, call: GitLabCall) -> requests.Session:
        """Create the session of one call, which reaches no other host, and uses no proxy and no `.netrc`."""
        session = requests.Session()
        session.trust_env = False
        session.max_redirects = GITLAB_MAX_REDIRECTS
        session.hooks["response"] = [call.read_response]
        session.adapters.clear()
        for origin in _list_origins(self.url):
            session.mount(origin, self._adapter)
        return session

    def _build_client(self, session: requests.Session, access: str | None, left: float) -> Gitlab:
        """Create a python-gitlab client for one call, since it holds the user's token."""
        return Gitlab(
            self.url,
            oauth_token=access,
            ssl_verify=self._ca or True,
            timeout=left,
            user_agent="renku-spawner",
            session=session,
            keep_base_url=True,
        )


def _list_origins(url: str) -> list[str]:
    """Return the prefixes of all URLs on the host of *url*: with and without the port, if it is the scheme's own."""
    parts = urlsplit(url)
    port = {"http": 80, "https": 443}[parts.scheme]
    host = parts.netloc.removesuffix(f":{port}")
    return [f"{parts.scheme}://{host}/", *([f"{parts.scheme}://{host}:{port}/"] if parts.port in (None, port) else [])]


def _require_json(value: Any) -> Any:
    """Refuse an answer that is not JSON, most often a proxy's page: python-gitlab returns it as a raw response."""
    if isinstance(value, requests.Response):
        raise GitLabUnavailable
    return value


def _require_objects(found: list[Any]) -> list[Any]:
    if not all(isinstance(one, dict) for one in found):  # python-gitlab iterates over the characters of a JSON string
        raise GitLabUnavailable
    return found
