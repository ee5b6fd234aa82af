"""Sessions come back with what they run, in their order, and titles are unique among the living."""

import pytest

from renku_spawner.domain.errors import InvalidInputError
from renku_spawner.domain.resource_classes import ResourceRequirements
from renku_spawner.domain.sessions import SessionChange, SessionConfiguration
from renku_spawner.domain.text import fold_title
from renku_spawner.persistence.database import Database
from renku_spawner.persistence.statements import ConcurrentUpdate, UniqueConflict

from .made import NOW, environment, later, project, revision, session

CONFIGURATION = SessionConfiguration(
    needs=ResourceRequirements(cpu="2", memory="4Gi", gpu=1, disk="20Gi"),
    repositories=("analysis", "Data"),
    variables={"SEED": "42", "EMPTY": "", "QUOTE": "\"'%_\\"},
)


def test_a_session_is_read_as_it_was_added(db: Database) -> None:
    with db.write() as tx:
        made = session(tx, project(tx), environment(tx), "Été", description="a\nb", configuration=CONFIGURATION)
    with db.read() as tx:
        assert tx.sessions.get(made.id) == made
        assert tx.sessions.list_for_project(made.project) == ([made], None)
        assert tx.sessions.get("unknown") is None


@pytest.mark.parametrize("chosen", [None, (), ("a",)])
def test_all_repositories_and_none_of_them_are_not_the_same(db: Database, chosen: tuple[str, ...] | None) -> None:
    with db.write() as tx:
        made = session(tx, project(tx), environment(tx), configuration=SessionConfiguration(repositories=chosen))
    with db.read() as tx:
        assert tx.sessions.get(made.id).configuration.repositories == chosen


def test_a_title_is_taken_whatever_its_case_until_its_session_is_removed(db: Database) -> None:
    with db.write() as tx:
        where, what = project(tx), environment(tx)
        first = session(tx, where, what, "Straße")
    with pytest.raises(UniqueConflict) as clash, db.write() as tx:
        session(tx, where, what, "STRASSE")
    assert clash.value.what == "title"
    with db.write() as tx:
        tx.sessions.delete(first.id, NOW)
        second = session(tx, where, what, "strasse")
        session(tx, project(tx, "ada/other"), what, "strasse")
        assert tx.sessions.list_folded_titles(where.id) == {fold_title("Straße")}
        assert tx.sessions.list_ids_and_titles(where.id) == [(second.id, "strasse")]


def test_a_removed_session_is_found_only_by_who_asks_for_removed_ones(db: Database) -> None:
    with db.write() as tx:
        where = project(tx)
        made = session(tx, where, environment(tx))
        tx.sessions.delete(made.id, later(1))
        tx.sessions.delete(made.id, later(2))
        assert tx.sessions.get(made.id) is None
        assert tx.sessions.get(made.id, deleted=True).deleted_at == later(1)
        assert tx.sessions.count_for_project(where.id) == 0
        assert tx.sessions.list_for_project(where.id) == ([], None)


def test_the_kept_count_is_what_counting_gives(db: Database) -> None:
    with db.write() as tx:
        where, what = project(tx), environment(tx)
        made = [session(tx, where, what, str(n)) for n in range(7)]
        for one in made[::3]:
            tx.sessions.delete(one.id, NOW)
        assert tx.sessions.count_for_project(where.id) == len(tx.sessions.list_ids_and_titles(where.id)) == 4
        assert tx.sessions.count_for_project("unknown") == 0


def test_pages_follow_each_other_in_the_order_of_adding(db: Database) -> None:
    with db.write() as tx:
        where, what = project(tx), environment(tx)
        made = [session(tx, where, what, str(n)) for n in range(7)]
        session(tx, project(tx, "ada/other"), what)
        first, after = tx.sessions.list_for_project(where.id, limit=3)
        second, more = tx.sessions.list_for_project(where.id, limit=3, after=after)
        third, end = tx.sessions.list_for_project(where.id, limit=3, after=more)
    assert ([*first, *second, *third], end) == (made, None)
    assert [len(first), len(second), len(third)] == [3, 3, 1]


