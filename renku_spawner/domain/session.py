"""Sessions: an environment in a project, with a configuration."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from .environment import Environment, Revision, RunConfiguration
from .git_inside import GitInside
from .repository import Repository
from .resources import Requirements, ResourceClass
from .running import NewBuilt, NewImage
from .storage import Mounted, Storage


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """What a session needs and gets; `repositories` and `storages` are directories, None is
    all of the project's, also those added later."""

    needs: Requirements = field(default_factory=Requirements)
    repositories: tuple[str, ...] | None = None
    storages: tuple[str, ...] | None = None
    variables: Mapping[str, str] = field(default_factory=dict)

    def chosen(self, repositories: tuple[Repository, ...]) -> tuple[Repository, ...]:
        """Those of the project's *repositories* that the session gets."""
        if self.repositories is None:
            return repositories
        return tuple(r for r in repositories if r.directory in self.repositories)

    def mounts(self, storages: Iterable[Storage]) -> tuple[Storage, ...]:
        """Those of the project's *storages* that the session gets."""
        return tuple(s for s in storages if self.storages is None or s.directory in self.storages)


@dataclass(frozen=True, kw_only=True)
class NewSession:
    """What an editor says to add a ready-made environment (its id) or an image, their own or
    one that CI has built, to a project."""

    environment: str | None = None
    image: NewImage | None = None
    built: NewBuilt | None = None
    title: str | None = None
    description: str = ""
    configuration: Configuration = field(default_factory=Configuration)
    default: bool = False


@dataclass(frozen=True, kw_only=True)
class SessionChange:
    """What an edit changes; None leaves a field as it is. `version` is the one that
    the editor saw (decision 16), `image` replaces somebody's own."""

    version: int
    title: str | None = None
    description: str | None = None
    configuration: Configuration | None = None
    image: NewImage | None = None


@dataclass(frozen=True, kw_only=True)
class Session:
    """A session as it is stored, with its environment and the revision it is pinned to.

    `dismissed` is the digest of a newer image that an editor does not want to hear of.
    """

    id: str
    project: str
    environment: Environment
    revision: Revision
    title: str
    description: str
    configuration: Configuration
    created_by: str
    created_at: datetime
    deleted_at: datetime | None
    version: int
    position: int
    dismissed: str | None = None

    @property
    def fingerprint(self) -> str:
        """What a running instance is compared with: changes when an edit would take
        effect at the next start, not when a title is corrected."""
        needs = self.configuration.needs
        said = {
            "needs": {"cpu": needs.cpu, "memory": needs.memory, "gpu": needs.gpu, "disk": needs.disk},
            "repositories": self.configuration.repositories,
            "variables": dict(self.configuration.variables),
            "revision": self.revision.id,
        }
        if self.configuration.storages is not None:  # as before, for those that run when the hub is upgraded
            said["storages"] = self.configuration.storages
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


# What a launch version is made of, in the words in which a change is told.
_LAUNCH_PARTS = ("image", "image", "run configuration", "resources", "variables", "repositories", "storages")


def launch_version(session: Session, repositories: Iterable[Repository], storages: Iterable[Storage]) -> str:
    """Return what a start of *session* would run, as a short text that a form carries from a page to the start.

    It changes with all that a start gets, also with the project's *repositories* and *storages*, and with nothing else:
    not with a title or a description. A project's own repository (`fixed`) is left out: it is what the project is.
    """
    revision, wanted = session.revision, session.configuration
    clones = wanted.chosen(tuple(repository for repository in repositories if not repository.fixed))
    parts = (
        revision.canonical,
        revision.digest,
        vars(revision.run),
        vars(wanted.needs),
        dict(wanted.variables),
        [wanted.repositories, sorted((vars(clone) for clone in clones), key=lambda clone: str(clone["directory"]))],
        sorted((storage.id, storage.version) for storage in wanted.mounts(storages)),
    )
    return ".".join("" if part is None else _hash_of(part) for part in parts)


def _hash_of(part: object) -> str:
    """64 bits: nobody finds another value with the same ones while a page is open."""
    said = json.dumps(part, sort_keys=True, default=str).encode()
    return urlsafe_b64encode(hashlib.sha256(said).digest()[:8]).decode().rstrip("=")


def changed_parts(seen: str, now: str) -> list[str]:
    """Return what differs between two launch versions, in words; empty if the start that was *seen* is the one *now*.

    An image without a digest is what its tag names: that the hub has looked the digest up meanwhile is no change.
    """
    before, after = seen.split("."), now.split(".")
    if len(before) != len(after):
        return ["session"]  # from another release of Renku
    pairs = list(zip(_LAUNCH_PARTS, before, after, strict=True))
    unpinned = before[0] == after[0] and not before[1]
    return list(dict.fromkeys(name for n, (name, a, b) in enumerate(pairs) if a != b and not (n == 1 and unpinned)))


@dataclass(frozen=True, kw_only=True)
class SessionSpec:
    """Everything that a start needs to know, from the database and the settings alone.

    `image` is canonical with its tag, `digest` its content if that has been looked up.
    `own_image` is somebody's, not an admin's; it is `unverified` if it starts although no
    registry has said that it is there and public. `started_by` is an admin who started it
    for its owner, None for the owner.
    `storages` are those that it gets, `without` are directories of those that its owner leaves out.
    `variables` are the session's own; values are literal and never pass through
    `str.format`. `git` is what git inside knows of the owner, None where there is no GitLab; `pull`
    is the host of the registry where the image is downloaded with the owner's own token.
    """

    session: str
    project: str
    project_path: str
    environment: str
    title: str
    display_name: str
    username: str
    image: str
    revision: str
    fingerprint: str
    resource_class: ResourceClass
    needs: Requirements
    repositories: tuple[Repository, ...]
    variables: Mapping[str, str]
    run: RunConfiguration
    storages: tuple[Mounted, ...] = ()
    without: tuple[str, ...] = ()
    started_by: str | None = None
    digest: str | None = None
    own_image: bool = False
    unverified: bool = False
    git: GitInside | None = None
    pull: str | None = None
