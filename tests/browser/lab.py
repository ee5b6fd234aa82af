"""JupyterLab as somebody uses it: open a notebook, run a cell by keyboard, look at the files."""

from playwright.async_api import Page, expect

SLOW = 180_000  # ms; JupyterLab and a kernel on two busy cores


async def open_notebook(page: Page, server: str, path: str) -> None:
    """Open a notebook below the server's address, with its kernel at rest."""
    await page.goto(f"{server}lab/tree/{path}", timeout=SLOW)
    await page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=SLOW)
    await page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=SLOW)


async def run(page: Page, code: str) -> str:
    """Type *code* into a new cell, run it, and return what it printed."""
    cells = page.locator(".jp-Notebook .jp-Cell")
    await cells.last.click()
    await page.keyboard.press("Escape")
    before = await cells.count()
    await page.keyboard.press("b")
    await expect(cells).to_have_count(before + 1)
    await page.keyboard.press("Enter")
    await page.keyboard.insert_text(code)
    await page.keyboard.press("Control+Enter")
    output = page.locator(".jp-Cell.jp-mod-active .jp-OutputArea-output").first
    await output.wait_for(timeout=SLOW)
    return (await output.inner_text()).strip()


async def files(page: Page, server: str) -> list[str]:
    """The names in the file browser at its root."""
    await page.goto(f"{server}lab?reset", timeout=SLOW)
    listing = page.locator(".jp-DirListing-content .jp-DirListing-itemText")
    await listing.first.wait_for(timeout=SLOW)
    return [name.strip() for name in await listing.all_inner_texts()]
