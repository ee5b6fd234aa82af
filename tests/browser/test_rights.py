"""What somebody without rights sees, and does not see."""

import re

from playwright.async_api import Page, expect

from tests.browser.test_main_job import add, became, card

PRIVATE = "hub/renku/projects/alice/lake-ice"
PUBLIC = "hub/renku/projects/alice/alpine-snow"


async def test_carol_may_launch_and_may_not_edit(person):
    editor = await person("bob")
    await add(editor, "Snow in the Alps", "For carol")
    page = await person("carol")
    await page.goto(PUBLIC)
    for name in ("Add session", "Edit"):
        await expect(page.get_by_role("link", name=name)).to_have_count(0)
    await page.get_by_role("link", name="Settings").click()
    await expect(page.locator("main form button")).to_have_text(["Leave the project"])
    await page.goto(PUBLIC)
    address = await card(page, "For carol").get_by_role("link", name="For carol").first.get_attribute("href")
    assert (await page.goto(f"{address}/edit")).status == 403
    await page.goto(PUBLIC)
    await card(page, "For carol").get_by_role("button", name="Start").click()
    await became(page, "For carol", "running")
    await card(page, "For carol").get_by_role("button", name="Pause").click()
    await became(page, "For carol", "paused")
    await editor.reload()
    await expect(card(editor, "For carol").locator(".rk-status")).to_have_text("inactive")


async def test_to_dave_the_private_project_does_not_exist(person):
    page = await person("dave")
    await expect(page.get_by_text("Ice on mountain lakes")).to_have_count(0)
    absent = await text_of(page, "hub/renku/projects/alice/no-such-project")
    for path in ("", "/-/settings", "/-/sessions/new", "/-/sessions/abcdefghijkl", "/-/delete"):
        assert await text_of(page, PRIVATE + path) == absent
    assert await text_of(page, "hub/renku/launch/alice/lake-ice") == absent


async def test_dave_may_launch_what_is_public_by_a_link_that_asks_first(person):
    await add(await person("bob"), "Snow in the Alps", "For everybody")
    page = await person("dave")
    await page.goto(PUBLIC)
    await card(page, "For everybody").get_by_role("link", name="For everybody").first.click()
    link = await page.get_by_label("Link", exact=True).input_value()
    await page.goto(link)
    await expect(page.get_by_text("quay.io/jupyter/scipy-notebook").first).to_be_visible()
    await page.get_by_role("button", name=re.compile("^Start")).click()
    await page.get_by_role("link", name="Open").first.wait_for(timeout=60_000)
    await page.get_by_role("button", name="Pause").first.click()
    await page.get_by_role("button", name="Resume").first.wait_for(timeout=60_000)


async def text_of(page: Page, path: str) -> str:
    answer = await page.goto(path)
    assert answer is not None and answer.status == 404
    return await page.locator("main").inner_text()
