"""Parse OCI manifests, indexes and SPDX documents from untrusted bytes.

Requests are in `client`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ...domain.software import (
    MAX_INTERPRETERS,
    ImageSoftware,
    PackageKind,
    SoftwareOrigin,
    SoftwarePackage,
    parse_package,
    sort_unique_packages,
)

SPDX_PREDICATE_TYPE = "https://spdx.dev/Document"
MAX_SPDX_DOCUMENT_BYTES = 16 * 1024 * 1024
_MAX_SPDX_JSON_NODES = 1_000_000  # a document with few bytes may need much memory
_SPDX_FIELDS = {
    "predicateType", "predicate", "Data", "spdxVersion", "packages", "name", "versionInfo", "externalRefs",
    "referenceLocator",
}  # fmt: skip
_MAX_SPDX_PACKAGES = 100_000  # scanners list about 5000 for a very large image
_MAX_EXTERNAL_REFERENCES = 50  # per package
_PURL_TYPE_KINDS = {
    "pypi": PackageKind.PYTHON,
    "conda": PackageKind.CONDA,
    "cran": PackageKind.R,
    "deb": PackageKind.DEBIAN,
}
_IMAGE_PURL_TYPES = ("oci", "docker")  # entries for the image itself, which is not a package
_INTERPRETER_NAMES = {
    "python": "Python", "r-base": "R", "r-base-core": "R", "julia": "Julia", "node": "Node.js", "nodejs": "Node.js"
}  # fmt: skip
_MINIMAL_PYTHON_PATTERN = re.compile(r"python3\.\d+-minimal")
_CUDA_PACKAGE_PATTERN = re.compile(r"cuda-version|cudatoolkit|cuda-cudart(-\d+-\d+)?|nvidia-cuda-runtime(-cu\d+)?")


def parse_spdx_software(document: bytes, *, found_at: datetime) -> ImageSoftware | None:
    """Return the packages of an SPDX document, or None if it is invalid or has no packages.

    Documents are untrusted: no content raises an exception.
    """
    packages = _parse_spdx_packages(document) if len(document) <= MAX_SPDX_DOCUMENT_BYTES else []
    kept, more = sort_unique_packages(packages)
    if not kept:
        return None
    return ImageSoftware(
        packages=kept,
        interpreters=_find_interpreters(kept),
        cuda=next((one.version for one in kept if _CUDA_PACKAGE_PATTERN.fullmatch(one.name)), None),
        origin=SoftwareOrigin.SBOM,
        found_at=found_at,
        more=more,
    )


def _parse_spdx_packages(document: bytes) -> list[SoftwarePackage]:
    if sum(map(document.count, (b"{", b"[", b","))) > _MAX_SPDX_JSON_NODES:
        return []
    try:
        data = json.loads(document, object_pairs_hook=_select_fields)
    except (ValueError, RecursionError):
        return []
    return list(_parse_package_rows(_unwrap_document(data).get("packages")))


def _select_fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Keep only the fields that are used, to save memory.

    As a Python hook, it also lets other threads run between objects: the C parser alone would hold the GIL.
    """
    return {key: value for key, value in pairs if key in _SPDX_FIELDS}


def _unwrap_document(data: Any) -> Mapping[str, Any]:
    """Return the SPDX document of an in-toto statement; some tools wrap the predicate once more."""
    if isinstance(data, dict) and data.get("predicateType", SPDX_PREDICATE_TYPE) != SPDX_PREDICATE_TYPE:
        return {}
    for key in ("predicate", "Data"):
        if isinstance(data, dict) and isinstance(data.get(key), dict):
            data = data[key]
    return data if isinstance(data, dict) and str(data.get("spdxVersion", "")).startswith("SPDX-2") else {}


def _parse_package_rows(rows: Any) -> Iterator[SoftwarePackage]:
    for row in rows[:_MAX_SPDX_PACKAGES] if isinstance(rows, list) else ():
        if isinstance(row, dict):
            kind = _parse_package_kind(row.get("externalRefs"))
            found = parse_package(row.get("name"), row.get("versionInfo"), kind) if kind else None
            if found and found.version:
                yield found


