"""The connections to GitLab: to this one host only, bounded in time and size, without cookies."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError
from urllib3.util import parse_url

LARGEST = 12 << 20  # bytes of an answer: a project's description of 10 MB is cut by us, not refused (H85)
REDIRECTS = 3
CONNECT_SECONDS = 2.0
_CHUNK = 1 << 16
_here = threading.local()


class Call:
    """One call of a thread, from begin to end; the loop can cut it off.

    requests limits each single read, not the whole: a server that drips would hold a
    thread for ever. Where the time is up, the connection in use is shut down.
    """

    def __init__(self, seconds: float) -> None:
        self.until = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._connection: Any = None
        self._over = False
        self.retry_after: str | None = None  # of the last answer

    @property
    def left(self) -> float:
        """Seconds; above 0, since 0 would mean no limit."""
        return max(self.until - time.monotonic(), 0.001)

    def uses(self, connection: Any) -> None:
        """Raises TimeoutError: the call is over already."""
        with self._lock:
            self._connection = connection
            if self._over:
                raise TimeoutError

    def cut(self) -> None:
        with self._lock:
            self._over = True
            sock = getattr(self._connection, "sock", None)
        if sock is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)  # the base class: TLS must not notice in mid-read

    def __enter__(self) -> Call:
        _here.call = self
        return self

    def __exit__(self, *_: object) -> None:
        _here.call = None


class _Noted:
    """A connection that tells the call of its thread which one is in use."""

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        _here.call.uses(self)

    def request(self, *args: Any, **kwargs: Any) -> None:
        _here.call.uses(self)
        super().request(*args, **kwargs)  # type: ignore[misc]


class _Connection(_Noted, HTTPConnection): ...


class _TLSConnection(_Noted, HTTPSConnection): ...


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


class Wire(HTTPAdapter):
    """Shared by all threads and users; what belongs to one of them stands in a session."""

    def __init__(self, url: str, *, connections: int, ca: str = "") -> None:
        self._origin = _origin(url)
        self._ca = ca
        super().__init__(pool_connections=1, pool_maxsize=connections)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """The system's trust, as elsewhere in the hub, and certifi's, as in requests; or that of a file."""
        trust = ssl.create_default_context(cafile=self._ca or None)
        super().init_poolmanager(*args, ssl_context=trust, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}

    def session(self) -> requests.Session:
        """For one call: neither cookies nor the machine's proxies and passwords (`.netrc`)."""
        session = requests.Session()
        session.trust_env = False
        session.verify = self._ca or True
        session.max_redirects = REDIRECTS
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
        """Each hop of a request, whole.

        Raises:
            requests.RequestException: no answer, too long a one, or one from another place.
        """
        if _origin(request.url or "") != self._origin:
            raise requests.exceptions.InvalidURL("GitLab sent us to another host")
        call: Call = _here.call
        limits = (min(CONNECT_SECONDS, call.left), call.left)
        response = super().send(request, stream=True, timeout=limits, verify=verify, cert=cert)
        call.retry_after = response.headers.get("Retry-After")
        _read(response)
        return response


def _origin(url: str) -> tuple[str | None, str | None, int | None]:
    parts = parse_url(url)
    return parts.scheme, parts.host, parts.port or {"http": 80, "https": 443}.get(parts.scheme or "")


def _read(response: requests.Response) -> None:
    """Take the whole body here, where it can be measured."""
    body = bytearray()
    try:
        for chunk in response.raw.stream(_CHUNK, decode_content=True):
            body += chunk
            if len(body) > LARGEST:
                break
    except (HTTPError, OSError, ValueError) as problem:
        response.raw.close()
        raise requests.exceptions.ConnectionError(type(problem).__name__) from None
    if len(body) > LARGEST:
        response.raw.close()
        raise requests.exceptions.InvalidJSONError("GitLab sent more than we read")
    response._content = bytes(body)  # what `stream=False` does
    response._content_consumed = True
    response.raw.release_conn()
