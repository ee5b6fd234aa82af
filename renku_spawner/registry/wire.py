"""One request to a registry or what it refers to: judged at every hop, bounded in time and size."""

from __future__ import annotations

import socket
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from ssl import SSLContext

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from .errors import NotAllowed, RegistryError, Unreachable
from .guard import Guard, GuardedResolver

CONNECT_SECONDS = 3.0
TOTAL_SECONDS = 10.0
REDIRECTS = 3
_CONNECTIONS, _PER_HOST = 400, 8  # in all so many that people who ask registries that hang keep nobody from others
_CHUNK = 1 << 16
_MOVED = {301, 302, 303, 307, 308}
_SAME = {"": 0, "identity": 0, "gzip": 31, "x-gzip": 31}  # encodings, as zlib's window bits


@dataclass(frozen=True, kw_only=True)
class Answer:
    """`url` is where it came from in the end; `body` is empty for HEAD."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes
    url: URL


class Wire:
    """Speaks HTTP without cookies, without the environment's proxies and without anything
    that aiohttp would follow or unpack by itself. *ssl* replaces the system's trust."""

    def __init__(self, guard: Guard, *, ssl: SSLContext | None = None) -> None:
        self._guard = guard
        self._ssl = ssl
        self._made: aiohttp.ClientSession | None = None
        self._closed = False

    async def ask(
        self, method: str, url: URL, *, headers: Mapping[str, str], limit: int, body: bytes | None = None
    ) -> Answer:
        """Follow at most three redirects; `Authorization` stays with the origin of *url*.

        Raises:
            NotAllowed: a hop where we may not connect.
            Unreachable: no answer, or one that is too long or cannot be read.
        """
        origin, sent = url, dict(headers)
        self._guard.check(url)
        for _ in range(REDIRECTS + 1):
            answer = await self._try(method, url, sent, limit, body)
            if answer.status not in _MOVED or "Location" not in answer.headers:
                return answer
            url = _next(url, answer.headers["Location"])
            self._guard.check(url)
            if url.origin() != origin.origin():
                sent.pop("Authorization", None)
        raise Unreachable("sent us on and on")

    async def once(
        self, method: str, url: URL, *, headers: Mapping[str, str], limit: int, body: bytes | None = None
    ) -> Answer:
        """Follow nothing: where the answer leads to is not asked. Raises as `ask`."""
        self._guard.check(url)
        return await self._try(method, url, headers, limit, body)

    async def close(self) -> None:
        """End what is under way; who asks afterwards is refused, and leaves no session open."""
        self._closed = True
        if self._made:
            await self._made.close()

    async def _try(self, method: str, url: URL, headers: Mapping[str, str], limit: int, body: bytes | None) -> Answer:
        """Once: aiohttp itself asks again when a connection breaks before it has answered."""
        try:
            return await self._once(method, url, headers, limit, body)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as problem:
            raise _worded(problem) from None

    async def _once(self, method: str, url: URL, headers: Mapping[str, str], limit: int, body: bytes | None) -> Answer:
        async with self._session.request(
            method, url, headers=headers, data=body, allow_redirects=False, proxy=self._guard.proxy
        ) as response:
            moved = response.status in _MOVED
            found = b"" if moved or method == "HEAD" else await _body(response, limit)
            return Answer(status=response.status, headers=response.headers, body=found, url=url)

    @property
    def _session(self) -> aiohttp.ClientSession:
        """Made at the first use, since it belongs to the running loop. Raises Unreachable once it is closed."""
        if self._closed:
            raise Unreachable("is not asked any more: the hub ends")
        if self._made is None:
            connector = aiohttp.TCPConnector(
                resolver=GuardedResolver(self._guard),
                socket_factory=self._guard.socket,
                use_dns_cache=False,
                family=socket.AF_UNSPEC,
                ssl=self._ssl or True,
                limit=_CONNECTIONS,
                limit_per_host=_PER_HOST,
            )
            self._made = aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=TOTAL_SECONDS, sock_connect=CONNECT_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "renku-spawner", "Accept-Encoding": "identity"},
                auto_decompress=False,
                trust_env=False,
            )
        return self._made


def _next(url: URL, location: str) -> URL:
    try:
        return url.join(URL(location, encoded=True))
    except ValueError:
        raise Unreachable("sent us to something that is not an address") from None


async def _body(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """The whole body, unpacked if need be; neither form may be longer than *limit* bytes."""
    if (response.content_length or 0) > limit:
        response.close()
        raise Unreachable("sent more than we read")
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        body += chunk
        if len(body) > limit:
            response.close()
            raise Unreachable("sent more than we read")
    return _unpacked(bytes(body), response.headers.get("Content-Encoding", "").strip().lower(), limit)


def _unpacked(body: bytes, encoding: str, limit: int) -> bytes:
    if encoding not in _SAME:
        raise Unreachable("packed its answer in a way that we did not ask for")
    if not _SAME[encoding]:
        return body
    try:
        plain = zlib.decompressobj(_SAME[encoding]).decompress(body, limit + 1)
    except zlib.error:
        raise Unreachable("sent an answer that cannot be unpacked") from None
    if len(plain) > limit:
        raise Unreachable("sent more than we read")
    return plain


def _worded(problem: Exception) -> RegistryError:
    if isinstance(getattr(problem, "os_error", problem), PermissionError):
        return NotAllowed("a connection to an address that is not public was stopped")
    if isinstance(problem, TimeoutError):
        return Unreachable("did not answer in time")
    if isinstance(problem, aiohttp.ClientSSLError | aiohttp.ClientConnectorCertificateError):
        return Unreachable("has no valid certificate")
    if isinstance(problem, aiohttp.ClientConnectorError):
        return Unreachable("could not be connected to")
    return Unreachable("broke off, or gave an answer that is not HTTP")
