"""What a project's CI is told by: commits, branches, pipelines, and tags in its registry."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, kw_only=True)
class CiRules:
    """What an admin has settled: `pattern` are further tags, whose group `commit` names the
    commit; with `protected_only` only pipelines of protected branches count."""

    pattern: re.Pattern[str] | None = None
    protected_only: bool = False


@dataclass(frozen=True, kw_only=True)
class CodeProject:
    """A project of GitLab as far as its CI needs it; `images` is host and path with which its
    images begin, empty without a registry; `url` is where it is cloned from."""

    id: int
    path: str
    url: str
    images: str
    default_branch: str | None = None


@dataclass(frozen=True, kw_only=True)
class Commit:
    """A commit as GitLab tells it; `sha` in full."""

    sha: str
    title: str = ""
    author: str = ""
    at: datetime | None = None
    url: str = ""
    parents: tuple[str, ...] = ()

    @property
    def short(self) -> str:
        return self.sha[:8]


@dataclass(frozen=True, kw_only=True)
class Branch:
    name: str
    sha: str
    protected: bool = False
    default: bool = False


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """A run of CI; `project` is the number of the project that ran it."""

    id: int
    project: int
    sha: str
    ref: str
    status: str
    source: str = ""
    url: str = ""


@dataclass(frozen=True, kw_only=True)
class Tag:
    """A tag in a registry; `repository` is host and path, `registry_id` how GitLab numbers that."""

    repository: str
    name: str
    registry_id: int

    @property
    def reference(self) -> str:
        return f"{self.repository}:{self.name}"


class CiState(StrEnum):
    """What CI has made of a commit."""

    BUILT = "built"
    BUILDING = "building"
    FAILED = "failed"
    NO_IMAGE = "no_image"
    NOT_CONFIGURED = "not_configured"
    UNKNOWN = "unknown"
