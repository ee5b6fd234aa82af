"""Create the first tables.

Revision ID: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
LIVING = {"sqlite_where": sa.text("deleted_at IS NULL"), "postgresql_where": sa.text("deleted_at IS NULL")}
# Child tables first, because of the foreign keys.
TABLES = (
    "audit", "people", "launches", "instances", "sessions", "revisions", "environments", "paths", "repositories",
    "members", "projects",
)  # fmt: skip


def words(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String(), nullable=False) for name in names]


def upgrade() -> None:
    _projects()
    _environments()
    _sessions()
    _instances()
    _rest()


def downgrade() -> None:
    for name in TABLES:
        op.drop_table(f"renku_{name}")


def _projects() -> None:
    op.create_table(
        "renku_projects",
        *words("id", "source", "source_id", "path", "folded_path", "title", "folded_title"),
        sa.Column("description", sa.Text(), nullable=False),
        *words("visibility"),
        sa.Column("search", sa.Text(), nullable=False),
        sa.Column("default_session", sa.String(), nullable=True),
        sa.Column("session_count", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        *words("created_by"),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("deleted_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_renku_projects"),
    )
    op.create_index("ix_renku_projects_listed", "renku_projects", ["visibility", "folded_title", "id"], **LIVING)
    op.create_index("uq_renku_projects_path", "renku_projects", ["folded_path"], unique=True, **LIVING)
    op.create_index("uq_renku_projects_source", "renku_projects", ["source", "source_id"], unique=True)
    op.create_table(
        "renku_members",
        *words("project", "kind", "name"),
        sa.Column("role", sa.Integer(), nullable=False),
        sa.Column("added_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["project"], ["renku_projects.id"], name="fk_renku_members_project"),
        sa.PrimaryKeyConstraint("project", "kind", "name", name="pk_renku_members"),
    )
    op.create_index("ix_renku_members_name", "renku_members", ["kind", "name", "project"])
    op.create_table(
        "renku_repositories",
        *words("project"),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        *words("directory", "folded_directory"),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("ref", sa.String(), nullable=True),
        sa.Column("lfs", sa.Boolean(), nullable=False),
        sa.Column("submodules", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["project"], ["renku_projects.id"], name="fk_renku_repositories_project"),
        sa.PrimaryKeyConstraint("project", "position", name="pk_renku_repositories"),
    )
    op.create_index(
        "uq_renku_repositories_directory", "renku_repositories", ["project", "folded_directory"], unique=True
    )
    op.create_table(
        "renku_paths",
        *words("folded_path", "project"),
        sa.ForeignKeyConstraint(["project"], ["renku_projects.id"], name="fk_renku_paths_project"),
        sa.PrimaryKeyConstraint("folded_path", name="pk_renku_paths"),
    )
    op.create_index("ix_renku_paths_project", "renku_paths", ["project"])


def _environments() -> None:
    op.create_table(
        "renku_environments",
        *words("id", "kind"),
        sa.Column("project", sa.String(), nullable=True),
        sa.Column("key", sa.String(), nullable=True),
        *words("name", "folded_name"),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("keywords", sa.JSON(), nullable=False),
        *words("icon"),
        sa.Column("position", sa.Integer(), nullable=False),
        *words("state"),
        sa.Column("successor", sa.String(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        *words("created_by"),
        sa.Column("created_at", TIME, nullable=False),
        *words("current_revision"),
        sa.Column("search", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["project"], ["renku_projects.id"], name="fk_renku_environments_project"),
        sa.PrimaryKeyConstraint("id", name="pk_renku_environments"),
    )
    op.create_index("ix_renku_environments_offered", "renku_environments", ["kind", "state", "position", "folded_name"])
    op.create_index("uq_renku_environments_key", "renku_environments", ["key"], unique=True)
    op.create_table(
        "renku_revisions",
        *words("id", "environment"),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("image", sa.Text(), nullable=False),
        sa.Column("repository", sa.Text(), nullable=False),
        sa.Column("tag", sa.String(), nullable=True),
        sa.Column("digest", sa.String(), nullable=True),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("run", sa.JSON(), nullable=False),
        sa.Column("commit", sa.String(), nullable=True),
        *words("created_by"),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["environment"], ["renku_environments.id"], name="fk_renku_revisions_environment"),
        sa.PrimaryKeyConstraint("id", name="pk_renku_revisions"),
    )
    op.create_index("uq_renku_revisions_number", "renku_revisions", ["environment", "number"], unique=True)


def _sessions() -> None:
    op.create_table(
        "renku_sessions",
        *words("id", "project", "environment", "revision", "title", "folded_title"),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("search", sa.Text(), nullable=False),
        *words("cpu", "memory"),
        sa.Column("gpu", sa.Integer(), nullable=False),
        *words("disk"),
        sa.Column("repositories", sa.JSON(), nullable=True),
        sa.Column("variables", sa.JSON(), nullable=False),
        *words("created_by"),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("deleted_at", TIME, nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["environment"], ["renku_environments.id"], name="fk_renku_sessions_environment"),
        sa.ForeignKeyConstraint(["project"], ["renku_projects.id"], name="fk_renku_sessions_project"),
        sa.ForeignKeyConstraint(["revision"], ["renku_revisions.id"], name="fk_renku_sessions_revision"),
        sa.PrimaryKeyConstraint("id", name="pk_renku_sessions"),
    )
    op.create_index("ix_renku_sessions_age", "renku_sessions", ["project", "created_at", "id"], **LIVING)
    op.create_index("ix_renku_sessions_page", "renku_sessions", ["project", "position", "id"], **LIVING)
    op.create_index("uq_renku_sessions_title", "renku_sessions", ["project", "folded_title"], unique=True, **LIVING)


def _instances() -> None:
    op.create_table(
        "renku_instances",
        *words("id", "session", "username", "project", "environment"),
        sa.Column("slot", sa.String(), nullable=True),
        *words("desired", "observed"),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("run", sa.String(), nullable=True),
        sa.Column("claim", sa.String(), nullable=True),
        sa.Column("revision", sa.String(), nullable=True),
        sa.Column("fingerprint", sa.String(), nullable=True),
        sa.Column("resource_class", sa.String(), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("advice", sa.Text(), nullable=True),
        sa.Column("ended_reason", sa.String(), nullable=True),
        sa.Column("notices", sa.JSON(), nullable=False),
        sa.Column("requested_at", TIME, nullable=True),
        sa.Column("stage_at", TIME, nullable=True),
        sa.Column("deadline", TIME, nullable=True),
        sa.Column("ready_at", TIME, nullable=True),
        sa.Column("last_activity", TIME, nullable=True),
        sa.Column("last_seen", TIME, nullable=True),
        sa.Column("paused_at", TIME, nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("listed", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["session"], ["renku_sessions.id"], name="fk_renku_instances_session"),
        sa.PrimaryKeyConstraint("id", name="pk_renku_instances"),
    )
    op.create_index("ix_renku_instances_active", "renku_instances", ["active", "username"])
    op.create_index("ix_renku_instances_listed", "renku_instances", ["username", "listed", "requested_at", "id"])
    op.create_index("uq_renku_instances_session", "renku_instances", ["session", "username"], unique=True)
    op.create_index("uq_renku_instances_slot", "renku_instances", ["username", "slot"], unique=True)
    op.create_table(
        "renku_launches",
        *words("id", "session", "project", "username", "revision", "image", "resource_class", "outcome"),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("log", sa.Text(), nullable=False),
        sa.Column("requested_at", TIME, nullable=False),
        sa.Column("ready_at", TIME, nullable=True),
        sa.Column("ended_at", TIME, nullable=True),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_renku_launches"),
    )
    op.create_index("ix_renku_launches_age", "renku_launches", ["requested_at"])
    op.create_index("ix_renku_launches_mine", "renku_launches", ["username", "session", "requested_at"])
    op.create_index("ix_renku_launches_usual", "renku_launches", ["image", "requested_at"])


def _rest() -> None:
    op.create_table(
        "renku_people",
        *words("name"),
        sa.Column("since", TIME, nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_renku_people"),
    )
    op.create_table(
        "renku_audit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        *words("actor"),
        sa.Column("username", sa.String(), nullable=True),
        *words("action", "subject"),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_renku_audit"),
    )
    op.create_index("ix_renku_audit_at", "renku_audit", ["at", "id"])
