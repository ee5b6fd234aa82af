"""Migrations go up and down, agree with the code, keep rows, and leave the hub's tables alone."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from jupyterhub import dbutil, orm
from sqlalchemy import Engine, create_engine, event, inspect, text
from sqlalchemy.pool import NullPool

from renku_spawner.persistence import migrate
from renku_spawner.persistence.columns import ALEMBIC_VERSION_TABLE, TABLE_PREFIX, metadata
from renku_spawner.persistence.database import Database, create_database_engine
from renku_spawner.persistence.migrate import (
    SchemaOutOfDate,
    _load_migration_scripts,
    check_schema,
    compare_schema,
    downgrade_schema,
    get_head_schema_revision,
    get_schema_revision,
    prepare_schema,
    upgrade_schema,
)

from .made import DIGEST, NOW, REPOSITORIES, environment, installed, launch, newest, project, session, sighting, started

ROOT = Path(__file__).parents[2]
# A revision of JupyterHub 4; below it, the hub's own steps down fail with the SQLAlchemy of today.
OLD_HUB = "3c2384c5aae1"
# Rows that no store makes in one call.
SEEDS = [
    "INSERT INTO renku_paths VALUES ('ada/old', :project)",
    "INSERT INTO renku_storages VALUES "
    "('sto', :project, 0, 'Era5', 'era5', 's3', '{}', 'bucket', 'user', null, true, 1, 'ada', :now, null)",
    "INSERT INTO renku_storage_credentials VALUES ('sto', 'ada', 'encrypted', :now)",
]


@contextmanager
def engine(url: str) -> Iterator[Engine]:
    made = create_engine(url)
    yield made
    made.dispose()


def tables(url: str) -> set[str]:
    with engine(url) as made:
        return set(inspect(made).get_table_names())


def seed(url: str) -> None:
    """At least one row in every table of today."""
    db = Database(url)
    with db.write() as tx:
        tx.known_users.record_user("ada", NOW)
        made = project(tx, repositories=REPOSITORIES)
        of = session(tx, made, environment(tx, keywords=("ml",)), "Straße")
        started(tx, of)
        tx.launches.add(launch(of, seconds=3))
        tx.software.save(DIGEST, installed(("numpy", "2.3")))
        tx.images.save(sighting())
        tx.ci_images.save(newest())
        tx.audit.add(at=NOW, actor="a", username="b", action="c", subject="d", detail={"e": 1})
        tx.expiry.record_job_run("expiry", NOW, "60 7 []")
    with db.engine.begin() as connection:
        for statement in SEEDS:
            connection.execute(text(statement), {"project": made.id, "now": NOW})
    db.dispose()


def rows(url: str) -> dict[str, list[tuple]]:
    """Everything that is stored, as text: columns that a migration adds and removes may come and go."""
    with engine(url) as made, made.connect() as connection:
        found = {name: connection.execute(text(f"SELECT * FROM {name}")).mappings() for name in sorted(tables(url))}
        return {
            name: sorted(tuple(sorted((key, str(value)) for key, value in row.items())) for row in mappings)
            for name, mappings in found.items()
            if name.startswith(TABLE_PREFIX) and name != ALEMBIC_VERSION_TABLE
        }


def revisions() -> list[str]:
    """Oldest first."""
    return [script.revision for script in _load_migration_scripts().walk_revisions()][::-1]


def test_every_migration_goes_up_and_down(database_url: str) -> None:
    steps = revisions()
    for step in steps:
        upgrade_schema(database_url, step)
        assert get_schema_revision(database_url) == step
    check_schema(database_url)
    for step in [*steps[-2::-1], "base"]:
        downgrade_schema(database_url, step)
        assert get_schema_revision(database_url) == (None if step == "base" else step)
    assert tables(database_url) == {ALEMBIC_VERSION_TABLE}
    upgrade_schema(database_url)
    assert compare_schema(database_url) == []


def test_rows_are_equal_after_down_and_up_again(database_url: str) -> None:
    upgrade_schema(database_url)
    seed(database_url)
    before = rows(database_url)
    assert sorted(before) == sorted(metadata.tables)
    assert all(before.values())
    for step in revisions()[-2::-1]:  # the first one makes the tables: below it there are no rows
        downgrade_schema(database_url, step)
        kept = tables(database_url)  # the rows of a table that is made later go with it
        if "renku_software" in kept:
            kept.add("renku_packages")  # copied from it again
        upgrade_schema(database_url)
        assert rows(database_url) == {name: before[name] if name in kept else [] for name in before}
    downgrade_schema(database_url, "base")
    upgrade_schema(database_url)
    assert not any(rows(database_url).values())


def test_tables_and_code_agree(database_url: str) -> None:
    upgrade_schema(database_url)
    assert compare_schema(database_url) == []


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        ("ALTER TABLE renku_sessions DROP COLUMN description", "add_column"),
        ("ALTER TABLE renku_sessions ADD COLUMN odd VARCHAR", "remove_column"),
        ("DROP TABLE renku_people", "add_table"),
        ("CREATE TABLE renku_odd (id VARCHAR)", "remove_table"),
        ("DROP INDEX uq_renku_instances_slot", "add_index"),
        ("CREATE INDEX renku_odd ON renku_people (since)", "remove_index"),
    ],
)
def test_a_difference_between_tables_and_code_is_seen(database_url: str, fault: str, seen: str) -> None:
    upgrade_schema(database_url)
    with engine(database_url) as made, made.begin() as connection:
        connection.execute(text(fault))
    assert seen in {difference[0] for difference in compare_schema(database_url)}


def test_indexes_of_the_tables_are_those_of_the_code(database_url: str) -> None:
    """Alembic does not compare the conditions of partial indexes."""
    upgrade_schema(database_url)
    with engine(database_url) as made, made.connect() as connection:
        found = inspect(connection)
        option = f"{connection.dialect.name}_where"
        for table in metadata.tables.values():
            there = {index["name"]: index for index in found.get_indexes(table.name)}
            for index in table.indexes:
                where = str(there[index.name]["dialect_options"].get(option, "")).strip("()")
                wanted = index.dialect_options[connection.dialect.name]["where"]
                assert where == ("" if wanted is None else str(wanted)), index.name


def test_a_fresh_database_is_made_and_made_once(database_url: str) -> None:
    prepare_schema(database_url)
    seed(database_url)
    before = rows(database_url)
    prepare_schema(database_url)
    upgrade_schema(database_url)
    assert rows(database_url) == before


def test_two_hubs_that_start_at_once_make_the_tables_once(database_url: str) -> None:
    code = "import sys; from renku_spawner.persistence import migrate; migrate.prepare_schema(sys.argv[1])"
    hubs = [subprocess.Popen([sys.executable, "-c", code, database_url], cwd=ROOT) for _ in range(3)]
    assert [hub.wait(60) for hub in hubs] == [0, 0, 0]
    check_schema(database_url)


def test_a_database_without_tables_is_refused_with_the_command(database_url: str) -> None:
    assert get_schema_revision(database_url) is None
    with pytest.raises(SchemaOutOfDate, match="renku-spawner db upgrade"):
        check_schema(database_url)


@pytest.fixture
def with_a_second_migration(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The migrations of a later release."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    for file in migrate._MIGRATIONS_DIR.glob("*.py"):
        (folder / file.name).write_text(file.read_text())
    (folder / "later.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\n"
        f"revision, down_revision = 'later', '{get_head_schema_revision()}'\n"
        "def upgrade():\n"
        "    with op.batch_alter_table('renku_projects') as table:\n"
        "        table.add_column(sa.Column('colour', sa.String(), nullable=False, server_default='red'))\n"
        "        table.alter_column('title', type_=sa.Text())\n"
        "    op.create_table('renku_more', sa.Column('id', sa.String(), primary_key=True))\n"
        "    op.execute(\"INSERT INTO renku_more VALUES ('a')\")\n"
        "def downgrade():\n"
        "    op.drop_table('renku_more')\n"
        "    with op.batch_alter_table('renku_projects') as table:\n"
        "        table.alter_column('title', type_=sa.String())\n"
        "        table.drop_column('colour')\n"
    )
    monkeypatch.setattr(migrate, "_MIGRATIONS_DIR", folder)


def test_an_older_database_is_refused_until_somebody_allows_the_upgrade(database_url: str, request) -> None:
    prepare_schema(database_url)
    seed(database_url)
    before = rows(database_url)
    request.getfixturevalue("with_a_second_migration")
    for refuse in (prepare_schema, check_schema):
        with pytest.raises(SchemaOutOfDate, match="renku-spawner db upgrade"):
            refuse(database_url)
    assert rows(database_url) == before
    prepare_schema(database_url, upgrade=True)
    check_schema(database_url)


def test_a_table_is_changed_without_losing_what_refers_to_it(database_url: str, request) -> None:
    prepare_schema(database_url)
    seed(database_url)
    before = rows(database_url)
    request.getfixturevalue("with_a_second_migration")
    first, latest = revisions()[-2:]
    assert latest == "later"
    upgrade_schema(database_url)
    changed = rows(database_url)
    assert changed["renku_members"] == before["renku_members"]
    assert ("colour", "red") in changed["renku_projects"][0]
    downgrade_schema(database_url, first)
    assert rows(database_url) == before
    assert compare_schema(database_url) == []


@pytest.mark.parametrize("upgrade", [False, True])
def test_a_newer_database_is_refused_and_left_alone(database_url: str, upgrade: bool) -> None:
    prepare_schema(database_url)
    with engine(database_url) as made, made.begin() as connection:
        connection.execute(text(f"UPDATE {ALEMBIC_VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(SchemaOutOfDate, match="9999, which is newer"):
        prepare_schema(database_url, upgrade=upgrade)
    with pytest.raises(SchemaOutOfDate, match="pip install --upgrade renku-spawner"):
        check_schema(database_url)
    assert get_schema_revision(database_url) == "9999"


class Stop(Exception):
    pass


def failing_after(number: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the statement that follows the first *number* that change something fail; list those that ran."""
    ran: list[str] = []
    plain = create_database_engine

    def before(_connection, _cursor, statement: str, _parameters, _context, _many) -> None:
        if statement.split(maxsplit=1)[0].upper() in ("SELECT", "PRAGMA", "BEGIN", "SET"):
            return
        if len(ran) == number:
            raise Stop
        ran.append(statement)

    def made(url: str, **more: object) -> Engine:
        result = plain(url, **more)
        event.listen(result, "before_cursor_execute", before)
        return result

    monkeypatch.setattr(migrate, "create_database_engine", made)
    return ran


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_migration_that_fails_half_way_can_be_run_again(
    database_url: str, direction: str, monkeypatch: pytest.MonkeyPatch, request
) -> None:
    if direction == "down":
        request.getfixturevalue("with_a_second_migration")
        upgrade_schema(database_url)

    def run() -> None:
        (upgrade_schema if direction == "up" else downgrade_schema)(*goal)

    goal = (database_url,) if direction == "up" else (database_url, "base")
    before, number = (tables(database_url), get_schema_revision(database_url)), 0
    while True:
        with monkeypatch.context() as patch:
            ran = failing_after(number, patch)
            try:
                run()
            except Stop:
                assert (tables(database_url), get_schema_revision(database_url)) == before
                number += 1
                continue
        break
    assert len(ran) == number > 12
    assert get_schema_revision(database_url) == (get_head_schema_revision() if direction == "up" else None)


