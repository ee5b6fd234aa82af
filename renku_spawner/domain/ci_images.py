"""Select the images that a project's own GitLab CI has built, and report the state of its pipelines.

Requests to GitLab do not belong here.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, kw_only=True)
class CiRules:
    """The admin's rules for CI images.

    `pattern` matches further tags, and its group `commit` names the commit; with `protected_only` only
    pipelines of protected branches count.
    """

    pattern: re.Pattern[str] | None = None
    protected_only: bool = False


@dataclass(frozen=True, kw_only=True)
class GitLabCodeProject:
    """A GitLab project, reduced to what its CI images need.

    `images` is the host and path with which its images begin, empty without a registry; `url` is the clone URL.
    """

    id: int
    path: str
    url: str
    images: str
    default_branch: str | None = None


@dataclass(frozen=True, kw_only=True)
class GitCommit:
    """A commit as GitLab describes it; `sha` is the full SHA."""

    sha: str
    title: str = ""
    author: str = ""
    at: datetime | None = None
    url: str = ""
    parents: tuple[str, ...] = ()

    @property
    def short_sha(self) -> str:
        return self.sha[:8]


@dataclass(frozen=True, kw_only=True)
class GitBranch:
    name: str
    sha: str
    protected: bool = False
    default: bool = False


@dataclass(frozen=True, kw_only=True)
class CiPipeline:
    """A pipeline; `project` is the number of the project that ran it."""

    id: int
    project: int
    sha: str
    ref: str
    status: str
    source: str = ""
    url: str = ""


@dataclass(frozen=True, kw_only=True)
class RegistryTag:
    """A tag in a registry; `repository` is host and path, `registry_id` is GitLab's number of that repository."""

    repository: str
    name: str
    registry_id: int

    @property
    def reference(self) -> str:
        return f"{self.repository}:{self.name}"


class CiState(StrEnum):
    """The result of CI for a commit."""

    BUILT = "built"
    BUILDING = "building"
    FAILED = "failed"
    NO_IMAGE = "no_image"
    NOT_CONFIGURED = "not_configured"
    UNKNOWN = "unknown"


_COMMIT_TAG_PATTERN = re.compile(r"[0-9a-f]{7}|[0-9a-f]{8}|[0-9a-f]{40}")
_COMMIT_SHA_PATTERN = re.compile(r"[0-9a-f]{40}")
_MIN_COMMIT_CHARACTERS = 7  # shortest abbreviation of a commit that a tag may use
# Merge request pipelines have such a ref, also those that a fork sends (https://docs.gitlab.com/api/pipelines/).
_MERGE_REQUEST_REF_PREFIX = "refs/"
_CACHE_REPOSITORY_NAME = "cache"  # builders keep layers there, no images that can be run


@dataclass(frozen=True, kw_only=True)
class CiImage:
    commit: GitCommit
    tag: RegistryTag
    pipeline: CiPipeline