def _parse_package_kind(references: Any) -> PackageKind | None:
    """Return the kind by the package's purl (https://github.com/package-url/purl-spec); None for an image."""
    for reference in references[:_MAX_EXTERNAL_REFERENCES] if isinstance(references, list) else ():
        purl = reference.get("referenceLocator") if isinstance(reference, dict) else None
        if isinstance(purl, str) and purl.startswith("pkg:"):
            type_ = purl[4:40].lstrip("/").partition("/")[0].lower()
            return None if type_ in _IMAGE_PURL_TYPES else _PURL_TYPE_KINDS.get(type_, PackageKind.OTHER)
    return PackageKind.OTHER


def _find_interpreters(packages: Iterable[SoftwarePackage]) -> dict[str, str]:
    """Return versions by interpreter name, from programs or packages that the scanner listed."""
    found: dict[str, list[str]] = {}
    for one in packages:
        name = (
            _INTERPRETER_NAMES.get(one.name.casefold())
            if one.kind in (PackageKind.OTHER, PackageKind.CONDA, PackageKind.DEBIAN)
            else None
        )
        name = "Python" if one.kind is PackageKind.DEBIAN and _MINIMAL_PYTHON_PATTERN.fullmatch(one.name) else name
        version = one.version.partition("-")[0]
        if name and version not in found.setdefault(name, []) and len(found[name]) < MAX_INTERPRETERS:
            found[name].append(version)
    return {name: ", ".join(versions) for name, versions in found.items()}


INDEX_MEDIA_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFEST_MEDIA_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
CONFIG_MEDIA_TYPES = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
    "application/octet-stream",  # docker before 1.11
)
MANIFEST_ACCEPT_HEADER = ", ".join(INDEX_MEDIA_TYPES + MANIFEST_MEDIA_TYPES)
IN_TOTO_MEDIA_TYPE = "application/vnd.in-toto+json"
MAX_MANIFEST_ENTRIES = 200  # entries of an index, or layers of a manifest
MAX_MANIFEST_JSON_NODES = 40_000  # in a manifest or config: a document with few bytes may need much time and memory
DIGEST_PATTERN = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


class InvalidManifest(ValueError):
    """The registry's answer is invalid; the message is a clause for users."""


@dataclass(frozen=True, kw_only=True)
class OCIDescriptor:
    """A reference from a manifest to another document; `size` is in bytes, 0 if unknown."""

    digest: str
    media_type: str = ""
    size: int = 0
    platform: str | None = None
    annotations: Mapping[str, Any] = field(default_factory=dict)

    @property
    def attested_digest(self) -> str | None:
        """The digest of the manifest that this entry attests, if it is an attestation of BuildKit.

        See https://docs.docker.com/build/metadata/attestations/attestation-storage/.
        """
        if self.annotations.get("vnd.docker.reference.type") != "attestation-manifest":
            return None
        return str(self.annotations.get("vnd.docker.reference.digest"))


@dataclass(frozen=True, kw_only=True)
class ImageIndex:
    """An image index: one image for several platforms."""

    entries: tuple[OCIDescriptor, ...]

    @property
    def image_entries(self) -> tuple[OCIDescriptor, ...]:
        """The entries that are images, without attestations and the platform `unknown`."""
        return tuple(e for e in self.entries if not e.attested_digest and "unknown" not in (e.platform or ""))

    @property
    def platforms(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(e.platform for e in self.image_entries if e.platform))

    def choose_entry(self, platforms: Iterable[str]) -> OCIDescriptor | None:
        """Return the first entry for the first of *platforms* that has one.

        A single entry without a platform is returned too, since only its config has the platform.
        """
        for wanted in platforms:
            for entry in self.image_entries:
                if entry.platform == wanted:
                    return entry
        is_single = len(self.image_entries) == 1 and not self.image_entries[0].platform
        return self.image_entries[0] if is_single else None

    def find_attestation(self, digest: str) -> OCIDescriptor | None:
        return next((entry for entry in self.entries if entry.attested_digest == digest), None)


