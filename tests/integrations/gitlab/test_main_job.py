"""The main job with a project of GitLab, walked in a browser: log in, start what CI built, push, take what CI built."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Locator, Page, expect

from renku_spawner.config.renku import Renku
from tests.browser import lab as jupyterlab
from tests.fakes.gitlab_project import Project
from tests.fixtures import gitlab, renku
from tests.fixtures.gitlab import GitLabHub, plant
from tests.fixtures.renku import until

renku_hub, lab, gitlab_hub = renku.renku_hub, gitlab.lab, gitlab.gitlab_hub
SECRET = "a secret of some length"
PUSH = "cd {}/climate && echo 42 > result.txt && git add . && git commit -qm 'Find it' && git push -q\n"


async def test_alice_logs_in_starts_what_ci_built_pushes_and_takes_the_new_image(
    gitlab_hub: Any, browser: Browser
) -> None:
    hub, code = await begin(gitlab_hub)
    context = await browser.new_context(base_url=hub.url)
    page = await context.new_page()
    page.set_default_timeout(60_000)
    await log_in(page, hub)
    card = await add(page)
    await card.get_by_role("button", name="Start").click()
    opened = card.get_by_role("link", name="Open")
    await opened.wait_for(timeout=jupyterlab.SLOW)
    server = str(await opened.get_attribute("href"))
    terminal = await context.new_page()
    await run(terminal, server, working_directory(hub))
    newest = await until(lambda: pushed(code), seconds=90, why="it was pushed")
    assert code.repository.file(newest, "result.txt") == b"42\n"
    await terminal.close()

    await card.get_by_role("link", name="Spectra").first.click()
    build(code, newest)
    await until(lambda: told(page), seconds=60, why="a newer image is told")
    await expect(page.locator("#difference")).to_contain_text("Find it")
    await page.get_by_role("button", name="Accept revision 2").click()
    await expect(page.locator("section[aria-labelledby=environment]")).to_contain_text(newest[:8])
    await context.close()


async def begin(gitlab_hub: Any) -> tuple[GitLabHub, Project]:
    """A hub whose sessions run JupyterLab, and a project in which alice is a developer and CI has built an image."""
    hub: GitLabHub = await gitlab_hub(
        Renku={"push": True, "webhook_secret": SECRET},
        RenkuLocalSpawner={"cmd": [sys.executable, "-m", "jupyterhub.singleuser"]},
    )
    made = Renku.instance()
    made.context = replace(made.context, policy=replace(made.context.policy, local=False))  # images are offered
    code = hub.lab.project("ada/climate", description="Rain and snow")
    hub.lab.member(code, "alice", 30)
    code.hook(f"{hub.url}api/renku/gitlab-hook", SECRET)
    build(code, code.push("main", {"Dockerfile": "FROM scratch\n"}, message="Begin", author="alice"))
    return hub, code


async def add(page: Page) -> Locator:
    """Add a session from what CI has built; its card on the project's page."""
    await page.get_by_role("link", name="Climate", exact=True).first.click()
    await page.wait_for_url("**/projects/ada/climate")
    await page.goto(f"{page.url}/-/sessions/new?kind=repository")
    await page.get_by_label("Title").fill("Spectra")
    await page.get_by_role("button", name="Add session").click()
    return page.get_by_role("article", name="Spectra")


def working_directory(hub: GitLabHub) -> Path:
    """That of the only instance."""
    with hub.parts.db.read() as tx:
        [instance] = tx.instances.list_active()
    return hub.parts.workspace / str(instance.claim) / "work"


def build(code: Project, sha: str) -> None:
    """What CI does."""
    code.image(sha[:8])
    code.pipeline(sha)


async def told(page: Page) -> bool:
    await page.reload()
    return await page.get_by_text("A newer image is there").is_visible()


def pushed(code: Project) -> str:
    newest = code.repository.one("main")
    said = [newest[key] for key in ("title", "author_name", "author_email")]
    return str(newest["id"]) if said == ["Find it", "Alice", "alice@example.com"] else ""


async def log_in(page: Page, hub: GitLabHub) -> None:
    """By GitLab's form, and by its question whether this hub may act for one."""
    hub.lab.trusted = False
    await page.goto("renku/projects")
    await page.get_by_text("Sign in with GitLab").click()
    await page.get_by_label("Username").fill("alice")
    await page.get_by_label("Password").fill("alice")
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("button", name="Authorize").click()
    await page.wait_for_url("**/hub/renku/projects")
    plant(hub.lab)


async def run(page: Page, server: str, work: Path) -> None:
    """Commit and push in a terminal of JupyterLab, as soon as its shell listens."""
    await page.goto(f"{server}lab?reset", timeout=jupyterlab.SLOW)
    await page.locator(".jp-LauncherCard", has_text="Terminal").first.click(timeout=jupyterlab.SLOW)
    await page.locator(".jp-Terminal .xterm").click(timeout=jupyterlab.SLOW)

    async def listens() -> bool:
        await page.keyboard.type("touch listens\n")
        return any((folder / "listens").exists() for folder in (work, *work.iterdir()))

    await until(listens, seconds=90, why="the shell listens")
    await page.keyboard.type(PUSH.format(work))
