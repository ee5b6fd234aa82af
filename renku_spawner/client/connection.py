"""HTTP connection to a hub's API: sends requests, retries them, and turns responses into models or exceptions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl, quote, urlsplit

import requests
from pydantic import BaseModel, ValidationError
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.util import Retry

from .errors import Busy, ClientError, HubAway, NotAllowed, NotFound, NotUnderstood, Refused

Answer = TypeVar("Answer", bound=BaseModel)


@dataclass(frozen=True)
class HubEndpoint(Generic[Answer]):
    """A method and path below `/api/renku`, with the models of its request body and response."""

    method: str
    path: str
    answer: type[Answer]
    body: type[BaseModel] | None = None


_CLIENT_ERROR_BY_STATUS: dict[int, type[ClientError]] = {
    400: Refused, 401: NotAllowed, 403: NotAllowed, 404: NotFound, 405: NotUnderstood, 409: Refused, 413: Refused,
    415: NotUnderstood, 422: Refused, 429: Busy, 503: Busy,
}  # fmt: skip
_KNOWN_ERROR_FIELDS = {"status", "code", "message", "fields"}


def parse_hub_answer(kind: type[Answer], response: requests.Response) -> Answer:
    """Return the response as a model. Raises ClientError."""
    check_hub_response(response)
    return parse_hub_model(kind, response.content or b"{}")


def parse_hub_model(kind: type[Answer], text: bytes) -> Answer:
    """Validate a JSON text as a model. Raises NotUnderstood."""
    try:
        return kind.model_validate_json(text)
    except ValidationError:
        raise NotUnderstood(
            "The hub's answer was not understood. It may run another release of Renku.", code="answer"
        ) from None


def check_hub_response(response: requests.Response) -> None:
    """Raise a ClientError unless the status is 2xx."""
    if response.status_code < 300:
        return
    if response.status_code < 400:
        raise _build_redirect_error(response)
    error = parse_json_response(response)
    if "message" not in error:
        raise _build_foreign_server_error(response)
    kind = _CLIENT_ERROR_BY_STATUS.get(response.status_code, HubAway if response.status_code >= 500 else Refused)
    raise _build_client_error(kind, response, error)


def parse_json_response(response: requests.Response) -> dict[str, Any]:
    """Return the JSON object of a response; empty if the body is not one."""
    try:
        document = response.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _build_client_error(kind: type[ClientError], response: requests.Response, said: dict[str, Any]) -> ClientError:
    fields = said.get("fields")
    problem = kind(
        str(said["message"]),
        status=response.status_code,
        code=str(said.get("code", "")),
        fields={str(name): str(why) for name, why in fields.items()} if isinstance(fields, dict) else None,
        details={name: value for name, value in said.items() if name not in _KNOWN_ERROR_FIELDS},
    )
    if isinstance(problem, Busy):
        after = response.headers.get("Retry-After", "")
        problem.retry_after = float(after) if after.isascii() and after.isdigit() else None
    return problem


def _build_redirect_error(response: requests.Response) -> ClientError:
    """Describe a redirect. None is followed: the token must go only to the address that the user gave."""
    target = urlsplit(response.headers.get("Location", ""))
    where = f" to {target.scheme}://{target.netloc}" if target.netloc else ""
    return NotUnderstood(
        f"This address redirects{where}. Please use the hub's own address.", status=response.status_code, code="moved"
    )


def _build_foreign_server_error(response: requests.Response) -> ClientError:
    """Describe a response of a proxy, or of a server that is not a hub with Renku."""
    where = urlsplit(response.url).netloc
    if response.status_code >= 500:
        return HubAway(f"The hub behind {where} does not answer.", status=response.status_code, code="hub_away")
    return NotUnderstood(f"{where} is not a hub with Renku.", status=response.status_code, code="no_hub")


CONNECT_TIMEOUT_SECONDS = 5.0
READ_TIMEOUT_SECONDS = 60.0  # between two bytes of a response; the hub responds to a start once it is accepted
STREAM_TIMEOUT_SECONDS = 20.0  # without any event; the hub sends a ping every eight seconds
MAX_RETRY_WAIT_SECONDS = 30  # for one wait
_DOWNLOAD_CHUNK_BYTES = 256 * 1024
_EVENT_STREAM_HEADERS = {"Accept": "text/event-stream"}


class HubTokenAuth(AuthBase):
    """Authenticate each request with the token, so that requests ignores `.netrc`; `repr` hides the token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"token {self._token}"
        return request

    def __repr__(self) -> str:
        return "Token(…)"


