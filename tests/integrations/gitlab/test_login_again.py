"""Whose log-in at GitLab has ended is told so, and led back to where they were."""

import asyncio
import re
from html import unescape
from typing import Any
from urllib.parse import urljoin

from renku_spawner.hub.gitlab_login import HubTokenProvider
from renku_spawner.hub.scopes import READ_SCOPE
from renku_spawner.web.base import RenkuAPIHandler, RenkuPageHandler
from renku_spawner.web.operations import APIOperation
from tests.fixtures import gitlab
from tests.fixtures.renku import xsrf
from tests.integrations.gitlab import logins
from tests.integrations.gitlab.logins import Start

renku_hub, lab, start, gitlab_hub = logins.renku_hub, logins.lab, logins.start, gitlab.gitlab_hub


class Page(RenkuPageHandler):
    """A page that needs GitLab."""

    scope = {"get": READ_SCOPE}

    async def get(self) -> None:
        self.finish(f"{(await HubTokenProvider(self.settings['app']).get_token(self.person.name)).user_id}")


class Call(RenkuAPIHandler):
    calls = {"get": APIOperation(summary="Ask GitLab.", scope=READ_SCOPE)}

    async def get(self) -> None:
        await HubTokenProvider(self.settings["app"]).get_token(self.person.name)


async def test_a_page_and_a_call_say_so_and_the_page_leads_back(start: Start) -> None:
    hub = await start(extra_handlers=[("/renku/needs", Page), ("/api/renku/needs", Call)])
    alice = await hub.visitor("alice")
    assert (await alice.get("renku/needs?a=b")).text == str(hub.lab.world.users["alice"].id)
    await hub.expire("alice")
    hub.lab.revoke("alice")
    hub.user("alice")._auth_refreshed = 1e12
    refused = await alice.get("renku/needs?a=b")
    assert refused.status_code == 403
    assert "Your log-in at GitLab has ended." in refused.text
    link = re.search(r'href="([^"]+)">Log in again<', refused.text)
    assert link, refused.text
    call = await alice.get("api/renku/needs")
    assert (call.status_code, call.json()["code"]) == (403, "log_in_again")
    back = await alice.get(urljoin(hub.hub.url, unescape(link.group(1))))
    assert (back.text, back.url.query) == (str(hub.lab.world.users["alice"].id), b"a=b")


async def test_a_start_after_the_end_of_a_log_in_says_so_and_starts_nothing(start: Start) -> None:
    hub = await start()
    alice = await hub.visitor("alice")
    project = await hub.hub.project()
    session = await hub.hub.session(project)
    page = f"renku/projects/{project.path}/-/sessions/{session.id}"
    assert (await alice.get(page)).status_code == 200
    hub.lab.revoke("alice")
    hub.minute_passes("alice")
    refused = await alice.post(f"{page}/start", data={"_xsrf": xsrf(alice)})
    assert refused.status_code == 403
    assert ">Log in again</a>" in refused.text
    assert await hub.hub.instance(session) is None


async def test_pages_about_projects_outlive_a_token_and_end_with_the_log_in(gitlab_hub: Any) -> None:
    """Between the hub's own looks at it."""
    hub = await gitlab_hub()
    alice = await hub.visitor("alice")
    for name in ("first", "second"):  # about which nothing is known yet
        hub.lab.member(hub.lab.project(f"ada/{name}"), "alice", 50)
    hub.lab.expire("alice")
    hub.lab.calls.clear()
    answers = await asyncio.gather(*[alice.get("renku/projects/ada/first") for _ in range(20)])
    gitlab.plant(hub.lab)
    assert [answer.status_code for answer in answers] == [200] * 20
    assert hub.lab.counted("/oauth/token") == 1
    hub.lab.revoke("alice")
    refused = await alice.get("renku/projects/ada/second")
    assert (refused.status_code, ">Log in again</a>" in refused.text) == (403, True)
    call = await hub.client("alice").get("api/renku/projects")
    assert (call.status_code, call.json()["code"]) == (403, "log_in_again")
