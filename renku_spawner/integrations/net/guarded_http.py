"""Make HTTP requests only to public or listed hosts, check every redirect and address, and limit time and size.

The proxies that apply the same checks to other programs are in `egress_proxy` and `socks_proxy`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import zlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import ip_address
from ssl import SSLContext
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from multidict import CIMultiDictProxy
from yarl import URL

from .errors import ConnectionNotAllowed, RemoteError, RemoteUnreachable, UnknownHost

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# In addition to `is_global`, whose table differs between Python versions and treats some of these as global.
FORBIDDEN_NETWORKS = tuple(
    ipaddress.ip_network(network)
    for network in (
        "100.64.0.0/10",  # carrier-grade NAT; cloud metadata services live there
        "168.63.129.16/32",  # Azure's metadata and agent address, from a public range
        "169.254.0.0/16",
        "192.0.0.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "::/96",  # IPv4-compatible
        "::ffff:0:0/96",  # IPv4-mapped
        "64:ff9b::/96",  # NAT64 to any IPv4 address
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/32",  # Teredo
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "3fff::/20",
        "5f00::/16",
        "fec0::/10",
    )
)
_DNS_NAME_PATTERN = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)+"
)
_NUMERIC_LABEL_PATTERN = re.compile(r"[0-9]+|0x[0-9a-f]*")
_INTERNAL_TOP_LEVEL_DOMAINS = {
    "corp",
    "home",
    "internal",
    "intranet",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "onion",
    "svc",
}


def parse_ip_literal(host: str) -> IPAddress | None:
    """Parse *host* as an IP address, with or without brackets; return None for a name."""
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def is_public_address(address: IPAddress) -> bool:
    """Return whether *address* is a public unicast address of the internet."""
    if not address.is_global or address.is_multicast or address.is_reserved or address.is_unspecified:
        return False
    return not any(address in network for network in FORBIDDEN_NETWORKS if network.version == address.version)


def is_public_name(host: str) -> bool:
    """Return whether *host* (lower case, no trailing dot) can be a public DNS name.

    It must have a dot, use only the characters of DNS, and be outside internal zones. A last label of digits, or of
    0x and hexadecimal digits, is refused, since resolvers read it as an IPv4 address
    (https://url.spec.whatwg.org/#ends-in-a-number-checker).
    """
    labels = host.split(".")
    if not _DNS_NAME_PATTERN.fullmatch(host) or _NUMERIC_LABEL_PATTERN.fullmatch(labels[-1]):
        return False
    return labels[-1] not in _INTERNAL_TOP_LEVEL_DOMAINS and not host.endswith((".home.arpa", ".svc.cluster"))


def normalize_host(host: str) -> str:
    """Return *host* in lower case, without brackets and one trailing dot; an IP address in its shortest form."""
    host = host.lower().removesuffix(".")
    address = parse_ip_literal(host)
    return str(address) if address else host


DNS_LOOKUP_TIMEOUT_SECONDS = 3.0
_DNS_LOOKUP_THREADS = 8  # a pool of its own: a hanging name server must not use up the hub's threads
_MAX_REMEMBERED_ADDRESSES = 256
# Not every Python build has glibc's EAI_NODATA.
_UNKNOWN_HOST_ERRNOS = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
_HOST_ENTRY_PATTERN = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?")

ResolveHost = Callable[[str, int], Awaitable[Iterable[str]]]
_HostPort = tuple[str, int | None]


class EgressGuard:
    """Allow https on port 443 of public hosts, and the hosts that an admin lists.

    Entries of *hosts* and *plain_http* are `host` (any port) or `host:port`. Listed hosts may have private addresses;
    those in *plain_http* are requested by http instead of https. *proxy* (`http://host:port`) receives all
    connections, and looks names up itself. *ports* are further allowed ports of public hosts. *resolve* replaces the
    system's resolver.

    Raises:
        ValueError: an entry is not a host, or the proxy is not an http URL.
    """

    def __init__(
        self,
        *,
        hosts: Iterable[str] = (),
        plain_http: Iterable[str] = (),
        proxy: str = "",
        ports: Iterable[int] = (),
        resolve: ResolveHost | None = None,
    ) -> None:
        self._plain = frozenset(map(_parse_host_entry, plain_http))
        self._hosts = frozenset(map(_parse_host_entry, hosts)) | self._plain
        self.proxy = _parse_proxy_url(proxy)
        self._ports = frozenset({443, *ports})
        self._threads = ThreadPoolExecutor(_DNS_LOOKUP_THREADS, thread_name_prefix="registry-names")
        self._resolve = resolve or self._resolve_with_system
        self._private: deque[tuple[str, int]] = deque(maxlen=_MAX_REMEMBERED_ADDRESSES)

    def get_scheme(self, host: str) -> str:
        """Return `http` for a `host` or `host:port` in *plain_http*, else `https`.

        Raises:
            ConnectionNotAllowed: *host* is not a host.
        """
        try:
            name, given = _parse_host_entry(host)
        except ValueError:
            raise ConnectionNotAllowed("this is not a host") from None
        return "http" if _is_host_listed(self._plain, name, given or 80) else "https"

    def check_url(self, url: URL) -> None:
        """Check everything that does not need a DNS look-up.

        Raises:
            ConnectionNotAllowed: the scheme, port, address or name is not allowed, or *url* has user information.
        """
        if url.scheme not in ("https", "http") or not url.raw_host:
            raise ConnectionNotAllowed("only https:// URLs are allowed")
        if url.raw_user is not None or url.raw_password is not None:
            raise ConnectionNotAllowed("a URL with a user name is not allowed")
        host = normalize_host(url.raw_host)
        if url.scheme == "http" and not _is_host_listed(self._plain, host, url.port):
            raise ConnectionNotAllowed(f"unencrypted http is not allowed for {host[:100]}")
        if not _is_host_listed(self._hosts, host, url.port):
            self._check_unlisted_host(host, url.port)

    async def resolve_allowed_addresses(self, host: str, port: int = 443) -> tuple[str, ...]:
        """Look up the addresses of *host*, and return those that are allowed, at least one.

        Raises:
            ConnectionNotAllowed: the host or all of its addresses are forbidden.
            UnknownHost: DNS has no such host.
            RemoteUnreachable: the name server hangs or fails.
        """
        host = normalize_host(host)
        listed = _is_host_listed(self._hosts, host, port)
        if not listed:
            self._check_unlisted_host(host, port)
        return await self._resolve_checked_addresses(host, port, listed=listed)

    async def resolve_connectable_addresses(self, host: str, port: int) -> tuple[str, ...]:
        """Do the same as `resolve_allowed_addresses` for aiohttp, and allow the proxy too, if there is one."""
        if self.proxy and (normalize_host(host), port) == (normalize_host(self.proxy.raw_host or ""), self.proxy.port):
            return await self._resolve_checked_addresses(normalize_host(host), port, listed=True)
        return await self.resolve_allowed_addresses(host, port)

    async def _resolve_checked_addresses(self, host: str, port: int, *, listed: bool) -> tuple[str, ...]:
        addresses = (host,) if parse_ip_literal(host) else await self._look_up_addresses(host, port)
        allowed = tuple(a for a in addresses if listed or is_public_address(ip_address(a)))
        if not allowed:
            raise ConnectionNotAllowed(f"{host[:100]} has no public address")
        if listed:
            self._private.extend((a, port) for a in allowed if (a, port) not in self._private)
        return allowed

    def create_socket(self, info: tuple[Any, ...]) -> socket.socket:
        """Create the socket of a connection, after a last check of its address, literal or looked up.

        aiohttp calls this before each connection.

        Raises:
            PermissionError: the address is not allowed.
        """
        family, kind, proto, _, (host, port, *_) = info
        address = parse_ip_literal(host)
        if address and (is_public_address(address) or self._is_listed_address(str(address), port)):
            return socket.socket(family, kind, proto)
        raise PermissionError(f"No connection to {host} port {port}")

    def _check_unlisted_host(self, host: str, port: int | None) -> None:
        """Check a host that is not listed by an admin."""
        address = parse_ip_literal(host)
        if port not in self._ports:
            raise ConnectionNotAllowed(f"port {port} is not allowed")
        if not (is_public_address(address) if address else is_public_name(host)):
            raise ConnectionNotAllowed(f"{host[:100]} is not a public host")

    def _is_listed_address(self, address: str, port: int) -> bool:
        proxy = bool(self.proxy and (address, port) == (normalize_host(self.proxy.raw_host or ""), self.proxy.port))
        return proxy or _is_host_listed(self._hosts, address, port) or (address, port) in self._private

    def close(self) -> None:
        """Stop all look-ups."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _look_up_addresses(self, host: str, port: int) -> tuple[str, ...]:
        try:
            async with asyncio.timeout(DNS_LOOKUP_TIMEOUT_SECONDS):
                found = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:  # TimeoutError is an OSError
            if isinstance(error, socket.gaierror) and error.errno in _UNKNOWN_HOST_ERRNOS:
                raise UnknownHost(f"there is no host {host[:100]}") from None
            raise RemoteUnreachable(f"the name {host[:100]} could not be looked up") from None
        return tuple(dict.fromkeys(str(a).partition("%")[0] for a in found))

    async def _resolve_with_system(self, host: str, port: int) -> list[str]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, _getaddrinfo, host, port)
        return [str(entry[4][0]) for entry in found]


