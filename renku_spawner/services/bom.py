"""A bill of materials in CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/), for other programs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.model import Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema.schema import SchemaVersion1Dot6
from packageurl import PackageURL

from ..domain.image import Image
from ..domain.software import Kind, Package, Software

_TYPES = {Kind.PYTHON: "pypi", Kind.CONDA: "conda", Kind.R: "cran", Kind.DEBIAN: "deb", Kind.OTHER: "generic"}
_NAMESPACES = {Kind.DEBIAN: "debian"}


def cyclonedx(software: Software, image: Image | None) -> str:
    """The packages as JSON, with what they are in: *image*, or this hub's own Python.

    The same finding gives the same text. It takes a second or two for thousands of
    packages, so a hub makes it in a thread.
    """
    name = image.repository if image else "this hub's Python"
    version = (image.digest or image.tag) if image else None
    bom = Bom(serial_number=uuid5(NAMESPACE_URL, f"{name}@{version} {software.found_at.isoformat()}"))
    bom.metadata.timestamp = software.found_at
    bom.metadata.component = Component(
        name=name, version=version, type=ComponentType.CONTAINER if image else ComponentType.PLATFORM, bom_ref="image"
    )
    bom.metadata.properties.update(_properties(software))
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    # Beside the library's own assembly, which compares every component with every other.
    document["components"] = [_json(_component(one)) for one in software.packages]
    return json.dumps(document, indent=2)


def _json(component: Any) -> Any:
    return json.loads(component.as_json(view_=SchemaVersion1Dot6))


def _component(one: Package) -> Component:
    return Component(
        name=one.name,
        version=one.version or None,
        type=ComponentType.LIBRARY,
        purl=_purl(one),
        bom_ref=f"{one.kind}:{one.name}@{one.version}",
        properties=[Property(name="renku:kind", value=str(one.kind))],
    )


def _purl(one: Package) -> PackageURL | None:
    """None for a name of which a URL keeps nothing, such as a lone slash."""
    try:
        made = PackageURL(_TYPES[one.kind], _NAMESPACES.get(one.kind), one.name, one.version or None)
    except ValueError:
        return None
    return made if made.name else None


def _properties(software: Software) -> Iterator[Property]:
    yield Property(name="renku:origin", value=str(software.origin))
    for name, version in software.interpreters.items():
        yield Property(name=f"renku:interpreter:{name}", value=version)
    if software.cuda:
        yield Property(name="renku:cuda", value=software.cuda)
    if software.more:
        yield Property(name="renku:more-packages", value=str(software.more))
    if not software.complete:
        yield Property(name="renku:complete", value="false")
