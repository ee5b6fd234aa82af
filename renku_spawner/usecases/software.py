"""Store and load the packages installed in images, import SBOM attestations, and export a CycloneDX document."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from functools import lru_cache
from importlib import metadata
from typing import Any, Protocol
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.model import Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema.schema import SchemaVersion1Dot6
from packageurl import PackageURL

from ..context.app_context import AppContext, read_transaction, write_transaction_in_thread
from ..domain.images import ImageReference
from ..domain.software import (
    ImageSoftware,
    PackageKind,
    SoftwareOrigin,
    SoftwarePackage,
    parse_package,
    search_packages,
    sort_unique_packages,
)
from ..integrations.registry.manifests import parse_spdx_software
from ..persistence.database import Transaction

_PURL_TYPES = {
    PackageKind.PYTHON: "pypi",
    PackageKind.CONDA: "conda",
    PackageKind.R: "cran",
    PackageKind.DEBIAN: "deb",
    PackageKind.OTHER: "generic",
}
_PURL_NAMESPACES = {PackageKind.DEBIAN: "debian"}


def render_cyclonedx_bom(software: ImageSoftware, image: ImageReference | None) -> str:
    """Render the packages of *image*, or of this hub's own Python, as a CycloneDX JSON document.

    The same packages always give the same text. Thousands of packages take a second or two, so run this in a thread.
    """
    name = image.repository if image else "this hub's Python"
    version = (image.digest or image.tag) if image else None
    bom = Bom(serial_number=uuid5(NAMESPACE_URL, f"{name}@{version} {software.found_at.isoformat()}"))
    bom.metadata.timestamp = software.found_at
    bom.metadata.component = Component(
        name=name, version=version, type=ComponentType.CONTAINER if image else ComponentType.PLATFORM, bom_ref="image"
    )
    bom.metadata.properties.update(_list_bom_properties(software))
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    # Bypass the library's own assembly, which compares every component with every other.
    document["components"] = [_to_component_json(_build_bom_component(one)) for one in software.packages]
    return json.dumps(document, indent=2)


def _to_component_json(component: Any) -> Any:
    return json.loads(component.as_json(view_=SchemaVersion1Dot6))


def _build_bom_component(one: SoftwarePackage) -> Component:
    return Component(
        name=one.name,
        version=one.version or None,
        type=ComponentType.LIBRARY,
        purl=_build_package_url(one),
        bom_ref=f"{one.kind}:{one.name}@{one.version}",
        properties=[Property(name="renku:kind", value=str(one.kind))],
    )


def _build_package_url(one: SoftwarePackage) -> PackageURL | None:
    """Return the package URL, or None for a name of which a URL keeps nothing, such as a lone slash."""
    try:
        url = PackageURL(_PURL_TYPES[one.kind], _PURL_NAMESPACES.get(one.kind), one.name, one.version or None)
    except ValueError:
        return None
    return url if url.name else None


def _list_bom_properties(software: ImageSoftware) -> Iterator[Property]:
    yield Property(name="renku:origin", value=str(software.origin))
    for name, version in software.interpreters.items():
        yield Property(name=f"renku:interpreter:{name}", value=version)
    if software.cuda:
        yield Property(name="renku:cuda", value=software.cuda)
    if software.more:
        yield Property(name="renku:more-packages", value=str(software.more))
    if not software.complete:
        yield Property(name="renku:complete", value="false")


search_installed_packages = search_packages


class SBOMSource(Protocol):
    """A registry that may have an SPDX document about an image."""

    async def fetch_sbom(self, image: ImageReference, digest: str, *, trusted: bool = False) -> bytes | None:
        """Return the SPDX document about the image or index *digest*, or None if there is none."""


async def get_image_software(context: AppContext, digest: str | None) -> ImageSoftware | None:
    """Return the packages of the image *digest*, or None if they are not known yet."""
    return await read_transaction(context, lambda tx: tx.software.get(digest)) if digest else None


async def needs_package_scan(context: AppContext, digest: str | None) -> bool:
    """Return True if a running image should be scanned: it is pinned, and its packages are not completely known."""
    if not digest:
        return False
    software = await get_image_software(context, digest)
    return software is None or not software.complete


async def save_image_software(context: AppContext, digest: str, found: ImageSoftware) -> bool:
    """Store the packages, unless more trustworthy ones are stored. Return True if they were stored."""

    def work(tx: Transaction) -> bool:
        before = tx.software.get(digest)
        if before is not None and before.complete and not found.complete:
            return False
        return tx.software.save(digest, found)

    return await write_transaction_in_thread(context, work)  # up to 5000 packages


async def import_attested_software(
    context: AppContext, registry: SBOMSource, image: ImageReference, digest: str, *, trusted: bool = False
) -> ImageSoftware | None:
    """Import the packages from the image's SBOM attestation, or return None if it has no readable one.

    Raises:
        RemoteError: the registry gave no answer.
    """
    document = await registry.fetch_sbom(image, digest, trusted=trusted)
    if document is None:
        return None
    software = await asyncio.to_thread(parse_spdx_software, document, found_at=context.now())
    if software is not None:
        await save_image_software(context, digest, software)
    return software


async def load_hub_software(context: AppContext) -> ImageSoftware:
    """Return the packages of this hub's own Python, in which local sessions run. They are not stored."""
    packages = await asyncio.to_thread(_list_hub_packages, sys.executable)
    version = ".".join(map(str, sys.version_info[:3]))
    return ImageSoftware(
        packages=packages, interpreters={"Python": version}, origin=SoftwareOrigin.HUB, found_at=context.now()
    )


@lru_cache(maxsize=1)
def _list_hub_packages(_interpreter: str) -> tuple[SoftwarePackage, ...]:
    packages = (
        parse_package(distribution.name, distribution.version, PackageKind.PYTHON)
        for distribution in metadata.distributions()
    )
    return sort_unique_packages(filter(None, packages))[0]
