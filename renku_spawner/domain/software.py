"""What is installed in an image: packages and interpreters, and who says so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from .text import clean, one_line

PACKAGES_LIMIT = 5000
NAME_LIMIT = 200
VERSION_LIMIT = 100
INTERPRETERS_LIMIT = 20


class Kind(StrEnum):
    """Which installer knows the package."""

    PYTHON = "python"
    CONDA = "conda"
    R = "r"
    DEBIAN = "debian"
    OTHER = "other"


class Origin(StrEnum):
    """Who says so (decision 30): the image's SBOM attestation, a probe that an admin ran,
    the image itself when a session of it started, or this hub of its own Python."""

    SBOM = "sbom"
    PROBE = "probe"
    IMAGE = "image"
    HUB = "hub"

    @property
    def trust(self) -> int:
        """What is kept of two findings about the same image: the one with more trust."""
        return _TRUST.index(self)


_TRUST = (Origin.HUB, Origin.IMAGE, Origin.PROBE, Origin.SBOM)


@dataclass(frozen=True, kw_only=True, order=True)
class Package:
    """One installed package; ordered by what a reader looks for."""

    name: str
    version: str
    kind: Kind = Kind.OTHER

    @property
    def folded(self) -> str:
        """Names that are equal for the installer, whatever the case; for Python after PEP 503."""
        return _SEPARATORS.sub("-", self.name).casefold() if self.kind is Kind.PYTHON else self.name.casefold()


_SEPARATORS = re.compile(r"[-_.]+")


@dataclass(frozen=True, kw_only=True)
class Software:
    """What was found in an image.

    `interpreters` are names with their versions ("Python": "3.12.4", several joined by
    ", "), `cuda` is the version of its runtime; `more` counts the packages beyond the
    first 5000, which are not listed; not `complete` means that time was up before all
    was looked at.
    """

    packages: tuple[Package, ...] = ()
    interpreters: Mapping[str, str] = field(default_factory=dict)
    cuda: str | None = None
    origin: Origin
    found_at: datetime
    more: int = 0
    complete: bool = True

    def of_kind(self, kind: Kind) -> tuple[Package, ...]:
        return tuple(package for package in self.packages if package.kind is kind)


def listed(packages: Iterable[Package]) -> tuple[tuple[Package, ...], int]:
    """Each package once, sorted, at most 5000 of them, and how many are beyond."""
    unique = sorted(set(packages), key=lambda one: (one.folded, one.kind, one.version))
    return tuple(unique[:PACKAGES_LIMIT]), max(0, len(unique) - PACKAGES_LIMIT)


def package(name: Any, version: Any, kind: Kind) -> Package | None:
    """A package of what a stranger wrote; None if that is no package. What is too long is cut,
    and what cannot be printed is replaced."""
    if not isinstance(name, str) or not isinstance(version, str):
        return None
    name, version = _line(name, NAME_LIMIT), _line(version, VERSION_LIMIT)
    return Package(name=name, version=version, kind=kind) if name else None


def _line(text: str, limit: int) -> str:
    if len(text) <= limit and text.isascii() and text.isprintable():  # nearly all of them, and there are thousands
        return text.strip()
    line = one_line(text, limit=limit)
    try:
        return clean(line, limit=limit)
    except ValueError:
        return ""


# ---- as JSON ---------------------------------------------------------------------------------------


def as_json(software: Software) -> dict[str, Any]:
    """Plain JSON: packages as lists `[name, version]` by their kind."""
    return {
        "packages": {
            str(kind): [[one.name, one.version] for one in software.of_kind(kind)]
            for kind in Kind
            if software.of_kind(kind)
        },
        "interpreters": dict(software.interpreters),
        "cuda": software.cuda,
        "more": software.more,
        "complete": software.complete,
    }


def from_json(data: Any, *, origin: Origin, found_at: datetime) -> Software | None:
    """What `as_json` or the probe wrote; None if it is nothing of the kind.

    The probe runs in a stranger's image, so anything may come: wrong types are left out,
    texts are cleaned and cut, lists end at 5000 packages.
    """
    if not isinstance(data, Mapping) or not isinstance(data.get("packages"), Mapping):
        return None
    packages, more = listed(_packages(data["packages"]))
    said = data.get("more")
    return Software(
        packages=packages,
        interpreters=_interpreters(data.get("interpreters")),
        cuda=_line(data["cuda"], VERSION_LIMIT) or None if isinstance(data.get("cuda"), str) else None,
        origin=origin,
        found_at=found_at,
        more=more + (min(said, 10**6) if isinstance(said, int) and said > 0 else 0),
        complete=data.get("complete") is not False,
    )


def _packages(data: Mapping[Any, Any]) -> Iterable[Package]:
    for kind in Kind:
        rows = data.get(str(kind))
        for row in rows[: 2 * PACKAGES_LIMIT] if isinstance(rows, list) else ():
            name, version = row if isinstance(row, list) and len(row) == 2 else (None, None)
            found = package(name, version, kind)
            if found:
                yield found


def _interpreters(data: Any) -> dict[str, str]:
    if not isinstance(data, Mapping):
        return {}
    pairs = [(key, value) for key, value in data.items() if isinstance(key, str) and isinstance(value, str)]
    return {_line(key, 40): _line(value, VERSION_LIMIT) for key, value in sorted(pairs)[:INTERPRETERS_LIMIT]}


# ---- search and comparison -------------------------------------------------------------------------


def search(software: Software, text: str) -> tuple[Package, ...]:
    """The packages whose name, version or kind has every word of *text*; all for none."""
    words = text[:NAME_LIMIT].casefold().split()
    if not words:
        return software.packages
    return tuple(one for one in software.packages if _has(f"{one.name} {one.version} {one.kind}".casefold(), words))


def _has(line: str, words: Iterable[str]) -> bool:
    return all(word in line for word in words)


@dataclass(frozen=True, kw_only=True)
class Change:
    """A package that is there before and after in other versions; several are joined by ", "."""

    name: str
    kind: Kind
    old: str
    new: str


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What differs between two images, each part sorted by name."""

    added: tuple[Package, ...] = ()
    removed: tuple[Package, ...] = ()
    changed: tuple[Change, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


def changes(old: Software, new: Software) -> Changes:
    """What is other in *new*.

    Two ways of looking do not see the same: unless both have one origin, only the kinds
    of packages that both saw are compared.
    """
    before, after = _by_name(old), _by_name(new)
    if old.origin is not new.origin:
        seen = {kind for kind, _ in before} & {kind for kind, _ in after}
        before, after = ({key: rows for key, rows in part.items() if key[0] in seen} for part in (before, after))
    return Changes(
        added=tuple(_joined(after[key]) for key in _sorted(after.keys() - before.keys())),
        removed=tuple(_joined(before[key]) for key in _sorted(before.keys() - after.keys())),
        changed=tuple(
            Change(name=after[key][0].name, kind=key[0], old=_joined(before[key]).version, new=_joined(now).version)
            for key, now in sorted(after.items(), key=lambda item: item[0][::-1])
            if key in before and _versions(before[key]) != _versions(now)
        ),
    )


_Key = tuple[Kind, str]


def _by_name(software: Software) -> dict[_Key, list[Package]]:
    found: dict[_Key, list[Package]] = {}
    for one in software.packages:
        found.setdefault((one.kind, one.folded), []).append(one)
    return found


def _sorted(keys: Iterable[_Key]) -> list[_Key]:
    return sorted(keys, key=lambda key: key[::-1])


def _versions(packages: Iterable[Package]) -> list[str]:
    return sorted({one.version for one in packages})


def _joined(packages: list[Package]) -> Package:
    return replace(packages[0], version=", ".join(_versions(packages)))
