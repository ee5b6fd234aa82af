"""What admins say of ready-made environments, and what is known of their use."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from .environment import Revision, State
from .errors import Invalid
from .running import RunChoice

ICONS = ("notebook", "code", "chart", "map", "terminal", "globe", "dna", "gpu", "robot", "book")

COUNTED = timedelta(days=30)  # for so long starts are counted


@dataclass(frozen=True, kw_only=True)
class NewReadyMade:
    """What makes a ready-made environment; `image` as typed."""

    name: str
    image: str
    run: RunChoice = field(default_factory=RunChoice)
    description: str = ""
    keywords: tuple[str, ...] = ()
    icon: str = ""
    state: State = State.DRAFT


@dataclass(frozen=True, kw_only=True)
class ReadyMadeChange:
    """What an edit changes; None leaves a thing as it is, `version` is the one that the admin saw.

    `renew` takes what the tag of the image is now, which nothing else does.
    """

    version: int
    name: str | None = None
    description: str | None = None
    keywords: tuple[str, ...] | None = None
    icon: str | None = None
    image: str | None = None
    run: RunChoice | None = None
    renew: bool = False


@dataclass(frozen=True, kw_only=True)
class StateChange:
    """A step in the life of an environment; `successor` is an id."""

    version: int
    state: State
    successor: str | None = None
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What an editor has looked at: the successor of an environment, its revision, and the session in that version."""

    environment: str
    revision: int
    version: int


@dataclass(frozen=True, kw_only=True)
class Usage:
    """How much an environment is used: by living sessions of so many projects, of which `newest` run its newest
    revision; `running` are all people's instances at work, `last_used` is when one last was. `starts` are
    those of the last 30 days, `failed` of them did."""

    projects: int = 0
    sessions: int = 0
    newest: int = 0
    running: int = 0
    starts: int = 0
    failed: int = 0
    last_used: datetime | None = None


def icon(word: str) -> str:
    """One of ICONS, or none. Raises Invalid."""
    if word and word not in ICONS:
        sentence = f"Please choose one of {', '.join(ICONS)}."
        raise Invalid(sentence, fields={"icon": sentence})
    return word


def is_the_same(one: Revision, other: Revision) -> bool:
    """Whether both run the same content in the same way: going back makes such a revision."""
    content = one.canonical == other.canonical if one.digest is None else True
    return content and (one.digest, one.run) == (other.digest, other.run)
