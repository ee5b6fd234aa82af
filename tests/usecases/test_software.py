"""What is installed: taken from attestations, kept by digest, searched, and handed out as CycloneDX."""

import json
import warnings
from collections.abc import AsyncIterator
from dataclasses import replace
from importlib.metadata import version

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from renku_spawner.context.app_context import AppContext
from renku_spawner.domain.images import ImageReference, parse_image_reference
from renku_spawner.domain.software import MAX_PACKAGES, ImageSoftware, PackageKind, SoftwareOrigin, SoftwarePackage
from renku_spawner.integrations.net.errors import RemoteError
from renku_spawner.integrations.net.guarded_http import EgressGuard
from renku_spawner.integrations.registry.client import RegistryClient
from renku_spawner.usecases.software import (
    get_image_software,
    import_attested_software,
    load_hub_software,
    needs_package_scan,
    render_cyclonedx_bom,
    save_image_software,
    search_installed_packages,
)
from tests.fixtures import images
from tests.fixtures.registry import Registry

from .conftest import NOW

DIGEST = "sha256:" + "a" * 64


def found(*packages: tuple[str, str, PackageKind], origin: SoftwareOrigin = SoftwareOrigin.IMAGE) -> ImageSoftware:
    rows = tuple(SoftwarePackage(name=name, version=number, kind=kind) for name, number, kind in packages)
    return ImageSoftware(packages=rows, interpreters={"Python": "3.12.4"}, cuda="12.4", origin=origin, found_at=NOW)


SOME = found(("libc6", "2.36-9", PackageKind.DEBIAN), ("numpy", "2.1", PackageKind.PYTHON))


@pytest.fixture
async def client(registry: Registry) -> AsyncIterator[RegistryClient]:
    made = RegistryClient(EgressGuard(plain_http=[registry.host]), ("linux/amd64",))
    yield made
    await made.close()


def named(registry: Registry, name: str) -> ImageReference:
    return parse_image_reference(f"{registry.host}/{name}")


# ---- found and kept ----------------------------------------------------------------------------------


async def test_what_an_attestation_lists_is_kept(parts: AppContext, registry: Registry, client: RegistryClient) -> None:
    digest = registry.push("kept", sbom=images.spdx({"numpy": "2.1.0"}))
    said = await import_attested_software(parts, client, named(registry, "kept"), digest)
    assert said
    assert [(one.name, one.version, one.kind) for one in said.packages] == [("numpy", "2.1.0", PackageKind.PYTHON)]
    assert await get_image_software(parts, digest) == said
    assert not await needs_package_scan(parts, digest)


async def test_an_image_without_an_attestation_says_nothing(
    parts: AppContext, registry: Registry, client: RegistryClient
) -> None:
    digest = registry.push("silent")
    assert await import_attested_software(parts, client, named(registry, "silent"), digest) is None
    assert await get_image_software(parts, digest) is None
    assert await needs_package_scan(parts, digest)


async def test_an_attestation_that_cannot_be_read_is_none(
    parts: AppContext, registry: Registry, client: RegistryClient
) -> None:
    digest = registry.push("broken", sbom={"spdxVersion": "SPDX-2.3", "packages": [None, {"name": 3}]})
    assert await import_attested_software(parts, client, named(registry, "broken"), digest) is None


async def test_an_absent_image_is_the_callers_to_tell(
    parts: AppContext, registry: Registry, client: RegistryClient
) -> None:
    with pytest.raises(RemoteError):
        await import_attested_software(parts, client, named(registry, "absent"), DIGEST)


async def test_what_an_image_says_does_not_take_the_place_of_its_attestation(parts: AppContext) -> None:
    said = replace(SOME, origin=SoftwareOrigin.SBOM)
    assert await save_image_software(parts, DIGEST, said)
    assert not await save_image_software(parts, DIGEST, found(("evil", "1", PackageKind.PYTHON)))
    assert await get_image_software(parts, DIGEST) == said


