"""The tables of what people run."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Integer, Table, Text

from .columns import flag, json, long, maybe, metadata, number, only, time, to, word, words

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
    time("due_at", nullable=True),  # when the rounds look at it next
    time("awake_until", nullable=True),
    Column("idle_pause", Integer),  # seconds, of its environment
    time("reported_at", nullable=True),
    Column("disk_used", BigInteger),  # bytes
    time("disk_used_at", nullable=True),
    *(time(name, nullable=True) for name in ("kept_from", "deleted_on", "trashed_until", "look_at")),  # domain.expiry
    Column("warned", Integer),
    *(json(name, nullable=True) for name in ("without_storages", "failed_storages")),  # directories
    Column("turn", Integer),  # of a start that waits in line
    flag("active"),  # derived from the others at each save, for the indexes
    flag("listed"),
    Index("uq_renku_instances_session", "session", "username", unique=True),
    Index("uq_renku_instances_slot", "username", "slot", unique=True),  # decision 1
    Index("ix_renku_instances_active", "active", "username"),
    Index("ix_renku_instances_listed", "username", "listed", "requested_at", "id"),
    Index("ix_renku_instances_desired", "desired", "username", "id"),
    Index("ix_renku_instances_project", "project"),
    only("ix_renku_instances_idle", "due_at", "id", where="due_at IS NOT NULL"),
    # For the operator's page: everybody's, the latest first, and which claims are on record.
    Index("ix_renku_instances_claim", "claim"),
    Index("ix_renku_instances_ended", "ended_reason", "requested_at", "id"),
    Index("ix_renku_instances_latest", "listed", "requested_at", "id"),
    only("ix_renku_instances_latest_active", "requested_at", "id", sqlite="active = 1", postgresql="active"),
    only("ix_renku_instances_line", "turn", "requested_at", "id", where="turn IS NOT NULL"),
    only("ix_renku_instances_latest_failed", "requested_at", "id", where="reason IS NOT NULL"),
    # For the rounds over what expires: what is due, and what was announced.
    only("ix_renku_instances_due", "look_at", "id", where="look_at IS NOT NULL"),
    only("ix_renku_instances_warned", "id", where="warned > 0"),
)

rounds = Table(  # when all was last well, of what is looked at again and again
    "renku_rounds",
    metadata,
    word("name", primary_key=True),
    time("at"),
    long("said"),
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
