"""The main job in a real browser, with sessions that are pods: a real JupyterLab, clones, pip, pause and resume."""

import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from urllib.parse import urljoin

import pytest
from playwright.async_api import Browser, Page

from renku_spawner.domain.projects import NewRepository
from tests.browser import lab
from tests.browser.test_main_job import became, card
from tests.cluster.conftest import OnCluster
from tests.spawners.test_inside import wheel

NOTEBOOK = {
    "cells": [],
    "metadata": {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}
READ = "import os; print(open('data.csv').read().strip(), 'in', os.environ['RENKU_SESSION_TITLE'])"
INSTALL = """
import subprocess, sys
pip = [sys.executable, "-m", "pip", "install", "--user", "--no-index", "--no-deps"]
done = subprocess.run([*pip, "WHEEL"], capture_output=True, text=True)
print(done.returncode, done.stderr)
"""
USE = "import tinypackage; tinypackage.main()"


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """An image's Python, as it were: what is installed here, at a path that no mount hides, with a user's own packages.

    It is a virtual environment that shares the folders of ours, but allows `pip install --user` as images do.
    """
    image, ours = tmp_path / "image", Path(sys.prefix)
    (image / "bin").mkdir(parents=True)
    for name in ("lib", "etc", "share"):
        (image / name).symlink_to(ours / name)
    base = Path(os.path.realpath(sys.executable))
    (image / "bin" / "python").symlink_to(base)
    (image / "pyvenv.cfg").write_text(f"home = {base.parent}\ninclude-system-site-packages = true\n")
    return image / "bin" / "python"


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Callable[[OnCluster, str], Awaitable[Page]]]:
    """A function that logs somebody in; what our pages complain about fails the test."""
    complaints: list[str] = []

    async def enter(it: OnCluster, name: str) -> Page:
        it.hub.user(name)
        entered = await (await browser.new_context()).new_page()
        entered.set_default_timeout(lab.SLOW)
        entered.on("pageerror", lambda error: complaints.append(f"{entered.url}: {error}"))
        await entered.goto(f"{it.hub.url}login")
        await entered.fill("#username_input", name)
        await entered.fill("#password_input", name)
        await entered.press("#password_input", "Enter")
        await entered.wait_for_url("**/renku/projects")
        return entered

    yield enter
    assert complaints == []


async def notebook(page: Page, server: str) -> Page:
    work = await page.context.new_page()
    await lab.open_notebook(work, server, "code/analysis.ipynb")
    return work


async def test_a_pod_is_started_worked_in_paused_and_resumed_with_what_was_installed(
    on_cluster, upstream, python, page, tmp_path
):
    package = wheel(tmp_path)
    files = {
        "data.csv": "from the repository",
        "analysis.ipynb": json.dumps(NOTEBOOK),
        package.name: package.read_bytes(),
    }
    upstream.commit("code", **files)
    it = await on_cluster(
        Renku={"repository_hosts": {upstream.server.url.removeprefix("http://")}},
        RenkuSpawner={"cmd": [str(python), "-m", "jupyterhub.singleuser", "--allow-root"]},
    )
    await it.hub.project(repositories=(NewRepository(url=upstream.url("code")),))
    alice = await page(it, "alice")
    await alice.goto(f"{it.hub.url}renku/projects/alice/climate/-/sessions/new")
    await alice.get_by_role("radio", name="Jupyter Python").press("Space")
    await alice.get_by_label("Title").fill("Explore")
    await alice.get_by_role("button", name="Add session").click()
    await card(alice, "Explore").wait_for()
    await alice.evaluate("window.stays = 'here'")
    await card(alice, "Explore").get_by_role("button", name="Start").click()
    await became(alice, "Explore", "running")
    assert len(it.pods()) == 1
    server = urljoin(alice.url, await card(alice, "Explore").get_by_role("link", name="Open").get_attribute("href"))
    work = await notebook(alice, server)
    assert await lab.run(work, READ) == "from the repository in Explore"
    assert (await lab.run(work, INSTALL.replace("WHEEL", package.name))).split("\n")[0].strip() == "0"
    await work.close()

    await card(alice, "Explore").get_by_role("button", name="Pause").click()
    await became(alice, "Explore", "paused")
    assert it.pods() == []
    await card(alice, "Explore").get_by_role("button", name="Resume").click()
    await became(alice, "Explore", "running")
    assert await alice.evaluate("window.stays") == "here", "the page was loaded again"
    work = await notebook(alice, server)
    assert await lab.run(work, USE) == "it works"
    await work.close()