def hub_revision(url: str) -> str:
    with engine(url) as made, made.connect() as connection:
        (found,) = connection.execute(text("SELECT version_num FROM alembic_version")).scalars()
        return found


def hub_head(tmp_path) -> str:
    url = f"sqlite:///{tmp_path / 'fresh-hub.sqlite'}"
    open_hub(url)
    return hub_revision(url)


def open_hub(url: str) -> None:
    """What the hub does at its start; raises when its tables are not those of its release."""
    with orm.new_session_factory(url, poolclass=NullPool)() as session:
        if session.query(orm.User).first() is None:
            session.add(orm.User(name="ada"))
            session.commit()
        assert session.query(orm.User.name).scalar() == "ada"


def test_the_hub_starts_before_and_after_us(database_url: str) -> None:
    prepare_schema(database_url)
    open_hub(database_url)
    downgrade_schema(database_url, "base")
    open_hub(database_url)
    prepare_schema(database_url)
    open_hub(database_url)
    assert hub_revision(database_url) != get_schema_revision(database_url)
    assert compare_schema(database_url) == []


def test_the_hub_that_came_first_keeps_its_tables(database_url: str) -> None:
    open_hub(database_url)
    before = tables(database_url)
    prepare_schema(database_url)
    assert tables(database_url) == before | set(metadata.tables) | {ALEMBIC_VERSION_TABLE}
    assert compare_schema(database_url) == []
    downgrade_schema(database_url, "base")
    assert tables(database_url) == before | {ALEMBIC_VERSION_TABLE}
    open_hub(database_url)


@pytest.mark.parametrize("ours_first", [True, False], ids=["ours first", "ours last"])
def test_the_upgrade_of_an_old_hub_is_unaffected(database_url: str, ours_first: bool, tmp_path) -> None:
    open_hub(database_url)
    run_alembic(database_url, "downgrade", OLD_HUB)
    with pytest.raises(orm.DatabaseSchemaMismatch):
        open_hub(database_url)
    if ours_first:
        prepare_schema(database_url)
        seed(database_url)
        before = rows(database_url)
    dbutil.upgrade(database_url)
    open_hub(database_url)
    if not ours_first:
        prepare_schema(database_url)
        seed(database_url)
        before = rows(database_url)
    open_hub(database_url)
    assert hub_revision(database_url) == hub_head(tmp_path)
    check_schema(database_url)
    assert compare_schema(database_url) == []
    assert rows(database_url) == before


def run_alembic(url: str, *words: str) -> None:
    with dbutil._temp_alembic_ini(url) as ini:
        dbutil.check_call(["alembic", "-c", ini, *words])
