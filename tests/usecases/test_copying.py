"""A session is copied to where one may write, and what is there has nothing to do with where it came from."""

from dataclasses import replace

import pytest

from renku_spawner.context.app_context import AppContext
from renku_spawner.domain.access import Person, Role
from renku_spawner.domain.environments import EnvironmentKind, EnvironmentState, RunConfiguration
from renku_spawner.domain.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from renku_spawner.domain.images import ImagePolicy
from renku_spawner.domain.policy import HubPolicy
from renku_spawner.domain.projects import ProjectChange, ProjectMember
from renku_spawner.domain.resource_classes import ResourceClass, ResourceRequirements
from renku_spawner.domain.sessions import Session, SessionConfiguration
from renku_spawner.usecases.projects import change_project, get_project
from renku_spawner.usecases.sessions import copy_session, list_copy_targets
from tests.persistence import made

ADA, BOB, DAVE = (Person(name=name) for name in ("ada", "bob", "dave"))
CLASS = ResourceClass(name="small", cpu="4", memory="8Gi", disk="50Gi")
WANTED = SessionConfiguration(
    needs=ResourceRequirements(cpu="2", memory="2Gi"),
    repositories=("analysis",),
    storages=(),
    variables={"THREADS": "2", "API_TOKEN": "hush"},
)


@pytest.fixture
def house(parts: AppContext) -> AppContext:
    return replace(parts, policy=HubPolicy(classes=(CLASS,)))


def there(house: AppContext, kind: EnvironmentKind = EnvironmentKind.DEFAULT, **more: object) -> Session:
    """A session of ada's private project, which has a newer revision than the one that it is pinned to."""
    with house.db.write() as tx:
        climate = made.project(tx, repositories=made.REPOSITORIES)
        made.project(tx, "bob/rivers", title="Rivers", owner="bob")
        own = None if kind is EnvironmentKind.DEFAULT else climate.id
        found = made.environment(tx, kind=kind, project=own, description="Words", keywords=("a",), **more)
        session = made.session(tx, climate, found, "Explore", configuration=WANTED, description="Why")
        newer = made.revision("sha256:" + "b" * 64, run=RunConfiguration(port=9999))
        tx.environments.add_revision(found.id, newer, by="admin", now=made.NOW)
    return session


async def member(house: AppContext, name: str, role: Role) -> None:
    project = await get_project(house, ADA, "ada/climate")
    members = (
        ProjectMember(kind="user", name="ada", role=Role.OWNER),
        ProjectMember(kind="user", name=name, role=role),
    )
    await change_project(house, ADA, project.id, ProjectChange(version=project.version, members=members))


async def test_a_ready_made_one_keeps_its_environment_and_revision(house):
    session = there(house)
    await member(house, "bob", Role.VIEWER)
    copy = await copy_session(house, BOB, "ada/climate", session.id, "bob/rivers")
    rivers = await get_project(house, BOB, "bob/rivers")
    assert (copy.project, copy.title, copy.description, copy.created_by) == (rivers.id, "Explore", "Why", "bob")
    assert (copy.environment.id, copy.revision.id) == (session.environment.id, session.revision.id)
    assert copy.configuration == SessionConfiguration(needs=WANTED.needs, storages=(), variables={"THREADS": "2"})
    assert rivers.default_session == copy.id
    again = await copy_session(house, BOB, "ada/climate", session.id, "bob/rivers")
    assert again.title == "Explore (2)"
    with pytest.raises(ConflictError) as taken:
        await copy_session(house, BOB, "ada/climate", session.id, "bob/rivers", title="explore")
    assert (taken.value.code, list(taken.value.fields)) == ("title_taken", ["title"])


async def test_somebodys_own_image_becomes_an_environment_of_the_new_project_at_revision_1(house):
    session = there(house, EnvironmentKind.EXTERNAL)
    await member(house, "bob", Role.VIEWER)
    copy = await copy_session(house, BOB, "ada/climate", session.id, "bob/rivers")
    old, new = session.environment, copy.environment
    assert (new.id != old.id, new.project, copy.revision.number) == (True, copy.project, 1)
    assert (new.kind, new.name, new.description, new.keywords) == (old.kind, old.name, old.description, old.keywords)
    assert (copy.revision.digest, copy.revision.run) == (session.revision.digest, session.revision.run)
    assert (copy.revision.facts, copy.revision.created_by) == (session.revision.facts, "bob")
    strict = replace(house, policy=replace(house.policy, images=ImagePolicy(allowed=("quay.io",))))
    with pytest.raises(InvalidInputError) as refused:
        await copy_session(strict, BOB, "ada/climate", session.id, "bob/rivers")
    assert refused.value.code == "registry_not_allowed"


async def test_what_ci_has_built_stays_inside_its_project(house):
    session = there(house, EnvironmentKind.REPOSITORY)
    copy = await copy_session(house, ADA, "ada/climate", session.id, "ada/climate")
    assert (copy.title, copy.revision.number, copy.environment.id == session.environment.id) == (
        "Explore (2)",
        1,
        False,
    )
    assert copy.configuration.repositories == ("analysis",)
    with house.db.write() as tx:
        made.project(tx, "ada/lakes", title="Lakes")
    with pytest.raises(InvalidInputError) as refused:
        await copy_session(house, ADA, "ada/climate", session.id, "ada/lakes")
    assert refused.value.code == "copy_built"
    here = await get_project(house, ADA, "ada/climate")
    assert [t.path for t in (await list_copy_targets(house, ADA, here, session))[0]] == ["ada/climate"]


async def test_who_may_not_see_the_one_or_change_the_other_copies_nothing(house):
    session = there(house)
    for person, to in ((BOB, "bob/rivers"), (DAVE, "ada/climate")):
        with pytest.raises(NotFoundError):
            await copy_session(house, person, "ada/climate", session.id, to)
    with pytest.raises(NotFoundError):
        await copy_session(house, ADA, "ada/climate", session.id, "bob/rivers")
    with pytest.raises(NotFoundError):
        await copy_session(house, BOB, "bob/rivers", session.id, "bob/rivers")
    await member(house, "bob", Role.VIEWER)
    with pytest.raises(ForbiddenError):
        await copy_session(house, BOB, "ada/climate", session.id, "ada/climate")


async def test_only_projects_that_one_may_change_are_offered_the_own_one_first(house):
    session = there(house)
    here = await get_project(house, ADA, "ada/climate")
    with house.db.write() as tx:
        made.project(tx, "ada/lakes", title="Lakes")
    assert [t.title for t in (await list_copy_targets(house, ADA, here, session))[0]] == ["Climate", "Lakes"]
    found, _ = await list_copy_targets(house, ADA, here, session, search="lake")
    assert [t.title for t in found] == ["Lakes"]
    await member(house, "bob", Role.VIEWER)
    assert [t.title for t in (await list_copy_targets(house, BOB, here, session))[0]] == ["Rivers"]


async def test_what_is_retired_is_copied_no_more(house):
    session = there(house, state=EnvironmentState.ARCHIVED)
    with pytest.raises(InvalidInputError) as refused:
        await copy_session(house, ADA, "ada/climate", session.id, "ada/climate")
    assert refused.value.code == "env_archived"
