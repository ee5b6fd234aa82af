"""The pages in Chromium, against a small server that renders the examples and streams what a test tells it."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect
from tornado import httpserver, netutil, web

from renku_spawner.web.formatting import format_elapsed_time
from tests.fixtures.browser import AXE
from tests.web.examples import INACTIVE, LAUNCHING, PAGES, RUNNING, TWIN, environment, project_page, session_page
from tests.web.rendering import HUB_TEMPLATES, TEMPLATES, render

NAME, TITLE = INACTIVE["id"], INACTIVE["title"]
AS = {"inactive": INACTIVE, "launching": LAUNCHING, "running": RUNNING | {"notices": []}}
KEPT = ("id", "title", "page", "url", "environment", "default")


@dataclass
class Site:
    """One session in a project: its status, who listens, and what the server should do wrong."""

    status: str = "inactive"
    posts: int = 0
    pages: int = 0
    streams: list[Any] = field(default_factory=list)
    opened: int = 0  # streams, since a test counts them
    silent: bool = False
    broken: bool = False
    elapsed: int = 8040
    full: bool = False
    changed: bool = False
    address: str = ""

    def session(self) -> dict[str, Any]:
        kept = {key: INACTIVE[key] for key in KEPT} | {"default": True}
        return AS[self.status] | kept | ({"elapsed": self.elapsed} if self.status == "running" else {})

    def tell(self, **news: Any) -> None:
        """Send an event to every open stream."""
        data = {"session": NAME, "status": self.status, "stage_text": None, "progress": None, "elapsed": None} | news
        for stream in self.streams:
            stream.write(f"data: {json.dumps(data)}\n\n")
            stream.flush()


class Shown(web.RequestHandler):
    def get(self, which: str) -> None:
        site: Site = self.settings["site"]
        site.pages += 1
        events = {"events_url": "/hub/events"}
        if which == "session":
            return self.finish(render("renku_session.html", session_page(site.session()) | events))
        other = TWIN | {"environment": environment(digest=None), "other": None}
        values = project_page(sessions=[site.session(), other], default=site.session()) | events
        return self.finish(render("renku_project.html", values))


class Example(web.RequestHandler):
    def get(self, name: str) -> None:
        self.finish(render(*PAGES[name]))


class Act(web.RequestHandler):
    async def post(self, action: str) -> None:
        site: Site = self.settings["site"]
        site.posts += 1
        if site.broken:
            self.set_status(409)
            page = {"status": 409, "title": "No", "message": "None of your classes fits.", "links": []}
            return self.finish(render("renku_error.html", page))
        if site.full and action == "start":
            self.set_status(409)
            return self.finish(render(*PAGES["limit"]))
        if site.changed and self.get_body_argument("version") != "e5d4c3b2a1f":
            self.set_status(409)
            return self.finish(render(*PAGES["changed"]))
        if self.get_body_argument("then", ""):
            site.full = False
            return self.redirect("/page/session", status=303)
        site.status = {"start": "launching", "pause": "inactive"}[action]
        return self.redirect("/page/project", status=303)


class Launch(web.RequestHandler):
    def post(self) -> None:
        self.settings["site"].status = "launching"
        self.redirect("/page/session", status=303)


class Stream(web.RequestHandler):
    async def get(self) -> None:
        site: Site = self.settings["site"]
        self.set_header("Content-Type", "text/event-stream")
        self.closed = asyncio.Event()
        site.opened += 1
        if not site.silent:
            site.streams.append(self)
            self.write("event: ping\ndata:\n\n")
        await self.flush()
        await self.closed.wait()
        self.on_connection_close()

    def on_connection_close(self) -> None:
        self.closed.set()
        if self in self.settings["site"].streams:
            self.settings["site"].streams.remove(self)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    static = web.StaticFileHandler
    application = web.Application(
        [
            ("/page/(project|session)", Shown),
            ("/example/(.*)", Example),
            ("/hub/events", Stream),
            ("/hub/renku/.*/(start|pause)", Act),
            ("/hub/renku/launch/.*", Launch),
            ("/hub/renku/static/(.*)", static, {"path": TEMPLATES / "static"}),
            ("/hub/static/(.*)", static, {"path": HUB_TEMPLATES.parent / "static"}),
        ],
        site=site,
        log_function=lambda handler: None,
    )
    server = httpserver.HTTPServer(application)
    sockets = netutil.bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    site.address = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    yield site
    for stream in list(site.streams):
        stream.finish()
    server.stop()
    await server.close_all_connections()


@pytest.fixture
async def page(browser: Browser, site: Site) -> AsyncIterator[Page]:
    """The project's page, with a mark that a reload would wipe out."""
    context = await browser.new_context(base_url=site.address)
    page = await context.new_page()
    await page.goto("/page/project")
    await page.evaluate("window.mark = 1")
    yield page
    assert await page.evaluate("window.mark") == 1
    await context.close()