class GuardedResolver(AbstractResolver):
    """A resolver for aiohttp that returns only addresses that *guard* allows.

    Literal addresses are not resolved: `EgressGuard.check_url` and `EgressGuard.create_socket` check those.
    """

    def __init__(self, guard: EgressGuard) -> None:
        self._guard = guard

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        addresses = await self._guard.resolve_connectable_addresses(host, port)
        return [_build_resolve_result(host, address, port) for address in addresses]

    async def close(self) -> None:
        """Do nothing: the guard is closed by its owner."""


def _build_resolve_result(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST)


def _getaddrinfo(host: str, port: int) -> list[tuple[Any, ...]]:
    return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))


def _parse_host_entry(entry: str) -> _HostPort:
    match = _HOST_ENTRY_PATTERN.fullmatch(entry)
    if not match or int(match["port"] or 1) not in range(1, 65536):
        raise ValueError(f"{entry!r} is not a host or host:port")
    return normalize_host(match["host"]), int(match["port"]) if match["port"] else None


def _parse_proxy_url(text: str) -> URL | None:
    url = URL(text) if text else None
    if url is not None and (url.scheme != "http" or not url.raw_host or not url.port):
        raise ValueError(f"{text!r} is not the address of a proxy, such as http://proxy:3128")
    return url


