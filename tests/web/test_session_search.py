"""A user finds a session of another project by what it has installed, and uses it in a project of their own."""

import re

from renku_spawner.context.app_context import write_transaction
from renku_spawner.domain.access import Visibility
from renku_spawner.domain.projects import NewProject
from renku_spawner.domain.session_search import SearchScope
from renku_spawner.usecases.projects import create_project
from tests.fixtures.renku import xsrf
from tests.persistence.made import DIGEST, installed


async def pin(hub, session, *packages) -> None:
    """Give the session's revision a digest, and that image a list of packages."""

    def work(tx):
        digest = session.revision.digest or DIGEST
        tx.software.save(digest, installed(*packages))

    await write_transaction(hub.parts, work)


async def test_a_session_of_another_project_is_used_by_one_click(renku_hub):
    hub = await renku_hub()
    climate = await hub.project(public=True)
    await hub.session(climate, "Explore the snow")
    new = NewProject(path="dave/own", title="Dave's own", visibility=Visibility.PRIVATE)
    dave = await hub.visitor("dave")
    own = await create_project(hub.parts, hub.person("dave"), new)
    form = await dave.get("renku/projects/dave/own/-/sessions/new")
    assert "From another project" in form.text
    page = await dave.get("renku/search", params={"into": "dave/own", "search": "snow"})
    assert page.status_code == 200
    assert "Explore the snow" in page.text
    assert "used in 1 project" in page.text
    action = re.search(r'action="([^"]+/copy)"', page.text)[1]
    version = re.search(r'name="version" value="(\d+)"', page.text)[1]
    answer = await dave.post(httpx_path(action), data={"_xsrf": xsrf(dave), "project": own.path, "version": version})
    assert answer.status_code == 303, answer.text
    project = await dave.get("renku/projects/dave/own")
    assert "Explore the snow" in project.text


def httpx_path(address: str) -> str:
    """The address below the client's base."""
    return address.partition("/hub/")[2]


async def test_a_private_project_is_not_found_by_others(renku_hub):
    hub = await renku_hub()
    await hub.session(await hub.project(), "Explore the snow")
    dave, carol = await hub.visitor("dave"), await hub.visitor("carol")
    assert "Explore the snow" not in (await dave.get("renku/search", params={"search": "snow"})).text
    assert "No session matches" in (await dave.get("renku/search", params={"search": "snow"})).text
    assert "Explore the snow" in (await carol.get("renku/search")).text
    assert (await dave.get("renku/search", params={"into": "alice/climate"})).status_code == 404
    assert (await carol.get("renku/search", params={"into": "alice/climate"})).status_code == 403


async def test_a_package_that_cannot_be_read_is_said_at_its_field(renku_hub):
    hub = await renku_hub()
    alice = await hub.visitor("alice")
    page = await alice.get("renku/search", params={"package": "<b>=>1"})
    assert page.status_code == 422
    assert "Write the name of a package" in page.text
    assert "<b>" not in page.text
    answer = await hub.client("alice").get("api/renku/search", params={"package": "=>1"})
    assert (answer.status_code, list(answer.json()["fields"])) == (422, ["package"])


async def test_the_api_finds_by_package_and_says_the_versions(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    alice = hub.client("alice")
    items = (await alice.get("api/renku/search")).json()["items"]
    assert [(each["session"], each["uses"], each["package"]) for each in items] == [(session.id, 1, None)]
    assert items[0]["environment"]["id"] == session.environment.id
    assert (await alice.get("api/renku/search", params={"package": "xarray"})).json()["items"] == []
    assert (await alice.get("api/renku/search", params={"into": session.project})).json()["items"] == []
    await pin(hub, session, ("xarray", "2025.1"))
    found = await alice.get("api/renku/search", params={"package": "xarray>=2025"})
    expected = [(session.id, "2025.1")] if session.revision.digest else []
    assert [(each["session"], each["package"]) for each in found.json()["items"]] == expected


async def test_the_scope_of_a_search_is_what_the_person_may_see(renku_hub):
    hub = await renku_hub()
    scope = await hub.parts.source.get_search_scope(hub.person("carol"))
    assert scope == SearchScope(name="carol", groups=frozenset())
