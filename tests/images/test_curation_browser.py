"""The life of a ready-made environment in a real browser: added, renewed, rolled back, deprecated, and left."""

from playwright.async_api import Page, expect

from tests.fixtures import images
from tests.images.conftest import STACKS, WithImages
from tests.images.test_browser import Enter, enter, paste, verdict
from tests.integrations.gitlab.test_every_page import looked_at

__all__ = ["enter"]
NEW, PROJECT = "renku/environments/new", "renku/projects/alice/climate"


async def test_an_environment_is_added_renewed_rolled_back_deprecated_and_left_for_its_successor(
    with_images, enter: Enter
):
    it: WithImages = await with_images()
    it.hub.curator("root")
    await it.hub.project()
    await it.hub.ready_made("The newer one")
    image = f"{it.registry.host}/curated/lab:2026-11"
    old = it.registry.push("curated/lab", "2026-11", config=STACKS, sbom=images.spdx({"numpy": "2.4.1"}))
    root = await enter(it, "root")
    await offered(root, image)
    alice = await enter(it)
    await added(alice)

    new = it.registry.push("curated/lab", "2026-11", config=STACKS, sbom=images.spdx({"numpy": "2.4.3"}))
    it.later(minutes=16)
    await renewed_and_rolled_back(root, old, new)
    await deprecated(root)
    await alice.goto(PROJECT)
    await expect(alice.get_by_text("A newer image is there")).to_be_hidden()
    await left(alice)
    await looked_at(alice, [f"{PROJECT}/-/sessions/new"], "of a project")
    await looked_at(root, ["renku/environments", NEW, root.url, f"{root.url}/state?to=archived"], "of admins")


async def offered(root: Page, image: str) -> None:
    """It is read about, and added."""
    await root.goto(NEW)
    await paste(root, image)
    await expect(verdict(root).get_by_role("heading")).to_contain_text("This image can be used")
    await expect(verdict(root)).to_contain_text("yes: Found")
    await expect(verdict(root)).not_to_contain_text("public")
    await root.get_by_label("Name").fill("Lab")
    await root.get_by_label("Offered at once").check()
    await root.get_by_role("button", name="Add environment").click()
    await expect(root.get_by_role("heading", name="Lab")).to_be_visible()


async def renewed_and_rolled_back(root: Page, old: str, new: str) -> None:
    await root.get_by_label("Take what the tag names now").check()
    await expect(verdict(root)).to_contain_text(new[7:15])
    await root.get_by_role("button", name="Save").click()
    revisions = root.get_by_role("group", name="Revisions")
    await expect(revisions).to_contain_text(new[7:15])
    await root.get_by_role("button", name="Roll back to revision 1").click()
    await expect(revisions.get_by_role("row").nth(1)).to_contain_text(old[7:15])


async def added(page: Page) -> None:
    """A session of it."""
    await page.goto(f"{PROJECT}/-/sessions/new")
    await page.get_by_role("radio", name="Lab").press("Space")
    await page.get_by_role("button", name="Add session").click()
    await page.get_by_role("article", name="Lab").wait_for()


async def deprecated(page: Page) -> None:
    """With the other one as its successor."""
    await page.get_by_role("link", name="Deprecate …").click()
    await page.get_by_label("Successor").select_option(label="The newer one")
    await page.get_by_label("Message").fill("This one gets no more updates.")
    await page.get_by_role("button", name="Deprecate").click()
    await page.locator("#said").wait_for()
    await page.goto(page.url.partition("?")[0])


async def left(page: Page) -> None:
    """The session is changed by its editor."""
    card = page.get_by_role("article", name="Lab")
    await expect(card).to_contain_text("This one gets no more updates.")
    await card.get_by_role("link", name="Change to The newer one").click()
    await expect(page.get_by_role("group", name="What changes")).to_contain_text("quay.io/a/b:2")
    await looked_at(page, [page.url], "of what changes")
    await page.get_by_role("button", name="Change to The newer one").click()
    await expect(page.locator("section[aria-labelledby=environment]")).to_contain_text("The newer one")
