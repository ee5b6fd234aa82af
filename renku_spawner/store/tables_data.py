"""Tables of data beside the code: storages of projects, and what people keep to open them."""

from __future__ import annotations

from sqlalchemy import Column, Index, Table, Text

from .columns import flag, json, long, metadata, number, time, to, word, words

# `secret` is encrypted with the hub's crypt keeper, or null; nothing but the store and the keeper ever reads it.
storages = Table(
    "renku_storages",
    metadata,
    word("id", primary_key=True),
    word("project", to("projects")),
    number("position"),
    *words("directory", "folded_directory", "kind"),
    json("settings"),
    long("path"),
    word("credentials"),  # none, project, user
    Column("secret", Text),
    flag("read_only"),
    number("version"),
    word("created_by"),
    time("created_at"),
    json("checked", nullable=True),  # what the last look at the remote said, and when
    Index("uq_renku_storages_directory", "project", "folded_directory", unique=True),
    Index("ix_renku_storages_page", "project", "position", "id"),
)

storage_credentials = Table(  # what people themselves keep to open storages
    "renku_storage_credentials",
    metadata,
    word("storage", to("storages"), primary_key=True),
    word("username", primary_key=True),
    Column("secret", Text, nullable=False),
    time("kept_at"),
    Index("ix_renku_storage_credentials_mine", "username"),
)
