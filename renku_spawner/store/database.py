"""The database: short transactions that never wait for long."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from .. import metrics
from .audit import AuditStore
from .builds import BuildStore
from .due import DueStore
from .environments import EnvironmentStore
from .expiry import ExpiryStore
from .faults import Busy, Clash, Lost, translated
from .images import ImageStore
from .instances import InstanceStore
from .launches import LaunchStore
from .line import LineStore
from .mine import MineStore
from .operating import OperatingStore
from .people import PeopleStore
from .projects import ProjectStore
from .revisions import Known, Revisions
from .sessions import SessionStore
from .software import SoftwareStore
from .sourced import SourcedStore
from .statements import Statements
from .storages import StorageStore
from .usage import UsageStore

__all__ = ["Busy", "Clash", "Database", "Lost", "Transaction"]

# Seconds; longer waits would stop the hub's loop, so callers wait and try again (decision 44).
LOCK_TIMEOUT = 0.02
POOL_TIMEOUT = 1


class Transaction:
    """What is read and written together: one store per noun."""

    def __init__(self, statements: Statements, known: Known) -> None:
        self._statements = statements
        self._revisions = Revisions(statements, known)

    @cached_property
    def projects(self) -> ProjectStore:
        return ProjectStore(self._statements)

    @cached_property
    def sourced(self) -> SourcedStore:
        return SourcedStore(self._statements)

    @cached_property
    def environments(self) -> EnvironmentStore:
        return EnvironmentStore(self._statements, self._revisions)

    @cached_property
    def usage(self) -> UsageStore:
        return UsageStore(self._statements)

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
    def mine(self) -> MineStore:
        return MineStore(self._statements)

    @cached_property
    def expiry(self) -> ExpiryStore:
        return ExpiryStore(self._statements)

    @cached_property
    def due(self) -> DueStore:
        return DueStore(self._statements)

    @cached_property
    def line(self) -> LineStore:
        return LineStore(self._statements)

    @cached_property
    def launches(self) -> LaunchStore:
        return LaunchStore(self._statements)

    @cached_property
    def software(self) -> SoftwareStore:
        return SoftwareStore(self._statements)

    @cached_property
    def images(self) -> ImageStore:
        return ImageStore(self._statements)

    @cached_property
    def builds(self) -> BuildStore:
        return BuildStore(self._statements)

    @cached_property
    def people(self) -> PeopleStore:
        return PeopleStore(self._statements)

    @cached_property
    def operating(self) -> OperatingStore:
        return OperatingStore(self._statements)

    @cached_property
    def audit(self) -> AuditStore:
        return AuditStore(self._statements)


class Database:
    """Where Renku remembers, at an SQLAlchemy address like the hub's `db_url`.

    Raises:
        ValueError: the address is of a database in memory, which each connection
            would see empty, or of a kind that is neither SQLite nor PostgreSQL.
    """

    def __init__(self, url: str, **engine_kwargs: Any) -> None:
        self.url = url
        self.engine = engine(url, **engine_kwargs)
        self._known = Known()
        self._sqlite = self.engine.dialect.name == "sqlite"

    def read(self) -> AbstractContextManager[Transaction]:
        """A transaction that only reads. Raises Busy."""
        return self._transaction(metrics.reading, "BEGIN")

    def write(self) -> AbstractContextManager[Transaction]:
        """A transaction that may write: commits on leaving, and stores nothing when anything is raised.

        On SQLite it takes the lock at once, since a read that turns into a write can
        fail at a place where nobody expects it. Raises Busy and Clash.
        """
        return self._transaction(metrics.writing, "BEGIN IMMEDIATE")

    @contextmanager
    def _transaction(self, timed: metrics.Histogram, begin: str) -> Iterator[Transaction]:
        with timed.time(), self._connected() as connection:
            statements = Statements(connection)
            if self._sqlite:
                statements.begin(begin)
            yield Transaction(statements, self._known)
            statements.commit()

    def _connected(self) -> Connection:
        try:
            return self.engine.connect()
        except (DBAPIError, PoolTimeout) as problem:
            raise translated(problem) from problem

    def dispose(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def engine(url: str, *, patience: float = LOCK_TIMEOUT, **engine_kwargs: Any) -> Engine:
    """An engine with what SQLite or PostgreSQL need to be quick and strict; *patience* (s) is for SQLite's locks."""
    address = parsed(url)
    if address.get_backend_name() == "sqlite":
        made = create_engine(address, **{"connect_args": {"timeout": patience}, **engine_kwargs})
        event.listen(made, "connect", _prepare_sqlite)
    else:
        defaults = {"pool_pre_ping": True, "pool_timeout": POOL_TIMEOUT, "connect_args": {"connect_timeout": 2}}
        made = create_engine(address, **{**defaults, **engine_kwargs})
        event.listen(made, "connect", _prepare_postgresql)
    return made


def parsed(url: str) -> URL:
    """The address; a bare file name is an SQLite file, as for JupyterHub."""
    try:
        address = make_url(url if "//" in url else f"sqlite:///{url}")
    except ArgumentError:  # its text repeats the address, which may hold a password
        raise ValueError("This is no address of a database, such as sqlite:///jupyterhub.sqlite.") from None
    backend = address.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise ValueError(f"Renku stores its data in SQLite or PostgreSQL, not in {backend}.")
    if backend == "sqlite" and _in_memory(address):
        raise ValueError("Renku needs a database file: each connection would see an own database in memory.")
    if address.drivername == "postgresql" and find_spec("psycopg2") is None:
        return address.set(drivername="postgresql+psycopg")
    return address


def database_file(url: str) -> Path | None:
    """The file of an SQLite database, whether or not it is there; None of others."""
    address = parsed(url)
    name = address.database or ""
    return Path(name) if address.get_backend_name() == "sqlite" and not name.startswith("file:") else None


def _in_memory(address: URL) -> bool:
    name = address.database or ":memory:"
    return name == ":memory:" or name.startswith("file::memory:") or address.query.get("mode") == "memory"


def _prepare_sqlite(connection: Any, _record: object) -> None:
    """Our own BEGIN instead of the driver's late one; see SQLAlchemy's chapter on pysqlite."""
    connection.isolation_level = None
    with suppress(sqlite3.OperationalError):  # somebody is writing: the file is switched at another time (recipe 3)
        connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")


def _prepare_postgresql(connection: Any, _record: object) -> None:
    """A lock that somebody holds is no reason to stop the hub's loop."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = {round(LOCK_TIMEOUT * 1000)}")
    connection.commit()
