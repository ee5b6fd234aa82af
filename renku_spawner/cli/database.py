"""`renku-spawner db upgrade | check | downgrade`: manage Renku's tables."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from ..persistence.migrate import (
    DowngradeLosesData,
    SchemaOutOfDate,
    check_schema,
    downgrade_schema,
    get_schema_revision,
    prepare_schema,
)
from .base import CommandError


@contextmanager
def convert_outdated_database_error() -> Iterator[None]:
    """Convert SchemaOutOfDate in the block to CommandError."""
    try:
        yield
    except SchemaOutOfDate as problem:
        raise CommandError(str(problem)) from None


def run_database_upgrade(parsed: argparse.Namespace) -> None:
    """Create the tables, or upgrade them. Raises CommandError, ValueError."""
    with convert_outdated_database_error():
        prepare_schema(parsed.url, upgrade=True)
    print(f"Renku's tables are at revision {get_schema_revision(parsed.url)}.")


def run_database_check(parsed: argparse.Namespace) -> None:
    """Check that the tables are up to date. Raises CommandError, ValueError."""
    with convert_outdated_database_error():
        check_schema(parsed.url)
    print(f"Renku's tables are up to date (revision {get_schema_revision(parsed.url)}).")


def run_database_downgrade(parsed: argparse.Namespace) -> None:
    """Downgrade the tables to the revision of an older release.

    Raises:
        CommandError: data would be lost, and `--yes` was not given.
        ValueError: the database cannot be opened, or has no such revision.
    """
    try:
        with convert_outdated_database_error():
            lost = downgrade_schema(parsed.url, parsed.revision, may_lose=parsed.yes)
    except DowngradeLosesData as refused:
        listed = "\n".join(f"  {line}" for line in refused.args[0])
        raise CommandError(
            f"This would lose\n{listed}\nNothing was changed. Use --yes to downgrade all the same."
        ) from None
    print("\n".join([*(f"Lost: {line}" for line in lost), f"Renku's tables are at revision {parsed.revision}."]))
