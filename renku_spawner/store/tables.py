"""The tables. No row leaves the store; users are known by name, never by a key of the hub's tables."""

from __future__ import annotations

from sqlalchemy import Column, Float, Index, Table, Text

from . import tables_data
from .columns import flag, json, living, long, maybe, metadata, number, only, time, to, word, words

__all__ = ["metadata", "tables_data"]  # importing this file makes all tables known

# `folded_*` are what counts as equal, whatever the case; `search` is what a search looks through.
# `default_session` and `current_revision` have no foreign key: the tables would need each other to exist first.
projects = Table(
    "renku_projects",
    metadata,
    word("id", primary_key=True),
    *words("source", "source_id", "path", "folded_path", "title", "folded_title"),
    long("description"),
    word("visibility"),
    long("search"),
    maybe("default_session"),
    maybe("directory"),  # of the repository that is the project itself, where it lives elsewhere
    number("session_count"),  # kept along, so that no page counts rows
    number("version"),
    word("created_by"),
    time("created_at"),
    time("deleted_at", nullable=True),
    Index("uq_renku_projects_source", "source", "source_id", unique=True),
    living("uq_renku_projects_path", "folded_path", unique=True),
    living("ix_renku_projects_listed", "visibility", "folded_title", "id"),
)

paths = Table(  # where projects were before
    "renku_paths",
    metadata,
    word("folded_path", primary_key=True),
    word("project", to("projects")),
    Index("ix_renku_paths_project", "project"),
)

members = Table(
    "renku_members",
    metadata,
    word("project", to("projects"), primary_key=True),
    word("kind", primary_key=True),
    word("name", primary_key=True),
    number("role"),
    time("added_at"),
    Index("ix_renku_members_name", "kind", "name", "project"),
)

repositories = Table(
    "renku_repositories",
    metadata,
    word("project", to("projects"), primary_key=True),
    number("position", primary_key=True, autoincrement=False),
    *words("directory", "folded_directory"),
    long("url"),
    maybe("ref"),
    flag("lfs"),
    flag("submodules"),
    Index("uq_renku_repositories_directory", "project", "folded_directory", unique=True),
)

environments = Table(
    "renku_environments",
    metadata,
    word("id", primary_key=True),
    word("kind"),
    maybe("project", to("projects")),
    maybe("key"),
    *words("name", "folded_name"),
    long("description"),
    json("keywords"),
    word("icon"),
    number("position"),
    word("state"),
    maybe("successor"),
    long("message"),
    word("created_by"),
    time("created_at"),
    time("archived_at", nullable=True),
    word("current_revision"),
    long("search"),
    number("version"),  # counts what admins change
    Index("uq_renku_environments_key", "key", unique=True),
    Index("ix_renku_environments_offered", "kind", "state", "position", "folded_name"),
)

revisions = Table(
    "renku_revisions",
    metadata,
    word("id", primary_key=True),
    word("environment", to("environments")),
    number("number"),
    long("image"),
    long("repository"),
    maybe("tag"),
    maybe("digest"),
    json("facts"),
    json("run"),
    maybe("commit"),
    json("built", nullable=True),  # where it comes from, if CI has built it
    word("created_by"),
    time("created_at"),
    Index("uq_renku_revisions_number", "environment", "number", unique=True),
)

sessions = Table(
    "renku_sessions",
    metadata,
    word("id", primary_key=True),
    word("project", to("projects")),
    word("environment", to("environments")),
    word("revision", to("revisions")),
    *words("title", "folded_title"),
    long("description"),
    long("search"),
    *words("cpu", "memory"),
    number("gpu"),
    word("disk"),
    *(json(name, nullable=True) for name in ("repositories", "storages")),  # null: all of the project's
    json("variables"),
    word("created_by"),
    time("created_at"),
    time("deleted_at", nullable=True),
    number("version"),
    number("position"),
    maybe("dismissed"),  # the digest of a newer image that nobody wants to hear of
    Index("ix_renku_sessions_revision", "revision"),
    living("uq_renku_sessions_title", "project", "folded_title", unique=True),
    living("ix_renku_sessions_page", "project", "position", "id"),
    living("ix_renku_sessions_age", "project", "created_at", "id"),
)

