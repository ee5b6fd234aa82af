"""Column types and helpers for the table definitions, which behave alike on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    text,
)
from sqlalchemy.types import TypeDecorator


class UTCDateTime(TypeDecorator[datetime]):
    """Store aware times, and return them in UTC. SQLite alone would drop the zone.

    Raises:
        ValueError: the time is naive.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"A time without a zone cannot be stored: {value}.")
        return value.astimezone(UTC)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None]:
        """Return a plain function instead of `process_result_value`: a page reads hundreds of times."""
        return _parse_sqlite_datetime if dialect.name == "sqlite" else _to_utc_datetime


def _parse_sqlite_datetime(value: str | None) -> datetime | None:
    """Parse the text that SQLAlchemy stores, such as `2026-11-24 09:06:54.000000`, as UTC."""
    return None if value is None else datetime.fromisoformat(f"{value}+00:00")


def _to_utc_datetime(value: datetime | None) -> datetime | None:
    return None if value is None else value.astimezone(UTC)


TABLE_PREFIX = "renku_"
# A table name of its own: the hub uses Alembic's default name in the same database.
ALEMBIC_VERSION_TABLE = "renku_alembic_version"

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def foreign_key_to(table: str) -> ForeignKey:
    return ForeignKey(f"{TABLE_PREFIX}{table}.id")


def string_column(name: str, *more: Any, **options: Any) -> Column[str]:
    return Column(name, String, *more, nullable=False, **options)


def string_columns(*names: str) -> list[Column[str]]:
    return [string_column(name) for name in names]


def nullable_string_column(name: str, *more: Any) -> Column[str | None]:
    return Column(name, String, *more, nullable=True)


def text_column(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def integer_column(name: str, **options: Any) -> Column[int]:
    return Column(name, Integer, nullable=False, **options)


def boolean_column(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False)


def json_column(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, JSON(none_as_null=True), nullable=nullable)


def datetime_column(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, UTCDateTime, nullable=nullable)


def index_not_deleted(name: str, *columns: str, unique: bool = False) -> Index:
    """Build an index over the rows that are not deleted, so that deleted rows free their path and title."""
    return partial_index(name, *columns, unique=unique, where="deleted_at IS NULL")


def partial_index(
    name: str, *columns: str, where: str = "", sqlite: str = "", postgresql: str = "", unique: bool = False
) -> Index:
    """Build an index over the rows that match a condition, given as SQL for both databases or for each."""
    return Index(
        name, *columns, unique=unique, sqlite_where=text(sqlite or where), postgresql_where=text(postgresql or where)
    )