def _is_host_listed(listed: frozenset[_HostPort], host: str, port: int | None) -> bool:
    return (host, None) in listed or (host, port) in listed


HTTP_CONNECT_TIMEOUT_SECONDS = 3.0
HTTP_TOTAL_TIMEOUT_SECONDS = 10.0
MAX_HTTP_REDIRECTS = 3
# A high total, so that requests to hanging hosts do not block those to other hosts.
_MAX_CONNECTIONS, _MAX_CONNECTIONS_PER_HOST = 400, 8
_BODY_CHUNK_BYTES = 1 << 16
_REDIRECT_STATUSES = {301, 302, 303, 307, 308}
_ZLIB_WINDOW_BITS = {"": 0, "identity": 0, "gzip": 31, "x-gzip": 31}  # zlib's window bits by content encoding


@dataclass(frozen=True, kw_only=True)
class GuardedResponse:
    """An HTTP response; `url` is the final one after redirects, and `body` is empty for HEAD."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes
    url: URL


class GuardedHTTPClient:
    """An HTTP client that checks each request with *guard*.

    It uses no cookies and no proxies of the environment, and does not leave redirects or decompression to aiohttp.
    *ssl* replaces the system's trust store.
    """

    def __init__(self, guard: EgressGuard, *, ssl: SSLContext | None = None) -> None:
        self._guard = guard
        self._ssl = ssl
        self._made: aiohttp.ClientSession | None = None
        self._closed = False

    async def request(
        self, method: str, url: URL, *, headers: Mapping[str, str], limit: int, body: bytes | None = None
    ) -> GuardedResponse:
        """Send a request, and follow at most three redirects; `Authorization` is only sent to the origin of *url*.

        *limit* is the maximum size of the response body in bytes.

        Raises:
            ConnectionNotAllowed: the guard does not allow *url* or a redirect.
            RemoteUnreachable: no response, or one that is too large or cannot be read.
        """
        origin, sent = url, dict(headers)
        self._guard.check_url(url)
        for _ in range(MAX_HTTP_REDIRECTS + 1):
            answer = await self._send_once(method, url, sent, limit, body)
            if answer.status not in _REDIRECT_STATUSES or "Location" not in answer.headers:
                return answer
            url = _resolve_redirect(url, answer.headers["Location"])
            self._guard.check_url(url)
            if url.origin() != origin.origin():
                sent.pop("Authorization", None)
        raise RemoteUnreachable("redirected too many times")

    async def request_without_redirects(
        self, method: str, url: URL, *, headers: Mapping[str, str], limit: int, body: bytes | None = None
    ) -> GuardedResponse:
        """Send a request, and return redirects as they are; otherwise like `request`."""
        self._guard.check_url(url)
        return await self._send_once(method, url, headers, limit, body)

    async def close(self) -> None:
        """Close all connections, and refuse further requests, which would leave a session open."""
        self._closed = True
        if self._made:
            await self._made.close()

    async def _send_once(
        self, method: str, url: URL, headers: Mapping[str, str], limit: int, body: bytes | None
    ) -> GuardedResponse:
        """Send without a retry of our own: aiohttp retries if a kept-alive connection breaks before the response."""
        try:
            return await self._send(method, url, headers, limit, body)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as problem:
            raise _to_remote_error(problem) from None

    async def _send(
        self, method: str, url: URL, headers: Mapping[str, str], limit: int, body: bytes | None
    ) -> GuardedResponse:
        async with self._session.request(
            method, url, headers=headers, data=body, allow_redirects=False, proxy=self._guard.proxy
        ) as response:
            redirected = response.status in _REDIRECT_STATUSES
            content = b"" if redirected or method == "HEAD" else await _read_limited_body(response, limit)
            return GuardedResponse(status=response.status, headers=response.headers, body=content, url=url)

    @property
    def _session(self) -> aiohttp.ClientSession:
        """The HTTP session, created at the first use, since it belongs to the running loop.

        Raises:
            RemoteUnreachable: the client is closed.
        """
        if self._closed:
            raise RemoteUnreachable("cannot be reached while the hub shuts down")
        if self._made is None:
            connector = aiohttp.TCPConnector(
                resolver=GuardedResolver(self._guard),
                socket_factory=self._guard.create_socket,
                use_dns_cache=False,
                family=socket.AF_UNSPEC,
                ssl=self._ssl or True,
                limit=_MAX_CONNECTIONS,
                limit_per_host=_MAX_CONNECTIONS_PER_HOST,
            )
            self._made = aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(
                    total=HTTP_TOTAL_TIMEOUT_SECONDS, sock_connect=HTTP_CONNECT_TIMEOUT_SECONDS
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "renku-spawner", "Accept-Encoding": "identity"},
                auto_decompress=False,
                trust_env=False,
            )
        return self._made


def _resolve_redirect(url: URL, location: str) -> URL:
    try:
        return url.join(URL(location, encoded=True))
    except ValueError:
        raise RemoteUnreachable("redirected to an invalid URL") from None


async def _read_limited_body(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Read and decompress the body; neither form may be longer than *limit* bytes."""
    if (response.content_length or 0) > limit:
        response.close()
        raise RemoteUnreachable("sent an answer that is too large")
    body = bytearray()
    async for chunk in response.content.iter_chunked(_BODY_CHUNK_BYTES):
        body += chunk
        if len(body) > limit:
            response.close()
            raise RemoteUnreachable("sent an answer that is too large")
    return _decompress_body(bytes(body), response.headers.get("Content-Encoding", "").strip().lower(), limit)


