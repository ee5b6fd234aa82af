"""Who and what there is in the fake GitLab, and who may do what: users, groups, projects, memberships, rights."""

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .gitlab_project import Project

GUEST, REPORTER, DEVELOPER, MAINTAINER, OWNER = 10, 20, 30, 40, 50
LIFETIME = 7200  # seconds, fixed in GitLab


def stamp(at: float | None = None) -> str:
    """A time as GitLab's API writes it; *at* in unix seconds, None is now."""
    shown = datetime.fromtimestamp(time.time() if at is None else at, UTC)
    return shown.strftime("%Y-%m-%dT%H:%M:%S.") + f"{shown.microsecond // 1000:03}Z"


@dataclass
class User:
    """`more` are further fields of its body, such as `created_at`; state is active, blocked, ..."""

    id: int
    username: str
    name: str
    email: str
    admin: bool = False
    external: bool = False
    state: str = "active"
    terms_accepted: bool = True
    namespace_id: int = 0
    more: dict[str, Any] = field(default_factory=dict)


@dataclass
class Member:
    """`role` is a custom role: its body, with its abilities as keys (`read_code`); `expires_at` is a date."""

    user: User
    level: int
    role: dict[str, Any] | None = None
    created_at: str = field(default_factory=stamp)
    expires_at: str | None = None

    def can(self, ability: str, level: int) -> bool:
        return self.level >= level or bool(self.role and self.role.get(ability))


@dataclass
class Group:
    id: int
    path: str
    name: str
    parent: "Group | None" = None
    visibility: str = "private"
    members: dict[int, Member] = field(default_factory=dict)
    shares: list["tuple[Group, int]"] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def full_path(self) -> str:
        return f"{self.parent.full_path}/{self.path}" if self.parent else self.path

    def line(self) -> "Iterator[Group]":
        """The group, its parent, and so on."""
        yield self
        if self.parent:
            yield from self.parent.line()

    def members_of(self, user_id: int, *, shared: bool = True) -> Iterator[Member]:
        """How the user belongs to it: directly, through its ancestors and through groups that these invited."""
        for group in self.line():
            if user_id in group.members:
                yield group.members[user_id]
            for guest, limit in group.shares if shared else []:
                yield from limited(guest.members_of(user_id, shared=False), limit)


def limited(members: Iterator[Member], limit: int) -> Iterator[Member]:
    """Members of an invited group: at most what the invitation gives, and without their own custom role."""
    for member in members:
        yield Member(member.user, min(member.level, limit), None, member.created_at, member.expires_at)


@dataclass
class Token:
    """A pair of tokens; `refreshed` is when the refresh token was used up."""

    access: str
    refresh: str
    user: User
    client_id: str
    scopes: tuple[str, ...]
    created: float
    expires: float
    revoked: bool = False

    @property
    def expired(self) -> bool:
        return time.time() >= self.expires


@dataclass
class Code:
    """An authorization code; single use, ten minutes."""

    user: User
    client_id: str
    redirect_uri: str
    scopes: tuple[str, ...]
    challenge: str
    method: str
    until: float


class World:
    """Everything that is there; names and numbers find it."""

    def __init__(self) -> None:
        self.users: dict[str, User] = {}
        self.groups: dict[str, Group] = {}
        self.projects: dict[int, Project] = {}
        self.old_paths: dict[str, int] = {}  # lower case; until somebody else takes the path
        self.tokens: list[Token] = []
        self.codes: dict[str, Code] = {}
        self._numbers = {"user": 100, "images": 300, "namespace": 1000, "project": 2000}
        self._numbers |= {"pipeline": 9000, "job": 50000}

    def number(self, kind: str) -> int:
        self._numbers[kind] += 1
        return self._numbers[kind]

    def user_by_id(self, user_id: int) -> User | None:
        return next((user for user in self.users.values() if user.id == user_id), None)

    def group_at(self, path: str) -> Group:
        """The group of that full path, made with its parents if missing."""
        if path not in self.groups:
            parent, _, own = path.rpartition("/")
            above = self.group_at(parent) if parent else None
            name = own.replace("-", " ").capitalize()
            self.groups[path] = Group(self.number("namespace"), own, name, above)
        return self.groups[path]

    def project_at(self, path: str) -> "Project | None":
        """By present path, whatever the case."""
        return next((one for one in self.projects.values() if one.path.lower() == path.lower()), None)

    def moved(self, path: str) -> "Project | None":
        """The project that was at *path* before, unless another one has taken it."""
        return self.projects.get(self.old_paths.get(path.lower(), 0))

    def issue(self, user: User, client_id: str, scopes: tuple[str, ...], lifetime: float = LIFETIME) -> Token:
        now = time.time()
        token = Token(secrets.token_hex(32), secrets.token_hex(32), user, client_id, scopes, now, now + lifetime)
        self.tokens.append(token)
        return token

    def token(self, access: str) -> Token | None:
        return next((token for token in self.tokens if token.access == access), None)
