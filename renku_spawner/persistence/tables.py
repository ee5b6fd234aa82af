"""Definitions of all tables. Rows refer to users by name, never by a key of the hub's tables."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Float, Index, Integer, Table, Text

from ..domain.configuration_fields import ConfigurationField, FieldKind
from ..domain.sessions import CONFIGURATION_FIELDS
from .columns import (
    boolean_column,
    datetime_column,
    foreign_key_to,
    index_not_deleted,
    integer_column,
    json_column,
    metadata,
    nullable_string_column,
    partial_index,
    string_column,
    string_columns,
    text_column,
)


def _build_configuration_column(each: ConfigurationField) -> Column[Any]:
    if each.kind is FieldKind.NUMBER:
        return integer_column(each.name)
    if each.kind is FieldKind.QUANTITY:
        return string_column(each.name)
    return json_column(each.name, nullable=each.default is None)  # null: all of the project's


# `secret` is encrypted with JupyterHub's CryptKeeper, or null; only the secret store reads it.
storages = Table(
    "renku_storages",
    metadata,
    string_column("id", primary_key=True),
    string_column("project", foreign_key_to("projects")),
    integer_column("position"),
    *string_columns("directory", "folded_directory", "kind"),
    json_column("settings"),
    text_column("path"),
    string_column("credentials"),  # none, project, user
    Column("secret", Text),
    boolean_column("read_only"),
    integer_column("version"),
    string_column("created_by"),
    datetime_column("created_at"),
    json_column("checked", nullable=True),  # result and time of the last probe
    Index("uq_renku_storages_directory", "project", "folded_directory", unique=True),
    Index("ix_renku_storages_page", "project", "position", "id"),
)

storage_credentials = Table(  # credentials that users save for storages
    "renku_storage_credentials",
    metadata,
    string_column("storage", foreign_key_to("storages"), primary_key=True),
    string_column("username", primary_key=True),
    Column("secret", Text, nullable=False),
    datetime_column("kept_at"),
    Index("ix_renku_storage_credentials_mine", "username"),
)

instances = Table(
    "renku_instances",
    metadata,
    string_column("id", primary_key=True),
    string_column("session", foreign_key_to("sessions")),
    *string_columns("username", "project", "environment"),
    nullable_string_column("slot"),
    *string_columns("desired", "observed"),
    integer_column("generation"),
    nullable_string_column("run"),
    nullable_string_column("claim"),
    nullable_string_column("revision"),
    nullable_string_column("fingerprint"),
    nullable_string_column("resource_class"),
    Column("url", Text),
    nullable_string_column("reason"),
    Column("message", Text),
    Column("advice", Text),
    nullable_string_column("ended_reason"),
    json_column("notices"),
    *(datetime_column(name, nullable=True) for name in ("requested_at", "stage_at", "deadline", "ready_at")),
    *(datetime_column(name, nullable=True) for name in ("last_activity", "last_seen", "paused_at")),
    json_column("spent", nullable=True),  # seconds in each finished stage of the current start
    datetime_column("due_at", nullable=True),  # when the next idle check is due
    datetime_column("awake_until", nullable=True),
    Column("idle_pause", Integer),  # seconds, from its environment
    datetime_column("reported_at", nullable=True),
    Column("disk_used", BigInteger),  # bytes
    datetime_column("disk_used_at", nullable=True),
    # See domain.expiry.
    *(datetime_column(name, nullable=True) for name in ("kept_from", "deleted_on", "trashed_until", "look_at")),
    Column("warned", Integer),
    *(json_column(name, nullable=True) for name in ("without_storages", "failed_storages")),  # directories
    Column("turn", Integer),  # position in the start queue; null if it is not queued
    boolean_column("active"),  # derived from the other columns at each save, for the indexes
    boolean_column("listed"),
    Index("uq_renku_instances_session", "session", "username", unique=True),
    # At most one active instance per user, project and environment.
    Index("uq_renku_instances_slot", "username", "slot", unique=True),
    Index("ix_renku_instances_active", "active", "username"),
    Index("ix_renku_instances_listed", "username", "listed", "requested_at", "id"),
    Index("ix_renku_instances_desired", "desired", "username", "id"),
    Index("ix_renku_instances_project", "project"),
    partial_index("ix_renku_instances_idle", "due_at", "id", where="due_at IS NOT NULL"),
    # For the operator's page: instances of all users, latest first, and the claims on record.
    Index("ix_renku_instances_claim", "claim"),
    Index("ix_renku_instances_ended", "ended_reason", "requested_at", "id"),
    Index("ix_renku_instances_latest", "listed", "requested_at", "id"),
    partial_index("ix_renku_instances_latest_active", "requested_at", "id", sqlite="active = 1", postgresql="active"),
    partial_index("ix_renku_instances_line", "turn", "requested_at", "id", where="turn IS NOT NULL"),
    partial_index("ix_renku_instances_latest_failed", "requested_at", "id", where="reason IS NOT NULL"),
    # For the expiry job: instances that are due, and announced deletions.
    partial_index("ix_renku_instances_due", "look_at", "id", where="look_at IS NOT NULL"),
    partial_index("ix_renku_instances_warned", "id", where="warned > 0"),
)

rounds = Table(  # the last success of each periodic job
    "renku_rounds",
    metadata,
    string_column("name", primary_key=True),
    datetime_column("at"),
    text_column("said"),
)

launches = Table(
    "renku_launches",
    metadata,
    string_column("id", primary_key=True),
    *string_columns("session", "project", "username", "revision"),
    nullable_string_column("environment"),  # the revision's
    string_column("image"),  # the revision's digest, or its id if unknown: launches of one image take equally long
    *string_columns("resource_class", "outcome"),
    nullable_string_column("reason"),
    Column("message", Text),
    text_column("log"),
    datetime_column("requested_at"),
    datetime_column("ready_at", nullable=True),
    datetime_column("ended_at", nullable=True),
    Column("seconds", Float),  # from the request until the server was ready
    json_column("stages", nullable=True),  # seconds in each stage
    Index("ix_renku_launches_mine", "username", "session", "requested_at"),
    Index("ix_renku_launches_usual", "image", "requested_at"),
    Index("ix_renku_launches_age", "requested_at"),
    Index("ix_renku_launches_environment", "environment", "requested_at", "outcome"),
    Index("ix_renku_launches_outcome", "outcome", "requested_at", "reason"),
)

__all__ = ["instances", "launches", "metadata", "rounds"]

# `folded_*` columns are compared without regard to case; `search` is the text that a search looks through.
# `default_session` and `current_revision` have no foreign key: the tables would depend on each other.
projects = Table(
    "renku_projects",
    metadata,
    string_column("id", primary_key=True),
    *string_columns("source", "source_id", "path", "folded_path", "title", "folded_title"),
    text_column("description"),
    string_column("visibility"),
    text_column("search"),
    nullable_string_column("default_session"),
    nullable_string_column("directory"),  # of the project's own repository, for projects from GitLab
    boolean_column("listed"),  # found by searches of users who are not members
    integer_column("session_count"),  # a stored counter, so that no page counts rows
    integer_column("version"),
    string_column("created_by"),
    datetime_column("created_at"),
    datetime_column("deleted_at", nullable=True),
    Index("uq_renku_projects_source", "source", "source_id", unique=True),
    index_not_deleted("uq_renku_projects_path", "folded_path", unique=True),
    index_not_deleted("ix_renku_projects_listed", "visibility", "folded_title", "id"),
)

paths = Table(  # former paths of projects, which redirect to the present one
    "renku_paths",
    metadata,
    string_column("folded_path", primary_key=True),
    string_column("project", foreign_key_to("projects")),
    Index("ix_renku_paths_project", "project"),
)

members = Table(
    "renku_members",
    metadata,
    string_column("project", foreign_key_to("projects"), primary_key=True),
    string_column("kind", primary_key=True),
    string_column("name", primary_key=True),
    integer_column("role"),
    datetime_column("added_at"),
    Index("ix_renku_members_name", "kind", "name", "project"),
)

repositories = Table(
    "renku_repositories",
    metadata,
    string_column("project", foreign_key_to("projects"), primary_key=True),
    integer_column("position", primary_key=True, autoincrement=False),
    *string_columns("directory", "folded_directory"),
    text_column("url"),
    nullable_string_column("ref"),
    boolean_column("lfs"),
    boolean_column("submodules"),
    Index("uq_renku_repositories_directory", "project", "folded_directory", unique=True),
)

environments = Table(
    "renku_environments",
    metadata,
    string_column("id", primary_key=True),
    string_column("kind"),
    nullable_string_column("project", foreign_key_to("projects")),
    nullable_string_column("key"),
    *string_columns("name", "folded_name"),
    text_column("description"),
    json_column("keywords"),
    string_column("icon"),
    integer_column("position"),
    string_column("state"),
    nullable_string_column("successor"),
    text_column("message"),
    string_column("created_by"),
    datetime_column("created_at"),
    datetime_column("archived_at", nullable=True),
    string_column("current_revision"),
    text_column("search"),
    integer_column("version"),  # number of changes by admins, for optimistic locking
    Index("uq_renku_environments_key", "key", unique=True),
    Index("ix_renku_environments_offered", "kind", "state", "position", "folded_name"),
)

revisions = Table(
    "renku_revisions",
    metadata,
    string_column("id", primary_key=True),
    string_column("environment", foreign_key_to("environments")),
    integer_column("number"),
    text_column("image"),
    text_column("repository"),
    nullable_string_column("tag"),
    nullable_string_column("digest"),
    json_column("facts"),
    json_column("run"),
    nullable_string_column("commit"),
    json_column("built", nullable=True),  # branch, commit and pipeline, if CI has built it
    string_column("created_by"),
    datetime_column("created_at"),
    Index("uq_renku_revisions_number", "environment", "number", unique=True),
)

sessions = Table(
    "renku_sessions",
    metadata,
    string_column("id", primary_key=True),
    string_column("project", foreign_key_to("projects")),
    string_column("environment", foreign_key_to("environments")),
    string_column("revision", foreign_key_to("revisions")),
    *string_columns("title", "folded_title"),
    text_column("description"),
    text_column("search"),
    *map(_build_configuration_column, CONFIGURATION_FIELDS),
    string_column("created_by"),
    datetime_column("created_at"),
    datetime_column("deleted_at", nullable=True),
    integer_column("version"),
    integer_column("position"),
    nullable_string_column("dismissed"),  # digest of a newer image that an editor dismissed
    Index("ix_renku_sessions_revision", "revision"),
    index_not_deleted("uq_renku_sessions_title", "project", "folded_title", unique=True),
    index_not_deleted("ix_renku_sessions_page", "project", "position", "id"),
    index_not_deleted("ix_renku_sessions_age", "project", "created_at", "id"),
)

people = Table(
    "renku_people", metadata, string_column("name", primary_key=True), datetime_column("since", nullable=True)
)

audit = Table(
    "renku_audit",
    metadata,
    integer_column("id", primary_key=True),
    datetime_column("at"),
    string_column("actor"),
    nullable_string_column("username"),
    *string_columns("action", "subject"),
    json_column("detail"),
    Index("ix_renku_audit_at", "at", "id"),
    Index("ix_renku_audit_actor", "actor", "at", "id"),
    Index("ix_renku_audit_action", "action", "at", "id"),
)

software = Table(  # software in an image, shared by all users of the image
    "renku_software",
    metadata,
    string_column("digest", primary_key=True),
    string_column("origin"),
    datetime_column("found_at"),
    json_column("found"),  # always read as a whole; pages search it in memory
)

packages = Table(  # the names and versions of `software`, for the search by package
    "renku_packages",
    metadata,
    string_column("digest", primary_key=True),
    string_column("name", primary_key=True),  # normalized
    string_column("version", primary_key=True),
    Index("ix_renku_packages_name", "name", "digest"),
)

images = Table(  # last answers of registries, shared by all users of the image
    "renku_images",
    metadata,
    string_column("reference", primary_key=True),  # canonical, with its tag or its digest
    string_column("verdict"),
    nullable_string_column("digest"),
    datetime_column("since", nullable=True),
    datetime_column("looked_at"),
    boolean_column("answered"),
    json_column("facts"),
)

builds = Table(  # the newest image of a branch at the last query
    "renku_builds",
    metadata,
    string_column("source", primary_key=True),  # GitLab's project id
    string_column("ref", primary_key=True),
    string_column("image", primary_key=True),  # host and path: a commit may have several
    datetime_column("looked_at"),
    boolean_column("answered"),
    datetime_column("since", nullable=True),
    json_column("found"),
)
