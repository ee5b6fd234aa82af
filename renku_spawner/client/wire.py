"""Requests to one hub: the token, patience, and what answers mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import requests
from pydantic import BaseModel
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.util import Retry

from . import answered
from .calls import Answer, Call
from .errors import Busy, HubAway, NotAllowed, NotUnderstood

CONNECT = 5.0  # seconds
ANSWER = 60.0  # seconds between two bytes of an answer; a start is answered when it is let through
SILENCE = 20.0  # seconds in which a stream says nothing, not even its ping, which comes every eight
RETRY_AFTER = 30  # seconds that one wait lasts at most
_PIECE = 256 * 1024  # bytes
_STREAM = {"Accept": "text/event-stream"}


class Token(AuthBase):
    """Set as the login of each request: otherwise a `.netrc` would decide. It is shown to nobody."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"token {self._token}"
        return request

    def __repr__(self) -> str:
        return "Token(…)"


class Patience(Retry):
    """Waits as long as an answer says, but never longer than anybody would."""

    def get_retry_after(self, response: Any) -> float | None:
        asked = super().get_retry_after(response)
        return None if asked is None else min(asked, RETRY_AFTER)


class Wire:
    """Connections to the API of one hub, with one user's token.

    A call to which the hub says *when* to try again (429, 503) is tried again then, three times at most: it has
    changed nothing. Certificates are checked, against `REQUESTS_CA_BUNDLE` where that is set.
    """

    def __init__(self, url: str, token: str, *, timeout: float = ANSWER) -> None:
        self.api = api_url(url)
        self.most = 100  # entries of a list at once
        self._timeout = (CONNECT, timeout)
        self._session = requests.Session()
        self._session.auth = Token(token)
        self._session.headers.update({"User-Agent": "renku-spawner", "Accept": "application/json"})
        waits = Patience(
            total=3, connect=1, read=False, status_forcelist=(), allowed_methods=None, raise_on_status=False
        )
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=waits))

    def close(self) -> None:
        self._session.close()

    def ask(
        self, call: Call[Answer], body: BaseModel | None = None, query: Mapping[str, Any] | None = None, **path: str
    ) -> Answer:
        """What the hub answers. Raises ClientError."""
        sent: dict[str, Any] = {"json": body.model_dump(mode="json", exclude_unset=True)} if body else {}
        with self._sent(call.method, self._address(call, path), params=_said(query or {}), **sent) as response:
            return answered.read(call.answer, response)

    def ask_until_done(self, call: Call[Answer], **path: str) -> Answer | None:
        """What the hub answers while it goes on (202); None when it is done (204). Raises ClientError."""
        with self._sent(call.method, self._address(call, path), params={}) as response:
            answered.check(response)
            return None if response.status_code == 204 else answered.read(call.answer, response)

    def text(self, call: Call[Any], accept: str, **path: str) -> str:
        """What the hub answers in another form than JSON. Raises ClientError."""
        with self._sent(call.method, self._address(call, path), headers={"Accept": accept}) as response:
            answered.check(response)
            return response.content.decode("utf-8", "replace")

    def send(
        self, call: Call[Answer], body: bytes, kind: str, query: Mapping[str, Any] | None = None, **path: str
    ) -> Answer:
        """What the hub answers to *body* of that content type. Raises ClientError."""
        more = {"data": body, "headers": {"Content-Type": kind}, "params": _said(query or {})}
        with self._sent(call.method, self._address(call, path), **more) as response:
            return answered.read(call.answer, response)

    def pages(self, call: Call[Answer], query: Mapping[str, Any] | None = None, **path: str) -> Iterator[Answer]:
        """The parts of a list, each asked for when the one before is used up. Raises ClientError."""
        asked = _said({"limit": self.most, **(query or {})})
        while True:
            page = self.ask(call, None, asked, **path)
            yield page
            following = getattr(page, "next", None)
            if not following:
                return
            # Of the address only what it asks: the token goes to no other place than it was given for.
            asked = {**asked, **dict(parse_qsl(urlsplit(following).query))}

    def events(self, call: Call[Answer], **path: str) -> Iterator[Answer]:
        """What a stream tells, until the hub ends it.

        Raises ClientError, HubAway also when it falls silent, Busy when newer streams of the same user replace it.
        """
        with self._sent(
            call.method, self._address(call, path), headers=_STREAM, stream=True, timeout=(CONNECT, SILENCE)
        ) as response:
            answered.check(response)
            for line in response.iter_lines():
                if line.startswith(b"data: "):
                    yield answered.model(call.answer, line.removeprefix(b"data: "))
                elif line == b"event: replaced":
                    raise _replaced()

    def pieces(self, call: Call[Any], **path: str) -> Iterator[bytes]:
        """A file, piece by piece as it comes. Raises ClientError, HubAway also when it breaks off."""
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
        with self._sent(call.method, self._address(call, path), headers=headers, stream=True) as response:
            answered.check(response)
            yield from response.iter_content(_PIECE)

    def whoami(self) -> str:
        """The name of the token's user, which the hub tells to every token that it knows. Raises ClientError."""
        with self._sent("GET", f"{self.api}/user") as response:
            if response.status_code in (401, 403):
                raise NotAllowed("The hub does not know this token.", status=response.status_code, code="credentials")
            answered.check(response)
            return str(answered.plain(response).get("name", ""))

    def _address(self, call: Call[Any], path: Mapping[str, str]) -> str:
        parts = {name: quote(value, safe="") for name, value in path.items()}
        return f"{self.api}/renku{call.path.format(**parts)}"

    @contextmanager
    def _sent(self, method: str, address: str, **more: Any) -> Iterator[requests.Response]:
        """Raises HubAway, also while the answer is read."""
        settings = {"timeout": self._timeout, "allow_redirects": False, **more}
        try:
            with self._session.request(method, address, **settings) as response:
                yield response
        except requests.RequestException as problem:
            raise HubAway(_away(self.api, problem), code="hub_away") from None


def api_url(url: str) -> str:
    """The API of the hub of which *url* is the address, that of a page, or the API's own.

    Raises:
        NotUnderstood: it is no address.
    """
    try:
        parts = urlsplit(url if "//" in url else f"https://{url}")
        fits = parts.scheme in ("http", "https") and parts.hostname and parts.username is None and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise NotUnderstood("This is no address of a hub, such as https://hub.example.org.", code="address")
    before, hub, _ = f"{parts.path}/".partition("/hub/")
    return f"{parts.scheme}://{parts.netloc}{before.rstrip('/') if not hub else before}/hub/api"


def _replaced() -> Busy:
    busy = Busy("Newer event streams of the same user took the place of this one.", code="stream_replaced")
    busy.retry_after = RETRY_AFTER  # at once, it would close another one, which would do the same
    return busy


def _said(query: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in query.items() if value not in (None, "")}


def _away(api: str, problem: requests.RequestException) -> str:
    """In words, and without what the exception holds."""
    where = urlsplit(api).netloc
    if isinstance(problem, requests.exceptions.SSLError):
        return f"The certificate of {where} cannot be trusted."
    if isinstance(problem, requests.exceptions.ConnectTimeout | requests.exceptions.ReadTimeout):
        return f"{where} does not answer in time."
    return f"{where} cannot be reached."
