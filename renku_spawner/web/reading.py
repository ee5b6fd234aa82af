"""The bytes of a request as plain values: strict, so that nothing is read in two ways."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..domain.errors import Invalid, Malformed

BODY_LIMIT = 64 * 1024  # bytes
_DEPTH_LIMIT = 20


def sends_body(headers: Mapping[str, str]) -> bool:
    return headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in headers


def stream_ticket(xsrf_token: bytes) -> str:
    """Return what stands for the XSRF token in the address of an event stream, to which a browser adds no header.

    Addresses end up in logs of proxies; nothing but the stream of the same person accepts a ticket.
    """
    return hashlib.sha256(b"renku events " + xsrf_token).hexdigest()[:32]


def json_object(body: bytes) -> dict[str, Any]:
    """The JSON object in *body*; an empty body is an empty object.

    Raises:
        Malformed: bad UTF-8 or syntax, a key that stands twice, nesting beyond 20 levels.
        Invalid: any other JSON value.
    """
    if not body:
        return {}
    try:
        value = json.loads(body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # a lone surrogate cannot be stored
    except (ValueError, RecursionError):
        raise Malformed("The body is not valid JSON in UTF-8.") from None
    _check_depth(value)
    if not isinstance(value, dict):
        raise Invalid("The body must be a JSON object.")
    return value


def form(arguments: Mapping[str, Sequence[bytes]], lists: Iterable[str] = ()) -> dict[str, Any]:
    """The fields of a form, each a text; those in *lists* may repeat and are lists.

    Raises:
        Malformed: bad UTF-8, or another field that stands twice.
    """
    repeated = set(lists)
    fields: dict[str, Any] = {key: [] for key in repeated}
    for key, values in arguments.items():
        texts = [_text(value) for value in values]
        if key in repeated:
            fields[key] = texts
        elif len(texts) > 1:
            raise _twice(key)
        else:
            fields[key] = texts[0]
    return fields


def check_query(arguments: Mapping[str, Sequence[bytes]]) -> None:
    """Raise Malformed when a parameter of the address stands twice (H74) or is not UTF-8."""
    for key, values in arguments.items():
        if len(values) > 1:
            raise _twice(key)
        _text(values[0])


def word(arguments: Mapping[str, Sequence[bytes]], name: str, limit: int = 200) -> str:
    """What somebody searches for: one line of at most *limit* printable characters."""
    text = _text((arguments.get(name) or [b""])[0])
    return " ".join("".join(c if c.isprintable() else " " for c in text[:limit]).split())


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("The request is not valid UTF-8.") from None


def _twice(key: str) -> Malformed:
    return Malformed("A field or parameter is given twice.", details={"name": key[:64]})


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) < len(pairs):
        raise ValueError("a key stands twice")
    return unique


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _check_depth(value: Any, depth: int = 0) -> None:
    if depth > _DEPTH_LIMIT:
        raise Malformed("The body is nested too deeply.")
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inner:
        _check_depth(each, depth + 1)


def cursor(arguments: Mapping[str, Sequence[bytes]]) -> str | None:
    """Where a list goes on: opaque, handed back as it was given out."""
    text = _text((arguments.get("after") or [b""])[0])
    if len(text) > 1000 or "\x00" in text:
        raise Invalid("This page of the list does not exist.", fields={"after": "Take it from `next`."})
    return text or None


def limit(arguments: Mapping[str, Sequence[bytes]], *, name: str = "limit", usual: int = 20, most: int = 100) -> int:
    """How many entries somebody wants: 1 to *most*."""
    text = _text((arguments.get(name) or [b""])[0])
    if not text:
        return usual
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= most):
        sentence = f"A whole number from 1 to {most}, please."
        raise Invalid(sentence, fields={name: sentence})
    return int(text)
