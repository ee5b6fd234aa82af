"""Going back to older tables: what it loses is counted first, and agreed to."""

import pytest

from renku_spawner.persistence.migrate import (
    DERIVED_COLUMNS,
    LOST_DATA_DESCRIPTIONS,
    DowngradeLosesData,
    SchemaOutOfDate,
    compare_schema,
    count_stored_rows,
    downgrade_schema,
    get_head_schema_revision,
    get_schema_revision,
    upgrade_schema,
)
from renku_spawner.persistence.tables import metadata

from .test_migrations import engine, revisions, rows, seed


def columns(url: str) -> set[str]:
    """Tables, and columns as `table.column`."""
    with engine(url) as made, made.connect() as connection:
        return set(count_stored_rows(connection))


def test_what_would_be_lost_is_listed_and_nothing_is_changed_until_somebody_agrees(database_url: str) -> None:
    upgrade_schema(database_url)
    seed(database_url)
    before = rows(database_url)
    with pytest.raises(DowngradeLosesData) as refused:
        downgrade_schema(database_url, "0001", may_lose=False)
    assert "1 lists of what is installed in images; looked up again after the next upgrade" in refused.value.args[0]
    assert (rows(database_url), get_schema_revision(database_url)) == (before, get_head_schema_revision())
    assert downgrade_schema(database_url, "0001") == refused.value.args[0]
    assert get_schema_revision(database_url) == "0001"


def test_what_loses_nothing_is_done_at_once(database_url: str) -> None:
    upgrade_schema(database_url)
    assert downgrade_schema(database_url, "0001", may_lose=False) == []
    upgrade_schema(database_url)
    assert compare_schema(database_url) == []


def test_whoever_removes_the_tables_reads_how_much_is_in_them(database_url: str) -> None:
    upgrade_schema(database_url)
    seed(database_url)
    lost = downgrade_schema(database_url, "base")
    assert "1 projects" in lost
    assert len(lost) == len(metadata.tables)


def test_all_that_a_step_back_can_lose_has_words(sqlite_url: str) -> None:
    upgrade_schema(sqlite_url)
    newest = columns(sqlite_url)
    downgrade_schema(sqlite_url, "0001")
    gone = newest - columns(sqlite_url)
    with_its_table = {name for name in gone if "." in name and name.partition(".")[0] in gone}
    assert gone - with_its_table <= LOST_DATA_DESCRIPTIONS.keys() | DERIVED_COLUMNS


@pytest.mark.parametrize("revision", ["0002", "head", "7", "-1", ""])
def test_only_a_revision_below_is_one_to_go_back_to(sqlite_url: str, revision: str) -> None:
    upgrade_schema(sqlite_url, "0001")
    with pytest.raises(SchemaOutOfDate, match="From revision 0001 Renku's tables can go back to base"):
        downgrade_schema(sqlite_url, revision)
    assert get_schema_revision(sqlite_url) == "0001"


def test_tables_of_a_newer_release_go_back_by_that_release(sqlite_url: str) -> None:
    upgrade_schema(sqlite_url)
    with engine(sqlite_url) as made, made.begin() as connection:
        connection.exec_driver_sql("UPDATE renku_alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaOutOfDate, match=f"renku-spawner db downgrade {revisions()[-1]}$"):
        downgrade_schema(sqlite_url, "0001")
