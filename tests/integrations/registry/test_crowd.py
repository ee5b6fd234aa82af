"""Many registries that hang are no reason to wait for one that answers."""

import asyncio

from renku_spawner.domain.images import ImageReference
from renku_spawner.integrations.net.guarded_http import EgressGuard
from renku_spawner.integrations.registry.client import RegistryClient
from tests.bench.registries import stuck
from tests.fakes.registry import FakeRegistry
from tests.fixtures import images


async def test_a_hundred_registries_that_hang_keep_nobody_from_another() -> None:
    client = RegistryClient(EgressGuard(plain_http=["127.0.0.1"]), ("linux/amd64",))
    async with stuck(100) as there, FakeRegistry() as other:
        digest = other.put("a/b", "1", images.image())
        asked = [
            asyncio.ensure_future(
                client.resolve_manifest(ImageReference(repository=f"{host}/a/b", tag="1", digest=None))
            )
            for host in there.hosts
        ]
        async with asyncio.timeout(8):
            while there.open < len(asked):
                await asyncio.sleep(0.01)
            found = await client.resolve_manifest(
                ImageReference(repository=f"127.0.0.1:{other.port}/a/b", tag="1", digest=None)
            )
        assert found.digest == digest
        assert not any(each.done() for each in asked)
        await client.close()
        await asyncio.gather(*asked, return_exceptions=True)
