"""Each page with axe in light and dark, at 320 px, by keyboard; and the README's pictures."""

import re
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser.test_main_job import add, became, card
from tests.fixtures.browser import AXE

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
PROJECT = "hub/renku/projects/alice/lake-ice"
TITLE = "Explore the ice cover"
TABS = ["", "/orphans", "/claims", "/failures", "/launches", "/audit"]


@pytest.fixture
async def pages(person) -> tuple[Page, list[str]]:
    """Alice with a session that has run and is paused, and the addresses of all pages with GET."""
    page = await person("alice")
    await page.goto(PROJECT)
    if not await card(page, TITLE).count():
        await add_here(page)
    if await card(page, TITLE).get_by_role("button", name="Start").count():
        await card(page, TITLE).get_by_role("button", name="Start").click()
        await became(page, TITLE, "running")
        await card(page, TITLE).get_by_role("button", name="Pause").click()
        await became(page, TITLE, "paused")
    session = await card(page, TITLE).get_by_role("link", name=TITLE).first.get_attribute("href")
    assert session is not None
    identity = session.rpartition("/")[2]
    below = ["", "/-/settings", "/-/delete", "/-/sessions/new", "/-/sessions/described",
             "/-/storages/new", "/-/storages/new?kind=sftp"]  # fmt: skip
    return page, [
        "hub/renku/projects",
        "hub/renku/projects/new",
        "hub/renku/projects?search=nothing-has-this-name",
        *(PROJECT + path for path in below),
        *(session + path for path in ("", "/edit", "/delete", "/copy", "/credentials")),
        "hub/renku/sessions",
        f"hub/renku/sessions/{identity}/data",
        f"hub/renku/sessions/{identity}/keep-awake",
        "hub/renku/launch/alice/lake-ice",
        f"hub/renku/launch/alice/lake-ice/-/{identity}",
        "hub/renku/projects/alice/there-is-none",
    ]


async def add_here(page: Page) -> None:
    await page.goto("hub/renku/projects")
    await add(page, "Ice on mountain lakes", TITLE)


async def examined(page: Page, addresses: list[str]) -> tuple[int, list[str]]:
    """How many rules of axe those pages keep in light and dark, and which they break."""
    found, rules = [], 0
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        for address in addresses:
            await page.goto(address)
            await page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true })")
            await page.evaluate(AXE.read_text(encoding="utf-8"))
            result = await page.evaluate("(tags) => axe.run(document, {runOnly: {type: 'tag', values: tags}})", TAGS)
            rules += len(result["passes"])
            found += [
                f"{scheme} {address}: {v['id']} {[n['target'] for n in v['nodes']]}" for v in result["violations"]
            ]
    print(f"axe: {2 * len(addresses)} pages, {rules} rules passed, {len(found)} violations")
    return rules, found


async def test_axe_finds_nothing_on_any_page_in_light_and_dark(pages):
    rules, found = await examined(*pages)
    assert rules > 500
    assert not found, "\n".join(found)


async def test_axe_finds_nothing_on_the_operators_pages_either(pages, person):
    admin = await person("admin")
    rules, found = await examined(admin, [f"hub/renku/admin{tab}" for tab in TABS])
    assert rules > 200
    assert not found, "\n".join(found)
    await admin.set_viewport_size({"width": 320, "height": 640})
    await admin.goto("hub/renku/admin")
    assert await admin.evaluate("document.documentElement.scrollWidth") <= 320


async def test_no_page_scrolls_sideways_at_320_pixels(pages):
    page, addresses = pages
    await page.set_viewport_size({"width": 320, "height": 640})
    for address in addresses:
        await page.goto(address)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 320, address


async def test_a_session_is_started_and_paused_by_keyboard_alone(pages):
    page, _ = pages
    await page.goto(PROJECT)
    await tab_to(page, f"Resume {TITLE}")
    await page.keyboard.press("Enter")
    await became(page, TITLE, "running")
    await tab_to(page, f"Pause {TITLE}")
    await page.keyboard.press("Space")
    await became(page, TITLE, "paused")


async def tab_to(page: Page, name: str) -> None:
    """Press Tab until what has the focus is called *name*."""
    for _ in range(80):
        said = await page.evaluate("(document.activeElement.innerText || '').replace(/\\s+/g, ' ').trim()")
        if said == name:
            return
        await page.keyboard.press("Tab")
    raise AssertionError(f"{name} is not reached by Tab")


async def test_the_pictures_of_the_documents_are_true(pages, person, tmp_path):
    """They are taken anew each time, so that the pages they show exist; only a missing or wrong one is replaced."""
    alice, admin = pages[0], await person("admin")
    for page, name, address, words in (
        (alice, "projects", "hub/renku/projects", "Ice on mountain lakes"),
        (alice, "project", PROJECT, TITLE),
        (alice, "session-new", f"{PROJECT}/-/sessions/new", "Add a session"),
        (alice, "my-sessions", "hub/renku/sessions", TITLE),
        (admin, "operate", "hub/renku/admin", TITLE),
        (admin, "environments", "hub/renku/environments", "Jupyter Python"),
    ):
        await page.set_viewport_size({"width": 1280, "height": 800})
        await page.goto(address)
        await expect(page.get_by_text(re.compile(words)).first).to_be_visible()
        taken = await page.screenshot(path=tmp_path / f"{name}.png")
        kept = PICTURES / f"{name}.png"
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(taken)
        assert abs(len(taken) - len(kept.read_bytes())) < 0.3 * len(taken), f"{name} has changed: delete it, run again"
