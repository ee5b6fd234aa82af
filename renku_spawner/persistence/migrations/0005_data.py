"""Add storages of projects with saved credentials, storages of sessions, and expiry dates of data.

Revision ID: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
# New columns of existing tables: table, name, type. Added in this order, removed in reverse order.
COLUMNS = [
    ("renku_sessions", "storages", sa.JSON()),
    ("renku_instances", "due_at", TIME),
    ("renku_instances", "awake_until", TIME),
    ("renku_instances", "idle_pause", sa.Integer()),
    ("renku_instances", "reported_at", TIME),
    ("renku_instances", "disk_used", sa.BigInteger()),
    ("renku_instances", "disk_used_at", TIME),
    ("renku_instances", "kept_from", TIME),
    ("renku_instances", "deleted_on", TIME),
    ("renku_instances", "trashed_until", TIME),
    ("renku_instances", "look_at", TIME),
    ("renku_instances", "warned", sa.Integer()),
    ("renku_instances", "without_storages", sa.JSON()),
    ("renku_instances", "failed_storages", sa.JSON()),
    ("renku_instances", "turn", sa.Integer()),
]
# Indexes over the columns above: name, table, columns, condition.
INDEXES = [
    ("ix_renku_instances_idle", "renku_instances", ["due_at", "id"], "due_at IS NOT NULL"),
    ("ix_renku_instances_due", "renku_instances", ["look_at", "id"], "look_at IS NOT NULL"),
    ("ix_renku_instances_warned", "renku_instances", ["id"], "warned > 0"),
    ("ix_renku_instances_line", "renku_instances", ["turn", "requested_at", "id"], "turn IS NOT NULL"),
]


def upgrade() -> None:
    for table, name, kind in COLUMNS:
        op.add_column(table, sa.Column(name, kind, nullable=True))
    for name, table, columns, where in INDEXES:
        op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
    _storages()
    op.create_table(
        "renku_rounds",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("said", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_renku_rounds"),
    )


def downgrade() -> None:
    _leave_the_line()
    op.drop_table("renku_rounds")
    op.drop_table("renku_storage_credentials")
    op.drop_table("renku_storages")
    for name, table, _, _ in reversed(INDEXES):
        op.drop_index(name, table)
    for table, name, _ in reversed(COLUMNS):
        op.drop_column(table, name)


def _leave_the_line() -> None:
    """Stop queued starts: earlier versions have no start queue."""
    instances = sa.table(
        "renku_instances",
        *(sa.column(name) for name in ("turn", "desired", "observed", "slot", "ended_reason", "claim")),
        *(sa.column(name, sa.Boolean) for name in ("active", "listed")),
    )
    ended = instances.update().where(instances.c.turn.is_not(None))
    op.execute(
        ended.values(
            desired="stopped", observed="absent", slot=None, ended_reason="stopped_by_hub", active=False,
            listed=instances.c.claim.is_not(None),
        )
    )  # fmt: skip


def _storages() -> None:
    op.create_table(
        "renku_storages",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("directory", sa.String(), nullable=False),
        sa.Column("folded_directory", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("credentials", sa.String(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=True),
        sa.Column("read_only", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("checked", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_renku_storages"),
        sa.ForeignKeyConstraint(["project"], ["renku_projects.id"], name="fk_renku_storages_project"),
    )
    op.create_index("uq_renku_storages_directory", "renku_storages", ["project", "folded_directory"], unique=True)
    op.create_index("ix_renku_storages_page", "renku_storages", ["project", "position", "id"])
    op.create_table(
        "renku_storage_credentials",
        sa.Column("storage", sa.String(), nullable=False),
        sa.Column("username", sa.String(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("kept_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("storage", "username", name="pk_renku_storage_credentials"),
        sa.ForeignKeyConstraint(["storage"], ["renku_storages.id"], name="fk_renku_storage_credentials_storage"),
    )
    op.create_index("ix_renku_storage_credentials_mine", "renku_storage_credentials", ["username"])
