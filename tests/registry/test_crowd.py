"""Many registries that hang are no reason to wait for one that answers."""

import asyncio

from renku_spawner.domain.image import Image
from renku_spawner.registry.client import Client
from renku_spawner.registry.guard import Guard
from tests.bench.registries import stuck
from tests.fakes.registry import FakeRegistry
from tests.fixtures import images


async def test_a_hundred_registries_that_hang_keep_nobody_from_another() -> None:
    client = Client(Guard(plain_http=["127.0.0.1"]), ("linux/amd64",))
    async with stuck(100) as there, FakeRegistry() as other:
        digest = other.put("a/b", "1", images.image())
        asked = [
            asyncio.ensure_future(client.head(Image(repository=f"{host}/a/b", tag="1", digest=None)))
            for host in there.hosts
        ]
        async with asyncio.timeout(8):
            while there.open < len(asked):
                await asyncio.sleep(0.01)
            found = await client.head(Image(repository=f"127.0.0.1:{other.port}/a/b", tag="1", digest=None))
        assert found.digest == digest
        assert not any(each.done() for each in asked)
        await client.close()
        await asyncio.gather(*asked, return_exceptions=True)