instances = Table(
    "renku_instances",
    metadata,
    word("id", primary_key=True),
    word("session", to("sessions")),
    *words("username", "project", "environment"),
    maybe("slot"),
    *words("desired", "observed"),
    number("generation"),
    maybe("run"),
    maybe("claim"),
    maybe("revision"),
    maybe("fingerprint"),
    maybe("resource_class"),
    Column("url", Text),
    maybe("reason"),
    Column("message", Text),
    Column("advice", Text),
    maybe("ended_reason"),
    json("notices"),
    *(time(name, nullable=True) for name in ("requested_at", "stage_at", "deadline", "ready_at")),
    *(time(name, nullable=True) for name in ("last_activity", "last_seen", "paused_at")),
    json("spent", nullable=True),  # seconds in each stage of the start under way
    flag("active"),  # derived from the others at each save, for the indexes
    flag("listed"),
    Index("uq_renku_instances_session", "session", "username", unique=True),
    Index("uq_renku_instances_slot", "username", "slot", unique=True),  # decision 1
    Index("ix_renku_instances_active", "active", "username"),
    Index("ix_renku_instances_listed", "username", "listed", "requested_at", "id"),
    Index("ix_renku_instances_desired", "desired", "username", "id"),
    Index("ix_renku_instances_project", "project"),
    # For the operator's page: everybody's, the latest first, and which claims are on record.
    Index("ix_renku_instances_claim", "claim"),
    Index("ix_renku_instances_ended", "ended_reason", "requested_at", "id"),
    Index("ix_renku_instances_latest", "listed", "requested_at", "id"),
    only("ix_renku_instances_latest_active", "requested_at", "id", sqlite="active = 1", postgresql="active"),
    only("ix_renku_instances_latest_failed", "requested_at", "id", where="reason IS NOT NULL"),
)

launches = Table(
    "renku_launches",
    metadata,
    word("id", primary_key=True),
    *words("session", "project", "username", "revision"),
    maybe("environment"),  # the revision's
    word("image"),  # the revision's digest, or the revision itself: what takes equally long to start
    *words("resource_class", "outcome"),
    maybe("reason"),
    Column("message", Text),
    long("log"),
    time("requested_at"),
    time("ready_at", nullable=True),
    time("ended_at", nullable=True),
    Column("seconds", Float),  # from the request until it was ready
    json("stages", nullable=True),  # seconds in each stage
    Index("ix_renku_launches_mine", "username", "session", "requested_at"),
    Index("ix_renku_launches_usual", "image", "requested_at"),
    Index("ix_renku_launches_age", "requested_at"),
    Index("ix_renku_launches_environment", "environment", "requested_at", "outcome"),
    Index("ix_renku_launches_outcome", "outcome", "requested_at", "reason"),
)

people = Table("renku_people", metadata, word("name", primary_key=True), time("since", nullable=True))

audit = Table(
    "renku_audit",
    metadata,
    number("id", primary_key=True),
    time("at"),
    word("actor"),
    maybe("username"),
    *words("action", "subject"),
    json("detail"),
    Index("ix_renku_audit_at", "at", "id"),
    Index("ix_renku_audit_actor", "actor", "at", "id"),
    Index("ix_renku_audit_action", "action", "at", "id"),
)

software = Table(  # what is installed in an image, whoever uses it
    "renku_software",
    metadata,
    word("digest", primary_key=True),
    word("origin"),
    time("found_at"),
    json("found"),  # read as a whole: a page searches it in memory
)

images = Table(  # what registries last said, whoever uses the image
    "renku_images",
    metadata,
    word("reference", primary_key=True),  # canonical, with its tag or its digest
    word("verdict"),
    maybe("digest"),
    time("since", nullable=True),
    time("looked_at"),
    flag("answered"),
    json("facts"),
)

builds = Table(  # the newest image of a branch, when somebody last looked
    "renku_builds",
    metadata,
    word("source", primary_key=True),  # GitLab's number of the project
    word("ref", primary_key=True),
    word("image", primary_key=True),  # host and path: a commit may have several
    time("looked_at"),
    flag("answered"),
    time("since", nullable=True),
    json("found"),
)