async def listening(site: Site) -> None:
    """Wait until the page has opened its stream."""
    async with asyncio.timeout(60):
        while not site.streams:
            await asyncio.sleep(0.01)


async def test_start_becomes_open_without_a_reload(page: Page, site: Site) -> None:
    card = page.locator(f"#session-{NAME}")
    await card.get_by_role("button", name=f"Start {TITLE}").click()
    await expect(card.get_by_role("button", name=f"Starting … {TITLE}")).to_be_focused()
    await expect(page.locator("#default-session").get_by_role("button", name="Cancel")).to_be_visible()
    await listening(site)
    site.tell(stage_text="Waiting until it answers", progress=None, elapsed=70)
    await expect(card.get_by_text("Waiting until it answers")).to_be_visible()
    await expect(card.locator("progress")).not_to_have_attribute("value", "45")
    await expect(card.locator("[data-elapsed]")).to_contain_text("1 min 1")
    site.status = "running"
    site.tell()
    await expect(card.get_by_role("link", name=f"Open {TITLE}")).to_be_focused()
    await expect(page.locator("#default-session").get_by_role("link", name=f"Open {TITLE}")).to_be_visible()
    await expect(page.locator("#rk-said")).to_have_text(f"{TITLE}: running")
    assert len(site.streams) == 1
    assert site.posts == 1


@pytest.fixture
async def led(browser: Browser, site: Site) -> AsyncIterator[Page]:
    """The project's page of a user whose starts lead into the session."""
    context = await browser.new_context(base_url=site.address, leads=True)
    page = await context.new_page()
    await page.goto("/page/project")
    yield page
    await context.close()


async def start_and_answer(page: Page, site: Site) -> None:
    await page.locator(f"#session-{NAME}").get_by_role("button", name=f"Start {TITLE}").click()
    await listening(site)
    site.status = "running"
    site.tell()


async def test_a_start_leads_into_the_session_when_it_answers(led: Page, site: Site) -> None:
    card = led.locator(f"#session-{NAME}")
    await card.get_by_role("button", name=f"Start {TITLE}").click()
    await expect(card.get_by_label("Open when ready")).to_be_checked()
    await listening(site)
    assert led.url.endswith("/page/project")
    site.status = "running"
    site.tell()
    await led.wait_for_url("**/user/alice/**")
    await led.go_back()
    await expect(card.get_by_role("link", name=f"Open {TITLE}")).to_be_visible()


async def test_open_when_ready_is_remembered(led: Page, site: Site) -> None:
    card = led.locator(f"#session-{NAME}")
    await card.get_by_role("button", name=f"Start {TITLE}").click()
    await card.get_by_label("Open when ready").uncheck()
    await listening(site)
    site.status = "running"
    site.tell()
    await expect(card.get_by_role("link", name=f"Open {TITLE}")).to_be_visible()
    site.status = "inactive"
    await led.reload()
    await card.get_by_role("button", name=f"Start {TITLE}").click()
    await expect(card.get_by_label("Open when ready")).not_to_be_checked()


async def test_a_page_in_the_background_says_ready_and_stays(led: Page, site: Site) -> None:
    title = await led.title()
    await led.evaluate("Object.defineProperty(document, 'hidden', { get: () => window.away, configurable: true })")
    await led.evaluate("window.away = true")
    await start_and_answer(led, site)
    await expect(led).to_have_title(f"ready: {title}")
    await led.evaluate("window.away = false; document.dispatchEvent(new Event('visibilitychange'))")
    await expect(led).to_have_title(title)
    await expect(led.locator(f"#session-{NAME}").get_by_role("link", name=f"Open {TITLE}")).to_be_visible()


async def test_a_start_on_another_page_does_not_lead_away_from_this_one(led: Page, site: Site) -> None:
    site.status = "launching"
    await led.goto("/page/session")
    await expect(led.get_by_label("Open when ready")).not_to_be_checked()
    await listening(site)
    site.status = "running"
    site.tell()
    await expect(led.get_by_role("link", name=f"Open {TITLE}")).to_be_visible()


