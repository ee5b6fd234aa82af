"""Upgrade, downgrade and check the database schema with Alembic, and report what a downgrade loses.

The hub's own tables are never touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, MetaData, Table, func, select
from sqlalchemy.exc import DBAPIError

from .columns import ALEMBIC_VERSION_TABLE, TABLE_PREFIX, metadata
from .database import create_database_engine, get_sqlite_file

# Number of rows by `table`, and number of non-null values by `table.column`.
RowCounts = dict[str, int]

# Descriptions for admins; a table or column that is missing here is reported by its name.
LOST_DATA_DESCRIPTIONS = {
    "renku_software": "lists of what is installed in images; looked up again after the next upgrade",
    "renku_images": "answers of registries; they are asked again after the next upgrade",
    "renku_builds": "answers of GitLab about images of its CI; it is asked again after the next upgrade",
    "renku_packages": "names of packages for the search; copied again from those lists after the next upgrade",
    "renku_projects.listed": "choices which projects are kept out of searches",
    "renku_projects.directory": "names of the directories of projects' own repositories in GitLab",
    "renku_revisions.built": "origins of images that CI has built: branch, commit, pipeline",
    "renku_sessions.dismissed": "newer images that editors dismissed",
    "renku_launches.stages": "durations of the stages of past starts",
    "renku_instances.spent": "durations of the stages of current starts",
    "renku_rounds": "times of the last successful periodic jobs; expiry periods start again",
    "renku_instances.turn": "queued starts, which users have to request again",
    "renku_storages": "storages of projects, with their saved credentials",
    "renku_storage_credentials": "credentials that users saved for storages",
    "renku_sessions.storages": "selections of storages for sessions",
    "renku_instances.awake_until": "times until which users keep sessions awake",
    "renku_instances.idle_pause": "idle times after which sessions of an environment are paused",
    "renku_instances.reported_at": "times of the last reports of sessions; they report again after the next upgrade",
    "renku_instances.disk_used": "sizes of users' data; sessions report them again after the next upgrade",
    "renku_instances.without_storages": "storages that running sessions were started without",
    "renku_instances.failed_storages": "storages that made a start fail",
    "renku_environments.archived_at": "dates on which environments were archived",
}
# Not reported as lost: an upgrade derives these again, or can restart them (a version only detects parallel edits).
# Expiry periods start again, so that nothing is deleted too early.
DERIVED_COLUMNS = {
    "renku_launches.environment", "renku_environments.version", "renku_instances.kept_from",
    "renku_instances.deleted_on", "renku_instances.trashed_until", "renku_instances.look_at", "renku_instances.warned",
    "renku_instances.due_at", "renku_instances.disk_used_at",
}  # fmt: skip


def count_stored_rows(connection: Connection) -> RowCounts:
    """Count the rows and values of Renku's tables, at any schema revision."""
    tables = MetaData()
    tables.reflect(connection, only=lambda name, _: name.startswith(TABLE_PREFIX) and name != ALEMBIC_VERSION_TABLE)
    return {
        name: number
        for table in tables.tables.values()
        for name, number in _count_table_rows(connection, table).items()
    }


def _count_table_rows(connection: Connection, table: Table) -> RowCounts:
    values = [func.count(column).label(f"{table.name}.{column.name}") for column in table.columns]
    statement = select(func.count().label(table.name), *values).select_from(table)
    return dict(connection.execute(statement).mappings().one())


def describe_lost_data(before: RowCounts, after: RowCounts) -> list[str]:
    """Return a line for each table with fewer rows, and for each column with fewer values in the other tables."""
    losses = {name: number - after.get(name, 0) for name, number in before.items() if name not in DERIVED_COLUMNS}
    lost = {name: number for name, number in losses.items() if number > 0}
    tables = {name for name in lost if "." not in name}
    shown = [name for name in lost if name in tables or name.partition(".")[0] not in tables]
    return [f"{lost[name]} {LOST_DATA_DESCRIPTIONS.get(name, name.removeprefix(TABLE_PREFIX))}" for name in shown]