@pytest.mark.parametrize(
    ("keyword", "search", "found"),
    [
        (None, "50%", ["Growth 50%"]),
        (None, "%", ["Growth 50%"]),
        (None, "_", []),
        (None, "PYTHON", ["Growth 50%", "Plain"]),
        (None, "notes", ["Plain"]),
        ("ml", "", ["Deep"]),
        ("ML", "eep", ["Deep"]),
        ("m", "", []),
    ],
)
def test_sessions_are_found_by_what_they_say_and_by_their_environment(
    db: Database, keyword: str | None, search: str, found: list[str]
) -> None:
    with db.write() as tx:
        where, python = project(tx), environment(tx, "Python")
        session(tx, where, python, "Growth 50%")
        session(tx, where, python, "Plain", description="my notes")
        session(tx, where, environment(tx, "R", keywords=("ml",)), "Deep")
        page, _ = tx.sessions.list_for_project(where.id, keyword=keyword, search=search)
    assert [one.title for one in page] == found


@pytest.mark.parametrize(
    "after", ["x", "WyJhIiwiYiJd", "WzFlNDAwLCJhIl0", "WzEyMzQ1Njc4OTAxMiwiYSJd", "W3RydWUsImEiXQ"]
)
def test_an_invented_place_is_refused(db: Database, after: str) -> None:
    with pytest.raises(InvalidInputError), db.read() as tx:
        tx.sessions.list_for_project("p", after=after)


def test_a_change_writes_what_it_says_and_is_lost_when_somebody_was_faster(db: Database) -> None:
    with db.write() as tx:
        old = session(tx, project(tx), environment(tx), description="stays")
    with db.write() as tx:
        new = tx.sessions.update(old, SessionChange(version=1, title="New", configuration=CONFIGURATION), NOW)
    assert (new.title, new.description, new.configuration, new.version) == ("New", "stays", CONFIGURATION, 2)
    with pytest.raises(ConcurrentUpdate), db.write() as tx:
        tx.sessions.update(new, SessionChange(version=1, title="Newer"), NOW)
    with db.read() as tx:
        assert tx.sessions.get(old.id) == new


def test_a_change_to_a_taken_title_clashes(db: Database) -> None:
    with db.write() as tx:
        where, what = project(tx), environment(tx)
        session(tx, where, what, "One")
        two = session(tx, where, what, "Two")
    with pytest.raises(UniqueConflict) as clash, db.write() as tx:
        tx.sessions.update(two, SessionChange(version=1, title="ONE"), NOW)
    assert clash.value.what == "title"


@pytest.mark.parametrize("version", [1, 2])
def test_a_removed_session_cannot_be_changed(version: int, db: Database) -> None:
    with db.write() as tx:
        made = session(tx, project(tx), environment(tx))
        tx.sessions.delete(made.id, NOW)
    with pytest.raises(ConcurrentUpdate), db.write() as tx:
        tx.sessions.update(made, SessionChange(version=version, title="x"), NOW)


def test_a_newer_revision_changes_nothing_until_the_session_is_pinned_to_it(db: Database) -> None:
    with db.write() as tx:
        what = environment(tx)
        made = session(tx, project(tx), what)
        newer = tx.environments.add_revision(what.id, revision(digest=None), by="admin", now=later(1))
        found = tx.sessions.get(made.id)
        assert (found.revision, found.environment.revision) == (what.revision, newer)
        pinned = tx.sessions.pin_revision(found, newer)
    assert (pinned.revision, pinned.version) == (newer, 2)
    with pytest.raises(ConcurrentUpdate), db.write() as tx:
        tx.sessions.pin_revision(found, what.revision)


def test_the_oldest_besides_one_succeeds_it(db: Database) -> None:
    with db.write() as tx:
        where, what = project(tx), environment(tx)
        younger = session(tx, where, what, "younger", now=later(2))
        older = session(tx, where, what, "older", now=later(1))
        assert tx.sessions.find_oldest_except(where.id, but=younger.id) == older
        assert tx.sessions.find_oldest_except(where.id, but=older.id) == younger
        tx.sessions.delete(younger.id, NOW)
        assert tx.sessions.find_oldest_except(where.id, but=older.id) is None
