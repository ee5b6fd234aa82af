"""Reads the SPDX document of an image's attestation, as BuildKit's scanner writes it.

SPDX 2.3 (https://spdx.github.io/spdx-spec/v2.3/), bare or as the predicate of an in-toto
statement (https://docs.docker.com/build/metadata/attestations/sbom/).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from ..domain.software import INTERPRETERS_LIMIT, Kind, Origin, Package, Software, listed, package

PREDICATE = "https://spdx.dev/Document"
LIMIT = 16 * 1024 * 1024  # bytes
_NODES = 1_000_000  # values: what is small in bytes may be big in memory
_FIELDS = {
    "predicateType", "predicate", "Data", "spdxVersion", "packages", "name", "versionInfo", "externalRefs",
    "referenceLocator",
}  # fmt: skip
_ROWS = 100_000  # looked at; a scanner of an image with everything lists some 5000
_REFERENCES = 50  # of one package
_KINDS = {"pypi": Kind.PYTHON, "conda": Kind.CONDA, "cran": Kind.R, "deb": Kind.DEBIAN}
_IMAGES = ("oci", "docker")  # the image itself is no package of its own
_INTERPRETERS = {
    "python": "Python", "r-base": "R", "r-base-core": "R", "julia": "Julia", "node": "Node.js", "nodejs": "Node.js"
}  # fmt: skip
_MINIMAL = re.compile(r"python3\.\d+-minimal")
_CUDA = re.compile(r"cuda-version|cudatoolkit|cuda-cudart(-\d+-\d+)?|nvidia-cuda-runtime(-cu\d+)?")


def read(document: bytes, *, found_at: datetime) -> Software | None:
    """The packages of a document; None if it is none, or has no packages.

    Documents are written by strangers: whatever one holds, nothing is raised.
    """
    packages = _packages(document) if len(document) <= LIMIT else []
    kept, more = listed(packages)
    if not kept:
        return None
    return Software(
        packages=kept,
        interpreters=_interpreters(kept),
        cuda=next((one.version for one in kept if _CUDA.fullmatch(one.name)), None),
        origin=Origin.SBOM,
        found_at=found_at,
        more=more,
    )


def _packages(document: bytes) -> list[Package]:
    if sum(map(document.count, (b"{", b"[", b","))) > _NODES:
        return []
    try:
        data = json.loads(document, object_pairs_hook=_wanted)
    except (ValueError, RecursionError):
        return []
    return list(_read(_document(data).get("packages")))


def _wanted(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of each object the few fields that are looked at, so that megabytes stay small. And since it is
    Python, other threads have their turn between two objects: json itself holds them all up (B8)."""
    return {key: value for key, value in pairs if key in _FIELDS}


def _document(data: Any) -> Mapping[str, Any]:
    """The SPDX document of a statement; some tools wrap the predicate once more."""
    if isinstance(data, dict) and data.get("predicateType", PREDICATE) != PREDICATE:
        return {}
    for key in ("predicate", "Data"):
        if isinstance(data, dict) and isinstance(data.get(key), dict):
            data = data[key]
    return data if isinstance(data, dict) and str(data.get("spdxVersion", "")).startswith("SPDX-2") else {}


def _read(rows: Any) -> Iterator[Package]:
    for row in rows[:_ROWS] if isinstance(rows, list) else ():
        if isinstance(row, dict):
            kind = _kind(row.get("externalRefs"))
            found = package(row.get("name"), row.get("versionInfo"), kind) if kind else None
            if found and found.version:
                yield found


def _kind(references: Any) -> Kind | None:
    """By the package's URL (https://github.com/package-url/purl-spec); None for an image."""
    for reference in references[:_REFERENCES] if isinstance(references, list) else ():
        purl = reference.get("referenceLocator") if isinstance(reference, dict) else None
        if isinstance(purl, str) and purl.startswith("pkg:"):
            type_ = purl[4:40].lstrip("/").partition("/")[0].lower()
            return None if type_ in _IMAGES else _KINDS.get(type_, Kind.OTHER)
    return Kind.OTHER


def _interpreters(packages: Iterable[Package]) -> dict[str, str]:
    """What the scanner took for an interpreter: a program, or the package that brings it."""
    found: dict[str, list[str]] = {}
    for one in packages:
        name = _INTERPRETERS.get(one.name.casefold()) if one.kind in (Kind.OTHER, Kind.CONDA, Kind.DEBIAN) else None
        name = "Python" if one.kind is Kind.DEBIAN and _MINIMAL.fullmatch(one.name) else name
        version = one.version.partition("-")[0]
        if name and version not in found.setdefault(name, []) and len(found[name]) < INTERPRETERS_LIMIT:
            found[name].append(version)
    return {name: ", ".join(versions) for name, versions in found.items()}
