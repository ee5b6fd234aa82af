"""Making and changing the tables; the hub's own tables and its version are never touched.

Alembic runs without an `env.py`, in one transaction that also SQLite undoes as a
whole: a step that fails leaves nothing behind and can be run again.
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
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from . import losses
from .columns import PREFIX, VERSION_TABLE
from .database import database_file, engine
from .tables import metadata

_FOLDER = Path(__file__).with_name("migrations")
# Seconds; nobody waits for a page while tables change.
_WAIT = 30
# Any number that nobody else takes: two hubs that start at once upgrade one after the other.
_ADVISORY_LOCK = 0x72656E6B75

Steps = Callable[[ScriptDirectory, Any], list[Any]]


class OutOfDate(Exception):
    """The tables are not those of this release; the argument says what to do."""


class Loses(Exception):
    """A step back would lose what the argument lists; nothing has been changed."""


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the tables up to *revision*; nothing happens when they are there."""
    with _changing(url) as connection:
        _step(connection, lambda scripts, now: scripts._upgrade_revs(revision, now))


def downgrade(url: str, revision: str, *, may_lose: bool = True) -> list[str]:
    """Bring the tables down to *revision*; `base` removes them with everything in them. Returns what was lost.

    Raises:
        OutOfDate: from where the tables are, no step of this release leads down to *revision*.
        Loses: something would be lost, and *may_lose* is off.
        FileNotFoundError: there is no such database.
    """
    _require_file(url)
    with _changing(url) as connection:
        _require_below(_context(connection).get_current_revision(), revision)
        before = losses.stored(connection)
        _step(connection, lambda scripts, now: scripts._downgrade_revs(revision, now))
        lost = losses.lost(before, losses.stored(connection))
        if lost and not may_lose:
            raise Loses(lost)
    return lost


def current(url: str) -> str | None:
    """The revision of the tables; None when there are none yet."""
    with _connected(url) as connection:
        return _context(connection).get_current_revision()


def head() -> str:
    """The revision that this release needs."""
    return str(_scripts().get_current_head())


def check(url: str) -> None:
    """Look, and make nothing: not even an empty file where SQLite's is missing.

    Raises:
        OutOfDate: the tables are not those of this release.
        FileNotFoundError: there is no such database.
    """
    _require_file(url)
    _refuse(current(url))


def prepare(url: str, upgrade: bool = False) -> None:
    """Make the tables in a fresh database; bring older ones up only if *upgrade* is set.

    Raises:
        OutOfDate: the tables are older, and nobody said that they may be changed, or newer.
    """
    revision = current(url)
    if revision is None or (upgrade and revision in _known()):
        with _changing(url) as connection:
            _step(connection, lambda scripts, now: scripts._upgrade_revs("head", now))
    else:
        _refuse(revision)


def diff(url: str) -> list[Any]:
    """How the tables differ from what the code expects, in Alembic's words; empty when they agree."""
    with _connected(url) as connection:
        return list(compare_metadata(_context(connection), metadata))


def _require_file(url: str) -> None:
    file = database_file(url)
    if file is not None and not file.exists():
        raise FileNotFoundError(f"There is no database {file}. Its address is given with --url.")


def _refuse(revision: str | None) -> None:
    if revision == head():
        return
    if revision is None:
        raise OutOfDate("This database has no tables of Renku yet. Please run: renku-spawner db upgrade")
    if revision in _known():
        raise OutOfDate(
            f"Renku's tables are of revision {revision}, this release needs {head()}. "
            "Please make a backup of the database, then run: renku-spawner db upgrade"
        )
    raise OutOfDate(
        f"Renku's tables are of revision {revision}, which is newer than this release knows ({head()}). "
        "Please run: pip install --upgrade renku-spawner && renku-spawner db upgrade; "
        f"or go back to this release by running with the newer one: renku-spawner db downgrade {head()}"
    )


def _require_below(now: str | None, revision: str) -> None:
    """Raises OutOfDate unless *revision* is one to which the tables can go back, or where they are."""
    if now is None or now not in _known():
        _refuse(now)
    below = [*(script.revision for script in _scripts().iterate_revisions(now, "base")), "base"]
    if revision not in below:
        raise OutOfDate(f"From revision {now} Renku's tables can go back to {', '.join(below[1:])}, not to {revision}.")


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(_FOLDER, version_locations=[_FOLDER])


def _known() -> set[str]:
    return {script.revision for script in _scripts().walk_revisions()}


@contextmanager
def _changing(url: str) -> Iterator[Connection]:
    """One transaction, and nobody else who changes tables meanwhile."""
    with _connected(url) as connection:
        _lock(connection)
        yield connection
        _check_references(connection)
        connection.commit()


def _step(connection: Connection, steps: Steps) -> None:
    scripts = _scripts()
    with EnvironmentContext(Config(), scripts) as environment:
        environment.configure(connection, fn=lambda now, _context: steps(scripts, now), **_options())
        environment.run_migrations()


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    made = engine(url, patience=_WAIT)  # another hub may make the tables just now
    try:
        with _opened(made) as connection:
            yield connection
    finally:
        made.dispose()


def _opened(made: Engine) -> Connection:
    """Raises ConnectionError: a sentence for the admin; the address may hold a password and is not repeated."""
    try:
        return made.connect()
    except DBAPIError as problem:
        said = " ".join(str(problem.orig).split())
        raise ConnectionError(f"The database cannot be opened: {said}") from None


def _lock(connection: Connection) -> None:
    """One at a time, before it is read which steps are due."""
    if connection.dialect.name == "sqlite":
        # Tables are copied and dropped; with it on, dropping one would empty those that refer to it.
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_WAIT}s'")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")


def _check_references(connection: Connection) -> None:
    """What SQLite was told not to look at meanwhile; PostgreSQL has looked all along."""
    if connection.dialect.name == "sqlite":
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
        ours = [row for row in broken if str(row[0]).startswith(PREFIX)]
        if ours:
            raise RuntimeError(f"A migration has broken references: {ours[:3]}")


def _is_ours(name: str | None, kind: str, _parents: object) -> bool:
    """Alembic would otherwise propose to drop the hub's tables (traps.md 5)."""
    return kind != "table" or bool(name and name.startswith(PREFIX) and name != VERSION_TABLE)


def _options() -> dict[str, Any]:
    return {
        "target_metadata": metadata,
        "version_table": VERSION_TABLE,
        "include_name": _is_ours,
        "render_as_batch": True,
        "compare_type": True,
    }


def _context(connection: Connection) -> MigrationContext:
    return MigrationContext.configure(connection, opts=_options())
