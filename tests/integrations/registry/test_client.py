"""What a real registry says of images: digests, platforms, facts, and how rarely it is asked."""

import asyncio
from datetime import UTC, datetime

import pytest

from renku_spawner.domain.images import ImageReference
from renku_spawner.integrations.net.errors import ImageNotFound, NoMatchingPlatform
from renku_spawner.integrations.registry.client import RegistryClient
from tests.fixtures import images
from tests.fixtures.clock import StoppedClock
from tests.fixtures.registry import Registry

CONFIG = {
    "User": "1000",
    "WorkingDir": "/home/jovyan",
    "ExposedPorts": {"8888/tcp": {}, "53/udp": {}},
    "Entrypoint": ["tini", "--"],
    "Cmd": ["start-notebook.sh"],
    "Env": ["PATH=/opt/conda/bin:/bin", "EMPTY="],
    "Labels": {"org.opencontainers.image.title": "A title"},
}


def named(registry: Registry, name: str, tag: str | None = "latest", digest: str | None = None) -> ImageReference:
    return ImageReference(repository=f"{registry.host}/{name}", tag=tag, digest=digest)


@pytest.mark.parametrize("docker", [False, True], ids=["oci", "docker"])
@pytest.mark.parametrize("index", [False, True], ids=["manifest", "index"])
async def test_an_image_is_known_by_its_config(
    registry: Registry, client: RegistryClient, docker: bool, index: bool
) -> None:
    name = f"known/{'docker' if docker else 'oci'}-{index}".lower()
    digest = registry.push(name, config=CONFIG, docker=docker, index=index, history=["RUN pip install jupyterhub"])
    facts = await client.inspect_image(named(registry, name))
    assert facts.digest == digest == (await client.resolve_manifest(named(registry, name))).digest
    assert (
        facts.media_type in {images.INDEX, images.DOCKER_LIST} if index else {images.MANIFEST, images.DOCKER_MANIFEST}
    )
    assert (facts.platform, facts.platforms) == ("linux/amd64", ("linux/amd64",))
    assert facts.created == datetime(2026, 1, 2, 3, 4, 5, 123456, UTC)
    assert (facts.user, facts.working_directory, facts.ports) == ("1000", "/home/jovyan", (8888,))
    assert (facts.entrypoint, facts.command) == (("tini", "--"), ("start-notebook.sh",))
    assert facts.environment["PATH"] == "/opt/conda/bin:/bin"
    assert facts.get_label("title") == "A title"
    assert facts.history == ("RUN pip install jupyterhub",)
    assert facts.size and facts.size < 1000
    assert not facts.sbom


async def test_the_preferred_platform_of_several_is_looked_into(registry: Registry, client: RegistryClient) -> None:
    registry.push("several", platforms=["linux/s390x", "linux/arm64/v8", "linux/arm/v7", "linux/amd64"])
    facts = await client.inspect_image(named(registry, "several"))
    assert facts.platform == "linux/amd64"
    assert facts.platforms == ("linux/s390x", "linux/arm64", "linux/arm/v7", "linux/amd64")


@pytest.mark.parametrize("index", [False, True])
async def test_an_image_for_other_machines_is_refused(registry: Registry, client: RegistryClient, index: bool) -> None:
    registry.push(f"foreign-{index}".lower(), platforms=["linux/s390x"], index=index)
    with pytest.raises(NoMatchingPlatform) as refused:
        await client.inspect_image(named(registry, f"foreign-{index}".lower()))
    assert refused.value.platforms == ("linux/s390x",)


async def test_the_list_of_packages_is_found_beside_the_image(registry: Registry, client: RegistryClient) -> None:
    sbom = images.spdx({"numpy": "2.1.0"})
    digest = registry.push("listed", sbom=sbom)
    facts = await client.inspect_image(named(registry, "listed"))
    assert facts.sbom
    assert facts.platforms == ("linux/amd64",)
    document = await client.fetch_sbom(named(registry, "listed"), digest)
    assert document and b'"numpy"' in document
    assert await client.fetch_sbom(named(registry, "listed"), registry.push("unlisted")) is None


