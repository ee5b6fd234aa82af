"""Reads manifests, indexes and in-toto statements: bytes in, values out, all of it untrusted."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .spdx import PREDICATE

INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
MANIFESTS = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
CONFIGS = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
    "application/octet-stream",  # docker before 1.11
)
ACCEPT = ", ".join(INDEXES + MANIFESTS)
IN_TOTO = "application/vnd.in-toto+json"
ENTRIES = 200  # of an index, and layers of a manifest
NODES = 40_000  # values in a manifest or config: what is small in bytes may take long and be big in memory
DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


class Unreadable(ValueError):
    """Not what a registry may answer; the argument is a clause that a person may read."""


@dataclass(frozen=True, kw_only=True)
class Descriptor:
    """What a manifest says of another document; `size` in bytes, 0 where it does not say."""

    digest: str
    media_type: str = ""
    size: int = 0
    platform: str | None = None
    annotations: Mapping[str, Any] = field(default_factory=dict)

    @property
    def attests(self) -> str | None:
        """The digest of the manifest of which this entry is BuildKit's attestation
        (https://docs.docker.com/build/metadata/attestations/attestation-storage/)."""
        if self.annotations.get("vnd.docker.reference.type") != "attestation-manifest":
            return None
        return str(self.annotations.get("vnd.docker.reference.digest"))


@dataclass(frozen=True, kw_only=True)
class Index:
    """One image for several platforms."""

    entries: tuple[Descriptor, ...]

    @property
    def variants(self) -> tuple[Descriptor, ...]:
        """The entries that are images: no attestations, nothing for the platform `unknown`."""
        return tuple(e for e in self.entries if not e.attests and "unknown" not in (e.platform or ""))

    @property
    def platforms(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(e.platform for e in self.variants if e.platform))

    def choose(self, platforms: Iterable[str]) -> Descriptor | None:
        """The first entry for the first of *platforms* that has one; a lone entry without a
        platform is a candidate too, since then only its config knows."""
        for wanted in platforms:
            for entry in self.variants:
                if entry.platform == wanted:
                    return entry
        lone = len(self.variants) == 1 and not self.variants[0].platform
        return self.variants[0] if lone else None

    def attestation(self, digest: str) -> Descriptor | None:
        return next((entry for entry in self.entries if entry.attests == digest), None)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """One image for one platform, or an attestation."""

    config: Descriptor
    layers: tuple[Descriptor, ...]

    @property
    def size(self) -> int:
        """The compressed bytes of all layers."""
        return sum(layer.size for layer in self.layers)


def check(body: bytes, digest: str) -> None:
    """Raise Unreadable unless *body* is what *digest* (sha256 or sha512) names."""
    algorithm, _, wanted = digest.partition(":")
    if hashlib.new(algorithm, body).hexdigest() != wanted:
        raise Unreadable("sent something else than the digest names")


def document(body: bytes) -> dict[str, Any]:
    """The JSON object in *body*. Raises Unreadable."""
    if sum(map(body.count, (b"{", b"[", b","))) > NODES:
        raise Unreadable("sent a document that is too large")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise Unreadable("sent something that is not JSON") from None
    if not isinstance(value, dict):
        raise Unreadable("sent something that is not an image's manifest")
    return value


def read(body: bytes) -> Index | Manifest:
    """What *body* is by its shape; one that could be read as both is refused, whatever type it
    claims (https://github.com/opencontainers/image-spec/security/advisories/GHSA-77vh-xpmg-72qh).

    Raises:
        Unreadable: neither an index nor a manifest.
    """
    value = document(body)
    is_index, is_manifest = "manifests" in value, "config" in value or "layers" in value
    if is_index == is_manifest:
        raise Unreadable("sent something that is not an image's manifest")
    if is_index:
        return Index(entries=_descriptors(value["manifests"]))
    return Manifest(config=_descriptor(value.get("config")), layers=_descriptors(value.get("layers", [])))


def platform_of(config: Mapping[str, Any]) -> str | None:
    """`linux/amd64`, `linux/arm/v7`, from a config blob or an index entry's platform."""
    system, architecture, variant = (config.get(key) for key in ("os", "architecture", "variant"))
    if not isinstance(system, str) or not isinstance(architecture, str) or not system or not architecture:
        return None
    plain = not isinstance(variant, str) or not variant or (architecture, variant) == ("arm64", "v8")
    return f"{system}/{architecture}" if plain else f"{system}/{architecture}/{variant}"


def spdx_layer(attestation: Manifest) -> Descriptor | None:
    """The layer of an attestation that holds the list of packages."""
    for layer in attestation.layers:
        if layer.media_type == IN_TOTO and layer.annotations.get("in-toto.io/predicate-type") == PREDICATE:
            return layer
    return None


def _descriptors(values: Any) -> tuple[Descriptor, ...]:
    if not isinstance(values, list) or len(values) > ENTRIES:
        raise Unreadable("sent a manifest without a list of parts, or with too many")
    return tuple(map(_descriptor, values))


def _descriptor(value: Any) -> Descriptor:
    fields = value if isinstance(value, dict) else {}
    digest, size = fields.get("digest"), fields.get("size")
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise Unreadable("sent a manifest with a part that has no digest")
    platform, annotations = fields.get("platform"), fields.get("annotations")
    return Descriptor(
        digest=digest,
        media_type=str(fields.get("mediaType", "")),
        size=size if type(size) is int and size > 0 else 0,
        platform=platform_of(platform) if isinstance(platform, dict) else None,
        annotations=annotations if isinstance(annotations, dict) else {},
    )