class CappedRetry(Retry):
    """Retry after the time in `Retry-After`, capped at `MAX_RETRY_WAIT_SECONDS`."""

    def get_retry_after(self, response: Any) -> float | None:
        seconds = super().get_retry_after(response)
        return None if seconds is None else min(seconds, MAX_RETRY_WAIT_SECONDS)


class HubConnection:
    """Pooled connections to the API of one hub, with one user's token.

    A response with `Retry-After` (429, 503) means that the call changed nothing, so it is retried, three times at most.
    Certificates are checked, against `REQUESTS_CA_BUNDLE` where that is set.
    """

    def __init__(self, url: str, token: str, *, timeout: float = READ_TIMEOUT_SECONDS) -> None:
        self.api = build_api_url(url)
        self.most = 100  # entries per page of a list
        self._timeout = (CONNECT_TIMEOUT_SECONDS, timeout)
        self._session = requests.Session()
        self._session.auth = HubTokenAuth(token)
        self._session.headers.update({"User-Agent": "renku-spawner", "Accept": "application/json"})
        waits = CappedRetry(
            total=3, connect=1, read=False, status_forcelist=(), allowed_methods=None, raise_on_status=False
        )
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=waits))

    def close(self) -> None:
        self._session.close()

    def request(
        self,
        call: HubEndpoint[Answer],
        body: BaseModel | None = None,
        query: Mapping[str, Any] | None = None,
        **path: str,
    ) -> Answer:
        """Call the endpoint and return its response. Raises ClientError."""
        sent: dict[str, Any] = {"json": body.model_dump(mode="json", exclude_unset=True)} if body else {}
        with self._open_response(
            call.method, self._build_url(call, path), params=_build_query_parameters(query or {}), **sent
        ) as response:
            return parse_hub_answer(call.answer, response)

    def request_until_done(self, call: HubEndpoint[Answer], **path: str) -> Answer | None:
        """Return the response while the operation goes on (202), None once it is done (204). Raises ClientError."""
        with self._open_response(call.method, self._build_url(call, path), params={}) as response:
            check_hub_response(response)
            return None if response.status_code == 204 else parse_hub_answer(call.answer, response)

    def request_text(self, call: HubEndpoint[Any], accept: str, **path: str) -> str:
        """Return the response as text of the media type *accept*. Raises ClientError."""
        with self._open_response(call.method, self._build_url(call, path), headers={"Accept": accept}) as response:
            check_hub_response(response)
            return response.content.decode("utf-8", "replace")

    def send_content(
        self, call: HubEndpoint[Answer], body: bytes, kind: str, query: Mapping[str, Any] | None = None, **path: str
    ) -> Answer:
        """Send *body* with the content type *kind* and return the response. Raises ClientError."""
        more = {"data": body, "headers": {"Content-Type": kind}, "params": _build_query_parameters(query or {})}
        with self._open_response(call.method, self._build_url(call, path), **more) as response:
            return parse_hub_answer(call.answer, response)

    def iterate_items(
        self, call: HubEndpoint[Any], query: Mapping[str, Any] | None = None, **path: str
    ) -> Iterator[Any]:
        """Iterate over the items of a list, and fetch each page only when it is needed. Raises ClientError."""
        parameters = _build_query_parameters({"limit": self.most, **(query or {})})
        while True:
            page = self.request(call, None, parameters, **path)
            yield from page.items
            following = getattr(page, "next", None)
            if not following:
                return
            # Use only the query of the next link: the token must go to no other address than the user gave.
            parameters = {**parameters, **dict(parse_qsl(urlsplit(following).query))}

    def stream_events(self, call: HubEndpoint[Answer], **path: str) -> Iterator[Answer]:
        """Iterate over the events of a stream, until the hub ends it.

        Raises ClientError: HubAway also when no event or ping arrives in time, Busy when newer streams of the same
        user replace this one.
        """
        with self._open_response(
            call.method,
            self._build_url(call, path),
            headers=_EVENT_STREAM_HEADERS,
            stream=True,
            timeout=(CONNECT_TIMEOUT_SECONDS, STREAM_TIMEOUT_SECONDS),
        ) as response:
            check_hub_response(response)
            for line in response.iter_lines():
                if line.startswith(b"data: "):
                    yield parse_hub_model(call.answer, line.removeprefix(b"data: "))
                elif line == b"event: replaced":
                    raise _build_stream_replaced_error()

    def stream_chunks(self, call: HubEndpoint[Any], **path: str) -> Iterator[bytes]:
        """Iterate over the chunks of a file as they arrive. Raises ClientError: HubAway also if it breaks off."""
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
        with self._open_response(call.method, self._build_url(call, path), headers=headers, stream=True) as response:
            check_hub_response(response)
            yield from response.iter_content(_DOWNLOAD_CHUNK_BYTES)

    def get_user_name(self) -> str:
        """Return the name of the token's user, which needs no scope. Raises ClientError."""
        with self._open_response("GET", f"{self.api}/user") as response:
            if response.status_code in (401, 403):
                raise NotAllowed("The hub does not know this token.", status=response.status_code, code="credentials")
            check_hub_response(response)
            return str(parse_json_response(response).get("name", ""))

    def _build_url(self, call: HubEndpoint[Any], path: Mapping[str, str]) -> str:
        parts = {name: quote(value, safe="") for name, value in path.items()}
        return f"{self.api}/renku{call.path.format(**parts)}"

    @contextmanager
    def _open_response(self, method: str, address: str, **more: Any) -> Iterator[requests.Response]:
        """Send the request and yield the response. Raises HubAway, also while the body is read."""
        settings = {"timeout": self._timeout, "allow_redirects": False, **more}
        try:
            with self._session.request(method, address, **settings) as response:
                yield response
        except requests.RequestException as problem:
            raise HubAway(_describe_connection_error(self.api, problem), code="hub_away") from None


