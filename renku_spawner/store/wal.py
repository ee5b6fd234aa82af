"""Write-ahead logging for the hub's SQLite file."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress

from .database import parsed


def use(url: str) -> None:
    """Switch the file at *url* to write-ahead logging, before the hub opens it: readers then
    never wait for writers (decision 44). It stays so; a failure only costs speed, and
    databases of other kinds, or in memory, are left alone."""
    with suppress(ValueError, sqlite3.Error):
        address = parsed(url)
        if address.get_backend_name() == "sqlite":
            with closing(sqlite3.connect(address.database or "", timeout=0.1)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
