"""Who somebody is, and what somebody in a role may do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum

from .errors import Forbidden, not_found


class Role(IntEnum):
    """What somebody is in a project; each includes the ones before."""

    VIEWER = 1
    EDITOR = 2
    OWNER = 3

    @property
    def word(self) -> str:
        return self.name.lower()

    @classmethod
    def of(cls, word: str) -> Role:
        return cls[word.upper()]


class Visibility(StrEnum):
    """Who may see a project without being a member; who is `internal` is for GitLab to say."""

    PRIVATE = "private"
    INTERNAL = "internal"
    PUBLIC = "public"


class Action(StrEnum):
    """What can be done with a project and what is in it."""

    READ = "see"
    LAUNCH = "start sessions of"
    WRITE = "change"
    MANAGE = "manage"


_NEEDS = {
    Action.READ: Role.VIEWER,
    Action.LAUNCH: Role.VIEWER,
    Action.WRITE: Role.EDITOR,
    Action.MANAGE: Role.OWNER,
}
_LACKS = {
    Action.WRITE: "Changing sessions needs write access to the project. Ask one of its owners.",
    Action.MANAGE: "Only owners of the project may do this.",
}


@dataclass(frozen=True, kw_only=True)
class Person:
    """A user of the hub, as the hub knows them at this moment.

    `since` is the hub's creation time of that user: a name that was deleted and
    made again is somebody else (decision 23).
    """

    name: str
    groups: frozenset[str] = frozenset()
    admin: bool = False
    since: datetime | None = None


def effective(role: Role | None, visibility: Visibility) -> Role | None:
    """The role that counts: whoever is logged in may view a public project."""
    return Role.VIEWER if role is None and visibility is Visibility.PUBLIC else role


def allows(role: Role | None, visibility: Visibility, action: Action) -> bool:
    """Whether somebody with *role* may do *action*; None is a passer-by."""
    role = effective(role, visibility)
    return role is not None and role >= _NEEDS[action]


def require(role: Role | None, visibility: Visibility, action: Action) -> None:
    """Raise unless *role* allows *action*.

    Raises:
        NotFound: whoever may not see the project is told that it does not exist.
        Forbidden: whoever sees it but may not do this.
    """
    if not allows(role, visibility, Action.READ):
        raise not_found()
    if not allows(role, visibility, action):
        raise Forbidden(_LACKS[action])
