"""Columns and indexes as the tables have them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Boolean, Column, ForeignKey, Index, Integer, MetaData, String, Text, text

from .types import UTCDateTime

PREFIX = "renku_"
# Alembic's own table; the hub has its own one (traps.md 3).
VERSION_TABLE = "renku_alembic_version"

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def to(table: str) -> ForeignKey:
    return ForeignKey(f"{PREFIX}{table}.id")


def word(name: str, *more: Any, **options: Any) -> Column[str]:
    return Column(name, String, *more, nullable=False, **options)


def words(*names: str) -> list[Column[str]]:
    return [word(name) for name in names]


def maybe(name: str, *more: Any) -> Column[str | None]:
    return Column(name, String, *more, nullable=True)


def long(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def number(name: str, **options: Any) -> Column[int]:
    return Column(name, Integer, nullable=False, **options)


def flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False)


def json(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, JSON(none_as_null=True), nullable=nullable)


def time(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, UTCDateTime, nullable=nullable)


def living(name: str, *columns: str, unique: bool = False) -> Index:
    """An index over what is not deleted: a deleted thing frees its path and its title."""
    return only(name, *columns, unique=unique, where="deleted_at IS NULL")


def only(
    name: str, *columns: str, where: str = "", sqlite: str = "", postgresql: str = "", unique: bool = False
) -> Index:
    """An index over the rows of which a condition holds, said as each database says it."""
    return Index(
        name, *columns, unique=unique, sqlite_where=text(sqlite or where), postgresql_where=text(postgresql or where)
    )
