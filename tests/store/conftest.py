"""A database with its tables, once on SQLite and once on PostgreSQL."""

from collections.abc import Iterator

import pytest

from renku_spawner.store import migrate
from renku_spawner.store.database import Database


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    migrate.upgrade(database_url)
    database = Database(database_url)
    yield database
    database.dispose()


@pytest.fixture
def sqlite_db(sqlite_url: str) -> Iterator[Database]:
    migrate.upgrade(sqlite_url)
    database = Database(sqlite_url)
    yield database
    database.dispose()


@pytest.fixture
def postgresql_db(postgresql_url: str) -> Iterator[Database]:
    migrate.upgrade(postgresql_url)
    database = Database(postgresql_url)
    yield database
    database.dispose()
