"""Logging in at GitLab in a real browser, and again when that has ended."""

from typing import Any

from playwright.async_api import Browser, Page, expect

from tests.fixtures import gitlab, renku

renku_hub, lab, gitlab_hub = renku.renku_hub, gitlab.lab, gitlab.gitlab_hub
SLOW = 60_000  # ms


async def sign_in(page: Page, name: str) -> None:
    """At GitLab, for the first time, where it asks whether one agrees."""
    await page.get_by_label("Username").fill(name)
    await page.get_by_label("Password").fill(name)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("button", name="Authorize").click()


async def end_log_in(hub: Any, name: str) -> None:
    """GitLab ends it, and the hub looks at the next request."""
    hub.lab.revoke(name)
    hub.user(name)._auth_refreshed = None
    await hub.user(name).save_auth_state(None)


async def test_whose_log_in_ends_before_a_form_is_sent_is_told_and_led_back(gitlab_hub: Any, browser: Browser) -> None:
    """Where the hub sends people on to GitLab at once: no browser follows there from a form of ours."""
    hub = await gitlab_hub(Authenticator={"auto_login": True})
    hub.lab.trusted = False
    project = await hub.project("climate")
    session = await hub.session(project)
    page = await browser.new_page(base_url=hub.url)
    page.set_default_timeout(SLOW)
    await page.goto(f"renku/projects/{project.path}/-/sessions/{session.id}/edit")
    await sign_in(page, "alice")
    await expect(page.get_by_role("button", name="Save")).to_be_visible(timeout=SLOW)
    await end_log_in(hub, "alice")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("heading", name="Please log in again")).to_be_visible(timeout=SLOW)
    await page.get_by_role("link", name="Log in again").click()
    await expect(page.get_by_role("heading", name=session.title)).to_be_visible(timeout=SLOW)
    await end_log_in(hub, "alice")
    await page.get_by_role("button", name="Start").first.click()
    await expect(page.get_by_role("alert")).to_contain_text("Your log-in has ended.", timeout=SLOW)
    assert await hub.instance(session) is None
