"""The wait for a session's program holds up nobody else's."""

import asyncio

from renku_spawner.spawners.readiness import ReadinessProbe, is_server_responding
from tests.fixtures.renku import until

HANGING = 30
WELL = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Program:
    """Takes every connection, and sends *answer* or nothing."""

    def __init__(self, answer: bytes) -> None:
        self.answer, self.asked, self.open, self.most_open, self.url = answer, 0, 0, 0, ""

    async def __aenter__(self) -> "Program":
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()
        await self.server.wait_closed()
        await until(lambda: not self.open, why="whoever asked has gone")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await reader.readuntil(b"\r\n\r\n")
            self.asked += 1
            writer.write(self.answer)
            if not self.answer:
                await reader.read()  # until the other end gives up
        finally:
            writer.close()
            self.open -= 1

    async def waited_for(self) -> None:
        await ReadinessProbe(url=self.url, prefix="/user/ada/s/", hub="/hub/", timeout=60).wait_until_ready(lives)


async def lives() -> None:
    """It runs, as far as anybody knows."""


async def test_thirty_programs_that_hang_do_not_slow_a_healthy_one() -> None:
    async with Program(b"") as hanging, Program(WELL) as healthy:
        waiting = [asyncio.ensure_future(hanging.waited_for()) for _ in range(HANGING)]
        await until(lambda: hanging.asked >= 10, seconds=30)
        await asyncio.wait_for(healthy.waited_for(), 4)  # seconds; a question is given up after five
        await until(lambda: hanging.asked >= HANGING, seconds=30)
        assert not any(each.done() for each in waiting)
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_hub_that_starts_again_requests_few_of_its_servers_at_once() -> None:
    places = asyncio.Semaphore(3)
    async with Program(WELL) as program:
        assert all(await asyncio.gather(*(is_server_responding(program.url, places) for _ in range(20))))
    assert program.asked == 20
    assert program.most_open <= 3
