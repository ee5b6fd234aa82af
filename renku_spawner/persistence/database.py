"""Connect to SQLite or PostgreSQL, run short transactions, and retry them while the database is busy."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from prometheus_client import Histogram
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ..domain.errors import UnavailableError
from ..observability.metrics import (
    DATABASE_GIVEN_UP_TOTAL,
    DATABASE_READ_SECONDS,
    DATABASE_RETRIES_TOTAL,
    DATABASE_WRITE_SECONDS,
)
from .administration import AdministrationStore
from .audit import AuditStore
from .ci_images import CiImageStore
from .environments import EnvironmentStore, EnvironmentUsageStore, RevisionCache, RevisionStore
from .images import ImageStore, SoftwareStore
from .instances import ExpiryStore, IdleCheckStore, InstanceStore, LaunchStore, OwnedInstanceStore, StartQueueStore
from .projects import ExternalProjectStore, ProjectStore
from .session_search import SessionSearchStore
from .sessions import SessionStore
from .statements import DatabaseBusy, StatementRunner, translate_database_error
from .storages import StorageStore
from .users import KnownUserStore

AnyDatabaseError = SQLAlchemyError  # also of the hub's own session
# Short: a longer wait would block the hub's event loop, so callers sleep and retry (see `retry_while_busy`).
LOCK_TIMEOUT_SECONDS = 0.02
POOL_TIMEOUT_SECONDS = 1


class Transaction:
    """The stores of one transaction, created on first use."""

    def __init__(self, statements: StatementRunner, known: RevisionCache) -> None:
        self._statements = statements
        self._revisions = RevisionStore(statements, known)

    @cached_property
    def projects(self) -> ProjectStore:
        return ProjectStore(self._statements)

    @cached_property
    def external_projects(self) -> ExternalProjectStore:
        return ExternalProjectStore(self._statements)

    @cached_property
    def environments(self) -> EnvironmentStore:
        return EnvironmentStore(self._statements, self._revisions)

    @cached_property
    def environment_usage(self) -> EnvironmentUsageStore:
        return EnvironmentUsageStore(self._statements)

    @cached_property
    def sessions(self) -> SessionStore:
        return SessionStore(self._statements, self._revisions)

    @cached_property
    def storages(self) -> StorageStore:
        return StorageStore(self._statements)

    @cached_property
    def instances(self) -> InstanceStore:
        return InstanceStore(self._statements)

    @cached_property
    def owned_instances(self) -> OwnedInstanceStore:
        return OwnedInstanceStore(self._statements)

    @cached_property
    def expiry(self) -> ExpiryStore:
        return ExpiryStore(self._statements)

    @cached_property
    def idle_checks(self) -> IdleCheckStore:
        return IdleCheckStore(self._statements)

    @cached_property
    def start_queue(self) -> StartQueueStore:
        return StartQueueStore(self._statements)

    @cached_property
    def launches(self) -> LaunchStore:
        return LaunchStore(self._statements)

    @cached_property
    def software(self) -> SoftwareStore:
        return SoftwareStore(self._statements)

    @cached_property
    def session_search(self) -> SessionSearchStore:
        return SessionSearchStore(self._statements)

    @cached_property
    def images(self) -> ImageStore:
        return ImageStore(self._statements)

    @cached_property
    def ci_images(self) -> CiImageStore:
        return CiImageStore(self._statements)

    @cached_property
    def known_users(self) -> KnownUserStore:
        return KnownUserStore(self._statements)

    @cached_property
    def administration(self) -> AdministrationStore:
        return AdministrationStore(self._statements)

    @cached_property
    def audit(self) -> AuditStore:
        return AuditStore(self._statements)


class Database:
    """Renku's database, at an SQLAlchemy URL like the hub's `db_url`.

    Raises:
        ValueError: the URL is of a database in memory, which each connection would see
            empty, or of a database that is neither SQLite nor PostgreSQL.
    """

    def __init__(self, url: str, **engine_kwargs: Any) -> None:
        self.url = url
        self.engine = create_database_engine(url, **engine_kwargs)
        self._known = RevisionCache()
        self._sqlite = self.engine.dialect.name == "sqlite"

    def read(self) -> AbstractContextManager[Transaction]:
        """Open a read-only transaction.

        Raises:
            DatabaseBusy: the database is locked or unreachable.
        """
        return self._transaction(DATABASE_READ_SECONDS, "BEGIN")

    def write(self) -> AbstractContextManager[Transaction]:
        """Open a transaction that may write: it commits at the end, and rolls back on any exception.

        On SQLite it takes the write lock at once: a read transaction that starts to write can fail at any statement.

        Raises:
            DatabaseBusy: the database is locked or unreachable.
            UniqueConflict: a unique constraint was violated.
        """
        return self._transaction(DATABASE_WRITE_SECONDS, "BEGIN IMMEDIATE")

    @contextmanager
    def _transaction(self, timed: Histogram, begin: str) -> Iterator[Transaction]:
        with timed.time(), self._connect() as connection:
            statements = StatementRunner(connection)
            if self._sqlite:
                statements.begin(begin)
            yield Transaction(statements, self._known)
            statements.commit()

    def _connect(self) -> Connection:
        try:
            return self.engine.connect()
        except (DBAPIError, PoolTimeout) as problem:
            raise translate_database_error(problem) from problem

    def dispose(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def create_database_engine(url: str, *, patience: float = LOCK_TIMEOUT_SECONDS, **engine_kwargs: Any) -> Engine:
    """Create an engine with our connection settings; *patience* is the time (s) to wait for a lock of SQLite."""
    address = parse_database_url(url)
    if address.get_backend_name() == "sqlite":
        made = create_engine(address, **{"connect_args": {"timeout": patience}, **engine_kwargs})
        event.listen(made, "connect", _prepare_sqlite_connection)
    else:
        defaults = {"pool_pre_ping": True, "pool_timeout": POOL_TIMEOUT_SECONDS, "connect_args": {"connect_timeout": 2}}
        made = create_engine(address, **{**defaults, **engine_kwargs})
        event.listen(made, "connect", _prepare_postgresql_connection)
    return made


def parse_database_url(url: str) -> URL:
    """Parse a database URL; a bare file name is an SQLite file, as in JupyterHub.

    Raises:
        ValueError: the URL is invalid, or the database is not supported.
    """
    try:
        address = make_url(url if "//" in url else f"sqlite:///{url}")
    except ArgumentError:  # its text repeats the URL, which may contain a password
        raise ValueError("This is not a database URL, such as sqlite:///jupyterhub.sqlite.") from None
    backend = address.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise ValueError(f"Renku stores its data in SQLite or PostgreSQL, not in {backend}.")
    if backend == "sqlite" and _is_in_memory_database(address):
        raise ValueError("Renku needs a database file: each connection would see its own database in memory.")
    if address.drivername == "postgresql" and find_spec("psycopg2") is None:
        return address.set(drivername="postgresql+psycopg")
    return address


def get_sqlite_file(url: str) -> Path | None:
    """Return the file of an SQLite database, whether or not it exists; None for other databases."""
    address = parse_database_url(url)
    name = address.database or ""
    return Path(name) if address.get_backend_name() == "sqlite" and not name.startswith("file:") else None


def _is_in_memory_database(address: URL) -> bool:
    name = address.database or ":memory:"
    return name == ":memory:" or name.startswith("file::memory:") or address.query.get("mode") == "memory"


def _prepare_sqlite_connection(connection: Any, _record: object) -> None:
    """Set pragmas, and turn off the driver's implicit BEGIN, which comes too late.

    See https://docs.sqlalchemy.org/en/20/dialects/sqlite.html, section on pysqlite transactions.
    """
    connection.isolation_level = None
    with suppress(sqlite3.OperationalError):  # another connection is writing: a later connection switches the file
        connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")


def _prepare_postgresql_connection(connection: Any, _record: object) -> None:
    """Limit the wait for locks, which would block the hub's event loop."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = {round(LOCK_TIMEOUT_SECONDS * 1000)}")
    connection.commit()


