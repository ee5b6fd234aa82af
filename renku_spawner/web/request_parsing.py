"""Parse the bytes of a request strictly into plain values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..domain.errors import InvalidInputError, MalformedInputError

MAX_BODY_BYTES = 64 * 1024
_MAX_JSON_DEPTH = 20


def has_request_body(headers: Mapping[str, str]) -> bool:
    return headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in headers


def make_stream_ticket(xsrf_token: bytes) -> str:
    """Return a ticket that replaces the XSRF token in the URL of an event stream.

    A browser adds no header to such a request. URLs end up in logs of proxies; only streams of the same
    user accept the ticket.
    """
    return hashlib.sha256(b"renku events " + xsrf_token).hexdigest()[:32]


def parse_json_object(body: bytes) -> dict[str, Any]:
    """Parse the JSON object in *body*; an empty body is an empty object.

    Raises:
        MalformedInputError: invalid UTF-8 or syntax, a duplicate key, nesting beyond 20 levels.
        InvalidInputError: any other JSON value.
    """
    if not body:
        return {}
    try:
        value = json.loads(
            body.decode("utf-8"), object_pairs_hook=_build_unique_dict, parse_constant=_reject_json_constant
        )
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # a lone surrogate cannot be stored
    except (ValueError, RecursionError):
        raise MalformedInputError("The body is not valid JSON in UTF-8.") from None
    _check_json_depth(value)
    if not isinstance(value, dict):
        raise InvalidInputError("The body must be a JSON object.")
    return value


def parse_form_fields(arguments: Mapping[str, Sequence[bytes]], lists: Iterable[str] = ()) -> dict[str, Any]:
    """Parse the fields of a form as strings; those in *lists* may repeat and are lists.

    Raises:
        MalformedInputError: invalid UTF-8, or another field that repeats.
    """
    repeated = set(lists)
    fields: dict[str, Any] = {key: [] for key in repeated}
    for key, values in arguments.items():
        texts = [_decode_utf8(value) for value in values]
        if key in repeated:
            fields[key] = texts
        elif len(texts) > 1:
            raise _build_duplicate_field_error(key)
        else:
            fields[key] = texts[0]
    return fields


def check_query_parameters(arguments: Mapping[str, Sequence[bytes]]) -> None:
    """Raise MalformedInputError if a query parameter repeats or is not UTF-8."""
    for key, values in arguments.items():
        if len(values) > 1:
            raise _build_duplicate_field_error(key)
        _decode_utf8(values[0])


def parse_text_parameter(arguments: Mapping[str, Sequence[bytes]], name: str, limit: int = 200) -> str:
    """Return a query parameter as one line of at most *limit* printable characters."""
    text = _decode_utf8((arguments.get(name) or [b""])[0])
    return " ".join("".join(c if c.isprintable() else " " for c in text[:limit]).split())


def _decode_utf8(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedInputError("The request is not valid UTF-8.") from None


def _build_duplicate_field_error(key: str) -> MalformedInputError:
    return MalformedInputError("A field or parameter is given twice.", details={"name": key[:64]})


def _build_unique_dict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) < len(pairs):
        raise ValueError("duplicate key")
    return unique


def _reject_json_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _check_json_depth(value: Any, depth: int = 0) -> None:
    if depth > _MAX_JSON_DEPTH:
        raise MalformedInputError("The body is nested too deeply.")
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in inner:
        _check_json_depth(item, depth + 1)


def parse_cursor(arguments: Mapping[str, Sequence[bytes]]) -> str | None:
    """Return the opaque cursor at which a list goes on. Raises InvalidInputError."""
    text = _decode_utf8((arguments.get("after") or [b""])[0])
    if len(text) > 1000 or "\x00" in text:
        raise InvalidInputError("This page of the list does not exist.", fields={"after": "Take it from `next`."})
    return text or None


def parse_limit(
    arguments: Mapping[str, Sequence[bytes]], *, name: str = "limit", usual: int = 20, most: int = 100
) -> int:
    """Return the number of entries to list, from 1 to *most*. Raises InvalidInputError."""
    text = _decode_utf8((arguments.get(name) or [b""])[0])
    if not text:
        return usual
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= most):
        sentence = f"A whole number from 1 to {most}, please."
        raise InvalidInputError(sentence, fields={name: sentence})
    return int(text)
