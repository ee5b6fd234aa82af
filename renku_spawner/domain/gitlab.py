"""What GitLab says of projects and roles, read without trust in its shape (H85)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .access import Role, Visibility
from .names import is_path
from .text import DESCRIPTION_LIMIT, TITLE_LIMIT, cut

# https://docs.gitlab.com/api/access_requests/#valid-access-levels; in between are Planner (15), Security Manager (25).
GUEST, REPORTER, DEVELOPER, OWNER = 10, 20, 30, 50
NUMBERS = range(1, 2**31)  # of projects and users
_LEVELS = range(0, 1000)
_SSH_HOST = "[A-Za-z0-9_.-]{1,64}@[A-Za-z0-9.-]{1,253}"
_SSH = re.compile(f"{_SSH_HOST}:|ssh://{_SSH_HOST}(:[0-9]{{1,5}})?/")


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A project as GitLab shows it to one person.

    `level` is the least that this person has there; they may have more by a group that
    was invited, which GitLab does not say here, unless the project stands `alone`: in
    somebody's own namespace, and no group invited. `repository`: it has one; to who may
    not read code GitLab does not say whether. `ssh` is what stands before the paths of
    repositories in this GitLab's SSH addresses, `git@host:` or `ssh://git@host:port/`.
    """

    number: int
    path: str
    title: str
    description: str
    visibility: Visibility
    archived: bool
    repository: bool
    level: int
    alone: bool
    ssh: str = ""


def seen(body: Any) -> Seen | None:
    """The project of a body; None of one that has no number, no path, or those of something else."""
    if not isinstance(body, Mapping) or number(body.get("id")) is None:
        return None
    path = body.get("path_with_namespace")
    if not isinstance(path, str) or not is_path(path):
        return None
    least = _least(body.get("permissions"))
    return Seen(
        number=body["id"],
        path=path,
        title=_text(body.get("name"), TITLE_LIMIT) or path.rpartition("/")[2][:TITLE_LIMIT],
        description=_text(body.get("description"), DESCRIPTION_LIMIT, lines=True),
        visibility=_visibility(body.get("visibility")),
        archived=body.get("archived") is not False and "archived" in body,
        repository="default_branch" in body or least < REPORTER,
        level=least,
        alone=_alone(body),
        ssh=_ssh(body.get("ssh_url_to_repo"), path),
    )


def level(body: Any, user: int) -> int:
    """The access level in a member's body; 0 unless it is this user's and a number.

    A custom role has the level that it is based on: a lower bound of what it may.
    """
    if not isinstance(body, Mapping) or number(body.get("id")) != user:
        return 0
    return _level(body.get("access_level"))


def role(level: int, *, archived: bool) -> Role:
    """What somebody with *level* is here who sees the project; an archived one is nobody's to change."""
    if archived or level < DEVELOPER:
        return Role.VIEWER
    return Role.OWNER if level >= OWNER else Role.EDITOR


def number(value: Any) -> int | None:
    """GitLab's number of something; None of texts, truth values and whatever else stands there."""
    return value if type(value) is int and value in NUMBERS else None


def _level(value: Any) -> int:
    return value if type(value) is int and value in _LEVELS else 0


def _least(permissions: Any) -> int:
    """Of direct membership and of the groups above; null of both says nothing."""
    if not isinstance(permissions, Mapping):
        return 0
    ways = [permissions.get(key) for key in ("project_access", "group_access")]
    return max((_level(way.get("access_level")) for way in ways if isinstance(way, Mapping)), default=0)


def _ssh(address: Any, path: str) -> str:
    begin = address.removesuffix(f"{path}.git") if isinstance(address, str) else ""
    return begin if _SSH.fullmatch(begin) else ""


def _alone(body: Mapping[str, Any]) -> bool:
    """Whether a direct role is the only way to have one: GitLab names the invited groups that the asker may see, so
    all those of which they are."""
    namespace = body.get("namespace")
    own = isinstance(namespace, Mapping) and namespace.get("kind") == "user"
    return own and body.get("shared_with_groups") == [] and isinstance(body.get("permissions"), Mapping)


def _visibility(value: Any) -> Visibility:
    return Visibility(value) if value in ("private", "internal", "public") else Visibility.PRIVATE


def _text(value: Any, limit: int, *, lines: bool = False) -> str:
    return cut(value, limit=limit, lines=lines) if isinstance(value, str) else ""
