"""What the API's refusal of a call means: try again, make room, or give up with a reason."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from . import quota
from .objects import Raw, dig, items, text, words

_LONGEST_WAIT = 30.0  # seconds; no server makes us wait longer (R22)
_QUOTA = re.compile(r"exceeded quota: |failed quota: ")
_NO_RIGHT = re.compile(r'User "[^"]*" cannot ')
_FORBIDDEN = re.compile(r'^\S+ (?:"[^"]*" )?is forbidden: ')
_INVALID = re.compile(r'^\S+ "[^"]*" is invalid: ')
_ETCD_TOO_LARGE = "request is too large"


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """`code` is one of Renku's reasons. `again`: the same call may succeed later, after
    `wait` seconds if the server said so. `exists`: an object of that name is there, and
    `leaving` if it is being deleted; `absent`: there is no object of that name."""

    code: str
    values: Mapping[str, object] = field(default_factory=dict)
    again: bool = False
    wait: float | None = None
    exists: bool = False
    leaving: bool = False
    absent: bool = False


def refusal(
    status: int | None,
    body: str | bytes | Raw | None,
    headers: Mapping[str, str] | None = None,
    *,
    image: str = "",
    now: datetime | None = None,
) -> Refusal:
    """The meaning of an answer of the API that is an error; *status* None or 0 is no answer at all.
    *image* is what the pod should have run, for the words.

    A missing right is worth another try as well: an API server that has just come back
    says so while it still loads its rules.
    """
    said = _parsed(body)
    message = text(dig(said, "message"))
    if status == 409:
        existing = dig(said, "reason") == "AlreadyExists"
        return Refusal(
            code="cluster_unavailable",
            again=True,
            exists=existing,
            leaving=message.startswith("object is being deleted"),
        )
    if status == 404 and dig(said, "reason") == "NotFound" and dig(said, "details", "kind") != "namespaces":
        return Refusal(code="pod_removed", absent=True)
    if _passes(status, message):
        return Refusal(code="cluster_unavailable", again=True, wait=_wait(headers or {}, said, now))
    final = _final(status, said, message, image)
    absent = status == 404 and dig(said, "reason") == "NotFound" and dig(said, "details", "kind") != "namespaces"
    return replace(final, absent=absent)


def explain_tls_failure(error: BaseException) -> str | None:
    """Return why the API server's certificate was not accepted, None if *error* has another cause.

    aiohttp's error of a connection is an `SSLCertVerificationError` itself and has OpenSSL's in `certificate_error`.
    From Python 3.13 certificates are verified as RFC 5280 has them (`VERIFY_X509_STRICT`,
    https://docs.python.org/3/whatsnew/3.13.html#ssl).
    """
    cause = getattr(error, "certificate_error", error)
    if not isinstance(cause, ssl.SSLError):
        return None
    said = getattr(cause, "verify_message", "") or cause.reason or "the connection could not be encrypted"
    strict = " Python 3.13 and newer want keyUsage in the certificate of a CA." if "key usage" in said else ""
    return f"The certificate of the cluster's API is not accepted: {said}.{strict}"


def _passes(status: int | None, message: str) -> bool:
    """Whether the trouble is the server's own; its store says 500 to what is too large, for ever."""
    return not status or status in (408, 429) or (status >= 500 and _ETCD_TOO_LARGE not in message)


def _final(status: int | None, said: Raw, message: str, image: str) -> Refusal:
    if _NO_RIGHT.search(message) or status == 401:
        return Refusal(code="cluster_forbidden", values={"message": words(message, "Unauthorized")}, again=True)
    told = words(_INVALID.sub("", _FORBIDDEN.sub("", message)), f"The answer was {status}.")
    if _QUOTA.search(message):
        return Refusal(code="quota_pool", values={"message": quota.told(told)})
    fields = [text(cause.get("field")) for cause in items(dig(said, "details", "causes"))]
    if any(name.endswith("].image") for name in fields):
        return Refusal(code="image_invalid", values={"image": image, "message": told})
    return Refusal(code="rejected_by_policy", values={"message": told})


def _parsed(body: str | bytes | Raw | None) -> Raw:
    """A Status object; what is no JSON (429 of the server itself, proxies) is one without fields but a message."""
    if isinstance(body, Mapping):
        return body
    plain = body.decode(errors="replace") if isinstance(body, bytes) else body or ""
    try:
        said = json.loads(plain)
    except ValueError:
        return {"message": plain}
    return said if isinstance(said, Mapping) else {"message": plain}


def _wait(headers: Mapping[str, str], said: Raw, now: datetime | None) -> float | None:
    """`Retry-After` in seconds or as a date, or what the body says; None when it is nonsense or absent."""
    given = {name.lower(): value for name, value in headers.items()}.get("retry-after")
    seconds = _seconds(given, now) if given is not None else dig(said, "details", "retryAfterSeconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
        return None
    return min(float(seconds), _LONGEST_WAIT)


def _seconds(given: str, now: datetime | None) -> float | None:
    given = given.strip(" \t")
    if re.fullmatch(r"[0-9]{1,9}", given):
        return float(given)
    try:
        until = parsedate_to_datetime(given)
    except ValueError:
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return (until - (now or datetime.now(UTC))).total_seconds()
