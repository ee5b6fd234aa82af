"""The life of somebody's own image in a real browser: read about, added, started, renewed, rolled back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from playwright.async_api import Browser, Page, Route, expect

from renku_spawner.config.renku import Renku
from tests.browser.test_every_page import TAGS, tab_to
from tests.fixtures import images
from tests.fixtures.browser import AXE
from tests.fixtures.fair import Stopwatch
from tests.images.conftest import STACKS, WithImages, silent
from tests.images.test_pages import HOSTILE

NEW = "renku/projects/alice/climate/-/sessions/new?kind=external"
SEEN = "window.hacked = []; window.alert = window.confirm = window.prompt = (text) => window.hacked.push(String(text));"
Enter = Callable[..., Awaitable[Page]]


@pytest.fixture
async def enter(browser: Browser) -> AsyncIterator[Enter]:
    """A function that gives the page of somebody who is logged in; what a browser complains about fails the test."""
    complaints: list[str] = []

    async def make(it: WithImages, name: str = "alice", **context: Any) -> Page:
        visitor = await it.hub.visitor(name)
        made = await browser.new_context(base_url=it.hub.url, **context)
        await made.add_cookies(
            [{"name": c.name, "value": c.value, "domain": "127.0.0.1", "path": c.path} for c in visitor.cookies.jar]
        )
        await made.add_init_script(SEEN)
        page = await made.new_page()
        page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
        page.on("dialog", lambda dialog: complaints.append(f"a dialog: {dialog.message}"))
        page.on("request", lambda request: complaints.append(request.url) if "csp-report" in request.url else None)
        page.on("console", lambda message: complaints.append(message.text) if _is_ours(message) else None)
        return page

    yield make
    assert complaints == []


def _is_ours(message: Any) -> bool:
    """That an image is refused is an answer of 422, which browsers call an error."""
    return message.type == "error" and "Failed to load resource" not in message.text


def verdict(page: Page):
    return page.locator("#verdict")


async def paste(page: Page, image: str) -> None:
    """As from a clipboard: the field has it at once, and nothing else is pressed."""
    await page.get_by_label("Image", exact=True).fill(image)


async def test_an_image_is_pasted_read_about_added_started_renewed_and_rolled_back(with_images, enter: Enter):
    it: WithImages = await with_images()
    await it.hub.project()
    image = f"{it.registry.host}/browser/life:latest"
    old = it.registry.push("browser/life", config=STACKS, sbom=images.spdx({"numpy": "2.4.1", "pytables": "3.10.2"}))
    page = await enter(it)
    await page.goto(NEW)
    await paste(page, image)
    took = Stopwatch()
    await expect(verdict(page).get_by_role("heading")).to_contain_text("This image can be used")
    assert took() < 2
    for said in ("Found and public", "Runs here: linux/amd64", "User 1000, not root", old[7:15]):
        await expect(verdict(page)).to_contain_text(said)
    assert "This image can be used" in await page.locator("#rk-said").inner_text()
    await page.get_by_label("Title").fill("Mine")
    await page.get_by_role("button", name="Add session").click()

    card = page.get_by_role("article", name="Mine")
    await card.get_by_role("button", name="Start").click()
    await expect(card.locator(".rk-status.rk-running")).to_be_visible()
    assert it.running() == [f"{it.registry.host}/browser/life@{old}"]
    await card.get_by_role("link", name="Mine").first.click()
    packages = page.get_by_role("group", name="Installed packages")
    await expect(packages).to_contain_text("numpy2.4.1Python")
    await page.get_by_label("Find packages").fill("pytab")
    await expect(packages.get_by_text("numpy")).to_be_hidden()
    await expect(packages.get_by_text("pytables")).to_be_visible()
    await renewed_and_rolled_back(it, page, old)


async def renewed_and_rolled_back(it: WithImages, page: Page, old: str) -> None:
    new = it.registry.push(
        "browser/life", config=STACKS | {"User": "1001"}, sbom=images.spdx({"numpy": "2.4.3", "zarr": "3.2.1"})
    )
    it.later(minutes=16)
    await page.reload()
    await expect(page.get_by_text("A newer image is there")).to_be_visible()
    await page.get_by_role("link", name="Review revision 2").click()
    difference = page.locator("#difference")
    for said in (
        old[:19],
        new[:19],
        "1 added, 1 removed, 1 changed",
        "zarr\u20133.2.1",
        "pytables3.10.2\u2013",
        "numpy2.4.12.4.3",
    ):
        await expect(difference).to_contain_text(said)
    await difference.get_by_role("button", name="Accept revision 2").click()
    await expect(page.locator("section[aria-labelledby=environment]")).to_contain_text(new)
    await expect(page.get_by_text("A newer image is there")).to_be_hidden()
    assert it.running() == [f"{it.registry.host}/browser/life@{old}"], "what runs is not touched"

    await page.get_by_role("button", name="Roll back to revision 1").click()
    await expect(page.locator("section[aria-labelledby=environment]")).to_contain_text(old)
    await expect(page.get_by_text("A newer image is there")).to_be_visible()
    await given_another_image(it, page, old)


async def given_another_image(it: WithImages, page: Page, old: str) -> None:
    other = it.registry.push("browser/other", "1", config=STACKS)
    await page.goto(f"{page.url.partition('?')[0]}/edit")
    await expect(page.locator("#found")).to_contain_text(f"Pinned as revision 1: {it.registry.host}/browser/life")
    await page.get_by_label("Title").fill("Other")
    await paste(page, f"{it.registry.host}/browser/other:1")
    await expect(verdict(page).get_by_role("heading")).to_contain_text("This image can be used")
    await expect(page.get_by_label("Title")).to_have_value("Other")
    await expect(page.locator("#found")).not_to_contain_text("Pinned as revision")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("section[aria-labelledby=environment]")).to_contain_text(other)
    await expect(page.get_by_role("button", name="Roll back to revision 1")).to_be_visible()
    assert it.running() == [f"{it.registry.host}/browser/life@{old}"], "what runs is not touched"


async def test_typing_on_takes_back_the_older_question_and_keeps_what_was_typed_meanwhile(with_images, enter: Enter):
    it: WithImages = await with_images()
    await it.hub.project()
    it.registry.push("browser/typed", config=STACKS)
    page = await enter(it)
    held: list[Route] = []

    async def hold(route: Route) -> None:
        """The first answer takes longer than anybody waits."""
        if held:
            await route.continue_()
        else:
            held.append(route)

    await page.route("**/sessions/check", hold)
    await page.goto(NEW)
    async with page.expect_event("requestfailed", lambda request: request.url.endswith("/check")) as failed:
        await paste(page, f"{it.registry.host}/browser/typ")
        async with asyncio.timeout(60):
            while not held:
                await asyncio.sleep(0.01)
        await expect(page.get_by_text("Checking …")).to_be_visible()
        await paste(page, f"{it.registry.host}/browser/typed")
    assert (await failed.value).failure == "net::ERR_ABORTED"
    await page.get_by_text("Advanced: how the server is started").click()
    await page.get_by_label("Command and arguments").fill("start-notebook.py --debug")
    await expect(verdict(page)).to_contain_text("This image can be used")
    await expect(page.get_by_label("Command and arguments")).to_have_value("start-notebook.py --debug")
    await expect(page.locator("#found")).not_to_have_attribute("aria-busy", "true")


async def test_what_is_wrong_is_said_while_one_types_and_a_check_that_fails_claims_nothing(with_images, enter: Enter):
    it: WithImages = await with_images(image_checks_per_minute=3)
    await it.hub.project()
    it.registry.push("browser/right", config=STACKS)
    page = await enter(it)
    await page.goto(NEW)
    image = page.get_by_label("Image", exact=True)
    await paste(page, "NGINX")
    await expect(page.locator("#image-error")).to_contain_text("Upper-case letters are not allowed in image names")
    await expect(image).to_have_attribute("aria-invalid", "true")
    await paste(page, f"{it.registry.host}/browser/right")
    await expect(verdict(page)).to_contain_text("This image can be used")
    await expect(image).not_to_have_attribute("aria-invalid", "true")
    await paste(page, f"{it.registry.host}/browser/none")
    await expect(verdict(page)).to_contain_text("This image cannot be used: it does not exist or is not public")
    await paste(page, f"{it.registry.host}/browser/right")
    await expect(page.locator("#found").get_by_role("alert")).to_contain_text(
        "Each user may have 3 images checked a minute"
    )
    await expect(verdict(page)).to_have_count(0)


async def test_an_image_is_added_by_keyboard_alone(with_images, enter: Enter):
    it: WithImages = await with_images()
    await it.hub.project()
    it.registry.push("browser/keys", config=STACKS)
    page = await enter(it)
    await page.goto("renku/projects/alice/climate/-/sessions/new")
    await tab_to(page, "Your own image")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="What an image must do")).to_be_visible()
    for _ in range(40):
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement.id") == "image":
            break
    await page.keyboard.type(f"{it.registry.host}/browser/keys")
    await expect(verdict(page)).to_contain_text("This image can be used")
    assert await page.evaluate("document.activeElement.id") == "image"
    await tab_to(page, "Add session")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("article", name="keys")).to_be_visible()


async def test_what_could_not_be_checked_says_so_until_the_registry_answers(with_images, enter: Enter):
    it: WithImages = await with_images()
    project = await it.hub.project()
    renku = Renku.instance()
    heard, renku.context = renku.context, replace(renku.context, registry=None)
    added = await it.add(project, f"{it.registry.host}/browser/later")
    page = await enter(it)
    await page.goto(f"renku/projects/alice/climate/-/sessions/{added['id']}")
    about = page.locator("section[aria-labelledby=environment]")
    await expect(about).to_contain_text("not checked yet · the hub pins it as soon as the registry answers")
    renku.context = heard
    digest = it.registry.push("browser/later", config=STACKS)
    await page.reload()
    await expect(about).to_contain_text(digest)
    await expect(about).to_contain_text("by the hub on")
    await expect(about).to_contain_text("when the registry first answered")
    await expect(page.get_by_role("group", name="Revisions")).to_contain_text("the hub")
    await expect(page.get_by_role("button", name="Roll back")).to_have_count(0)  # to the same image, unpinned


async def test_every_state_passes_axe_in_light_and_dark_and_fits_a_small_phone(with_images, enter: Enter):
    away = silent()
    it: WithImages = await with_images(away)
    project = await it.hub.project()
    host = it.registry.host
    it.registry.push("browser/good", config=HOSTILE, sbom=images.spdx({"numpy": "2.4.1", "<b>x</b>": "1"}))
    it.registry.push("browser/fine", config=STACKS)
    added = await it.add(project, f"{host}/browser/good")
    page = await enter(it, reduced_motion="reduce")
    await page.goto(NEW)
    await passes(page)
    for image, said in (
        (f"{host}/browser/good", "This image will probably not start"),
        (f"{host}/browser/fine", "This image can be used"),
        (f"{host}/browser/none", "This image cannot be used"),
        (f"{away}/browser/none", "This image could not be checked now"),
    ):
        await paste(page, image)
        await expect(verdict(page).get_by_role("heading")).to_contain_text(said)
        await passes(page)
    it.registry.push("browser/good", config=STACKS, sbom=images.spdx({"numpy": "2.4.3", "<i>y</i>": "2"}))
    it.later(minutes=16)
    session = f"renku/projects/alice/climate/-/sessions/{added['id']}"
    for address in (
        session,
        f"{session}?find=num",
        f"{session}/edit",
        "renku/projects/alice/climate",
        "renku/images/guide",
    ):
        await page.goto(address)
        await passes(page)
    await page.goto(session)
    await page.get_by_text("labels of the image").click()
    for said in ("javascript:alert(1)", "<b>", "{{7*7}}", "1 added, 1 removed, 1 changed"):
        await expect(page.get_by_text(said).first).to_be_visible()
    assert await page.evaluate("window.hacked") == []


async def passes(page: Page) -> None:
    """Fail unless axe finds nothing in light and dark, and the page is as narrow as a phone of 320 px."""
    await page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true })")
    await page.evaluate(AXE.read_text(encoding="utf-8"))
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        await page.evaluate("Promise.all(document.getAnimations().map((each) => each.finished))")
        result = await page.evaluate("(tags) => axe.run(document, {runOnly: {type: 'tag', values: tags}})", TAGS)
        assert result["passes"]
        assert [f"{v['id']} {[n['html'] for n in v['nodes']]}" for v in result["violations"]] == []
    await page.set_viewport_size({"width": 320, "height": 640})
    assert await page.evaluate("document.documentElement.scrollWidth") <= 320
    await page.set_viewport_size({"width": 1280, "height": 720})