async def test_a_page_that_comes_after_the_start_leads_on(led: Page, site: Site) -> None:
    await led.locator(f"#session-{NAME}").get_by_role("button", name=f"Start {TITLE}").click()
    await expect(led.locator(f"#session-{NAME} [data-leads]")).to_be_checked()
    await led.goto("/page/session")
    await expect(led.get_by_label("Open when ready")).to_be_checked()
    site.status = "running"
    await led.reload()
    await led.wait_for_url("**/user/alice/**")


async def test_a_launch_link_leads_into_the_session(led: Page, site: Site) -> None:
    await led.goto("/example/launch")
    await led.evaluate("id => { document.querySelector('form[data-leads]').dataset.leads = id; }", NAME)
    await led.get_by_role("button", name="Start").click()
    await led.wait_for_url("**/page/session")
    await expect(led.get_by_label("Open when ready")).to_be_checked()


@pytest.mark.parametrize("width", [390, 1280])
async def test_the_next_step_keeps_its_place_and_pause_never_takes_it(page: Page, site: Site, width: int) -> None:
    await page.set_viewport_size({"width": width, "height": 900})
    card = page.locator(f"#session-{NAME}")

    async def find(role: Any, name: str) -> Any:
        box = await card.get_by_role(role, name=name).bounding_box()
        assert box is not None
        return box

    start = await find("button", f"Start {TITLE}")
    middle = start["x"] + start["width"] / 2
    await card.get_by_role("button", name=f"Start {TITLE}").click()
    starting = await find("button", f"Starting … {TITLE}")
    cancel = await find("button", f"Cancel the start of {TITLE}")
    await listening(site)
    site.status = "running"
    site.tell()
    await expect(card.get_by_role("link", name=f"Open {TITLE}")).to_be_visible()
    opened, pause = await find("link", f"Open {TITLE}"), await find("button", f"Pause {TITLE}")
    over = [box["x"] <= middle <= box["x"] + box["width"] for box in (starting, opened, cancel, pause)]
    assert over == [True, True, False, False]


@pytest.mark.parametrize("name", ["projects", "project", "session", "my-sessions", "admin"])
async def test_the_running_time_goes_on_and_no_screen_reader_is_told(browser: Browser, site: Site, name: str) -> None:
    context = await browser.new_context(base_url=site.address)
    page = await context.new_page()
    await page.clock.install()
    await page.goto(f"/example/{name}")
    clock = page.locator("time[data-elapsed]").filter(visible=True).first
    await expect(clock).to_have_text(re.compile(r"^since 24 Nov, \d\d:10 \(2 h 14 min\)$", re.IGNORECASE))
    await page.clock.run_for(60_500)
    await expect(clock).to_have_text(re.compile(r"^since 24 Nov, \d\d:10 \(2 h 15 min\)$", re.IGNORECASE))
    live = "[aria-live], [role=status], [role=alert], [role=log], [role=timer]"
    assert await clock.evaluate("(element, live) => element.closest(live)", live) is None
    assert await page.locator("#rk-said").inner_text() == ""
    await context.close()


async def test_without_a_script_a_session_says_since_when_it_runs(browser: Browser, site: Site) -> None:
    context = await browser.new_context(base_url=site.address, java_script_enabled=False)
    page = await context.new_page()
    for name in ("projects", "project", "session", "my-sessions", "admin"):
        await page.goto(f"/example/{name}")
        clock = page.locator("time[data-elapsed]").filter(visible=True).first
        await expect(clock).to_have_text(re.compile(r"^since 24 November 2026, 0\d:10 UTC$", re.IGNORECASE))
    await context.close()


@pytest.mark.parametrize("seconds", [0, 59, 60, 61, 72, 599, 600, 700, 3599, 3600, 8040, 172_799, 172_800, 300_000])
async def test_a_clock_reads_as_the_server_says_it(page: Page, seconds: int) -> None:
    said = await page.evaluate(
        """seconds => new Promise(done => {
            const clock = document.body.appendChild(document.createElement("time"));
            clock.dataset.elapsed = seconds;
            clock.began = Date.now() - 1000 * seconds;
            const changed = () => { clock.remove(); done(clock.textContent); };
            new MutationObserver(changed).observe(clock, { childList: true });
        })""",
        seconds,
    )
    assert said in {format_elapsed_time(seconds + late) for late in range(60)}


