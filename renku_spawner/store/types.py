"""How values lie in columns, the same on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Dialect
from sqlalchemy.types import TypeDecorator


class UTCDateTime(TypeDecorator[datetime]):
    """Aware times in, aware times in UTC out; SQLite would drop the zone (traps.md 12).

    Raises:
        ValueError: a naive time, whose zone nobody knows.
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
        """Hundreds of times are read for a page: one call of C for each."""
        return _from_text if dialect.name == "sqlite" else _from_time


def _from_text(value: str | None) -> datetime | None:
    """SQLAlchemy stores `2026-11-24 09:06:54.000000`."""
    return None if value is None else datetime.fromisoformat(f"{value}+00:00")


def _from_time(value: datetime | None) -> datetime | None:
    return None if value is None else value.astimezone(UTC)
