"""How long hub and proxy are away when each is replaced, on this machine: `python -m tests.bench.away`.

The hub is a process of its own that ends by SIGTERM and is started again; its sessions are pods of the fake cluster.
The proxy is the real one, of npm (its `bin` must be on PATH), which is killed and started again without a route.
Seconds count from when the first request fails until one succeeds again; scheduling and pulling, which a real cluster
adds, are not in them.
"""

import asyncio
import contextlib
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.own import CONFIG, Own, own_hub
from tests.cluster.test_replaced_proxy import Proxy, respond_again
from tests.cluster.test_restart import opened

TIMES = 3
PAUSE = 0.05  # seconds between two requests


class Outage:
    """Asks again and again in a thread, and knows for how long there was no good answer."""

    def __init__(self, ask: Callable[[], Any]) -> None:
        self._ask, self._over = ask, threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.longest = 0.0

    def __enter__(self) -> "Outage":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        good = time.monotonic()
        while not self._over.is_set():
            with contextlib.suppress(Exception):
                if self._ask():
                    self.longest, good = max(self.longest, time.monotonic() - good), time.monotonic()
            time.sleep(PAUSE)
        self.longest = max(self.longest, time.monotonic() - good)


async def replace_hub(own: Own) -> dict[str, float]:
    with Outage(own.hub.serves_pages) as pages, Outage(lambda: opened(own)) as session:
        await own.end_hub("stop")
        await own.do(own.hub.start)
        await asyncio.sleep(1)
    return {"pages while the hub is replaced": pages.longest, "a session while the hub is replaced": session.longest}


async def replace_proxy(own: Own, proxy: Proxy) -> dict[str, float]:
    with Outage(own.hub.serves_pages) as pages, Outage(lambda: opened(own)) as session:
        await own.do(proxy.end)
        proxy.start()
        await own.do(respond_again, own)
        await asyncio.sleep(1)
    return {
        "pages while the proxy is replaced": pages.longest,
        "a session while the proxy is replaced": session.longest,
    }


async def measure() -> dict[str, list[float]]:
    proxy, found = Proxy(), dict[str, list[float]]()
    proxy.start()
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        try:
            async with own_hub(Path(folder), patch, CONFIG + proxy.configuration(), start=False) as own:
                own.hub.url = f"http://127.0.0.1:{proxy.port}/hub/"
                await own.do(own.hub.start)
                await own.started()
                await own.become({"Explore": "running"})
                for _ in range(TIMES):
                    for name, seconds in {**await replace_hub(own), **await replace_proxy(own, proxy)}.items():
                        found.setdefault(name, []).append(seconds)
        finally:
            proxy.end()
    return found


def main() -> None:
    for name, seconds in asyncio.run(measure()).items():
        print(f"{name:45} {min(seconds):6.1f} to {max(seconds):.1f} s, {len(seconds)} times")


if __name__ == "__main__":
    main()
