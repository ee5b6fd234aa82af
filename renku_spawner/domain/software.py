"""Packages and interpreters found in an image: parse a probe's report, search packages and compare two images."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from .text import clean_text, to_single_line

MAX_PACKAGES = 5000
MAX_PACKAGE_NAME_LENGTH = 200
MAX_PACKAGE_VERSION_LENGTH = 100
MAX_INTERPRETERS = 20


class PackageKind(StrEnum):
    """The package manager that installed the package."""

    PYTHON = "python"
    CONDA = "conda"
    R = "r"
    DEBIAN = "debian"
    OTHER = "other"


class SoftwareOrigin(StrEnum):
    """The source of a software list.

    The image's SBOM attestation, a probe that an admin ran, the image itself when one of its sessions started,
    or this hub's own Python environment.
    """

    SBOM = "sbom"
    PROBE = "probe"
    IMAGE = "image"
    HUB = "hub"

    @property
    def trust_rank(self) -> int:
        """Rank by trust; of two lists for the same image the one with the higher rank is kept."""
        return _ORIGINS_BY_TRUST.index(self)


_ORIGINS_BY_TRUST = (SoftwareOrigin.HUB, SoftwareOrigin.IMAGE, SoftwareOrigin.PROBE, SoftwareOrigin.SBOM)


@dataclass(frozen=True, kw_only=True, order=True)
class SoftwarePackage:
    """An installed package; packages sort by name, then version."""

    name: str
    version: str
    kind: PackageKind = PackageKind.OTHER

    @property
    def normalized_name(self) -> str:
        """The name that package managers treat as equal, in any case of letters; for Python see PEP 503."""
        return (
            _PYTHON_NAME_SEPARATORS.sub("-", self.name).casefold()
            if self.kind is PackageKind.PYTHON
            else self.name.casefold()
        )


_PYTHON_NAME_SEPARATORS = re.compile(r"[-_.]+")


@dataclass(frozen=True, kw_only=True)
class ImageSoftware:
    """The software found in an image.

    `interpreters` are names with their versions ("Python": "3.12.4", several joined by ", "), `cuda` is the
    version of its runtime. `more` counts the packages beyond the first 5000, which are not listed. `complete`
    is false if the probe ran out of time.
    """

    packages: tuple[SoftwarePackage, ...] = ()
    interpreters: Mapping[str, str] = field(default_factory=dict)
    cuda: str | None = None
    origin: SoftwareOrigin
    found_at: datetime
    more: int = 0
    complete: bool = True

    def list_packages(self, kind: PackageKind) -> tuple[SoftwarePackage, ...]:
        return tuple(package for package in self.packages if package.kind is kind)


def sort_unique_packages(packages: Iterable[SoftwarePackage]) -> tuple[tuple[SoftwarePackage, ...], int]:
    """Return the unique packages, sorted, at most 5000 of them, and the number of the others."""
    unique = sorted(set(packages), key=lambda one: (one.normalized_name, one.kind, one.version))
    return tuple(unique[:MAX_PACKAGES]), max(0, len(unique) - MAX_PACKAGES)


def parse_package(name: Any, version: Any, kind: PackageKind) -> SoftwarePackage | None:
    """Return a package from untrusted values, None if they are none.

    Long texts are cut, and unprintable characters are replaced.
    """
    if not isinstance(name, str) or not isinstance(version, str):
        return None
    name, version = (
        _clean_package_text(name, MAX_PACKAGE_NAME_LENGTH),
        _clean_package_text(version, MAX_PACKAGE_VERSION_LENGTH),
    )
    return SoftwarePackage(name=name, version=version, kind=kind) if name else None


def _clean_package_text(text: str, limit: int) -> str:
    if len(text) <= limit and text.isascii() and text.isprintable():  # fast path: lists have thousands of packages
        return text.strip()
    line = to_single_line(text, limit=limit)
    try:
        return clean_text(line, limit=limit)
    except ValueError:
        return ""


# JSON form


def to_software_json(software: ImageSoftware) -> dict[str, Any]:
    """Return the list as plain JSON, with packages as lists `[name, version]` by their kind."""
    return {
        "packages": {
            str(kind): [[one.name, one.version] for one in software.list_packages(kind)]
            for kind in PackageKind
            if software.list_packages(kind)
        },
        "interpreters": dict(software.interpreters),
        "cuda": software.cuda,
        "more": software.more,
        "complete": software.complete,
    }


def parse_software_json(data: Any, *, origin: SoftwareOrigin, found_at: datetime) -> ImageSoftware | None:
    """Read the form of `to_software_json` or of the probe; None if it is neither.

    The probe runs in an untrusted image: values of the wrong type are left out, texts are cleaned and cut, and
    lists end at 5000 packages.
    """
    if not isinstance(data, Mapping) or not isinstance(data.get("packages"), Mapping):
        return None
    packages, more = sort_unique_packages(_iterate_packages(data["packages"]))
    count = data.get("more")
    return ImageSoftware(
        packages=packages,
        interpreters=_parse_interpreters(data.get("interpreters")),
        cuda=_clean_package_text(data["cuda"], MAX_PACKAGE_VERSION_LENGTH) or None
        if isinstance(data.get("cuda"), str)
        else None,
        origin=origin,
        found_at=found_at,
        more=more + (min(count, 10**6) if isinstance(count, int) and count > 0 else 0),
        complete=data.get("complete") is not False,
    )


def _iterate_packages(data: Mapping[Any, Any]) -> Iterable[SoftwarePackage]:
    for kind in PackageKind:
        rows = data.get(str(kind))
        for row in rows[: 2 * MAX_PACKAGES] if isinstance(rows, list) else ():
            name, version = row if isinstance(row, list) and len(row) == 2 else (None, None)
            package = parse_package(name, version, kind)
            if package:
                yield package


def _parse_interpreters(data: Any) -> dict[str, str]:
    if not isinstance(data, Mapping):
        return {}
    pairs = [(key, value) for key, value in data.items() if isinstance(key, str) and isinstance(value, str)]
    return {
        _clean_package_text(key, 40): _clean_package_text(value, MAX_PACKAGE_VERSION_LENGTH)
        for key, value in sorted(pairs)[:MAX_INTERPRETERS]
    }


# Search and comparison


def search_packages(software: ImageSoftware, text: str) -> tuple[SoftwarePackage, ...]:
    """Return the packages whose name, version or kind contains every word of *text*; all if it is empty."""
    words = text[:MAX_PACKAGE_NAME_LENGTH].casefold().split()
    if not words:
        return software.packages
    return tuple(
        one
        for one in software.packages
        if _contains_all_words(f"{one.name} {one.version} {one.kind}".casefold(), words)
    )


def list_searchable_packages(software: ImageSoftware) -> list[tuple[str, str]]:
    """Return normalized name and version of each package and interpreter, without duplicates."""
    pairs = {(package.normalized_name, package.version) for package in software.packages}
    for name, versions in (*software.interpreters.items(), ("cuda", software.cuda or "")):
        pairs.update((name.casefold(), version) for version in versions.split(", ") if version)
    return sorted(pairs)


def _contains_all_words(line: str, words: Iterable[str]) -> bool:
    return all(word in line for word in words)


@dataclass(frozen=True, kw_only=True)
class PackageChange:
    """A package with other versions in the newer image; several versions are joined by ", "."""

    name: str
    kind: PackageKind
    old: str
    new: str


@dataclass(frozen=True, kw_only=True)
class SoftwareChanges:
    """Differences between two images, each part sorted by name."""

    added: tuple[SoftwarePackage, ...] = ()
    removed: tuple[SoftwarePackage, ...] = ()
    changed: tuple[PackageChange, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


def compare_software(old: ImageSoftware, new: ImageSoftware) -> SoftwareChanges:
    """Return the differences from *old* to *new*.

    Lists of different origins do not cover the same: only the kinds of packages that both have are compared then.
    """
    before, after = _group_packages(old), _group_packages(new)
    if old.origin is not new.origin:
        kinds = {kind for kind, _ in before} & {kind for kind, _ in after}
        before, after = ({key: rows for key, rows in part.items() if key[0] in kinds} for part in (before, after))
    return SoftwareChanges(
        added=tuple(_merge_packages(after[key]) for key in _sort_package_keys(after.keys() - before.keys())),
        removed=tuple(_merge_packages(before[key]) for key in _sort_package_keys(before.keys() - after.keys())),
        changed=tuple(
            PackageChange(
                name=after[key][0].name,
                kind=key[0],
                old=_merge_packages(before[key]).version,
                new=_merge_packages(now).version,
            )
            for key, now in sorted(after.items(), key=lambda item: item[0][::-1])
            if key in before and _list_versions(before[key]) != _list_versions(now)
        ),
    )


_PackageKey = tuple[PackageKind, str]


def _group_packages(software: ImageSoftware) -> dict[_PackageKey, list[SoftwarePackage]]:
    groups: dict[_PackageKey, list[SoftwarePackage]] = {}
    for one in software.packages:
        groups.setdefault((one.kind, one.normalized_name), []).append(one)
    return groups


def _sort_package_keys(keys: Iterable[_PackageKey]) -> list[_PackageKey]:
    return sorted(keys, key=lambda key: key[::-1])


def _list_versions(packages: Iterable[SoftwarePackage]) -> list[str]:
    return sorted({one.version for one in packages})


def _merge_packages(packages: list[SoftwarePackage]) -> SoftwarePackage:
    return replace(packages[0], version=", ".join(_list_versions(packages)))


PROBE_REPORT_HEADER = "renku-probe 1"
MAX_PROBE_REPORT_CHARACTERS = 1024 * 1024  # twice the longest genuine report
_PROBE_REPORT_ENDINGS = ("end", "late")
_MAX_PROBE_REPORT_LINES = MAX_PACKAGES + 100


def parse_probe_report(report: str, *, origin: SoftwareOrigin, found_at: datetime) -> ImageSoftware | None:
    """Parse a probe's report; None if it is no report, or was cut off.

    The report comes from an untrusted image: lines of any other form are left out.
    """
    lines = report[:MAX_PROBE_REPORT_CHARACTERS].split("\n", 2 * _MAX_PROBE_REPORT_LINES)
    while lines and not lines[-1].strip():
        lines.pop()
    if PROBE_REPORT_HEADER not in lines or lines[-1] not in _PROBE_REPORT_ENDINGS:
        return None
    fields = [line.split("\t") for line in lines[lines.index(PROBE_REPORT_HEADER) + 1 : -1]]
    return parse_software_json(
        {
            "packages": {str(kind): list(_select_report_rows(fields, kind)) for kind in PackageKind},
            "interpreters": dict(_select_report_rows(fields, "interpreter")),
            "cuda": next((line[1] for line in fields if line[0] == "cuda" and len(line) == 2), None),
            "more": next((int(line[1]) for line in fields if _is_more_line(line)), 0),
            "complete": lines[-1] == "end",
        },
        origin=origin,
        found_at=found_at,
    )


def _select_report_rows(fields: list[list[str]], kind: str) -> Iterator[list[str]]:
    return (line[1:] for line in fields if line[0] == kind and len(line) == 3)


def _is_more_line(line: list[str]) -> bool:
    return line[0] == "more" and len(line) == 2 and line[1].isascii() and line[1].isdigit() and len(line[1]) < 8