async def test_a_part_that_only_lasted_longer_is_not_made_again(page: Page, site: Site) -> None:
    site.status = "running"
    await page.goto("/page/project")
    await page.evaluate("window.mark = 1")
    card = page.locator(f"#session-{NAME}")
    await expect(card.locator("time[data-elapsed]")).to_contain_text("(2 h 14 min)")
    await card.evaluate("element => { element.same = true; }")
    site.elapsed += 90
    for _ in range(2):  # the second is fetched when the page has been renewed by the first
        before = site.pages
        await page.evaluate("window.dispatchEvent(new Event('focus'))")
        async with asyncio.timeout(60):
            while site.pages == before:
                await asyncio.sleep(0.01)
    assert await card.evaluate("element => element.same")


async def test_a_proxy_that_holds_events_back_is_got_around(page: Page, site: Site) -> None:
    site.silent = True
    await page.clock.install()
    await page.goto("/page/project")
    await page.evaluate("window.mark = 1")
    card = page.locator(f"#session-{NAME}")
    await card.get_by_role("button", name=f"Start {TITLE}").click()
    await expect(card.get_by_role("button", name=f"Cancel the start of {TITLE}")).to_be_visible()
    site.status = "running"
    await page.clock.run_for(10_500)
    await expect(card.get_by_role("link", name=f"Open {TITLE}")).to_be_visible()
    before = site.pages
    await page.clock.run_for(5_500)
    async with asyncio.timeout(60):
        while site.pages == before:
            await asyncio.sleep(0.01)


async def test_a_page_whose_stream_newer_pages_replaced_reads_itself_and_does_not_come_back_at_once(
    page: Page, site: Site
) -> None:
    await page.clock.install()
    await page.goto("/page/project")
    await page.evaluate("window.mark = 1")
    card = page.locator(f"#session-{NAME}")
    await card.get_by_role("button", name=f"Start {TITLE}").click()
    await expect(card.get_by_role("button", name=f"Cancel the start of {TITLE}")).to_be_visible()
    await listening(site)
    (stream,) = site.streams
    site.opened = 0
    stream.write("event: replaced\ndata:\n\n")
    stream.flush()
    stream.closed.set()
    async with asyncio.timeout(60):
        while site.streams:
            await asyncio.sleep(0.01)
    site.status = "running"
    await page.clock.run_for(30_000)
    await expect(card.get_by_role("link", name=f"Open {TITLE}")).to_be_visible()
    assert site.opened == 0, "its stream would close another page's, which would do the same"
    await page.clock.run_for(32_000)
    async with asyncio.timeout(60):
        while not site.opened:
            await asyncio.sleep(0.01)


async def test_a_session_that_changed_since_the_page_was_made_is_started_right_there_once_it_is_said(
    page: Page, site: Site
) -> None:
    site.changed = True
    card = page.locator(f"#session-{NAME}")
    await card.get_by_role("button", name=f"Start {TITLE}").click()
    await expect(card.get_by_role("alert")).to_contain_text("This session changed since you opened the page: image.")
    await card.get_by_role("button", name="Start anyway").click()
    await expect(card.get_by_role("button", name=f"Cancel the start of {TITLE}")).to_be_visible()
    await expect(page.get_by_role("button", name="Start anyway")).to_have_count(0)
    assert site.posts == 2


async def test_what_is_in_the_way_of_a_start_is_paused_right_there(page: Page, site: Site) -> None:
    site.full = True
    card = page.locator(f"#session-{NAME}")
    start = card.get_by_role("button", name=f"Start {TITLE}")
    await start.click()
    await expect(card.get_by_role("alert")).to_contain_text("You run 2 of 2 sessions")
    await expect(card.locator("#instead")).to_contain_text("2 of 2 running")
    await card.get_by_role("button", name=f"Pause {RUNNING['title']}").click()
    await expect(start).to_be_focused()
    await expect(card.locator("#instead, [role=alert]")).to_have_count(0)
    await start.click()
    await expect(card.get_by_role("button", name=f"Cancel the start of {TITLE}")).to_be_visible()
    assert site.posts == 3


async def test_a_refused_start_is_said_on_the_card_and_not_sent_again(page: Page, site: Site) -> None:
    site.broken = True
    card = page.locator(f"#session-{NAME}")
    await card.get_by_role("button", name=f"Start {TITLE}").click()
    await expect(card.get_by_role("alert")).to_contain_text("None of your classes fits")
    await expect(card.get_by_role("button", name=f"Start {TITLE}")).to_be_enabled()
    assert site.posts == 1


async def test_opening_a_page_reads_it_once(page: Page, site: Site) -> None:
    await listening(site)
    site.tell()
    await expect(page.locator(f"#session-{NAME}")).to_be_visible()
    assert site.pages == 1


