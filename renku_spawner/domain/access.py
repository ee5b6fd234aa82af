"""Roles in a project and the actions that each role may take.

Roles are computed from project members in `domain.projects`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum

from .errors import ForbiddenError, build_not_found_error


class Role(IntEnum):
    """A person's role in a project; each role includes the ones before it."""

    VIEWER = 1
    EDITOR = 2
    OWNER = 3

    @property
    def label(self) -> str:
        return self.name.lower()

    @classmethod
    def from_label(cls, word: str) -> Role:
        return cls[word.upper()]


class Visibility(StrEnum):
    """Access to a project for people who are not members of it.

    GitLab decides who counts as `internal`.
    """

    PRIVATE = "private"
    INTERNAL = "internal"
    PUBLIC = "public"


class ProjectAction(StrEnum):
    """An action on a project or on its contents."""

    READ = "see"
    LAUNCH = "start sessions of"
    WRITE = "change"
    MANAGE = "manage"


_MIN_ROLE_BY_ACTION = {
    ProjectAction.READ: Role.VIEWER,
    ProjectAction.LAUNCH: Role.VIEWER,
    ProjectAction.WRITE: Role.EDITOR,
    ProjectAction.MANAGE: Role.OWNER,
}
_FORBIDDEN_MESSAGES = {
    ProjectAction.WRITE: "Changing sessions needs write access to the project. Ask one of its owners.",
    ProjectAction.MANAGE: "Only owners of the project may do this.",
}


@dataclass(frozen=True, kw_only=True)
class Person:
    """A user of the hub, as the hub knows them at this moment.

    `since` is when the hub created that user: it tells a user name that was deleted and
    created again from the earlier user of that name.
    """

    name: str
    groups: frozenset[str] = frozenset()
    admin: bool = False
    since: datetime | None = None


def get_effective_role(role: Role | None, visibility: Visibility) -> Role | None:
    """Return the role that counts: every user who is logged in may view a public project."""
    return Role.VIEWER if role is None and visibility is Visibility.PUBLIC else role


def is_action_allowed(role: Role | None, visibility: Visibility, action: ProjectAction) -> bool:
    """Return whether a person with *role* may do *action*; None is a person without a role."""
    role = get_effective_role(role, visibility)
    return role is not None and role >= _MIN_ROLE_BY_ACTION[action]


def require_action(role: Role | None, visibility: Visibility, action: ProjectAction) -> None:
    """Raise unless *role* allows *action*.

    Raises:
        NotFoundError: the person may not see the project, and must not learn that it exists.
        ForbiddenError: the person may see the project, but may not do this.
    """
    if not is_action_allowed(role, visibility, ProjectAction.READ):
        raise build_not_found_error()
    if not is_action_allowed(role, visibility, action):
        raise ForbiddenError(_FORBIDDEN_MESSAGES[action])
