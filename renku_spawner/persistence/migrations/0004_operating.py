"""Add durations of launch stages, dates of archived environments, and indexes for the operator's page.

Revision ID: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

INDEXES = {
    "ix_renku_instances_claim": ("renku_instances", ["claim"]),
    "ix_renku_instances_ended": ("renku_instances", ["ended_reason", "requested_at", "id"]),
    "ix_renku_instances_latest": ("renku_instances", ["listed", "requested_at", "id"]),
    "ix_renku_launches_environment": ("renku_launches", ["environment", "requested_at", "outcome"]),
    "ix_renku_launches_outcome": ("renku_launches", ["outcome", "requested_at", "reason"]),
    "ix_renku_audit_actor": ("renku_audit", ["actor", "at", "id"]),
    "ix_renku_audit_action": ("renku_audit", ["action", "at", "id"]),
}
# By name: table, columns, and the condition for SQLite and for PostgreSQL.
PARTIAL = {
    "ix_renku_instances_latest_active": ("renku_instances", ["requested_at", "id"], "active = 1", "active"),
    "ix_renku_instances_latest_failed": ("renku_instances", ["requested_at", "id"], *["reason IS NOT NULL"] * 2),
}


def upgrade() -> None:
    op.add_column("renku_environments", sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("renku_environments", sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("renku_instances", sa.Column("spent", sa.JSON(), nullable=True))
    op.add_column("renku_launches", sa.Column("environment", sa.String(), nullable=True))
    op.add_column("renku_launches", sa.Column("stages", sa.JSON(), nullable=True))
    op.execute(
        "UPDATE renku_launches SET environment = "
        "(SELECT environment FROM renku_revisions WHERE renku_revisions.id = renku_launches.revision)"
    )
    for name, (table, columns) in INDEXES.items():
        op.create_index(name, table, columns)
    for name, (table, columns, sqlite, postgresql) in PARTIAL.items():
        op.create_index(name, table, columns, sqlite_where=sa.text(sqlite), postgresql_where=sa.text(postgresql))


def downgrade() -> None:
    for name, (table, *_) in {**PARTIAL, **INDEXES}.items():
        op.drop_index(name, table_name=table)
    op.drop_column("renku_launches", "stages")
    op.drop_column("renku_launches", "environment")
    op.drop_column("renku_instances", "spent")
    op.drop_column("renku_environments", "version")
    op.drop_column("renku_environments", "archived_at")
