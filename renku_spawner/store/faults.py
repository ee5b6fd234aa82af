"""What can go wrong with a database, in three words of our own."""

from __future__ import annotations

import re
import sqlite3

from sqlalchemy import Index, PrimaryKeyConstraint
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from .tables import metadata

# What a person hears about when two things would be the same.
_CLASHES = {
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
_LOCKED = {5, 6}  # SQLITE_BUSY and SQLITE_LOCKED, https://sqlite.org/rescode.html
# Serialization failure, deadlock, lock not available; https://www.postgresql.org/docs/current/errcodes-appendix.html
_TRY_AGAIN = {"40001", "40P01", "55P03"}
# Connection exceptions, and the server says that it goes or is still coming.
_GONE = ("08", "57P")


class Busy(Exception):
    """Somebody else is writing, or the server went away: run the whole unit of work again."""


class Clash(Exception):
    """It would be the same as something that is there.

    `what` is one of `path`, `title`, `directory`, `slot`, `instance`, `revision`, `image`, `build`, `storage`, `key`.
    """

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class Lost(Exception):
    """Somebody else was faster: what the caller read is not what is stored."""


def _columns() -> dict[str, str]:
    """SQLite names no index in its message, but the columns of it."""
    found = {}
    for table in metadata.tables.values():
        uniques: list[Index | PrimaryKeyConstraint] = [*table.indexes, table.primary_key]
        for unique in uniques:
            columns = ", ".join(f"{table.name}.{column.name}" for column in unique.columns)
            found[columns] = _CLASHES.get(str(unique.name), "")
    return found


_COLUMNS = _columns()
_UNIQUE = re.compile(r"UNIQUE constraint failed: (.*)")


def translated(problem: DBAPIError | PoolTimeout) -> Exception:
    """The fault in our words, or the problem itself when it is a defect."""
    if isinstance(problem, PoolTimeout):
        return Busy("All connections are in use.")
    if isinstance(problem, IntegrityError):
        what = _clash(problem.orig)
        return Clash(what) if what else problem
    return Busy(str(problem.orig)) if _is_busy(problem) else problem


def _clash(cause: BaseException | None) -> str | None:
    constraint = getattr(getattr(cause, "diag", None), "constraint_name", None)
    if constraint:
        return _CLASHES.get(constraint)
    failed = _UNIQUE.fullmatch(str(cause))
    return _COLUMNS.get(failed[1]) if failed else None


def _is_busy(problem: DBAPIError) -> bool:
    cause = problem.orig
    if isinstance(cause, sqlite3.Error):
        return cause.sqlite_errorcode & 0xFF in _LOCKED
    state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    if state is None:  # no answer came at all: the connection broke, or was never made
        return problem.connection_invalidated or isinstance(problem, OperationalError)
    return state in _TRY_AGAIN or state.startswith(_GONE)
