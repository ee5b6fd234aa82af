"""Add CI images, directories of projects' own repositories, and two indexes of instances.

Revision ID: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("renku_projects", sa.Column("directory", sa.String(), nullable=True))
    op.add_column("renku_revisions", sa.Column("built", sa.JSON(), nullable=True))
    op.add_column("renku_sessions", sa.Column("dismissed", sa.String(), nullable=True))
    op.create_table(
        "renku_builds",
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("ref", sa.String(), nullable=False),
        sa.Column("image", sa.String(), nullable=False),
        sa.Column("looked_at", TIME, nullable=False),
        sa.Column("answered", sa.Boolean(), nullable=False),
        sa.Column("since", TIME, nullable=True),
        sa.Column("found", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("source", "ref", "image", name="pk_renku_builds"),
    )
    op.create_index("ix_renku_instances_desired", "renku_instances", ["desired", "username", "id"])
    op.create_index("ix_renku_instances_project", "renku_instances", ["project"])


def downgrade() -> None:
    op.drop_index("ix_renku_instances_project", table_name="renku_instances")
    op.drop_index("ix_renku_instances_desired", table_name="renku_instances")
    op.drop_table("renku_builds")
    op.drop_column("renku_sessions", "dismissed")
    op.drop_column("renku_revisions", "built")
    op.drop_column("renku_projects", "directory")