_MIGRATIONS_DIR = Path(__file__).with_name("migrations")
# Longer than in the hub, since no page request waits for a migration.
_MIGRATION_LOCK_TIMEOUT_SECONDS = 30
# An arbitrary unique number (`renku` in ASCII): two hubs that start at the same time upgrade one after the other.
_MIGRATION_ADVISORY_LOCK_ID = 0x72656E6B75

RevisionSteps = Callable[[ScriptDirectory, Any], list[Any]]


class SchemaOutOfDate(ValueError):
    """The schema revision is not that of this release; the message says what to do."""


class DowngradeLosesData(Exception):
    """The downgrade would lose the data that the argument lists; nothing was changed."""


def upgrade_schema(url: str, revision: str = "head") -> None:
    """Upgrade the schema to *revision*; do nothing if it is there already."""
    with _begin_migration(url) as connection:
        _run_migration_steps(connection, lambda scripts, now: scripts._upgrade_revs(revision, now))


def downgrade_schema(url: str, revision: str, *, may_lose: bool = True) -> list[str]:
    """Downgrade the schema to *revision*, and return descriptions of the lost data; `base` removes all tables.

    Raises:
        SchemaOutOfDate: this release has no downgrade path from the present revision to *revision*.
        DowngradeLosesData: data would be lost, and *may_lose* is off.
        FileNotFoundError: the SQLite file does not exist.
    """
    _require_database_file(url)
    with _begin_migration(url) as connection:
        _require_downgrade_target(_create_migration_context(connection).get_current_revision(), revision)
        before = count_stored_rows(connection)
        _run_migration_steps(connection, lambda scripts, now: scripts._downgrade_revs(revision, now))
        lost = describe_lost_data(before, count_stored_rows(connection))
        if lost and not may_lose:
            raise DowngradeLosesData(lost)
    return lost


def get_schema_revision(url: str) -> str | None:
    """Return the schema revision of the database, or None if it has no tables yet."""
    with _open_migration_connection(url) as connection:
        return _create_migration_context(connection).get_current_revision()


def get_head_schema_revision() -> str:
    """Return the schema revision that this release needs."""
    return str(_load_migration_scripts().get_current_head())


def check_schema(url: str) -> None:
    """Check that the schema is up to date. Never create anything, not even an empty SQLite file.

    Raises:
        SchemaOutOfDate: the schema revision is not that of this release.
        FileNotFoundError: the SQLite file does not exist.
    """
    _require_database_file(url)
    _require_head_revision(get_schema_revision(url))


def prepare_schema(url: str, upgrade: bool = False) -> None:
    """Create the tables in an empty database; upgrade older ones only if *upgrade* is set.

    Raises:
        SchemaOutOfDate: the tables are newer, or they are older and *upgrade* is not set.
    """
    revision = get_schema_revision(url)
    if revision is None or (upgrade and revision in _list_known_revisions()):
        with _begin_migration(url) as connection:
            _run_migration_steps(connection, lambda scripts, now: scripts._upgrade_revs("head", now))
    else:
        _require_head_revision(revision)


def compare_schema(url: str) -> list[Any]:
    """Return the differences between the database and the table definitions, as Alembic's diff operations."""
    with _open_migration_connection(url) as connection:
        return list(compare_metadata(_create_migration_context(connection), metadata))


def _require_database_file(url: str) -> None:
    file = get_sqlite_file(url)
    if file is not None and not file.exists():
        raise FileNotFoundError(f"There is no database {file}. Give its URL with --url.")


def _require_head_revision(revision: str | None) -> None:
    if revision == get_head_schema_revision():
        return
    if revision is None:
        raise SchemaOutOfDate("This database has no tables of Renku yet. Please run: renku-spawner db upgrade")
    if revision in _list_known_revisions():
        raise SchemaOutOfDate(
            f"Renku's tables are of revision {revision}, this release needs {get_head_schema_revision()}. "
            "Please make a backup of the database, then run: renku-spawner db upgrade"
        )
    head = get_head_schema_revision()
    raise SchemaOutOfDate(
        f"Renku's tables are of revision {revision}, which is newer than this release knows ({head}). "
        "Please run: pip install --upgrade renku-spawner && renku-spawner db upgrade; "
        f"or go back to this release by running with the newer one: renku-spawner db downgrade {head}"
    )


