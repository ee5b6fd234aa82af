"""Classify errors of the Kubernetes API, and turn quota and TLS errors into readable messages."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from ...domain.quantities import format_cpu_quantity, format_size_quantity
from .objects import KubernetesObject, get_nested, list_objects, shorten_message, to_text

# https://github.com/kubernetes/kubernetes/blob/v1.34.0/staging/src/k8s.io/apiserver/pkg/admission/plugin/resourcequota/controller.go
_QUOTA_EXCEEDED_PATTERN = re.compile(
    r"exceeded quota: (?P<name>\S+), requested: (?P<asked>\S+), used: (?P<used>\S+), limited: (?P<limit>\S+)"
)
_BYTE_RESOURCE_SUFFIXES = ("memory", "storage")


def format_quota_message(message: str) -> str:
    """Return `quota team, limits.memory: 62 of 64 GiB used, this session needs 4 GiB`; keep other messages as is."""
    match = _QUOTA_EXCEEDED_PATTERN.search(message)
    if match is None:
        return message
    try:
        asked, used, limit = (_parse_quota_amounts(match[part]) for part in ("asked", "used", "limit"))
        usages = [_format_quota_usage(what, used.get(what, "0"), limit[what], asked[what]) for what in asked]
    except (ValueError, KeyError):
        return message
    return f"quota {match['name']}, {'; '.join(usages)}"


def _parse_quota_amounts(listed: str) -> Mapping[str, str]:
    pairs = [each.partition("=") for each in listed.split(",")]
    return {what: amount for what, _, amount in pairs}


def _format_quota_usage(what: str, used: str, limit: str, asked: str) -> str:
    amount = format_size_quantity if what.endswith(_BYTE_RESOURCE_SUFFIXES) else format_cpu_quantity
    before, most = amount(used), amount(limit)
    number, _, unit = before.partition(" ")
    if unit == most.partition(" ")[2] or number == "0":  # do not repeat the unit
        before = number
    return f"{what}: {before} of {most} used, this session needs {amount(asked)}"


_MAX_RETRY_AFTER_SECONDS = 30.0  # upper limit for a server's Retry-After
_QUOTA_ERROR_PATTERN = re.compile(r"exceeded quota: |failed quota: ")
_MISSING_PERMISSION_PATTERN = re.compile(r'User "[^"]*" cannot ')
_FORBIDDEN_PREFIX_PATTERN = re.compile(r'^\S+ (?:"[^"]*" )?is forbidden: ')
_INVALID_PREFIX_PATTERN = re.compile(r'^\S+ "[^"]*" is invalid: ')
_ETCD_TOO_LARGE_MESSAGE = "request is too large"


@dataclass(frozen=True, kw_only=True)
class KubernetesRefusal:
    """An error of the Kubernetes API, classified.

    `code` is a code of `domain.reasons`. `again`: the same call may succeed later, after `wait` seconds if the server
    says so. `exists`: an object of that name exists, and `leaving` if it is being deleted. `absent`: no object of that
    name exists.
    """

    code: str
    values: Mapping[str, object] = field(default_factory=dict)
    again: bool = False
    wait: float | None = None
    exists: bool = False
    leaving: bool = False
    absent: bool = False


def classify_error_response(
    status: int | None,
    body: str | bytes | KubernetesObject | None,
    headers: Mapping[str, str] | None = None,
    *,
    image: str = "",
    now: datetime | None = None,
) -> KubernetesRefusal:
    """Classify an error response; *status* is None or 0 if there was no response. *image* is for the message.

    A missing permission is retried as well, because an API server that has just restarted reports one while it still
    loads its RBAC rules.
    """
    error_body = _parse_error_body(body)
    message = to_text(get_nested(error_body, "message"))
    if status == 409:
        existing = get_nested(error_body, "reason") == "AlreadyExists"
        return KubernetesRefusal(
            code="cluster_unavailable",
            again=True,
            exists=existing,
            leaving=message.startswith("object is being deleted"),
        )
    if (
        status == 404
        and get_nested(error_body, "reason") == "NotFound"
        and get_nested(error_body, "details", "kind") != "namespaces"
    ):
        return KubernetesRefusal(code="pod_removed", absent=True)
    if _is_transient_error(status, message):
        return KubernetesRefusal(
            code="cluster_unavailable", again=True, wait=_get_retry_after_seconds(headers or {}, error_body, now)
        )
    final = _classify_permanent_error(status, error_body, message, image)
    absent = (
        status == 404
        and get_nested(error_body, "reason") == "NotFound"
        and get_nested(error_body, "details", "kind") != "namespaces"
    )
    return replace(final, absent=absent)


def explain_tls_failure(error: BaseException) -> str | None:
    """Return why the API server's certificate was not accepted, None if *error* has another cause.

    aiohttp's connection error is itself an `SSLCertVerificationError` and has OpenSSL's error in `certificate_error`.
    Python 3.13 and newer verify certificates strictly according to RFC 5280 (`VERIFY_X509_STRICT`,
    https://docs.python.org/3/whatsnew/3.13.html#ssl).
    """
    cause = getattr(error, "certificate_error", error)
    if not isinstance(cause, ssl.SSLError):
        return None
    problem = getattr(cause, "verify_message", "") or cause.reason or "the connection could not be encrypted"
    strict = " Python 3.13 and newer want keyUsage in the certificate of a CA." if "key usage" in problem else ""
    return f"The certificate of the cluster's API is not accepted: {problem}.{strict}"


def _is_transient_error(status: int | None, message: str) -> bool:
    """Return True for errors that may pass; an object too large for etcd is a permanent error with status 500."""
    return not status or status in (408, 429) or (status >= 500 and _ETCD_TOO_LARGE_MESSAGE not in message)


def _classify_permanent_error(
    status: int | None, body: KubernetesObject, message: str, image: str
) -> KubernetesRefusal:
    if _MISSING_PERMISSION_PATTERN.search(message) or status == 401:
        return KubernetesRefusal(
            code="cluster_forbidden", values={"message": shorten_message(message, "Unauthorized")}, again=True
        )
    shortened = shorten_message(
        _INVALID_PREFIX_PATTERN.sub("", _FORBIDDEN_PREFIX_PATTERN.sub("", message)), f"The answer was {status}."
    )
    if _QUOTA_ERROR_PATTERN.search(message):
        return KubernetesRefusal(code="quota_pool", values={"message": format_quota_message(shortened)})
    fields = [to_text(cause.get("field")) for cause in list_objects(get_nested(body, "details", "causes"))]
    if any(name.endswith("].image") for name in fields):
        return KubernetesRefusal(code="image_invalid", values={"image": image, "message": shortened})
    return KubernetesRefusal(code="rejected_by_policy", values={"message": shortened})


def _parse_error_body(body: str | bytes | KubernetesObject | None) -> KubernetesObject:
    """Parse a Status object; wrap a body that is not a JSON object (proxies, some 429 responses) as its message."""
    if isinstance(body, Mapping):
        return body
    plain = body.decode(errors="replace") if isinstance(body, bytes) else body or ""
    try:
        parsed = json.loads(plain)
    except ValueError:
        return {"message": plain}
    return parsed if isinstance(parsed, Mapping) else {"message": plain}


def _get_retry_after_seconds(headers: Mapping[str, str], body: KubernetesObject, now: datetime | None) -> float | None:
    """Return the seconds of `Retry-After` (a number or a date) or of the body; None if absent or invalid."""
    header = {name.lower(): value for name, value in headers.items()}.get("retry-after")
    seconds = (
        _parse_retry_after(header, now) if header is not None else get_nested(body, "details", "retryAfterSeconds")
    )
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
        return None
    return min(float(seconds), _MAX_RETRY_AFTER_SECONDS)


def _parse_retry_after(given: str, now: datetime | None) -> float | None:
    given = given.strip(" \t")
    if re.fullmatch(r"[0-9]{1,9}", given):
        return float(given)
    try:
        until = parsedate_to_datetime(given)
    except ValueError:
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return (until - (now or datetime.now(UTC))).total_seconds()