@dataclass(frozen=True, kw_only=True)
class ImageManifest:
    """An image manifest: one image for one platform, or an attestation."""

    config: OCIDescriptor
    layers: tuple[OCIDescriptor, ...]

    @property
    def compressed_size(self) -> int:
        """The compressed size of all layers in bytes."""
        return sum(layer.size for layer in self.layers)


def verify_digest(body: bytes, digest: str) -> None:
    """Raise InvalidManifest unless *digest* (sha256 or sha512) is the digest of *body*."""
    algorithm, _, wanted = digest.partition(":")
    if hashlib.new(algorithm, body).hexdigest() != wanted:
        raise InvalidManifest("sent content that does not match its digest")


def parse_registry_json(body: bytes) -> dict[str, Any]:
    """Parse *body* as a JSON object.

    Raises:
        InvalidManifest: it is not one, or it is too large.
    """
    if sum(map(body.count, (b"{", b"[", b","))) > MAX_MANIFEST_JSON_NODES:
        raise InvalidManifest("sent a document that is too large")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidManifest("sent something that is not JSON") from None
    if not isinstance(value, dict):
        raise InvalidManifest("sent something that is not an image's manifest")
    return value


def parse_manifest(body: bytes) -> ImageIndex | ImageManifest:
    """Parse *body* as an index or a manifest, by its fields and not by its media type.

    A document that could be read as both is refused
    (https://github.com/opencontainers/image-spec/security/advisories/GHSA-77vh-xpmg-72qh).

    Raises:
        InvalidManifest: it is neither an index nor a manifest, or both.
    """
    value = parse_registry_json(body)
    is_index, is_manifest = "manifests" in value, "config" in value or "layers" in value
    if is_index == is_manifest:
        raise InvalidManifest("sent something that is not an image's manifest")
    if is_index:
        return ImageIndex(entries=_parse_descriptors(value["manifests"]))
    return ImageManifest(
        config=_parse_descriptor(value.get("config")), layers=_parse_descriptors(value.get("layers", []))
    )


def parse_platform(config: Mapping[str, Any]) -> str | None:
    """Return the platform of a config or an index entry, such as `linux/amd64` or `linux/arm/v7`."""
    system, architecture, variant = (config.get(key) for key in ("os", "architecture", "variant"))
    if not isinstance(system, str) or not isinstance(architecture, str) or not system or not architecture:
        return None
    plain = not isinstance(variant, str) or not variant or (architecture, variant) == ("arm64", "v8")
    return f"{system}/{architecture}" if plain else f"{system}/{architecture}/{variant}"


def find_spdx_layer(attestation: ImageManifest) -> OCIDescriptor | None:
    """Return the layer of an attestation that contains the SPDX document, or None."""
    for layer in attestation.layers:
        if (
            layer.media_type == IN_TOTO_MEDIA_TYPE
            and layer.annotations.get("in-toto.io/predicate-type") == SPDX_PREDICATE_TYPE
        ):
            return layer
    return None


def _parse_descriptors(values: Any) -> tuple[OCIDescriptor, ...]:
    if not isinstance(values, list) or len(values) > MAX_MANIFEST_ENTRIES:
        raise InvalidManifest("sent a manifest without a list of parts, or with too many")
    return tuple(map(_parse_descriptor, values))


def _parse_descriptor(value: Any) -> OCIDescriptor:
    fields = value if isinstance(value, dict) else {}
    digest, size = fields.get("digest"), fields.get("size")
    if not isinstance(digest, str) or not DIGEST_PATTERN.fullmatch(digest):
        raise InvalidManifest("sent a manifest with a part that has no digest")
    platform, annotations = fields.get("platform"), fields.get("annotations")
    return OCIDescriptor(
        digest=digest,
        media_type=str(fields.get("mediaType", "")),
        size=size if type(size) is int and size > 0 else 0,
        platform=parse_platform(platform) if isinstance(platform, dict) else None,
        annotations=annotations if isinstance(annotations, dict) else {},
    )
