"""Where we may connect: names and addresses are judged before and while a connection is made."""

from __future__ import annotations

import asyncio
import re
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from .addresses import literal, normal, public, public_name
from .errors import NotAllowed, UnknownName, Unreachable

LOOKUP_SECONDS = 3.0
_LOOKUPS = 8  # threads: a name server that hangs must not take those of the hub
_REMEMBERED = 256
# EAI_NODATA of glibc is not in every Python.
_NO_SUCH_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
_LISTED = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?")

Resolve = Callable[[str, int], Awaitable[Iterable[str]]]
_Pair = tuple[str, int | None]


class Guard:
    """Lets through https on port 443 of public names and addresses, and what an admin lists.

    *hosts* and *plain_http* are `host` (any port) or `host:port`. A listed host may have
    private addresses; one in *plain_http* is asked by http instead of https. *proxy*
    (`http://host:port`) is connected to in place of all others, and looks names up itself.
    *ports* are others than 443 of public hosts. *resolve* stands in for the system's resolver.

    Raises:
        ValueError: an entry that is no host, or a proxy that is no http address.
    """

    def __init__(
        self,
        *,
        hosts: Iterable[str] = (),
        plain_http: Iterable[str] = (),
        proxy: str = "",
        ports: Iterable[int] = (),
        resolve: Resolve | None = None,
    ) -> None:
        self._plain = frozenset(map(_listed, plain_http))
        self._hosts = frozenset(map(_listed, hosts)) | self._plain
        self.proxy = _proxy(proxy)
        self._ports = frozenset({443, *ports})
        self._threads = ThreadPoolExecutor(_LOOKUPS, thread_name_prefix="registry-names")
        self._resolve = resolve or self._ask_the_system
        self._private: deque[tuple[str, int]] = deque(maxlen=_REMEMBERED)

    def scheme(self, host: str) -> str:
        """http for a `host` or `host:port` in *plain_http*, else https."""
        try:
            name, given = _listed(host)
        except ValueError:
            raise NotAllowed("this is not a host") from None
        return "http" if _in(self._plain, name, given or 80) else "https"

    def check(self, url: URL) -> None:
        """Judge what can be judged without a look-up.

        Raises:
            NotAllowed: a scheme, port, address or name where we may not connect, or user information.
        """
        if url.scheme not in ("https", "http") or not url.raw_host:
            raise NotAllowed("only https:// addresses are asked")
        if url.raw_user is not None or url.raw_password is not None:
            raise NotAllowed("an address with a user name in it is not asked")
        host = normal(url.raw_host)
        if url.scheme == "http" and not _in(self._plain, host, url.port):
            raise NotAllowed(f"{host[:100]} would be asked without encryption")
        if not _in(self._hosts, host, url.port):
            self._check_foreign(host, url.port)

    async def vet(self, host: str, port: int = 443) -> tuple[str, ...]:
        """The addresses of *host* to which we may connect, at least one; looked up once.

        Raises:
            NotAllowed: the host or all of its addresses are forbidden.
            UnknownName: DNS has no such host.
            Unreachable: the name server hangs or fails.
        """
        host = normal(host)
        listed = _in(self._hosts, host, port)
        if not listed:
            self._check_foreign(host, port)
        return await self._vetted(host, port, listed=listed)

    async def connectable(self, host: str, port: int) -> tuple[str, ...]:
        """As `vet`, for aiohttp: the proxy, where there is one, is a host like the listed ones."""
        if self.proxy and (normal(host), port) == (normal(self.proxy.raw_host or ""), self.proxy.port):
            return await self._vetted(normal(host), port, listed=True)
        return await self.vet(host, port)

    async def _vetted(self, host: str, port: int, *, listed: bool) -> tuple[str, ...]:
        found = (host,) if literal(host) else await self._addresses(host, port)
        allowed = tuple(a for a in found if listed or public(ip_address(a)))
        if not allowed:
            raise NotAllowed(f"{host[:100]} has no public address")
        if listed:
            self._private.extend((a, port) for a in allowed if (a, port) not in self._private)
        return allowed

    def socket(self, info: tuple[Any, ...]) -> socket.socket:
        """The last wall: called by aiohttp with each address, literal or looked up, that is
        about to be connected to. Raises PermissionError."""
        family, kind, proto, _, (host, port, *_) = info
        address = literal(host)
        if address and (public(address) or self._is_listed(str(address), port)):
            return socket.socket(family, kind, proto)
        raise PermissionError(f"No connection to {host} port {port}")

    def _check_foreign(self, host: str, port: int | None) -> None:
        """Judge a host that no admin has listed."""
        address = literal(host)
        if port not in self._ports:
            raise NotAllowed(f"port {port} is not asked")
        if not (public(address) if address else public_name(host)):
            raise NotAllowed(f"{host[:100]} is not a public host")

    def _is_listed(self, address: str, port: int) -> bool:
        proxy = bool(self.proxy and (address, port) == (normal(self.proxy.raw_host or ""), self.proxy.port))
        return proxy or _in(self._hosts, address, port) or (address, port) in self._private

    def close(self) -> None:
        """Start no further look-ups."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _addresses(self, host: str, port: int) -> tuple[str, ...]:
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                found = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:  # TimeoutError is an OSError
            if isinstance(error, socket.gaierror) and error.errno in _NO_SUCH_NAME:
                raise UnknownName(f"there is no host {host[:100]}") from None
            raise Unreachable(f"the name {host[:100]} could not be looked up") from None
        return tuple(dict.fromkeys(str(a).partition("%")[0] for a in found))

    async def _ask_the_system(self, host: str, port: int) -> list[str]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, _getaddrinfo, host, port)
        return [str(entry[4][0]) for entry in found]


class GuardedResolver(AbstractResolver):
    """Gives aiohttp only addresses that *guard* has vetted. Literal addresses never come
    here: `Guard.check` and `Guard.socket` judge those."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        addresses = await self._guard.connectable(host, port)
        return [_resolved(host, address, port) for address in addresses]

    async def close(self) -> None:
        """The guard outlives it."""


def _resolved(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST)


def _getaddrinfo(host: str, port: int) -> list[tuple[Any, ...]]:
    return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))


def _listed(entry: str) -> _Pair:
    found = _LISTED.fullmatch(entry)
    if not found or int(found["port"] or 1) not in range(1, 65536):
        raise ValueError(f"{entry!r} is not a host or host:port")
    return normal(found["host"]), int(found["port"]) if found["port"] else None


def _proxy(text: str) -> URL | None:
    url = URL(text) if text else None
    if url is not None and (url.scheme != "http" or not url.raw_host or not url.port):
        raise ValueError(f"{text!r} is not the address of a proxy, such as http://proxy:3128")
    return url


def _in(listed: frozenset[_Pair], host: str, port: int | None) -> bool:
    return (host, None) in listed or (host, port) in listed