async def test_what_is_not_whole_gives_way_to_what_is(parts: AppContext) -> None:
    part = replace(SOME, complete=False)
    assert await save_image_software(parts, DIGEST, part)
    assert await needs_package_scan(parts, DIGEST)
    assert await save_image_software(parts, DIGEST, SOME)
    assert not await save_image_software(parts, DIGEST, part)
    assert await get_image_software(parts, DIGEST) == SOME


async def test_an_image_that_nobody_pinned_is_nothing_to_look_into(parts: AppContext) -> None:
    assert not await needs_package_scan(parts, None)
    assert await get_image_software(parts, None) is None


async def test_a_hubs_own_python_has_what_this_one_has(parts: AppContext) -> None:
    own = await load_hub_software(parts)
    assert own.origin is SoftwareOrigin.HUB
    (hub,) = search_installed_packages(own, "jupyterhub-kubespawner")
    assert hub.version == version("jupyterhub-kubespawner")
    with pytest.raises(ValueError, match="not those of an image"):
        await save_image_software(parts, DIGEST, own)


def test_a_search_finds_packages() -> None:
    assert [one.name for one in search_installed_packages(SOME, "NUM 2.1")] == ["numpy"]


# ---- CycloneDX ---------------------------------------------------------------------------------------


def valid(text: str) -> dict[str, object]:
    """The document, after the library's own validator has found nothing wrong with it."""
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    read: dict[str, object] = json.loads(text)
    return read


def test_a_bill_of_materials_names_the_image_and_each_package() -> None:
    of = parse_image_reference(f"quay.io/jupyter/scipy-notebook:2026-11-02@{DIGEST}")
    document = valid(render_cyclonedx_bom(SOME, of))
    assert document["metadata"]["component"]["name"] == "quay.io/jupyter/scipy-notebook"  # type: ignore[index]
    assert document["metadata"]["component"]["version"] == DIGEST  # type: ignore[index]
    assert {one["purl"] for one in document["components"]} == {  # type: ignore[attr-defined]
        "pkg:deb/debian/libc6@2.36-9", "pkg:pypi/numpy@2.1"
    }  # fmt: skip
    told = {one["name"]: one["value"] for one in document["metadata"]["properties"]}  # type: ignore[index]
    assert told == {"renku:origin": "image", "renku:interpreter:Python": "3.12.4", "renku:cuda": "12.4"}


def test_the_same_finding_gives_the_same_document() -> None:
    of = parse_image_reference("nginx")
    assert render_cyclonedx_bom(SOME, of) == render_cyclonedx_bom(SOME, of)
    assert render_cyclonedx_bom(SOME, of) != render_cyclonedx_bom(SOME, parse_image_reference("nginx:1"))


def test_a_hubs_own_python_has_a_bill_of_materials_too() -> None:
    document = valid(render_cyclonedx_bom(replace(SOME, origin=SoftwareOrigin.HUB), None))
    assert document["metadata"]["component"]["type"] == "platform"  # type: ignore[index]


def test_what_is_missing_is_told() -> None:
    text = render_cyclonedx_bom(replace(SOME, more=7, complete=False), parse_image_reference("nginx"))
    assert '"renku:more-packages"' in text
    assert '"renku:complete"' in text
    valid(text)


@pytest.mark.parametrize("kind", PackageKind)
def test_odd_names_make_a_valid_document(kind: PackageKind) -> None:
    odd = ["/", "a b", "ä", "@", "a/../b", "\N{REPLACEMENT CHARACTER}", "%2F", "<script>", "a?b#c", "n" * 200, "."]
    packages = [(name, number, kind) for name in odd for number in ("1", "", "1@2/3")]
    document = valid(render_cyclonedx_bom(found(*packages), parse_image_reference("nginx")))
    assert len(document["components"]) == len(packages)  # type: ignore[arg-type]


def test_as_many_packages_as_there_may_be_are_written_without_a_warning() -> None:
    many = found(*((f"p{number}", "1", PackageKind.PYTHON) for number in range(MAX_PACKAGES)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text = render_cyclonedx_bom(many, parse_image_reference("nginx"))
    assert len(json.loads(text)["components"]) == MAX_PACKAGES
