"""What an answer of the hub means: a value, or an exception with its words."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import requests
from pydantic import ValidationError

from .calls import Answer
from .errors import Busy, ClientError, HubAway, NotAllowed, NotFound, NotUnderstood, Refused

_KINDS: dict[int, type[ClientError]] = {
    400: Refused, 401: NotAllowed, 403: NotAllowed, 404: NotFound, 405: NotUnderstood, 409: Refused, 413: Refused,
    415: NotUnderstood, 422: Refused, 429: Busy, 503: Busy,
}  # fmt: skip
_KNOWN = {"status", "code", "message", "fields"}


def read(kind: type[Answer], response: requests.Response) -> Answer:
    """Raises ClientError."""
    check(response)
    return model(kind, response.content or b"{}")


def model(kind: type[Answer], text: bytes) -> Answer:
    """Raises NotUnderstood."""
    try:
        return kind.model_validate_json(text)
    except ValidationError:
        raise NotUnderstood(
            "The hub answers what this command does not understand: it may be of another release.", code="answer"
        ) from None


def check(response: requests.Response) -> None:
    """Raise what the answer says, unless all is well."""
    if response.status_code < 300:
        return
    if response.status_code < 400:
        raise _elsewhere(response)
    said = plain(response)
    if "message" not in said:
        raise _not_ours(response)
    kind = _KINDS.get(response.status_code, HubAway if response.status_code >= 500 else Refused)
    raise _told(kind, response, said)


def plain(response: requests.Response) -> dict[str, Any]:
    """The JSON object of an answer; empty if it is none."""
    try:
        said = response.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _told(kind: type[ClientError], response: requests.Response, said: dict[str, Any]) -> ClientError:
    fields = said.get("fields")
    problem = kind(
        str(said["message"]),
        status=response.status_code,
        code=str(said.get("code", "")),
        fields={str(name): str(why) for name, why in fields.items()} if isinstance(fields, dict) else None,
        details={name: value for name, value in said.items() if name not in _KNOWN},
    )
    if isinstance(problem, Busy):
        after = response.headers.get("Retry-After", "")
        problem.retry_after = float(after) if after.isascii() and after.isdigit() else None
    return problem


def _elsewhere(response: requests.Response) -> ClientError:
    """A redirection is not followed: the token is for the address that was given."""
    target = urlsplit(response.headers.get("Location", ""))
    where = f" to {target.scheme}://{target.netloc}" if target.netloc else ""
    return NotUnderstood(
        f"This address leads on{where}; please use the hub's own.", status=response.status_code, code="moved"
    )


def _not_ours(response: requests.Response) -> ClientError:
    """The words of a proxy, or of a server that is no hub."""
    where = urlsplit(response.url).netloc
    if response.status_code >= 500:
        return HubAway(f"The hub behind {where} does not answer.", status=response.status_code, code="hub_away")
    return NotUnderstood(f"{where} is no hub with Renku.", status=response.status_code, code="no_hub")