async def test_what_does_not_exist_is_not_found(registry: Registry, client: RegistryClient) -> None:
    registry.push("there")
    for image in (
        named(registry, "there", "other"),
        named(registry, "absent"),
        named(registry, "there", None, "sha256:" + "0" * 64),
    ):
        with pytest.raises(ImageNotFound):
            await client.inspect_image(image)


async def test_a_tag_that_moves_and_a_digest_that_goes_are_noticed(
    registry: Registry, client: RegistryClient, clock: StoppedClock
) -> None:
    old = registry.push("moving", "stable", created="2025-01-01T00:00:00Z")
    new = registry.push("moving", "next")
    assert (await client.resolve_manifest(named(registry, "moving", "stable"))).digest == old
    registry.move("moving", "stable", new)
    registry.delete("moving", old)
    assert (await client.resolve_manifest(named(registry, "moving", "stable"))).digest == old, (
        "an answer holds for five minutes"
    )
    clock.now += 301
    assert (await client.resolve_manifest(named(registry, "moving", "stable"))).digest == new
    with pytest.raises(ImageNotFound):
        await client.resolve_manifest(named(registry, "moving", "stable", old))


async def test_adding_an_image_takes_three_requests_and_starting_it_none(
    registry: Registry, client: RegistryClient
) -> None:
    digest = registry.push("budget", platforms=["linux/amd64", "linux/arm64"])
    pushed = len(registry.requests("budget"))
    together = [client.inspect_image(named(registry, "budget")) for _ in range(100)]
    assert {facts.digest for facts in await asyncio.gather(*together)} == {digest}
    asked = registry.requests("budget")[pushed:]
    assert asked[0] == "GET /v2/budget/manifests/latest 200"
    assert [line.split(" ")[0] for line in asked] == ["GET"] * 3
    assert len(set(asked)) == 3, "each document once"
    for _ in range(100):
        await client.resolve_manifest(named(registry, "budget"))
        await client.resolve_manifest(named(registry, "budget", None, digest))
    assert len(registry.requests("budget")) == pushed + 3


async def test_a_known_digest_costs_one_head_under_another_tag(
    registry: Registry, client: RegistryClient, clock: StoppedClock
) -> None:
    registry.push("known-digest", "a")
    await client.inspect_image(named(registry, "known-digest", "a"))
    digest = registry.push("known-digest", "b")
    before = len(registry.requests("known-digest"))
    await client.inspect_image(named(registry, "known-digest", "b"))
    clock.now += 301
    await client.inspect_image(named(registry, "known-digest", None, digest))
    assert registry.requests("known-digest")[before:] == [
        "HEAD /v2/known-digest/manifests/b 200",
        f"HEAD /v2/known-digest/manifests/{digest} 200",
    ]


async def test_a_refusal_is_remembered_for_half_a_minute(
    registry: Registry, client: RegistryClient, clock: StoppedClock
) -> None:
    image = named(registry, "not-yet")
    for _ in range(3):
        with pytest.raises(ImageNotFound):
            await client.resolve_manifest(image)
    assert registry.requests("not-yet") == ["HEAD /v2/not-yet/manifests/latest 404"]
    digest = registry.push("not-yet")
    clock.now += 31
    assert (await client.resolve_manifest(image)).digest == digest


async def test_an_existing_image_is_never_fetched_to_see_that_it_exists(
    registry: Registry, client: RegistryClient
) -> None:
    registry.push("existing", platforms=["linux/amd64", "linux/arm64"])
    before = len(registry.requests("existing"))
    await client.resolve_manifest(named(registry, "existing"))
    assert registry.requests("existing")[before:] == ["HEAD /v2/existing/manifests/latest 200"]
