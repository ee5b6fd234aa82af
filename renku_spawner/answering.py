"""Waits until a session's program answers below its prefix, and knows why it does not."""

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

from .failures import LaunchFailed

_CONNECT, _ANSWER = 1.0, 5.0  # seconds
_LOOK = 0.25  # seconds between two looks at whether the program still runs
_PAUSES = (0.1, 0.1, 0.2, 0.2, 0.5)  # seconds between questions, the last one again and again
_SETTLED = 30.0  # seconds of one and the same wrong answer, after which no other is expected
_REDIRECTS = 5
_OLDEST = 2  # JupyterHub 2 took away what servers of version 1 ask when somebody logs in
_SETTLING = {"base_url_wrong", "auth_loop"}


async def is_answering(address: str) -> bool:
    """Ask *address* once, and return whether an HTTP server answers there with anything but an error of its own.

    This is how JupyterHub finds out after its restart whether a server is up.
    """
    try:
        async with _client() as client, client.get(URL(address, encoded=True), allow_redirects=False) as answer:
            return answer.status < 500
    except (ClientError, OSError, ValueError):  # TimeoutError too
        return False


@dataclass(kw_only=True)
class Answering:
    """The wait for one program: it is asked at *url* below *prefix*, at most *timeout* seconds;
    *hub* is the hub's own prefix, to which a log-in may lead."""

    url: str
    prefix: str
    hub: str
    timeout: float
    found: LaunchFailed = field(init=False)
    client: ClientSession = field(init=False)
    since: float = field(default_factory=monotonic)

    def __post_init__(self) -> None:
        self.found = self._silent()

    async def wait(self, well: Callable[[], Awaitable[None]]) -> None:
        """Until it answers as a session must; *well* is awaited meanwhile, and ends the wait by raising.

        Raises:
            LaunchFailed: `port_not_open`, `app_error`, `base_url_wrong` or `auth_loop`.
        """
        end, tries = monotonic() + self.timeout, 0
        async with _client() as self.client:
            while not await self._asked(well):
                if monotonic() > end or self._settled():
                    raise self.found
                await asyncio.sleep(_PAUSES[min(tries, len(_PAUSES) - 1)])
                tries += 1

    async def _asked(self, well: Callable[[], Awaitable[None]]) -> bool:
        """Ask once; whether all is well."""
        asking = asyncio.ensure_future(self._ask())
        try:
            while not asking.done():
                await asyncio.wait({asking}, timeout=_LOOK)
                await well()
            wrong = asking.result()
        finally:
            asking.cancel()
            await asyncio.wait({asking})  # before its client is closed
        if wrong is None:
            return True
        if wrong.reason != self.found.reason:
            self.since = monotonic()
        self.found = wrong
        return False

    def _settled(self) -> bool:
        return self.found.reason in _SETTLING and monotonic() - self.since > min(_SETTLED, self.timeout)

    async def _ask(self) -> LaunchFailed | None:
        """What is wrong with its answers; a program need not know `api`, if only it knows its prefix."""
        wrong = await self._wrong(url_path_join(self.url, self.prefix, "api"))
        if wrong is not None and wrong.reason == "base_url_wrong":
            return await self._wrong(url_path_join(self.url, self.prefix))
        return wrong

    async def _wrong(self, address: str) -> LaunchFailed | None:
        seen: list[str] = []
        while len(seen) < _REDIRECTS:
            seen.append(address)
            answer = await self._fetch(address)
            if answer is None:
                return self._silent()
            where = answer.headers.get("Location") if 300 <= answer.status < 400 else None
            if where is None:
                return self._of_status(answer)
            address = urljoin(address, where)
            if address in seen and "Set-Cookie" not in answer.headers:
                return self._never_ends(answer.headers)
            if not self._inside(address):
                return self._outside(answer, address)
        return None

    async def _fetch(self, address: str) -> ClientResponse | None:
        """The answer without its body, which may be anything; None if there is none."""
        try:
            async with self.client.get(URL(address, encoded=True), allow_redirects=False) as answer:
                return answer
        except (ClientError, OSError, ValueError):  # TimeoutError too
            return None

    def _of_status(self, answer: ClientResponse) -> LaunchFailed | None:
        if answer.status >= 500:
            return LaunchFailed("app_error", status=answer.status)
        if answer.status == 404:
            return LaunchFailed("base_url_wrong", prefix=self.prefix)
        return self._too_old(answer.headers)

    def _outside(self, answer: ClientResponse, address: str) -> LaunchFailed | None:
        """The hub's log-in is the one place outside to which a session may send people."""
        if _path(address).startswith(unquote(self.hub)):
            return self._too_old(answer.headers)
        return LaunchFailed("base_url_wrong", prefix=self.prefix)

    def _inside(self, address: str) -> bool:
        same = urlsplit(address).netloc == urlsplit(self.url).netloc
        return same and f"{_path(address)}/".startswith(unquote(self.prefix))

    def _too_old(self, headers: Mapping[str, str]) -> LaunchFailed | None:
        said = re.match(r"(\d{1,3})\.", headers.get("X-JupyterHub-Version", ""))
        return self._never_ends(headers) if said and int(said[1]) < _OLDEST else None

    def _never_ends(self, headers: Mapping[str, str]) -> LaunchFailed:
        version = headers.get("X-JupyterHub-Version", "unknown")[:20]
        return LaunchFailed("auth_loop", version=version, hub=__version__)

    def _silent(self) -> LaunchFailed:
        return LaunchFailed("port_not_open", port=urlsplit(self.url).port)


def _client() -> ClientSession:
    """One for each wait, since whoever hangs would keep the others of a shared one waiting; what is
    given up is closed at once. Cookies are a browser's, and none of our business."""
    limits = ClientTimeout(total=_ANSWER, sock_connect=_CONNECT)
    return ClientSession(timeout=limits, cookie_jar=DummyCookieJar(), connector=TCPConnector(force_close=True))


def _path(address: str) -> str:
    """Programs write the same path with and without escapes."""
    return unquote(urlsplit(address).path)
