"""Execute SQL statements and translate database errors. Search patterns and cursors are in persistence.search."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, CursorResult, Executable, Index, PrimaryKeyConstraint
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from .tables import metadata

# The name that the caller gets for each violated constraint.
_CONFLICTS_BY_CONSTRAINT = {
    "uq_renku_projects_path": "path",
    "uq_renku_repositories_directory": "directory",
    "uq_renku_sessions_title": "title",
    "uq_renku_instances_session": "instance",
    "uq_renku_instances_slot": "slot",
    "uq_renku_revisions_number": "revision",
    "uq_renku_environments_key": "key",
    "pk_renku_images": "image",
    "pk_renku_builds": "build",
    "uq_renku_storages_directory": "storage",
    "pk_renku_storage_credentials": "storage",
}
_SQLITE_LOCKED_CODES = {5, 6}  # SQLITE_BUSY and SQLITE_LOCKED, https://sqlite.org/rescode.html
# Serialization failure, deadlock, lock not available; https://www.postgresql.org/docs/current/errcodes-appendix.html
_RETRYABLE_SQLSTATES = {"40001", "40P01", "55P03"}
# Connection exceptions, and server shutdown or start-up.
_DISCONNECTED_SQLSTATE_PREFIXES = ("08", "57P")


class DatabaseBusy(Exception):
    """Another transaction holds a lock, or the connection broke: run the whole unit of work again."""


class UniqueConflict(Exception):
    """A unique constraint was violated.

    `what` is one of `path`, `title`, `directory`, `slot`, `instance`, `revision`, `image`, `build`, `storage`, `key`.
    """

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class ConcurrentUpdate(Exception):
    """The row was changed since the caller read it (optimistic locking)."""


def _map_columns_to_conflicts() -> dict[str, str]:
    """Return the conflict names by columns: SQLite's message names the columns and not the index."""
    conflicts = {}
    for table in metadata.tables.values():
        uniques: list[Index | PrimaryKeyConstraint] = [*table.indexes, table.primary_key]
        for unique in uniques:
            columns = ", ".join(f"{table.name}.{column.name}" for column in unique.columns)
            conflicts[columns] = _CONFLICTS_BY_CONSTRAINT.get(str(unique.name), "")
    return conflicts


_CONFLICTS_BY_COLUMNS = _map_columns_to_conflicts()
_SQLITE_UNIQUE_FAILED_PATTERN = re.compile(r"UNIQUE constraint failed: (.*)")


def translate_database_error(problem: DBAPIError | PoolTimeout) -> Exception:
    """Return DatabaseBusy or UniqueConflict, or *problem* itself if it is a defect."""
    if isinstance(problem, PoolTimeout):
        return DatabaseBusy("All connections are in use.")
    if isinstance(problem, IntegrityError):
        what = _find_conflict(problem.orig)
        return UniqueConflict(what) if what else problem
    return DatabaseBusy(str(problem.orig)) if _is_database_busy(problem) else problem


def _find_conflict(cause: BaseException | None) -> str | None:
    constraint = getattr(getattr(cause, "diag", None), "constraint_name", None)
    if constraint:
        return _CONFLICTS_BY_CONSTRAINT.get(constraint)
    failed = _SQLITE_UNIQUE_FAILED_PATTERN.fullmatch(str(cause))
    return _CONFLICTS_BY_COLUMNS.get(failed[1]) if failed else None


def _is_database_busy(problem: DBAPIError) -> bool:
    cause = problem.orig
    if isinstance(cause, sqlite3.Error):
        return cause.sqlite_errorcode & 0xFF in _SQLITE_LOCKED_CODES
    state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    if state is None:  # the server did not answer: the connection broke, or was never made
        return problem.connection_invalidated or isinstance(problem, OperationalError)
    return state in _RETRYABLE_SQLSTATES or state.startswith(_DISCONNECTED_SQLSTATE_PREFIXES)


class StatementRunner:
    """Run the statements of the stores on one connection.

    Raises:
        DatabaseBusy: the database is locked or unreachable.
        UniqueConflict: a unique constraint was violated.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.dialect = connection.dialect.name

    def fetch_all(self, statement: Executable, **values: Any) -> Sequence[Sequence[Any]]:
        return self._execute(statement, values).fetchall()

    def fetch_one(self, statement: Executable, **values: Any) -> Sequence[Any] | None:
        return self._execute(statement, values).fetchone()

    def fetch_value(self, statement: Executable, **values: Any) -> Any:
        """Return the first column of the first row, or None if there is no row."""
        row = self._execute(statement, values).fetchone()
        return None if row is None else row[0]

    def execute(self, statement: Executable, **values: Any) -> int:
        """Run the statement and return how many rows it changed."""
        return self._execute(statement, values).rowcount

    def execute_many(self, statement: Executable, values: Sequence[dict[str, Any]]) -> None:
        if values:
            self._execute(statement, values)

    def begin(self, words: str) -> None:
        try:
            self._connection.exec_driver_sql(words)
        except DBAPIError as problem:
            raise translate_database_error(problem) from problem.orig

    def commit(self) -> None:
        try:
            self._connection.commit()
        except DBAPIError as problem:
            raise translate_database_error(problem) from problem.orig

    def _execute(self, statement: Executable, values: Any) -> CursorResult[Any]:
        try:
            return self._connection.execute(statement, values)
        except DBAPIError as problem:
            raise translate_database_error(problem) from problem.orig