async def test_a_change_in_another_window_shows_when_this_one_is_looked_at(page: Page, site: Site) -> None:
    site.status = "running"
    await page.evaluate("window.dispatchEvent(new Event('focus'))")
    await expect(page.locator(f"#session-{NAME}").get_by_role("link", name=f"Open {TITLE}")).to_be_visible()


async def test_escape_and_a_click_elsewhere_close_a_menu(page: Page, site: Site) -> None:
    menu = page.locator(f"#session-{NAME} .rk-menu")
    await menu.locator("summary").click()
    await expect(menu.get_by_role("link", name="Edit")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(menu.get_by_role("link", name="Edit")).to_be_hidden()
    await expect(menu.locator("summary")).to_be_focused()
    await menu.locator("summary").click()
    await page.locator("h1").click()
    await expect(menu.get_by_role("link", name="Edit")).to_be_hidden()


async def test_the_badge_is_copied(page: Page, site: Site) -> None:
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.goto("/page/session")
    await page.evaluate("window.mark = 1")
    await page.get_by_role("button", name="Copy the badge for a readme").click()
    await expect(page.locator("#rk-said")).to_have_text("Copied")
    copied = await page.evaluate("navigator.clipboard.readText()")
    assert copied == await page.get_by_label("Badge for a README").input_value()


async def test_the_steps_of_a_start_are_renewed_with_each_stage(page: Page, site: Site) -> None:
    site.status = "launching"
    await page.goto("/page/session")
    await page.evaluate("window.mark = 1")
    await listening(site)
    before = site.pages
    site.tell(stage_text="Starting the server")
    async with asyncio.timeout(60):
        while site.pages == before:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_and_no_page_scrolls_sideways_on_a_small_phone(
    browser: Browser, site: Site, scheme: Any
) -> None:
    context = await browser.new_context(
        base_url=site.address, color_scheme=scheme, viewport={"width": 320, "height": 800}
    )
    page = await context.new_page()
    axe, found = AXE.read_text(), []
    for name in PAGES:
        await page.goto(f"/example/{name}")
        await page.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
        wide = await page.evaluate("document.documentElement.scrollWidth")
        await page.evaluate(axe)
        result = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        assert result["passes"]
        found += [f"{name} is {wide} px wide"] if wide > 320 else []
        found += [f"{name}: {each['id']} at {each['nodes'][0]['html']}" for each in result["violations"]]
    await context.close()
    assert found == []


async def test_keys_do_what_their_list_says_and_nothing_while_somebody_types(page: Page, site: Site) -> None:
    await page.evaluate("""() => { window.went = []; document.addEventListener("click", (event) => {
        const link = event.target.closest("a.nav-link");
        if (link) { event.preventDefault(); window.went.push(link.textContent); }
    }); }""")
    keys, dialog = page.keyboard, page.get_by_role("dialog", name="Keyboard shortcuts")
    await page.locator("#main").focus()
    await keys.press("?")
    await expect(dialog).to_be_visible()
    await expect(dialog.get_by_text("Projects")).to_be_visible()
    await expect(dialog.get_by_text("Search")).to_be_visible(
        visible=await page.locator("form[role=search]").count() > 0
    )
    await keys.press("Escape")
    for key in ("g", "p", "g", "s", "x", "p"):
        await keys.press(key)
    assert await page.evaluate("window.went") == ["Projects", "My sessions"]
    card = page.locator(f"#session-{NAME}")

    await card.get_by_role("link").first.focus()
    await keys.press("Control+s")
    assert site.posts == 0
    await keys.press("s")
    await expect(card).to_have_attribute("data-status", "launching")
    assert site.posts == 1
    await page.get_by_role("button", name="Keyboard shortcuts").click()
    await dialog.get_by_label("Use these keys in this browser").uncheck()
    await dialog.get_by_role("button", name="Close").click()
    await keys.press("?")
    await expect(dialog).to_be_hidden()


async def test_path_follows_the_title_until_it_is_typed(page, site):
    page = await page.context.new_page()
    await page.goto(f"{site.address}/example/project-new")
    title, path = page.get_by_label("Title", exact=True), page.get_by_label("Path", exact=True)
    await path.fill("")
    await title.fill("Étude: Snow_1.x")
    await expect(path).to_have_value("etude-snow_1.x")
    await path.fill("mine")
    await title.fill("Other")
    await expect(path).to_have_value("mine")