def _require_downgrade_target(now: str | None, revision: str) -> None:
    """Check that the schema can be downgraded to *revision*, or is there already.

    Raises:
        SchemaOutOfDate: it cannot.
    """
    if now is None or now not in _list_known_revisions():
        _require_head_revision(now)
    below = [*(script.revision for script in _load_migration_scripts().iterate_revisions(now, "base")), "base"]
    if revision not in below:
        raise SchemaOutOfDate(
            f"From revision {now} Renku's tables can go back to {', '.join(below[1:])}, not to {revision}."
        )


def _load_migration_scripts() -> ScriptDirectory:
    return ScriptDirectory(_MIGRATIONS_DIR, version_locations=[_MIGRATIONS_DIR])


def _list_known_revisions() -> set[str]:
    return {script.revision for script in _load_migration_scripts().walk_revisions()}


@contextmanager
def _begin_migration(url: str) -> Iterator[Connection]:
    """Open one transaction that excludes other migrations."""
    with _open_migration_connection(url) as connection:
        _lock_schema(connection)
        yield connection
        _check_foreign_keys(connection)
        connection.commit()


def _run_migration_steps(connection: Connection, steps: RevisionSteps) -> None:
    scripts = _load_migration_scripts()
    with EnvironmentContext(Config(), scripts) as environment:
        environment.configure(connection, fn=lambda now, _context: steps(scripts, now), **_get_alembic_options())
        environment.run_migrations()


@contextmanager
def _open_migration_connection(url: str) -> Iterator[Connection]:
    # Wait longer than in the hub: another hub may be creating the tables right now.
    made = create_database_engine(url, patience=_MIGRATION_LOCK_TIMEOUT_SECONDS)
    try:
        with _connect_engine(made) as connection:
            yield connection
    finally:
        made.dispose()


def _connect_engine(made: Engine) -> Connection:
    """Connect, or raise ConnectionError with a sentence for the admin, without the URL: it may contain a password."""
    try:
        return made.connect()
    except DBAPIError as problem:
        detail = " ".join(str(problem.orig).split())
        raise ConnectionError(f"The database cannot be opened: {detail}") from None


def _lock_schema(connection: Connection) -> None:
    """Lock out other migrations before the current revision is read."""
    if connection.dialect.name == "sqlite":
        # Batch migrations copy and drop tables; with foreign keys on, a drop deletes the rows first and checks the
        # references to them (https://sqlite.org/foreignkeys.html#fk_schemacommands).
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_MIGRATION_LOCK_TIMEOUT_SECONDS}s'")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_ADVISORY_LOCK_ID})")


def _check_foreign_keys(connection: Connection) -> None:
    """Check foreign keys on SQLite, where `_lock_schema` turned them off; PostgreSQL always enforces them."""
    if connection.dialect.name == "sqlite":
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
        ours = [row for row in broken if str(row[0]).startswith(TABLE_PREFIX)]
        if ours:
            raise RuntimeError(f"A migration has broken references: {ours[:3]}")


def _is_renku_table(name: str | None, kind: str, _parents: object) -> bool:
    """Return whether Alembic may compare the table: it would propose to drop the hub's tables otherwise."""
    return kind != "table" or bool(name and name.startswith(TABLE_PREFIX) and name != ALEMBIC_VERSION_TABLE)


def _get_alembic_options() -> dict[str, Any]:
    return {
        "target_metadata": metadata,
        "version_table": ALEMBIC_VERSION_TABLE,
        "include_name": _is_renku_table,
        "render_as_batch": True,
        "compare_type": True,
    }


def _create_migration_context(connection: Connection) -> MigrationContext:
    return MigrationContext.configure(connection, opts=_get_alembic_options())
