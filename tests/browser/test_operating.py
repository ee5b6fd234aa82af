"""An operator at work in a real browser."""

from playwright.async_api import expect

from tests.browser.test_every_page import tab_to
from tests.browser.test_main_job import add, became, card

TITLE = "To be paused"


async def test_an_admin_pauses_somebodys_session_by_keyboard_and_its_owner_reads_so(person):
    alice = await person("alice")
    await add(alice, "Snow in the Alps", TITLE)
    await card(alice, TITLE).get_by_role("button", name="Start").click()
    await became(alice, TITLE, "running")
    admin = await person("admin")
    await tab_to(admin, "Administration")
    await admin.keyboard.press("Enter")
    await expect(admin.get_by_role("heading", name="Administration", exact=True)).to_be_visible()
    await admin.goto("hub/renku/admin?owner=alice&status=running")
    await tab_to(admin, f"Pause {TITLE} of alice")
    await admin.keyboard.press("Enter")
    await expect(admin.locator("#said")).to_contain_text("its owner reads that an admin did it")
    await became(alice, TITLE, "paused")
    await expect(card(alice, TITLE)).to_contain_text("Paused by an admin.")