T = TypeVar("T")
DATABASE_BUSY_TIMEOUT_SECONDS = 3.0  # for all attempts together
DATABASE_BUSY_MESSAGE = "The database is busy. Nothing was changed; please try again."


async def retry_while_busy(
    unit: Callable[[], T], *, seconds: float = DATABASE_BUSY_TIMEOUT_SECONDS, in_thread: bool = False
) -> T:
    """Run *unit*, one whole transaction, again while the database is busy, and return its result.

    Set *in_thread* for long transactions, which would block the event loop.

    Raises:
        UnavailableError: the database was busy for *seconds*; nothing of *unit* is stored.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        try:
            return await asyncio.to_thread(unit) if in_thread else unit()
        except DatabaseBusy as busy:
            if loop.time() >= deadline:
                DATABASE_GIVEN_UP_TOTAL.inc()
                raise UnavailableError(DATABASE_BUSY_MESSAGE, retry_after=1) from busy
        DATABASE_RETRIES_TOTAL.inc()
        await asyncio.sleep(random.uniform(0.02, 0.1))


def enable_sqlite_wal(url: str) -> None:
    """Switch the SQLite file at *url* to write-ahead logging before the hub opens it, so that readers never wait.

    The mode is stored in the file. Failures are ignored, since they only cost speed. Other databases, and those in
    memory, are left alone.
    """
    with suppress(ValueError, sqlite3.Error):
        address = parse_database_url(url)
        if address.get_backend_name() == "sqlite":
            with closing(sqlite3.connect(address.database or "", timeout=0.1)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
