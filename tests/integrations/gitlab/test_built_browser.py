"""The tab of built images and the news of a newer one in a real browser: by keyboard, without a script, with axe."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from renku_spawner.usecases.ci_images import expire_ci_image_status
from tests.browser.test_every_page import TAGS, tab_to
from tests.fixtures.browser import AXE
from tests.fixtures.renku import until
from tests.integrations.gitlab import test_built_pages as own
from tests.integrations.gitlab.test_built_pages import Built

renku_hub, lab, gitlab_hub, it = own.renku_hub, own.lab, own.gitlab_hub, own.it
Enter = Callable[..., Awaitable[Page]]


@pytest.fixture
async def enter(browser: Browser, it: Built) -> AsyncIterator[Enter]:
    """A function that gives the page of alice, who is logged in; what a browser complains about fails the test."""
    complaints: list[str] = []

    async def make(**context: Any) -> Page:
        visitor = await it.hub.visitor("alice")
        made = await browser.new_context(base_url=it.hub.url, **context)
        await made.add_cookies(
            [{"name": c.name, "value": c.value, "domain": "127.0.0.1", "path": c.path} for c in visitor.cookies.jar]
        )
        page = await made.new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        return page

    yield make
    assert complaints == []


def tab(it: Built) -> str:
    return f"renku/projects/{it.project.path}/-/sessions/new?kind=repository"


async def reload_and_look_for(page: Page, words: str) -> bool:
    await page.reload()
    return await page.get_by_text(words).is_visible()


async def test_a_session_is_added_by_keyboard_and_its_newer_image_accepted(it: Built, enter: Enter) -> None:
    old, new = it.commit("Begin"), it.commit("Go on")
    page = await enter()
    await page.goto(tab(it))
    await expect(page.get_by_role("radio", name="Go on")).to_be_checked()
    await page.get_by_role("radio", name="Go on").focus()
    await page.keyboard.press("ArrowDown")
    await expect(page.get_by_role("radio", name="Begin")).to_be_checked()
    await page.get_by_label("Title").fill("Spectra")
    await tab_to(page, "Add session")
    await page.keyboard.press("Enter")
    card = page.get_by_role("article", name="Spectra")
    await expect(card).to_contain_text(f":{old[:8]}")

    await expire_ci_image_status(it.hub.parts, str(it.code.id))
    await card.get_by_role("link", name="Spectra").first.click()
    # A page waits half a second for GitLab; the answer that comes later is on the next one.
    await until(lambda: reload_and_look_for(page, "A newer image is there"), seconds=60)
    await expect(page.locator("#difference")).to_contain_text("1 commit later")
    await expect(page.locator("#difference")).to_contain_text("Go on")
    await page.get_by_role("button", name="Accept revision 2").click()
    await expect(page.locator("section[aria-labelledby=environment]")).to_contain_text(new[:8])
    await expect(page.get_by_text("A newer image is there")).to_be_hidden()


async def test_without_a_script_a_branch_is_chosen_and_a_session_added(it: Built, enter: Enter) -> None:
    it.commit("Begin")
    gpu = it.commit("Try a GPU", branch="gpu/größer")
    page = await enter(java_script_enabled=False)
    await page.goto(tab(it))
    await page.get_by_label("Branch", exact=True).select_option("gpu/größer")
    await page.get_by_role("button", name="Show commits").click()
    await expect(page.get_by_role("radio", name="Try a GPU")).to_be_checked()
    await page.get_by_label("Title").fill("With a GPU")
    await page.get_by_role("button", name="Add session").click()
    await expect(page.get_by_role("article", name="With a GPU")).to_contain_text(f":{gpu[:8]}")


async def test_axe_finds_nothing_and_nothing_scrolls_sideways_at_320_pixels(it: Built, enter: Enter) -> None:
    begun = it.commit("Begin with a very long title " * 6)
    it.code.image(begun[:8], name="with-cuda-12.6-and-a-very-long-name-of-its-own")
    page = await enter()
    made = await it.api("POST", "sessions", json={"built": {"repository": "climate"}, "title": "Spectra"})
    it.commit("Go on")
    it.commit("Break it", built=False, status="failed")
    session = f"renku/projects/{it.project.path}/-/sessions/{made.json()['id']}"
    await page.goto(session)
    await page.get_by_text("A newer image is there").wait_for()
    found = []
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        for address in (tab(it), session, "renku/images/ci"):
            await page.set_viewport_size({"width": 1280, "height": 800})
            await page.goto(address)
            await page.evaluate(AXE.read_text(encoding="utf-8"))
            result = await page.evaluate("(tags) => axe.run(document, {runOnly: {type: 'tag', values: tags}})", TAGS)
            assert len(result["passes"]) > 20
            found += [
                f"{scheme} {address}: {v['id']} {[n['target'] for n in v['nodes']]}" for v in result["violations"]
            ]
            await page.set_viewport_size({"width": 320, "height": 640})
            assert await page.evaluate("document.documentElement.scrollWidth") <= 320, address
    assert not found, "\n".join(found)
