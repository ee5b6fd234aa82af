"""Environments: an image and what is known about it, in immutable revisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from .built import Built


class Kind(StrEnum):
    """Where an environment comes from; `external` and `repository` belong to one project."""

    DEFAULT = "default"
    EXTERNAL = "external"
    REPOSITORY = "repository"


class State(StrEnum):
    """The life of an environment (decision 37)."""

    DRAFT = "draft"
    ACTIVE = "active"
    DEPRECATED = "deprecated"
    ARCHIVED = "archived"

    def leads_to(self, other: State) -> bool:
        """Whether an admin may make it *other*; what is no longer offered may get another successor or message."""
        return other in _NEXT[self]


# Nothing becomes a draft again: sessions may run it by then.
_NEXT = {
    State.DRAFT: (State.ACTIVE, State.ARCHIVED),
    State.ACTIVE: (State.DEPRECATED, State.ARCHIVED),
    State.DEPRECATED: (State.ACTIVE, State.DEPRECATED, State.ARCHIVED),
    State.ARCHIVED: (State.ACTIVE, State.DEPRECATED, State.ARCHIVED),
}


@dataclass(frozen=True, kw_only=True)
class RunConfiguration:
    """How the image is run. The working directory is `/work` or below (decision 3).

    `image_user` is whether it runs as the user that the image names, instead of `uid`; `gid`
    remains the group of the files in `/work`, and `group` is that user's own, filled in at a start. After
    `idle_pause` seconds without use it is paused: None is as its class says, 0 never.
    """

    default_url: str = "/lab"
    port: int = 8888
    command: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    working_directory: str = "/work"
    uid: int | None = None
    gid: int | None = None
    image_user: bool = False
    group: int | None = None
    idle_pause: int | None = None


@dataclass(frozen=True, kw_only=True)
class NewRevision:
    """What makes a revision: the image as typed, its canonical parts and how it is run."""

    image: str
    repository: str
    tag: str | None = None
    digest: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    run: RunConfiguration = field(default_factory=RunConfiguration)
    commit: str | None = None
    built: Built | None = None


@dataclass(frozen=True, kw_only=True)
class Revision(NewRevision):
    """One immutable state of an environment, numbered from 1."""

    id: str
    environment: str
    number: int
    created_by: str
    created_at: datetime

    @property
    def canonical(self) -> str:
        return f"{self.repository}:{self.tag}" if self.tag else self.repository

    def superseded_by(self, pinned: Revision) -> bool:
        """Whether it is the image of *pinned* from before anybody knew its content."""
        return self.digest is None and pinned.digest is not None and self.canonical == pinned.canonical


@dataclass(frozen=True, kw_only=True)
class NewEnvironment:
    """What makes an environment; `key` is its name in the hub's configuration."""

    name: str
    kind: Kind = Kind.DEFAULT
    project: str | None = None
    description: str = ""
    keywords: tuple[str, ...] = ()
    icon: str = ""
    position: int = 0
    key: str | None = None


@dataclass(frozen=True, kw_only=True)
class Environment(NewEnvironment):
    """An environment with its newest revision.

    `successor` is the id of the one that comes in its place, `version` counts what admins change of it.
    """

    id: str
    state: State
    successor: str | None
    message: str
    created_by: str
    created_at: datetime
    revision: Revision
    archived_at: datetime | None = None
    version: int = 1

    @property
    def configured(self) -> bool:
        """Whether the hub's configuration says what it is, so that nobody changes it in the browser (decision 37)."""
        return self.key is not None and self.state is not State.ARCHIVED

    @property
    def ready_made(self) -> bool:
        """Whether it is the admins' own, whose registries may be asked with credentials (decision 8)."""
        return self.kind is Kind.DEFAULT

    @property
    def offered(self) -> bool:
        """Whether new sessions can be made from it."""
        return self.state in (State.ACTIVE, State.DEPRECATED)
