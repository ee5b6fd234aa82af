"""What is installed: taken from attestations, kept by digest, searched, and handed out as CycloneDX."""

import json
import warnings
from collections.abc import AsyncIterator
from dataclasses import replace
from importlib.metadata import version

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from renku_spawner.domain import image
from renku_spawner.domain.image import Image
from renku_spawner.domain.software import PACKAGES_LIMIT, Kind, Origin, Package, Software
from renku_spawner.registry.client import Client
from renku_spawner.registry.errors import RegistryError
from renku_spawner.registry.guard import Guard
from renku_spawner.services import software
from renku_spawner.services.parts import Parts
from tests.fixtures import images
from tests.fixtures.registry import Registry

from .conftest import NOW

DIGEST = "sha256:" + "a" * 64


def found(*packages: tuple[str, str, Kind], origin: Origin = Origin.IMAGE) -> Software:
    rows = tuple(Package(name=name, version=number, kind=kind) for name, number, kind in packages)
    return Software(packages=rows, interpreters={"Python": "3.12.4"}, cuda="12.4", origin=origin, found_at=NOW)


SOME = found(("libc6", "2.36-9", Kind.DEBIAN), ("numpy", "2.1", Kind.PYTHON))


@pytest.fixture
async def client(registry: Registry) -> AsyncIterator[Client]:
    made = Client(Guard(plain_http=[registry.host]), ("linux/amd64",))
    yield made
    await made.close()


def named(registry: Registry, name: str) -> Image:
    return image.parse(f"{registry.host}/{name}")


# ---- found and kept ----------------------------------------------------------------------------------


async def test_what_an_attestation_lists_is_kept(parts: Parts, registry: Registry, client: Client) -> None:
    digest = registry.push("kept", sbom=images.spdx({"numpy": "2.1.0"}))
    said = await software.attested(parts, client, named(registry, "kept"), digest)
    assert said
    assert [(one.name, one.version, one.kind) for one in said.packages] == [("numpy", "2.1.0", Kind.PYTHON)]
    assert await software.of(parts, digest) == said
    assert not await software.wanted(parts, digest)


async def test_an_image_without_an_attestation_says_nothing(parts: Parts, registry: Registry, client: Client) -> None:
    digest = registry.push("silent")
    assert await software.attested(parts, client, named(registry, "silent"), digest) is None
    assert await software.of(parts, digest) is None
    assert await software.wanted(parts, digest)


async def test_an_attestation_that_cannot_be_read_is_none(parts: Parts, registry: Registry, client: Client) -> None:
    digest = registry.push("broken", sbom={"spdxVersion": "SPDX-2.3", "packages": [None, {"name": 3}]})
    assert await software.attested(parts, client, named(registry, "broken"), digest) is None


async def test_an_absent_image_is_the_callers_to_tell(parts: Parts, registry: Registry, client: Client) -> None:
    with pytest.raises(RegistryError):
        await software.attested(parts, client, named(registry, "absent"), DIGEST)


async def test_what_an_image_says_does_not_take_the_place_of_its_attestation(parts: Parts) -> None:
    said = replace(SOME, origin=Origin.SBOM)
    assert await software.keep(parts, DIGEST, said)
    assert not await software.keep(parts, DIGEST, found(("evil", "1", Kind.PYTHON)))
    assert await software.of(parts, DIGEST) == said


async def test_what_is_not_whole_gives_way_to_what_is(parts: Parts) -> None:
    part = replace(SOME, complete=False)
    assert await software.keep(parts, DIGEST, part)
    assert await software.wanted(parts, DIGEST)
    assert await software.keep(parts, DIGEST, SOME)
    assert not await software.keep(parts, DIGEST, part)
    assert await software.of(parts, DIGEST) == SOME


async def test_an_image_that_nobody_pinned_is_nothing_to_look_into(parts: Parts) -> None:
    assert not await software.wanted(parts, None)
    assert await software.of(parts, None) is None


async def test_a_hubs_own_python_has_what_this_one_has(parts: Parts) -> None:
    own = await software.of_hub(parts)
    assert own.origin is Origin.HUB
    (hub,) = software.search(own, "jupyterhub-kubespawner")
    assert hub.version == version("jupyterhub-kubespawner")
    with pytest.raises(ValueError, match="not those of an image"):
        await software.keep(parts, DIGEST, own)


def test_a_search_finds_packages() -> None:
    assert [one.name for one in software.search(SOME, "NUM 2.1")] == ["numpy"]


# ---- CycloneDX ---------------------------------------------------------------------------------------


def valid(text: str) -> dict[str, object]:
    """The document, after the library's own validator has found nothing wrong with it."""
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    read: dict[str, object] = json.loads(text)
    return read


def test_a_bill_of_materials_names_the_image_and_each_package() -> None:
    of = image.parse(f"quay.io/jupyter/scipy-notebook:2026-11-02@{DIGEST}")
    document = valid(software.cyclonedx(SOME, of))
    assert document["metadata"]["component"]["name"] == "quay.io/jupyter/scipy-notebook"  # type: ignore[index]
    assert document["metadata"]["component"]["version"] == DIGEST  # type: ignore[index]
    assert {one["purl"] for one in document["components"]} == {  # type: ignore[attr-defined]
        "pkg:deb/debian/libc6@2.36-9", "pkg:pypi/numpy@2.1"
    }  # fmt: skip
    told = {one["name"]: one["value"] for one in document["metadata"]["properties"]}  # type: ignore[index]
    assert told == {"renku:origin": "image", "renku:interpreter:Python": "3.12.4", "renku:cuda": "12.4"}


def test_the_same_finding_gives_the_same_document() -> None:
    of = image.parse("nginx")
    assert software.cyclonedx(SOME, of) == software.cyclonedx(SOME, of)
    assert software.cyclonedx(SOME, of) != software.cyclonedx(SOME, image.parse("nginx:1"))


def test_a_hubs_own_python_has_a_bill_of_materials_too() -> None:
    document = valid(software.cyclonedx(replace(SOME, origin=Origin.HUB), None))
    assert document["metadata"]["component"]["type"] == "platform"  # type: ignore[index]


def test_what_is_missing_is_told() -> None:
    text = software.cyclonedx(replace(SOME, more=7, complete=False), image.parse("nginx"))
    assert '"renku:more-packages"' in text
    assert '"renku:complete"' in text
    valid(text)


@pytest.mark.parametrize("kind", Kind)
def test_odd_names_make_a_valid_document(kind: Kind) -> None:
    odd = ["/", "a b", "ä", "@", "a/../b", "\N{REPLACEMENT CHARACTER}", "%2F", "<script>", "a?b#c", "n" * 200, "."]
    packages = [(name, number, kind) for name in odd for number in ("1", "", "1@2/3")]
    document = valid(software.cyclonedx(found(*packages), image.parse("nginx")))
    assert len(document["components"]) == len(packages)  # type: ignore[arg-type]


def test_as_many_packages_as_there_may_be_are_written_without_a_warning() -> None:
    many = found(*((f"p{number}", "1", Kind.PYTHON) for number in range(PACKAGES_LIMIT)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text = software.cyclonedx(many, image.parse("nginx"))
    assert len(json.loads(text)["components"]) == PACKAGES_LIMIT
