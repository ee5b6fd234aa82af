"""Projects of the hub's own people: the source decides who may know of them."""

import sqlite3
from collections.abc import Iterator

import pytest

from renku_spawner.domain.access import Person, ProjectAction
from renku_spawner.domain.errors import ForbiddenError, NotFoundError
from renku_spawner.domain.projects import Project
from renku_spawner.integrations.project_source import HubProjectSource, ProjectSource
from renku_spawner.persistence.database import Database
from tests.persistence.made import project

ADA, EVE = Person(name="ada"), Person(name="eve", groups=frozenset({"lab"}), admin=True)


@pytest.fixture
def db(tables_url: str) -> Iterator[Database]:
    database = Database(tables_url)
    yield database
    database.dispose()


@pytest.fixture
def private(db: Database) -> Project:
    with db.write() as tx:
        return project(tx, "ada/private", title="A")


@pytest.fixture
def public(db: Database) -> Project:
    with db.write() as tx:
        return project(tx, "ada/public", title="B", public=True)


async def test_a_project_is_found_by_id_and_by_path(db: Database, private: Project) -> None:
    source: ProjectSource = HubProjectSource(db)
    for ref in (private.id, "ada/private", "ADA/Private"):
        assert await source.get_project(ADA, ref, ProjectAction.MANAGE) == private


async def test_a_stranger_cannot_tell_a_private_project_from_none(db: Database, private: Project) -> None:
    said = []
    for ref in (private.id, private.path, "aaaaaaaaaaaa", "ada/none", "", "../x", "%00"):
        with pytest.raises(NotFoundError) as refusal:
            await HubProjectSource(db).get_project(EVE, ref, ProjectAction.READ)
        said.append((refusal.value.message, refusal.value.code, refusal.value.fields, refusal.value.details))
    assert said == [said[0]] * len(said)


async def test_whoever_is_logged_in_sees_a_public_project_and_may_not_change_it(db: Database, public: Project) -> None:
    source = HubProjectSource(db)
    assert await source.get_project(EVE, public.id, ProjectAction.LAUNCH) == public
    with pytest.raises(ForbiddenError):
        await source.get_project(EVE, public.id, ProjectAction.WRITE)


async def test_the_list_is_what_get_would_show(db: Database, private: Project, public: Project) -> None:
    source = HubProjectSource(db)
    for person, seen in ((ADA, ["ada/private", "ada/public"]), (EVE, ["ada/public"])):
        entries, after = await source.list_projects(person)
        assert ([entry.path for entry in entries], after) == (seen, None)
    entries, after = await source.list_projects(ADA, limit=1)
    assert [entry.path for entry in (await source.list_projects(ADA, after=after))[0]] != [entries[0].path]
    assert [entry.path for entry in (await source.list_projects(ADA, search="PRIV"))[0]] == ["ada/private"]


async def test_a_reader_waits_for_nobody_who_writes(sqlite_tables_url: str) -> None:
    db = Database(sqlite_tables_url)
    with db.write() as tx:
        made = project(tx)
    holder = sqlite3.connect(sqlite_tables_url.removeprefix("sqlite:///"), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    assert await HubProjectSource(db).get_project(ADA, made.id, ProjectAction.READ) == made
    holder.close()
    db.dispose()
