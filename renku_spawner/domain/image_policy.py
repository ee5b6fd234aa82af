"""Which images people may bring: an admin's patterns, matched as a whole."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from .access import Person
from .errors import Invalid
from .image import Image

GROUP = "group:"
_HOST = r"[a-z0-9*]([a-z0-9.*-]*[a-z0-9*])?|\[[0-9a-f:.]{2,45}\]"
_PATTERN = re.compile(rf"({_HOST})(:[0-9]{{1,5}})?(/[a-z0-9*]([a-z0-9._*/-]*[a-z0-9*])?)?")
_LIMIT = 300


@dataclass(frozen=True, kw_only=True)
class ImagePolicy:
    """Patterns are `host` or `host/path`; `*` stands for any characters, in the host for
    any but a slash, so that no path can pass for a host.

    `denied` holds for everybody; who is in `outside` (user names and `group:<name>`) is
    not bound to `allowed`. `hosts` and `plain_http` are `host` or `host:port`: those may
    have private addresses and other ports, and these have no TLS.

    Raises:
        Invalid: a pattern is none; the message says which.
    """

    allowed: tuple[str, ...] = ("*",)
    denied: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    plain_http: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for pattern in (*self.allowed, *self.denied):
            _check(pattern)

    @property
    def open(self) -> bool:
        """Whether everything is allowed that is not denied."""
        return "*" in self.allowed or "*/*" in self.allowed

    def denies(self, image: Image) -> bool:
        """Whether *image* is forbidden to everybody; of those that a project's own CI has built nothing else is."""
        return _matches_any(self.denied, image)

    def permits(self, image: Image, person: Person) -> bool:
        """Whether *person* may bring *image*."""
        if self.denies(image):
            return False
        return _matches_any(self.allowed, image) or self._is_outside(person)

    def _is_outside(self, person: Person) -> bool:
        names = {person.name, *(f"{GROUP}{group}" for group in person.groups)}
        return not names.isdisjoint(self.outside)


def _check(pattern: str) -> None:
    if len(pattern) > _LIMIT or not _PATTERN.fullmatch(pattern) or ".." in pattern or "//" in pattern:
        raise Invalid(
            f"{pattern[:_LIMIT]!r} is not a pattern such as quay.io, *.example.org or quay.io/jupyter/*: in lower "
            "case, without https://, tag or digest."
        )


def _matches_any(patterns: Iterable[str], image: Image) -> bool:
    return any(_matches(pattern, image) for pattern in patterns)


def _matches(pattern: str, image: Image) -> bool:
    host, slash, path = pattern.partition("/")
    return _fits(host, image.host) and (not slash or _fits(path, image.path))


def _fits(pattern: str, text: str) -> bool:
    """What `fnmatch` does with `*`, in time that grows with the text alone."""
    first, *parts = pattern.split("*")
    if not parts:
        return text == pattern
    last = parts.pop()
    rest = text.removeprefix(first)
    if len(rest) + len(first) != len(text) or len(rest) < len(last) or not rest.endswith(last):
        return False
    rest = rest[: len(rest) - len(last)]
    for part in parts:
        _, found, rest = rest.partition(part) if part else ("", "*", rest)
        if not found:
            return False
    return True
