"""`renku-spawner db upgrade | check | downgrade`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from .cli_base import Ended
from .store import migrate


@contextmanager
def in_words() -> Iterator[None]:
    """What a database of another release is told as. Raises Ended."""
    try:
        yield
    except migrate.OutOfDate as problem:
        raise Ended(str(problem)) from None


def upgrade(parsed: argparse.Namespace) -> None:
    """Raises Ended, ValueError."""
    with in_words():
        migrate.prepare(parsed.url, upgrade=True)
    print(f"Renku's tables are at revision {migrate.current(parsed.url)}.")


def check(parsed: argparse.Namespace) -> None:
    """Raises Ended, ValueError."""
    with in_words():
        migrate.check(parsed.url)
    print(f"Renku's tables are up to date (revision {migrate.current(parsed.url)}).")


def downgrade(parsed: argparse.Namespace) -> None:
    """Raises Ended: something would be lost, and nobody has agreed to that; ValueError."""
    try:
        with in_words():
            lost = migrate.downgrade(parsed.url, parsed.revision, may_lose=parsed.yes)
    except migrate.Loses as refused:
        listed = "\n".join(f"  {line}" for line in refused.args[0])
        raise Ended(f"This would lose\n{listed}\nNothing has been changed. With --yes it is done.") from None
    print("\n".join([*(f"Lost: {line}" for line in lost), f"Renku's tables are at revision {parsed.revision}."]))
