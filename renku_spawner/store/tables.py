"""The tables. No row leaves the store; users are known by name, never by a key of the hub's tables."""

from __future__ import annotations

from sqlalchemy import Index, Table

from . import tables_data
from .columns import flag, json, living, long, maybe, metadata, number, time, to, word, words
from .tables_runs import instances, launches, rounds

__all__ = ["instances", "launches", "metadata", "rounds", "tables_data"]  # importing this file makes all tables known

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
