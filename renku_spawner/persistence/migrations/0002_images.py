"""Add tables for image status and software.

Revision ID: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "renku_software",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("found_at", TIME, nullable=False),
        sa.Column("found", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_renku_software"),
    )
    op.create_table(
        "renku_images",
        sa.Column("reference", sa.String(), nullable=False),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=True),
        sa.Column("since", TIME, nullable=True),
        sa.Column("looked_at", TIME, nullable=False),
        sa.Column("answered", sa.Boolean(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("reference", name="pk_renku_images"),
    )
    op.create_index("ix_renku_sessions_revision", "renku_sessions", ["revision"])


def downgrade() -> None:
    op.drop_index("ix_renku_sessions_revision", "renku_sessions")
    op.drop_table("renku_images")
    op.drop_table("renku_software")
