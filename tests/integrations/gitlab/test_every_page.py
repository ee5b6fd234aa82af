"""The pages of projects in GitLab in a real browser: people log in there, read, add a repository, and wait for it."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from playwright.async_api import Browser, Page, expect

from renku_spawner.domain.instances import InstanceStatus
from tests.browser.test_every_page import TAGS
from tests.fakes.gitlab import FakeGitLab
from tests.fixtures.browser import AXE
from tests.fixtures.gitlab import GitLabHub, gitlab_hub, lab
from tests.fixtures.renku import renku_hub
from tests.integrations.gitlab.test_pages import PAGE, SETTINGS, Site
from tests.web.rendering import HOSTILE

__all__ = ["gitlab_hub", "lab", "renku_hub"]


@pytest.fixture
async def site(gitlab_hub: Callable[..., Awaitable[GitLabHub]], lab: FakeGitLab) -> Site:
    """A project with a hostile name and description, and one without members beside its owner."""
    lab.user("erin")
    made = Site(await gitlab_hub())
    made.there.name, made.there.more["description"] = HOSTILE, HOSTILE * 20
    lab.project("erin/" + "long-" * 40 + "name", visibility="public").push("main", {"a": "1"})
    return made


@pytest.fixture
async def enter(browser: Browser, site: Site) -> AsyncIterator[Callable[[str], Awaitable[Page]]]:
    """A function that logs somebody in by GitLab's own page; what the browser complains about fails the test."""
    complaints: list[str] = []
    contexts = []

    async def log_in(name: str) -> Page:
        context = await browser.new_context(base_url=site.hub.url)
        contexts.append(context)
        page = await context.new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
        page.on("dialog", lambda dialog: complaints.append(f"{page.url}: {dialog.message}"))
        await page.goto("oauth_login")
        await page.fill("input[name='user[login]']", name)
        await page.fill("input[name='user[password]']", name)
        await page.press("input[name='user[password]']", "Enter")
        await page.wait_for_url("**/renku/projects")
        return page

    yield log_in
    for context in contexts:
        await context.close()
    assert not complaints


async def looked_at(page: Page, addresses: list[str], state: str) -> int:
    """Look at each page with axe, in both schemes, and at 320 px; how many rules held."""
    found, rules = [], 0
    axe = AXE.read_text(encoding="utf-8")
    for address in addresses:
        await page.set_viewport_size({"width": 1280, "height": 800})
        await page.goto(address)
        await page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true })")
        await page.evaluate(axe)
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # colours change at once
            await expect(page.locator(f"html[data-bs-theme={scheme}]")).to_have_count(1)
            result = await page.evaluate("(tags) => axe.run(document, {runOnly: {type: 'tag', values: tags}})", TAGS)
            rules += len(result["passes"])
            found += [f"{scheme} {address}: {v['id']} {[n['html'] for n in v['nodes']]}" for v in result["violations"]]
        await page.set_viewport_size({"width": 320, "height": 640})
        assert await page.evaluate("document.documentElement.scrollWidth") <= 320, f"{address} {state}"
    print(f"axe: {len(addresses)} pages {state} in two schemes, {rules} rules passed, {len(found)} violations")
    assert not found, "\n".join(found)
    return rules


async def test_axe_finds_nothing_and_nothing_scrolls_sideways_whatever_gitlab_does(
    site: Site, enter: Callable[[str], Awaitable[Page]]
) -> None:
    site.lab.user("dave")
    alice, dave = await enter("alice"), await enter("dave")
    session = await site.session()
    launch = f"renku/launch/{PAGE.partition('projects/')[2]}"
    pages = [SETTINGS, launch, f"{PAGE}/-/sessions/{session.id}", "renku/projects", PAGE]
    rules = await looked_at(alice, pages, "with GitLab")
    assert "<img src=x" in await alice.inner_text("main")
    rules += await looked_at(dave, ["renku/projects"], "of a stranger")
    site.lab.mode = "500"
    site.later(400)
    rules += await looked_at(alice, ["renku/projects", PAGE], "without GitLab")
    site.later(2000)
    rules += await looked_at(alice, [PAGE], "without GitLab for long")
    assert rules > 500


async def test_a_repository_is_added_by_keyboard_and_a_start_waits_for_gitlab(
    site: Site, enter: Callable[[str], Awaitable[Page]]
) -> None:
    site.lab.project("erin/tools", visibility="public").push("main", {"a": "1"})
    page = await enter("alice")
    session = await site.session()
    await page.goto(SETTINGS)
    await page.focus("#url")
    await page.keyboard.type(f"{site.lab.url}/erin/nothing.git")
    await page.keyboard.press("Enter")
    await expect(page.locator("#url-error")).to_contain_text("no such repository in GitLab")
    await page.fill("#url", f"{site.lab.url}/erin/tools.git")
    await page.keyboard.press("Enter")
    await expect(page.locator("#said")).to_contain_text("Saved")
    await expect(page.get_by_role("row", name=re.compile("^tools"))).to_be_visible()
    site.lab.mode = "500"
    site.later(400)
    await page.goto(PAGE)
    await expect(page.locator("#away")).to_contain_text("GitLab does not answer.")
    start = page.locator(f"#session-{session.id}").get_by_role("button", name=re.compile("^Start"))
    await expect(start).to_be_disabled()
    site.lab.mode = "ok"
    site.later(30)
    await page.locator("#away").get_by_role("link", name="Try again").click()
    await expect(page.locator("#away")).to_have_count(0)
    await start.press("Enter")
    await site.hub.becomes(session, InstanceStatus.RUNNING, seconds=60)