# https://docs.gitlab.com/api/pipelines/#list-project-pipelines; all other statuses are final and without an image.
_UNFINISHED_PIPELINE_STATUSES = frozenset(
    ("created", "waiting_for_resource", "preparing", "waiting_for_callback", "pending", "running", "canceling",
     "scheduled")
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class CiImageOrigin:
    """The origin of a revision's image.

    `url` is the repository, `source` GitLab's number of its project, `ref` the branch, and `pipeline` the
    pipeline that ran for the commit.
    """

    url: str
    source: str
    ref: str
    pipeline: int


@dataclass(frozen=True, kw_only=True)
class BranchImageStatus:
    """The newest *image* (host and path) of a branch, as of the last query.

    `shas` are the branch's last commits, the newest first; `since` is when this image was first seen.
    Without an image all of that is empty. `statuses` are those of the pipelines by commit, `state` is the
    result of CI for the newest commit, and `link` is its page in GitLab; `facts` is `ImageMetadata` in its
    JSON form, for public images only.
    """

    source: str
    ref: str
    image: str
    looked_at: datetime
    answered: bool = True
    since: datetime | None = None
    commit: str | None = None
    tag: str | None = None
    digest: str | None = None
    pipeline: int | None = None
    shas: tuple[str, ...] = field(default=())
    statuses: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    state: CiState = CiState.UNKNOWN
    link: str = ""

    def count_commits_since(self, commit: str | None) -> int | None:
        """Return how many commits lie between *commit* and that of the image.

        None where that is unknown, negative where *commit* is the newer one.
        """
        if commit not in self.shas or self.commit not in self.shas:
            return None
        return self.shas.index(commit) - self.shas.index(self.commit)


def is_commit_sha(text: str) -> bool:
    return bool(_COMMIT_SHA_PATTERN.fullmatch(text))


def find_tagged_commit(tag: str, shas: Collection[str], rules: CiRules) -> str | None:
    """Return the one commit among *shas* that *tag* names; None if none or several match."""
    named = _parse_commit_tag(tag, rules)
    if named is None:
        return None
    found = [sha for sha in shas if sha.startswith(named)]
    return found[0] if len(found) == 1 else None


def _parse_commit_tag(tag: str, rules: CiRules) -> str | None:
    if _COMMIT_TAG_PATTERN.fullmatch(tag):
        return tag
    match = rules.pattern.fullmatch(tag) if rules.pattern else None
    named = (match["commit"] or "").lower() if match else ""
    return named if len(named) >= _MIN_COMMIT_CHARACTERS else None


def is_project_repository(repository: str, prefix: str) -> bool:
    """Return whether *repository* is the one whose images begin with *prefix*, or lies below it."""
    return bool(prefix) and (repository == prefix or repository.startswith(f"{prefix}/"))


def is_runnable_repository(repository: str) -> bool:
    """Return whether the images in *repository* are meant to be run."""
    return repository.rpartition("/")[2] != _CACHE_REPOSITORY_NAME


def is_trusted_pipeline(pipeline: CiPipeline, project: int, branches: Iterable[GitBranch], rules: CiRules) -> bool:
    """Return whether the project itself ran the pipeline on a ref of its own.

    Merge request pipelines do not count: a fork may have sent them.
    """
    if (
        pipeline.project != project
        or pipeline.ref.startswith(_MERGE_REQUEST_REF_PREFIX)
        or pipeline.source.startswith("merge_request")
    ):
        return False
    return not rules.protected_only or any(b.protected and b.name == pipeline.ref for b in branches)


def get_newest_pipelines(pipelines: Iterable[CiPipeline]) -> dict[str, CiPipeline]:
    """Return the pipeline of each commit that was created last."""
    return {each.sha: each for each in sorted(pipelines, key=lambda pipeline: pipeline.id)}


def select_ci_images(
    commits: Sequence[GitCommit], tags: Iterable[RegistryTag], pipelines: Mapping[str, CiPipeline], rules: CiRules
) -> list[CiImage]:
    """Return the images of *commits* that count, in the order of the commits.

    The project's own repository comes before those below it. If a commit has several tags in one repository,
    the longest tag is used.
    """
    commits_by_sha = {commit.sha: commit for commit in commits}
    selected: dict[tuple[str, str], RegistryTag] = {}
    for tag in sorted(tags, key=lambda tag: (tag.repository, len(tag.name), tag.name)):
        sha = find_tagged_commit(tag.name, commits_by_sha, rules)
        if sha is not None and sha in pipelines and is_runnable_repository(tag.repository):
            selected[sha, tag.repository] = tag
    place = {commit.sha: number for number, commit in enumerate(commits)}
    return [
        CiImage(commit=commits_by_sha[sha], tag=tag, pipeline=pipelines[sha])
        for (sha, _), tag in sorted(selected.items(), key=lambda item: (place[item[0][0]], item[0][1]))
    ]


def resolve_ci_state(pipeline: CiPipeline | None, *, built: bool, configured: bool) -> CiState:
    """Return the result of CI for a commit.

    *pipeline* is the newest one of the commit, *built* is whether an image exists, and *configured* is
    whether the project has run any pipeline at all.
    """
    if built:
        return CiState.BUILT
    if pipeline is None:
        return CiState.NO_IMAGE if configured else CiState.NOT_CONFIGURED
    if pipeline.status in _UNFINISHED_PIPELINE_STATUSES:
        return CiState.BUILDING
    return CiState.FAILED if pipeline.status == "failed" else CiState.NO_IMAGE


def select_decisive_pipeline(ran: CiPipeline, children: Sequence[CiPipeline]) -> CiPipeline:
    """Return the pipeline that decides the result of CI for the commit: *ran* itself, or one of its children.

    A parent pipeline need not wait for its children (https://docs.gitlab.com/ci/pipelines/downstream_pipelines/).
    """
    for counts in (_UNFINISHED_PIPELINE_STATUSES, ("failed",)):
        decisive = next((child for child in children if child.status in counts), None)
        if decisive is not None:
            return decisive
    return ran


def list_reachable_commits(head: str, commits: Mapping[str, GitCommit]) -> list[str]:
    """Return *head* and its ancestors, nearest first, as far as *commits* goes.

    Commit times are no substitute: a commit and its parent may have the same second.
    """
    reached: dict[str, None] = {}
    waiting = deque([head])
    while waiting:
        sha = waiting.popleft()
        if sha in commits and sha not in reached:
            reached[sha] = None
            waiting.extend(commits[sha].parents)
    return list(reached)


def find_newest_branch_images(
    branches: Iterable[GitBranch], commits: Sequence[GitCommit], built: Sequence[CiImage]
) -> dict[str, CiImage]:
    """Return the newest image of each branch by its name, as far as *commits* (the newest first) goes."""
    commits_by_sha = {commit.sha: commit for commit in commits}
    images = {each.commit.sha: each for each in reversed(built)}  # of several images of a commit, the first wins
    newest = {
        branch.name: next((sha for sha in list_reachable_commits(branch.sha, commits_by_sha) if sha in images), "")
        for branch in branches
    }
    return {name: images[sha] for name, sha in newest.items() if sha}


def to_ci_image_origin_json(built: CiImageOrigin) -> dict[str, Any]:
    return dict(vars(built))


def parse_ci_image_origin_json(values: Mapping[str, Any] | None) -> CiImageOrigin | None:
    return CiImageOrigin(**values) if values else None