def build_api_url(url: str) -> str:
    """Return the URL of a hub's API; *url* is the hub's address, that of any of its pages, or of the API itself.

    Raises:
        NotUnderstood: *url* is not a valid address.
    """
    try:
        parts = urlsplit(url if "//" in url else f"https://{url}")
        fits = parts.scheme in ("http", "https") and parts.hostname and parts.username is None and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise NotUnderstood("This is not a hub's address; use one such as https://hub.example.org.", code="address")
    before, hub, _ = f"{parts.path}/".partition("/hub/")
    return f"{parts.scheme}://{parts.netloc}{before.rstrip('/') if not hub else before}/hub/api"


def _build_stream_replaced_error() -> Busy:
    busy = Busy("Newer event streams of the same user replaced this one.", code="stream_replaced")
    # Reconnecting at once would replace another stream, whose client would then do the same.
    busy.retry_after = MAX_RETRY_WAIT_SECONDS
    return busy


def _build_query_parameters(query: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in query.items() if value not in (None, "")}


def _describe_connection_error(api: str, problem: requests.RequestException) -> str:
    """Describe the failure without the text of the exception, which may contain more than users should see."""
    where = urlsplit(api).netloc
    if isinstance(problem, requests.exceptions.SSLError):
        return f"The certificate of {where} cannot be trusted."
    if isinstance(problem, requests.exceptions.ConnectTimeout | requests.exceptions.ReadTimeout):
        return f"{where} does not answer in time."
    return f"{where} cannot be reached."
