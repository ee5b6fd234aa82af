"""The hub's own pages lead to Renku's: home, spawn pages, and the addresses of servers that do not run."""

import pytest

from renku_spawner.domain.instances import InstanceStatus
from tests.fixtures.renku import xsrf
from tests.spawners import ways


@pytest.mark.parametrize(
    ("page", "leads"),
    [
        ("home", "renku/projects"), ("spawn", "renku/sessions"), ("spawn/alice", "renku/sessions"),
        ("spawn-pending/alice", "renku/sessions"), ("user/alice/", "renku/sessions"),
        ("user/alice/lab/tree/x", "renku/sessions"),
    ],
)  # fmt: skip
async def test_pages_of_the_default_server_lead_to_projects_or_sessions(renku_hub, page, leads):
    hub = await renku_hub()
    answer = await (await hub.visitor("alice")).get(page)
    assert (answer.status_code, answer.headers["Location"]) == (302, f"{hub.app.hub.base_url}{leads}")


async def test_user_redirect_leads_to_sessions_in_the_end(renku_hub):
    hub = await renku_hub()
    answer = await (await hub.visitor("alice")).get("user-redirect/lab/tree/x", follow_redirects=True)
    assert answer.status_code == 200
    assert answer.url.path.endswith("/hub/renku/sessions")


async def test_pages_are_the_hubs_own_where_plain_servers_are_allowed(renku_hub):
    hub = await renku_hub(Renku={"allow_plain_servers": True})
    visitor = await hub.visitor("alice")
    page = (await visitor.get("home")).text
    assert "name-your-server" in page
    assert ">Home</a>" in page
    answer = await visitor.get("user/alice/lab")
    assert answer.status_code == 424
    assert "Your server" in answer.text


async def test_home_is_not_in_the_navigation_bar(renku_hub):
    hub = await renku_hub()
    visitor = await hub.visitor("alice")
    for page in ("token", "renku/projects"):
        text = (await visitor.get(page)).text
        assert ">Home</a>" not in text
        assert ">Token</a>" in text


async def test_stopped_session_is_resumed_at_the_address_that_was_asked_for(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    alice = await hub.visitor("alice")
    asked = f"user/alice/{session.id}/lab/tree/a%20b.ipynb?reset=1&x=%26"
    answer = await alice.get(asked, follow_redirects=True)
    assert answer.url.path.endswith(f"/renku/launch/alice/climate/-/{session.id}"), "nothing to resume yet"
    await ways.start(hub, session)
    await hub.becomes(session, InstanceStatus.RUNNING)
    await ways.pause(hub, session)
    await hub.becomes(session, InstanceStatus.PAUSED)
    answer = await alice.get(asked, follow_redirects=True)
    assert answer.status_code == 200
    assert "<em>Explore</em> is paused" in answer.text
    assert "Your files are kept." in answer.text
    assert session.id not in answer.text.replace(f"renku/sessions/{session.id}/", "")
    back = "session?path=lab%2Ftree%2Fa+b.ipynb&query=reset%3D1%26x%3D%2526"
    form = {"_xsrf": xsrf(alice), "back": back}
    assert back.replace("&", "&amp;") in answer.text
    answer = await alice.post(f"renku/sessions/{session.id}/resume", data=form)
    assert answer.status_code == 303, answer.text
    await hub.becomes(session, InstanceStatus.RUNNING)
    page = (await alice.get(str(answer.url.join(answer.headers["Location"])))).text
    opens = page.partition(f"user/alice/{session.id}/")[2].partition('"')[0]
    assert opens == "lab/tree/a%20b.ipynb?reset=1&amp;x=%26"


@pytest.mark.parametrize("path", ["//evil.example", "..%2F..%2Fx", "%5C%5Cevil.example", "https:%2F%2Fevil.example"])
async def test_address_of_a_stopped_session_never_leads_elsewhere(renku_hub, path):
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    alice = await hub.visitor("alice")
    await ways.start(hub, session)
    await hub.becomes(session, InstanceStatus.RUNNING)
    page = (await alice.get(f"renku/projects/alice/climate/-/sessions/{session.id}?path={path}&query=//evil")).text
    opened = page.partition(f"user/alice/{session.id}")[2].partition('"')[0]
    assert opened.startswith("/")
    assert ".." not in opened


async def test_program_hears_that_a_session_does_not_run(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    alice = await hub.visitor("alice")
    for path, headers in (("api/contents", {}), ("static/x.js", {"Sec-Fetch-Dest": "script"})):
        assert (await alice.get(f"user/alice/{session.id}/{path}", headers=headers)).status_code == 424


async def test_admin_page_says_what_its_buttons_do_to_a_session(renku_hub):
    hub = await renku_hub()
    hub.user("boss", admin=True)
    page = (await (await hub.visitor("boss")).get("admin")).text
    assert "<strong>Delete Server</strong> is refused while a session has files" in page
