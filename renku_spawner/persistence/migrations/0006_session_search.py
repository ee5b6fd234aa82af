"""Add names and versions of packages, and whether projects are listed, for the search.

Revision ID: 0006
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SEPARATORS = re.compile(r"[-_.]+")  # https://peps.python.org/pep-0503/#normalized-names


def upgrade() -> None:
    op.add_column("renku_projects", sa.Column("listed", sa.Boolean(), nullable=False, server_default=sa.true()))
    packages = op.create_table(
        "renku_packages",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("digest", "name", "version", name="pk_renku_packages"),
    )
    op.create_index("ix_renku_packages_name", "renku_packages", ["name", "digest"])
    connection = op.get_bind()
    digests = connection.execute(sa.text("SELECT digest FROM renku_software")).scalars().all()
    for digest in digests:  # one by one, since some lists are megabytes
        found = connection.execute(
            sa.text("SELECT found FROM renku_software WHERE digest = :d"), {"d": digest}
        ).scalar()
        pairs = sorted(set(list_packages(json.loads(found) if isinstance(found, str) else found)))
        if pairs:
            rows = [{"digest": digest, "name": name, "version": version} for name, version in pairs]
            connection.execute(sa.insert(packages), rows)


def list_packages(found: Any) -> Iterator[tuple[str, str]]:
    """Yield normalized names and versions from the stored form of a list, as the release of this revision does."""
    if not isinstance(found, dict):
        return
    for kind, rows in found.get("packages", {}).items():
        for name, version in rows:
            yield (SEPARATORS.sub("-", name) if kind == "python" else name).casefold(), version
    for name, versions in [*found.get("interpreters", {}).items(), ("cuda", found.get("cuda") or "")]:
        for version in filter(None, versions.split(", ")):
            yield name.casefold(), version


def downgrade() -> None:
    op.drop_table("renku_packages")
    op.drop_column("renku_projects", "listed")
