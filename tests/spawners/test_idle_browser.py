"""Our extension in a real JupyterLab: it tells the hub, and says in a bar when the session pauses."""

import re
import sys
from datetime import timedelta
from typing import Any

from playwright.async_api import Browser, Page, expect

from renku_spawner.domain.instances import InstanceStatus
from tests.browser.lab import SLOW
from tests.browser.test_every_page import TAGS, tab_to
from tests.fixtures.browser import AXE
from tests.fixtures.renku import RenkuHub, until
from tests.spawners import ways
from tests.spawners.test_idle import RULES, Time

JUPYTER = [sys.executable, "-m", "jupyterhub.singleuser"]
WARNING = re.compile(r"“Explore” pauses in \d min because nothing has happened for 5\d min\.")


async def test_jupyterlab_says_when_it_pauses_and_is_kept_awake_by_keyboard(renku_hub: Any, browser: Browser) -> None:
    hub = await renku_hub(Renku=RULES, RenkuLocalSpawner={"cmd": JUPYTER})
    session, time = await hub.session(await hub.project()), Time(hub)
    await ways.start(hub, session)
    await hub.becomes(session, InstanceStatus.RUNNING)

    async def reported() -> bool:
        return (await ways.shown(hub, session))["disk_used"] is not None

    await until(reported, why="its server has counted and told")
    await time.passes(56)
    page, complaints = await opened(hub, browser), list[str]()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(f"{hub.user('alice').server_url(session.id)}lab", timeout=SLOW)
    bar = page.get_by_role("region", name="Pause of this session")
    await expect(bar).to_contain_text(WARNING)
    await page.wait_for_function("document.activeElement.closest('.jp-Launcher')")  # JupyterLab puts it there at last
    await page.evaluate(AXE.read_text(encoding="utf-8"))
    found = await page.evaluate("(tags) => axe.run('#renku-pause', {runOnly: {type: 'tag', values: tags}})", TAGS)
    assert found["passes"]
    assert found["violations"] == []
    await tab_to(page, "Keep awake")
    await page.keyboard.press("Enter")
    await expect(bar).to_have_count(0)
    kept = await hub.instance(session)
    assert kept and kept.awake_until == time.clock + timedelta(hours=1)
    assert complaints == []


async def opened(hub: RenkuHub, browser: Browser) -> Page:
    """A page of alice, who is logged in."""
    visitor = await hub.visitor("alice")
    person = await browser.new_context(base_url=hub.app.bind_url)
    await person.add_cookies(
        [{"name": c.name, "value": c.value, "domain": "127.0.0.1", "path": c.path} for c in visitor.cookies.jar]
    )
    return await person.new_page()
