"""A database with its tables, once on SQLite and once on PostgreSQL."""

from collections.abc import Iterator

import pytest

from renku_spawner.persistence.database import Database


@pytest.fixture
def db(tables_url: str) -> Iterator[Database]:
    database = Database(tables_url)
    yield database
    database.dispose()


@pytest.fixture
def sqlite_db(sqlite_tables_url: str) -> Iterator[Database]:
    database = Database(sqlite_tables_url)
    yield database
    database.dispose()


@pytest.fixture
def postgresql_db(postgresql_tables_url: str) -> Iterator[Database]:
    database = Database(postgresql_tables_url)
    yield database
    database.dispose()
