"""Going back to older tables: what it loses is counted first, and agreed to."""

import pytest

from renku_spawner.store import losses, migrate
from renku_spawner.store.migrate import Loses, OutOfDate
from renku_spawner.store.tables import metadata

from .test_migrations import engine, revisions, rows, seed


def columns(url: str) -> set[str]:
    """Tables, and columns as `table.column`."""
    with engine(url) as made, made.connect() as connection:
        return set(losses.stored(connection))


def test_what_would_be_lost_is_listed_and_nothing_is_changed_until_somebody_agrees(database_url: str) -> None:
    migrate.upgrade(database_url)
    seed(database_url)
    before = rows(database_url)
    with pytest.raises(Loses) as refused:
        migrate.downgrade(database_url, "0001", may_lose=False)
    assert "1 lists of what is installed in images; looked up again after the next upgrade" in refused.value.args[0]
    assert (rows(database_url), migrate.current(database_url)) == (before, migrate.head())
    assert migrate.downgrade(database_url, "0001") == refused.value.args[0]
    assert migrate.current(database_url) == "0001"


def test_what_loses_nothing_is_done_at_once(database_url: str) -> None:
    migrate.upgrade(database_url)
    assert migrate.downgrade(database_url, "0001", may_lose=False) == []
    migrate.upgrade(database_url)
    assert migrate.diff(database_url) == []


def test_whoever_removes_the_tables_reads_how_much_is_in_them(database_url: str) -> None:
    migrate.upgrade(database_url)
    seed(database_url)
    lost = migrate.downgrade(database_url, "base")
    assert "1 projects" in lost
    assert len(lost) == len(metadata.tables)


def test_all_that_a_step_back_can_lose_has_words(sqlite_url: str) -> None:
    migrate.upgrade(sqlite_url)
    newest = columns(sqlite_url)
    migrate.downgrade(sqlite_url, "0001")
    gone = newest - columns(sqlite_url)
    with_its_table = {name for name in gone if "." in name and name.partition(".")[0] in gone}
    assert gone - with_its_table <= losses.WORDS.keys() | losses.DERIVED


@pytest.mark.parametrize("revision", ["0002", "head", "7", "-1", ""])
def test_only_a_revision_below_is_one_to_go_back_to(sqlite_url: str, revision: str) -> None:
    migrate.upgrade(sqlite_url, "0001")
    with pytest.raises(OutOfDate, match="From revision 0001 Renku's tables can go back to base"):
        migrate.downgrade(sqlite_url, revision)
    assert migrate.current(sqlite_url) == "0001"


def test_tables_of_a_newer_release_go_back_by_that_release(sqlite_url: str) -> None:
    migrate.upgrade(sqlite_url)
    with engine(sqlite_url) as made, made.begin() as connection:
        connection.exec_driver_sql("UPDATE renku_alembic_version SET version_num = '9999'")
    with pytest.raises(OutOfDate, match=f"renku-spawner db downgrade {revisions()[-1]}$"):
        migrate.downgrade(sqlite_url, "0001")
