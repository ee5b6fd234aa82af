"""The main job, walked in a browser: add a session, start it, work in it, pause it, resume it."""

from playwright.async_api import Page, expect

from tests.browser import lab

WORK = (
    "import os; open('../found-again.txt', 'w').write('by alice'); print(os.getcwd().endswith('/work/snow-analysis'))"
)
DATA = "import csv; print(len(list(csv.reader(open('../snow-data/snow.csv')))), 'lines')"


async def test_alice_adds_a_session_works_in_it_pauses_it_and_finds_her_file_again(person):
    page = await person("alice")
    await add(page, "Snow in the Alps", "Explore the snow")
    await page.evaluate("window.stays = 'here'")
    await card(page, "Explore the snow").get_by_role("button", name="Start").click()
    await became(page, "Explore the snow", "running")
    server = await card(page, "Explore the snow").get_by_role("link", name="Open").get_attribute("href")
    work = await page.context.new_page()
    await lab.open_notebook(work, server, "snow-analysis/analysis.ipynb")
    assert await lab.run(work, DATA) == "433 lines"
    assert await lab.run(work, WORK) == "True"
    assert await lab.files(work, server) == ["snow-analysis", "snow-data", "weather", "found-again.txt"]
    await work.close()

    await card(page, "Explore the snow").get_by_role("button", name="Pause").click()
    await became(page, "Explore the snow", "paused")
    await card(page, "Explore the snow").get_by_role("button", name="Resume").click()
    await became(page, "Explore the snow", "running")
    assert await page.evaluate("window.stays") == "here", "the page was loaded again"
    work = await page.context.new_page()
    assert "found-again.txt" in await lab.files(work, server)
    await page.get_by_role("button", name="Pause").first.click()
    await became(page, "Explore the snow", "paused")


async def test_bob_does_the_same_without_javascript(person, browser, demo):
    page = await person("bob", java_script_enabled=False)
    await add(page, "Ice on mountain lakes", "Explore the ice")
    await card(page, "Explore the ice").get_by_role("button", name="Start").click()
    await became(page, "Explore the ice", "running", reload=True)
    server = await card(page, "Explore the ice").get_by_role("link", name="Open").get_attribute("href")
    scripted = await browser.new_context(base_url=demo, storage_state=await page.context.storage_state())
    work = await scripted.new_page()
    await lab.open_notebook(work, server, "ice-analysis/analysis.ipynb")
    assert await lab.run(work, "print(open('../ice-data/ice.csv').readline().strip())") == "place,time,ice_days"
    await scripted.close()
    await card(page, "Explore the ice").get_by_role("button", name="Pause").click()
    await became(page, "Explore the ice", "paused", reload=True)
    await card(page, "Explore the ice").get_by_role("button", name="Resume").click()
    await became(page, "Explore the ice", "running", reload=True)
    await card(page, "Explore the ice").get_by_role("button", name="Pause").click()
    await became(page, "Explore the ice", "paused", reload=True)


async def add(page: Page, project: str, title: str) -> None:
    """Add a session from the ready-made environment, with everything else as offered."""
    await page.get_by_role("link", name=project, exact=True).first.click()
    await page.goto(f"{page.url}/-/sessions/new")
    await page.get_by_role("radio", name="Jupyter Python").press("Space")
    await page.get_by_label("Title").fill(title)
    await page.get_by_role("button", name="Add session").click()
    await card(page, title).wait_for()


def card(page: Page, title: str):
    return page.get_by_role("article", name=title, exact=True)


async def became(page: Page, title: str, status: str, *, reload: bool = False) -> None:
    """Wait until the card shows *status*: by itself, or without scripts by loading the page again."""
    pill = card(page, title).locator(f".rk-status.rk-{status}")
    for _ in range(120 if reload else 0):
        if await pill.count():
            return
        await page.wait_for_timeout(500)
        await page.reload()
    await expect(pill).to_be_visible(timeout=60_000)
