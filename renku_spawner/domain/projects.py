"""Projects with their members and code repositories, and the validation of repository URLs and Git refs.

Parsing GitLab's answers belongs in `integrations.gitlab.projects`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from .access import Person, ProjectAction, Role, Visibility, get_effective_role, is_action_allowed, require_action
from .errors import InvalidInputError
from .ids import RecordId, RowVersion
from .text import LongText, ShortText

_GIT_REF_PATTERN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+#@-]{0,199}")
_PUBLIC_HOST_PATTERN = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
)
_INTERNAL_HOST_SUFFIXES = (".localhost", ".local", ".internal", ".svc", ".cluster.local", ".lan", ".home.arpa")
MAX_REPOSITORY_URL_LENGTH = 2000
# `user:password@` at the beginning of a line, and all text before the @ of a URL's host.
_URL_CREDENTIALS_PATTERN = re.compile(r"(//)[^/\s]*@|^[^/\s:]+:[^/\s]*@", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class NewRepository:
    """A repository as a user enters it; a missing directory is derived from the URL."""

    url: LongText
    ref: ShortText | None = None
    directory: ShortText | None = None
    lfs: bool = False
    submodules: bool = False


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A repository that is cloned to `/work/<directory>` of sessions.

    A `fixed` one is the project's own repository in its source; it is not stored in the hub's tables.
    """

    directory: str
    url: str
    ref: str | None = None
    lfs: bool = False
    submodules: bool = False
    fixed: bool = False


def check_repository_url(text: str, *, hosts: Collection[str] = ()) -> str:
    """Return *text*, if it is an https URL of a public host, or any http(s) URL of one of *hosts*.

    *hosts* are `host` or `host:port`, listed by the admin. No URL may have a user part.

    Raises:
        InvalidInputError: at field `url`; a password in the URL is never repeated.
    """
    problem = _find_url_problem(text, hosts)
    if problem:
        raise InvalidInputError(problem, fields={"url": problem})
    return text


def remove_url_credentials(text: str) -> str:
    """Return *text* without users and passwords in the addresses of its lines."""
    return _URL_CREDENTIALS_PATTERN.sub(r"\1", text)


def _find_url_problem(text: str, hosts: Collection[str]) -> str | None:
    if not text or len(text) > MAX_REPOSITORY_URL_LENGTH or not text.isascii() or not text.isprintable() or " " in text:
        return "Please give the https:// address of the repository."
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "This is not a valid address."
    if parts.scheme not in ("https", "http") or not host or not parts.path.strip("/") or "\\" in text:
        return "Only addresses that start with https:// can be cloned."
    if "@" in parts.netloc:
        return "Leave out user name and password: everyone in the project could read them."
    if "?" in text or "#" in text or "/../" in f"{parts.path}/":
        return "This is not the address of a repository: leave out everything after ? or #."
    listed = host in hosts or (port is not None and f"{host}:{port}" in hosts)
    return None if listed else _find_unlisted_host_problem(parts.scheme, host, port)


def _find_unlisted_host_problem(scheme: str, host: str, port: int | None) -> str | None:
    """Return what is wrong with a host that no admin has listed, None if it is allowed."""
    if scheme != "https":
        return "Only addresses that start with https:// can be cloned."
    if _is_ip_address(host) or not _PUBLIC_HOST_PATTERN.fullmatch(host) or f".{host}".endswith(_INTERNAL_HOST_SUFFIXES):
        return f"Repositories on the host {host[:100]} are not allowed here."
    if port not in (None, 443):
        return f"Port {port} is not allowed here."
    return None


def _is_ip_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def check_git_ref(text: str) -> str:
    """Return *text*, if it may name a branch, a tag or a commit by the rules of `git check-ref-format`.

    Raises:
        InvalidInputError: at field `ref`.
    """
    bad = ("..", "@{", "//", "/.", ".lock/")
    if not _GIT_REF_PATTERN.fullmatch(text) or any(part in text for part in bad) or text.endswith((".", "/", ".lock")):
        sentence = "This is not the name of a branch, a tag or a commit."
        raise InvalidInputError(sentence, fields={"ref": sentence})
    return text


@dataclass(frozen=True, kw_only=True)
class ProjectMember:
    """A user or a group with a role; `kind` is `user` or `group`."""

    name: ShortText
    role: Role
    kind: str = "user"

    def matches_person(self, person: Person) -> bool:
        return self.name == person.name if self.kind == "user" else self.name in person.groups


@dataclass(frozen=True, kw_only=True)
class NewProject:
    """The fields of a new project in source `hub`."""

    path: ShortText
    title: LongText
    description: LongText = ""
    visibility: Visibility = Visibility.PRIVATE
    repositories: tuple[NewRepository, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ProjectChange:
    """A change of a project; None leaves a field as it is.

    `version` is the one that the editor saw. With `allow_unknown` new members may be users and groups that the
    hub does not know. `moved_repository` are the former and the new directory of a repository that stays the same
    one: sessions that select it follow.
    """

    version: RowVersion
    path: ShortText | None = None
    title: LongText | None = None
    description: LongText | None = None
    visibility: Visibility | None = None
    listed: bool | None = None
    default_session: RecordId | None = None
    repositories: tuple[NewRepository, ...] | None = None
    members: tuple[ProjectMember, ...] | None = None
    allow_unknown: bool = False
    moved_repository: tuple[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class ProjectEntry:
    """A row of the list of projects, for one person."""

    id: str
    path: str
    title: str
    description: str
    visibility: Visibility
    role: Role
    default_session: str | None
    default_title: str | None
    sessions: int
    archived: bool = False
    stale: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Project:
    """A project as it is stored, or as its source shows it to one person.

    - `web` is the URL of its page in its source, None in source `hub`; `ssh` is the beginning of SSH addresses there.
    - `stale` is the time of the source's last answer if the source does not respond now, and `unverified` is
      whether that is too long ago to start sessions.
    - `member` is whether the person has a role in the source, beyond public or internal access.
    - `directory` is that of its own repository, whether it has one at present or not; it stays when the
      project is renamed, and is None in source `hub`.
    - `listed` is whether people who are not members find its sessions by a search.
    """

    id: str
    source: str
    source_id: str
    path: str
    title: str
    description: str
    visibility: Visibility
    default_session: str | None
    version: int
    created_by: str
    created_at: datetime
    directory: str | None = None
    listed: bool = True
    repositories: tuple[Repository, ...] = ()
    members: tuple[ProjectMember, ...] = ()
    archived: bool = False
    web: str | None = None
    ssh: str = ""
    stale: datetime | None = None
    unverified: bool = False
    member: bool = False

    @property
    def is_hub_project(self) -> bool:
        """True if the hub manages its members, path, visibility and deletion."""
        return self.source == "hub"

    @property
    def own_repository(self) -> Repository | None:
        """The repository that is the project itself; None in source `hub`, or if the project has none."""
        return next((repository for repository in self.repositories if repository.fixed), None)

    def get_role(self, person: Person) -> Role | None:
        """Return the highest role of *person*: as a member, by a group, or as a viewer of a public project.

        None for a person without access to a private project.
        """
        roles = [member.role for member in self.members if member.matches_person(person)]
        return get_effective_role(max(roles, default=None), self.visibility)

    def is_allowed(self, person: Person, action: ProjectAction) -> bool:
        return is_action_allowed(self.get_role(person), self.visibility, action)

    def require_action(self, person: Person, action: ProjectAction) -> None:
        """Raise NotFoundError or ForbiddenError unless *person* may do *action*."""
        require_action(self.get_role(person), self.visibility, action)
