"""Search for sessions of all visible projects: where to look, and what an image must have installed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from .errors import InvalidInputError
from .sessions import Session
from .software import PackageKind, SoftwarePackage

MAX_PACKAGE_TEXT_LENGTH = 200
_REQUIREMENT_PATTERN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._+-]{0,99})\s{0,9}(\S.{0,99})?", re.ASCII)
# Of a version that is not one of Python: `1:4.5.1-1` of Debian, `v2.3` of others.
_LEADING_VERSION_PATTERN = re.compile(r"(?:[0-9]{1,9}:)?v?([0-9]{1,9}(?:\.[0-9]{1,9}){0,9})", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class SearchScope:
    """The projects whose sessions a person may find.

    With `projects` these are exactly those ids; otherwise the hub's own projects that the user `name` with `groups` may
    see.
    """

    name: str = ""
    groups: frozenset[str] = frozenset()
    projects: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class PackageRequirement:
    """A package, or an interpreter, with the versions that fit; `names` are the folded names that it may have."""

    names: frozenset[str]
    versions: SpecifierSet

    def is_met_by(self, version: str) -> bool:
        """Return whether *version* fits; pre-releases count. Of other versions than Python's the numbers count."""
        parsed = _parse_version(version)
        return not self.versions if parsed is None else self.versions.contains(parsed, prereleases=True)


def parse_package_requirement(text: str) -> PackageRequirement | None:
    """Parse `xarray`, `xarray>=2025`, `xarray>=2025,<2026` or `R 4.5`, which means any 4.5; None for no text.

    The operators are those of https://packaging.python.org/en/latest/specifications/version-specifiers/.

    Raises:
        InvalidInputError: at `package`.
    """
    text = text.strip()
    if not text:
        return None
    match = _REQUIREMENT_PATTERN.fullmatch(text) if len(text) <= MAX_PACKAGE_TEXT_LENGTH else None
    try:
        if match is None:
            raise InvalidSpecifier
        wanted = (match[2] or "").strip()
        versions = SpecifierSet(f"=={wanted.removesuffix('.*')}.*" if wanted[:1].isdigit() else wanted)
    except InvalidSpecifier:
        sentence = "Write the name of a package, and if you like a version: xarray, xarray>=2025 or R 4.5."
        raise InvalidInputError(sentence, fields={"package": sentence}) from None
    kinds = (PackageKind.PYTHON, PackageKind.OTHER)
    names = (SoftwarePackage(name=match[1], version="", kind=kind).normalized_name for kind in kinds)
    return PackageRequirement(names=frozenset(names), versions=versions)


def _parse_version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        match = _LEADING_VERSION_PATTERN.match(text)
        return Version(match[1]) if match else None


@dataclass(frozen=True, kw_only=True)
class LaunchCounts:
    """Numbers of recent starts of an image that worked and that failed, in the projects that a person may see."""

    successful: int = 0
    failed: int = 0


@dataclass(frozen=True, kw_only=True)
class FoundSession:
    """An image that a search has found, shown by the newest session that runs it.

    - `uses` is the number of projects with this image, of those that the person may see.
    - `package` has the versions of the package that was searched for, None if none was.
    - `obstacle` says why the person cannot run it on this hub, None if nothing is known.
    """

    session: Session
    project_path: str
    project_title: str
    uses: int
    launches: LaunchCounts
    package: str | None = None
    obstacle: str | None = None