def _decompress_body(body: bytes, encoding: str, limit: int) -> bytes:
    if encoding not in _ZLIB_WINDOW_BITS:
        raise RemoteUnreachable("sent an answer with an unsupported compression")
    if not _ZLIB_WINDOW_BITS[encoding]:
        return body
    try:
        plain = zlib.decompressobj(_ZLIB_WINDOW_BITS[encoding]).decompress(body, limit + 1)
    except zlib.error:
        raise RemoteUnreachable("sent an answer that cannot be unpacked") from None
    if len(plain) > limit:
        raise RemoteUnreachable("sent an answer that is too large")
    return plain


def _to_remote_error(problem: Exception) -> RemoteError:
    if isinstance(getattr(problem, "os_error", problem), PermissionError):
        return ConnectionNotAllowed("a connection to an address that is not public was blocked")
    if isinstance(problem, TimeoutError):
        return RemoteUnreachable("did not answer in time")
    if isinstance(problem, aiohttp.ClientSSLError | aiohttp.ClientConnectorCertificateError):
        return RemoteUnreachable("has no valid certificate")
    if isinstance(problem, aiohttp.ClientConnectorError):
        return RemoteUnreachable("could not be connected to")
    return RemoteUnreachable("closed the connection, or sent an answer that is not HTTP")
