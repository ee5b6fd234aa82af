"""Probe a session's program over HTTP until it is ready, or explain why it is not."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from urllib.parse import unquote, urljoin, urlsplit

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from jupyterhub import __version__
from jupyterhub.utils import url_path_join
from yarl import URL

from .errors import LaunchFailed

_PROBE_CONNECT_TIMEOUT_SECONDS, _PROBE_TOTAL_TIMEOUT_SECONDS = 1.0, 5.0
_PROCESS_CHECK_INTERVAL_SECONDS = 0.25  # how often a running probe checks that the program still runs
_PROBE_PAUSES_SECONDS = (0.1, 0.1, 0.2, 0.2, 0.5)  # between probes; the last pause is repeated
_STABLE_FAILURE_SECONDS = 30.0  # the same permanent failure for this long ends the wait before the timeout
_MAX_PROBE_REDIRECTS = 5
_MIN_JUPYTERHUB_MAJOR_VERSION = 2  # JupyterHub 2 removed the API that version 1 servers call at log-in
_STABLE_FAILURE_CODES = {"base_url_wrong", "auth_loop"}


async def is_server_responding(address: str, places: asyncio.Semaphore) -> bool:
    """Request *address* once, and return True if an HTTP server responds with a status below 500.

    JupyterHub checks servers the same way after its restart. The request waits for one of the *places* first: if a hub
    opened thousands of connections at once, none would be open within its timeout.
    """
    try:
        async with (
            places,
            _create_probe_client() as client,
            client.get(URL(address, encoded=True), allow_redirects=False) as response,
        ):
            return response.status < 500
    except (ClientError, OSError, ValueError):  # TimeoutError too
        return False


@dataclass(kw_only=True)
class ReadinessProbe:
    """Probe one program at *url* below *prefix* for at most *timeout* seconds.

    *hub* is the hub's own prefix, to which a log-in may redirect.
    """

    url: str
    prefix: str
    hub: str
    timeout: float
    found: LaunchFailed = field(init=False)
    client: ClientSession = field(init=False)
    since: float = field(default_factory=monotonic)

    def __post_init__(self) -> None:
        self.found = self._build_closed_port_failure()

    async def wait_until_ready(self, check_alive: Callable[[], Awaitable[None]]) -> None:
        """Wait until the program responds as a session must; *check_alive* is awaited regularly and
        may raise to end the wait.

        Raises:
            LaunchFailed: `port_not_open`, `app_error`, `base_url_wrong` or `auth_loop`.
        """
        end, tries = monotonic() + self.timeout, 0
        async with _create_probe_client() as self.client:
            while not await self._probe_once(check_alive):
                if monotonic() > end or self._is_failure_stable():
                    raise self.found
                await asyncio.sleep(_PROBE_PAUSES_SECONDS[min(tries, len(_PROBE_PAUSES_SECONDS) - 1)])
                tries += 1

    async def _probe_once(self, check_alive: Callable[[], Awaitable[None]]) -> bool:
        """Probe once, and return True if the program is ready."""
        probe = asyncio.ensure_future(self._find_failure())
        try:
            while not probe.done():
                await asyncio.wait({probe}, timeout=_PROCESS_CHECK_INTERVAL_SECONDS)
                await check_alive()
            failure = probe.result()
        finally:
            probe.cancel()
            await asyncio.wait({probe})  # it must end before its client is closed
        if failure is None:
            return True
        if failure.reason != self.found.reason:
            self.since = monotonic()
        self.found = failure
        return False

    def _is_failure_stable(self) -> bool:
        return self.found.reason in _STABLE_FAILURE_CODES and monotonic() - self.since > min(
            _STABLE_FAILURE_SECONDS, self.timeout
        )

    async def _find_failure(self) -> LaunchFailed | None:
        """Return what is wrong with the program's responses, or None.

        A program need not serve `api` if it serves its prefix.
        """
        failure = await self._check_address(url_path_join(self.url, self.prefix, "api"))
        if failure is not None and failure.reason == "base_url_wrong":
            return await self._check_address(url_path_join(self.url, self.prefix))
        return failure

    async def _check_address(self, address: str) -> LaunchFailed | None:
        visited: list[str] = []
        while len(visited) < _MAX_PROBE_REDIRECTS:
            visited.append(address)
            response = await self._fetch_response(address)
            if response is None:
                return self._build_closed_port_failure()
            location = response.headers.get("Location") if 300 <= response.status < 400 else None
            if location is None:
                return self._check_status(response)
            address = urljoin(address, location)
            if address in visited and "Set-Cookie" not in response.headers:
                return self._build_auth_loop_failure(response.headers)
            if not self._is_below_prefix(address):
                return self._check_outside_redirect(response, address)
        return None

    async def _fetch_response(self, address: str) -> ClientResponse | None:
        """Return the response without reading its body, or None if there is no response."""
        try:
            async with self.client.get(URL(address, encoded=True), allow_redirects=False) as response:
                return response
        except (ClientError, OSError, ValueError):  # TimeoutError too
            return None

    def _check_status(self, answer: ClientResponse) -> LaunchFailed | None:
        if answer.status >= 500:
            return LaunchFailed("app_error", status=answer.status)
        if answer.status == 404:
            return LaunchFailed("base_url_wrong", prefix=self.prefix)
        return self._check_jupyterhub_version(answer.headers)

    def _check_outside_redirect(self, answer: ClientResponse, address: str) -> LaunchFailed | None:
        """Check a redirect that leaves the prefix: only the hub's log-in is allowed."""
        if _get_unquoted_path(address).startswith(unquote(self.hub)):
            return self._check_jupyterhub_version(answer.headers)
        return LaunchFailed("base_url_wrong", prefix=self.prefix)

    def _is_below_prefix(self, address: str) -> bool:
        same = urlsplit(address).netloc == urlsplit(self.url).netloc
        return same and f"{_get_unquoted_path(address)}/".startswith(unquote(self.prefix))

    def _check_jupyterhub_version(self, headers: Mapping[str, str]) -> LaunchFailed | None:
        match = re.match(r"(\d{1,3})\.", headers.get("X-JupyterHub-Version", ""))
        return (
            self._build_auth_loop_failure(headers) if match and int(match[1]) < _MIN_JUPYTERHUB_MAJOR_VERSION else None
        )

    def _build_auth_loop_failure(self, headers: Mapping[str, str]) -> LaunchFailed:
        version = headers.get("X-JupyterHub-Version", "unknown")[:20]
        return LaunchFailed("auth_loop", version=version, hub=__version__)

    def _build_closed_port_failure(self) -> LaunchFailed:
        return LaunchFailed("port_not_open", port=urlsplit(self.url).port)


def _create_probe_client() -> ClientSession:
    """Return an HTTP client for one wait, which closes connections at once and ignores cookies.

    A shared client would let one hanging program delay the probes of others.
    """
    limits = ClientTimeout(total=_PROBE_TOTAL_TIMEOUT_SECONDS, sock_connect=_PROBE_CONNECT_TIMEOUT_SECONDS)
    return ClientSession(timeout=limits, cookie_jar=DummyCookieJar(), connector=TCPConnector(force_close=True))


def _get_unquoted_path(address: str) -> str:
    """Return the unquoted path of *address*, because programs write the same path with and without escapes."""
    return unquote(urlsplit(address).path)
