"""Reads `WWW-Authenticate`: what a registry wants to see before it answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

LIMIT = 4096
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SCHEME = re.compile(rf"[ \t,]*({_TOKEN})(?=[ \t,]|\Z)[ \t]*")
_PARAMETER = re.compile(rf'[ \t,]*({_TOKEN})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))(?=[ \t,]|\Z)')
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*[ \t]*(?=,|\Z)")
_REST = re.compile(r"[ \t,]*")


@dataclass(frozen=True, kw_only=True)
class Challenge:
    """One scheme in lower case (`bearer`, `basic`) with its parameters, names in lower case."""

    scheme: str
    parameters: Mapping[str, str]


def parse(header: str) -> tuple[Challenge, ...]:
    """The challenges of a header by RFC 9110, section 11.6.1, in their order.

    Raises:
        ValueError: longer than 4096 characters, control characters, the same parameter twice, or no challenge at all.
    """
    if len(header) > LIMIT or not header.isprintable():
        raise ValueError("This is not a challenge: too long, or with control characters.")
    found, position = [], 0
    while position < len(header):
        challenge, position = _one(header, position)
        found.append(challenge)
    if not found:
        raise ValueError("There is no challenge.")
    return tuple(found)


def _one(header: str, position: int) -> tuple[Challenge, int]:
    scheme = _SCHEME.match(header, position)
    if not scheme:
        raise ValueError(f"There is no challenge at character {position}.")
    parameters: dict[str, str] = {}
    position = scheme.end()
    while parameter := _PARAMETER.match(header, position):
        name, quoted, bare = parameter.groups()
        if name.lower() in parameters:
            raise ValueError(f"The parameter {name[:40]} stands there twice.")
        parameters[name.lower()] = bare if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        position = parameter.end()
    if not parameters and (blob := _TOKEN68.match(header, position)) and not _SCHEME.match(header, position):
        position = blob.end()
    rest = _REST.match(header, position)
    return Challenge(scheme=scheme[1].lower(), parameters=parameters), rest.end() if rest else position
