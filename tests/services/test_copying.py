"""A session is copied to where one may write, and what is there has nothing to do with where it came from."""

from dataclasses import replace

import pytest

from renku_spawner.domain.access import Person, Role
from renku_spawner.domain.environment import Kind, RunConfiguration, State
from renku_spawner.domain.errors import Conflict, Forbidden, Invalid, NotFound
from renku_spawner.domain.image_policy import ImagePolicy
from renku_spawner.domain.policy import Policy
from renku_spawner.domain.project import Member, ProjectChange
from renku_spawner.domain.resources import Requirements, ResourceClass
from renku_spawner.domain.session import Configuration, Session
from renku_spawner.services import copying, projects
from renku_spawner.services.parts import Parts
from tests.store import made

ADA, BOB, DAVE = (Person(name=name) for name in ("ada", "bob", "dave"))
CLASS = ResourceClass(name="small", cpu="4", memory="8Gi", disk="50Gi")
WANTED = Configuration(
    needs=Requirements(cpu="2", memory="2Gi"),
    repositories=("analysis",),
    storages=(),
    variables={"THREADS": "2", "API_TOKEN": "hush"},
)


@pytest.fixture
def house(parts: Parts) -> Parts:
    return replace(parts, policy=Policy(classes=(CLASS,)))


def there(house: Parts, kind: Kind = Kind.DEFAULT, **more: object) -> Session:
    """A session of ada's private project, which has a newer revision than the one that it is pinned to."""
    with house.db.write() as tx:
        climate = made.project(tx, repositories=made.REPOSITORIES)
        made.project(tx, "bob/rivers", title="Rivers", owner="bob")
        own = None if kind is Kind.DEFAULT else climate.id
        found = made.environment(tx, kind=kind, project=own, description="Words", keywords=("a",), **more)
        session = made.session(tx, climate, found, "Explore", configuration=WANTED, description="Why")
        newer = made.revision("sha256:" + "b" * 64, run=RunConfiguration(port=9999))
        tx.environments.revise(found.id, newer, by="admin", now=made.NOW)
    return session


async def member(house: Parts, name: str, role: Role) -> None:
    project = await projects.show(house, ADA, "ada/climate")
    members = (Member(kind="user", name="ada", role=Role.OWNER), Member(kind="user", name=name, role=role))
    await projects.change(house, ADA, project.id, ProjectChange(version=project.version, members=members))


async def test_a_ready_made_one_keeps_its_environment_and_revision(house):
    session = there(house)
    await member(house, "bob", Role.VIEWER)
    copy = await copying.copy(house, BOB, "ada/climate", session.id, "bob/rivers")
    rivers = await projects.show(house, BOB, "bob/rivers")
    assert (copy.project, copy.title, copy.description, copy.created_by) == (rivers.id, "Explore", "Why", "bob")
    assert (copy.environment.id, copy.revision.id) == (session.environment.id, session.revision.id)
    assert copy.configuration == Configuration(needs=WANTED.needs, storages=(), variables={"THREADS": "2"})
    assert rivers.default_session == copy.id
    again = await copying.copy(house, BOB, "ada/climate", session.id, "bob/rivers")
    assert again.title == "Explore (2)"
    with pytest.raises(Conflict) as taken:
        await copying.copy(house, BOB, "ada/climate", session.id, "bob/rivers", title="explore")
    assert (taken.value.code, list(taken.value.fields)) == ("title_taken", ["title"])


async def test_somebodys_own_image_becomes_an_environment_of_the_new_project_at_revision_1(house):
    session = there(house, Kind.EXTERNAL)
    await member(house, "bob", Role.VIEWER)
    copy = await copying.copy(house, BOB, "ada/climate", session.id, "bob/rivers")
    old, new = session.environment, copy.environment
    assert (new.id != old.id, new.project, copy.revision.number) == (True, copy.project, 1)
    assert (new.kind, new.name, new.description, new.keywords) == (old.kind, old.name, old.description, old.keywords)
    assert (copy.revision.digest, copy.revision.run) == (session.revision.digest, session.revision.run)
    assert (copy.revision.facts, copy.revision.created_by) == (session.revision.facts, "bob")
    strict = replace(house, policy=replace(house.policy, images=ImagePolicy(allowed=("quay.io",))))
    with pytest.raises(Invalid) as refused:
        await copying.copy(strict, BOB, "ada/climate", session.id, "bob/rivers")
    assert refused.value.code == "registry_not_allowed"


async def test_what_ci_has_built_stays_inside_its_project(house):
    session = there(house, Kind.REPOSITORY)
    copy = await copying.copy(house, ADA, "ada/climate", session.id, "ada/climate")
    assert (copy.title, copy.revision.number, copy.environment.id == session.environment.id) == (
        "Explore (2)",
        1,
        False,
    )
    assert copy.configuration.repositories == ("analysis",)
    with house.db.write() as tx:
        made.project(tx, "ada/lakes", title="Lakes")
    with pytest.raises(Invalid) as refused:
        await copying.copy(house, ADA, "ada/climate", session.id, "ada/lakes")
    assert refused.value.code == "copy_built"
    here = await projects.show(house, ADA, "ada/climate")
    assert [t.path for t in (await copying.targets(house, ADA, here, session))[0]] == ["ada/climate"]


async def test_who_may_not_see_the_one_or_change_the_other_copies_nothing(house):
    session = there(house)
    for person, to in ((BOB, "bob/rivers"), (DAVE, "ada/climate")):
        with pytest.raises(NotFound):
            await copying.copy(house, person, "ada/climate", session.id, to)
    with pytest.raises(NotFound):
        await copying.copy(house, ADA, "ada/climate", session.id, "bob/rivers")
    with pytest.raises(NotFound):
        await copying.copy(house, BOB, "bob/rivers", session.id, "bob/rivers")
    await member(house, "bob", Role.VIEWER)
    with pytest.raises(Forbidden):
        await copying.copy(house, BOB, "ada/climate", session.id, "ada/climate")


async def test_only_projects_that_one_may_change_are_offered_the_own_one_first(house):
    session = there(house)
    here = await projects.show(house, ADA, "ada/climate")
    with house.db.write() as tx:
        made.project(tx, "ada/lakes", title="Lakes")
    assert [t.title for t in (await copying.targets(house, ADA, here, session))[0]] == ["Climate", "Lakes"]
    found, _ = await copying.targets(house, ADA, here, session, search="lake")
    assert [t.title for t in found] == ["Lakes"]
    await member(house, "bob", Role.VIEWER)
    assert [t.title for t in (await copying.targets(house, BOB, here, session))[0]] == ["Rivers"]


async def test_what_is_retired_is_copied_no_more(house):
    session = there(house, state=State.ARCHIVED)
    with pytest.raises(Invalid) as refused:
        await copying.copy(house, ADA, "ada/climate", session.id, "ada/climate")
    assert refused.value.code == "env_archived"
