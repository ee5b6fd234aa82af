"""The demo, started once as a user would, and people who use it in a real browser."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser, BrowserContext, Page

from renku_spawner.spawners.local.folders import unmount_all
from tests.fixtures.ports import free_ports

PASSWORD = "only for this test"
Person = Callable[..., Awaitable[Page]]


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a demo hub of its own; ends in a slash."""
    folder, port = tmp_path_factory.mktemp("demo"), free_ports()
    log = (folder / "hub.log").open("wb")
    command = [sys.executable, "-m", "renku_spawner.cli", "demo"]
    env = {**os.environ, "PORT": str(port), "DATA": str(folder / "data"), "PASSWORD": PASSWORD}
    process = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
    try:
        address = f"http://127.0.0.1:{port}/"
        _wait(process, address, folder / "hub.log")
        yield address
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
        unmount_all(folder)  # pytest can delete no folder with the mount of a dead rclone
        log.close()


def _wait(process: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text(errors="replace")
        try:
            if httpx.get(f"{address}hub/health", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise AssertionError(log.read_text(errors="replace"))


@pytest.fixture
async def person(demo: str, browser: Browser) -> AsyncIterator[Person]:
    """A function that logs somebody in and gives their page; what the browser complains about fails the test."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    async def enter(name: str, **context: object) -> Page:
        entered = await browser.new_context(base_url=demo, **context)  # type: ignore[arg-type]
        contexts.append(entered)
        page = await entered.new_page()
        page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
        page.on("console", lambda message: complaints.append(message.text) if _is_ours(message) else None)
        await log_in(page, name)
        return page

    yield enter
    for entered in contexts:
        await entered.close()
    assert not complaints


def _is_ours(message: object) -> bool:
    """Errors on our pages; that a page answers 403 or 404 is what some tests ask for."""
    text, kind = message.text, message.type  # type: ignore[attr-defined]
    return kind == "error" and "Failed to load resource" not in text


async def log_in(page: Page, name: str) -> None:
    await page.goto("hub/login")
    await page.fill("#username_input", name)
    await page.fill("#password_input", PASSWORD)
    await page.press("#password_input", "Enter")
    await page.wait_for_url("**/hub/renku/projects")
