"""One connection in one transaction: runs statements and says faults in our words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, CursorResult, Executable
from sqlalchemy.exc import DBAPIError

from .faults import translated


class Statements:
    """What the stores run statements with. Raises Busy and Clash."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.dialect = connection.dialect.name

    def rows(self, statement: Executable, **values: Any) -> Sequence[Sequence[Any]]:
        return self._run(statement, values).fetchall()

    def row(self, statement: Executable, **values: Any) -> Sequence[Any] | None:
        return self._run(statement, values).fetchone()

    def value(self, statement: Executable, **values: Any) -> Any:
        """The first column of the first row; None without a row."""
        row = self._run(statement, values).fetchone()
        return None if row is None else row[0]

    def run(self, statement: Executable, **values: Any) -> int:
        """How many rows it has changed."""
        return self._run(statement, values).rowcount

    def run_each(self, statement: Executable, values: Sequence[dict[str, Any]]) -> None:
        if values:
            self._run(statement, values)

    def begin(self, words: str) -> None:
        try:
            self._connection.exec_driver_sql(words)
        except DBAPIError as problem:
            raise translated(problem) from problem.orig

    def commit(self) -> None:
        try:
            self._connection.commit()
        except DBAPIError as problem:
            raise translated(problem) from problem.orig

    def _run(self, statement: Executable, values: Any) -> CursorResult[Any]:
        try:
            return self._connection.execute(statement, values)
        except DBAPIError as problem:
            raise translated(problem) from problem.orig
