"""Images that a project's own CI has built: which ones count, of which commit, and what CI says (decision 33).

A tag counts when it names a commit of a branch of the very project whose registry it is
in, and this project has run a pipeline for that commit on a ref of its own: then nobody
but its own people has built it (T20).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .ci import Branch, CiRules, CiState, Commit, Pipeline, Tag

_COMMIT = re.compile(r"[0-9a-f]{7}|[0-9a-f]{8}|[0-9a-f]{40}")
_SHA = re.compile(r"[0-9a-f]{40}")
_LEAST = 7  # characters by which a commit is named
# https://docs.gitlab.com/api/pipelines/: those of merge requests have such a ref, also where a fork sends it.
_NO_BRANCH = "refs/"
_CACHE = "cache"  # where builders keep layers: nothing that runs


@dataclass(frozen=True, kw_only=True)
class BuiltImage:
    commit: Commit
    tag: Tag
    pipeline: Pipeline


# https://docs.gitlab.com/api/pipelines/#list-project-pipelines; what is not here has ended without an image.
_UNDER_WAY = frozenset(
    ("created", "waiting_for_resource", "preparing", "waiting_for_callback", "pending", "running", "canceling",
     "scheduled")
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Built:
    """Where the image of a revision comes from: the repository, GitLab's number of its
    project, the branch, and the pipeline that ran for the commit."""

    url: str
    source: str
    ref: str
    pipeline: int


@dataclass(frozen=True, kw_only=True)
class Newest:
    """The newest *image* (host and path) of a branch, as it was when somebody last looked.

    `shas` are the branch's last commits, the newest first;
    `since` is when this image was first seen. Without an image all of that is empty.
    `statuses` are those of the pipelines by commit, `state` is what CI has made of the
    newest commit, and `link` is where GitLab shows that; `facts` are those of `ImageFacts`,
    of an image that is public.
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

    def later_than(self, commit: str | None) -> int | None:
        """How many commits lie between *commit* and that of the image; None where that is
        not known, negative where *commit* is the newer one."""
        if commit not in self.shas or self.commit not in self.shas:
            return None
        return self.shas.index(commit) - self.shas.index(self.commit)


def is_sha(text: str) -> bool:
    return bool(_SHA.fullmatch(text))


def commit_of(tag: str, shas: Collection[str], rules: CiRules) -> str | None:
    """The commit among *shas* that *tag* names; None for none, and where it could be two."""
    named = _named(tag, rules)
    if named is None:
        return None
    found = [sha for sha in shas if sha.startswith(named)]
    return found[0] if len(found) == 1 else None


def _named(tag: str, rules: CiRules) -> str | None:
    if _COMMIT.fullmatch(tag):
        return tag
    match = rules.pattern.fullmatch(tag) if rules.pattern else None
    named = (match["commit"] or "").lower() if match else ""
    return named if len(named) >= _LEAST else None


def is_own(repository: str, prefix: str) -> bool:
    """Whether a registry's *repository* is that of the project whose images begin with *prefix*, or below it."""
    return bool(prefix) and (repository == prefix or repository.startswith(f"{prefix}/"))


def runs(repository: str) -> bool:
    """Whether what is in *repository* is meant to be run."""
    return repository.rpartition("/")[2] != _CACHE


def counts(pipeline: Pipeline, project: int, branches: Iterable[Branch], rules: CiRules) -> bool:
    """Whether it is the project's own, of a ref of its own: no merge request, which a fork may have sent."""
    if (
        pipeline.project != project
        or pipeline.ref.startswith(_NO_BRANCH)
        or pipeline.source.startswith("merge_request")
    ):
        return False
    return not rules.protected_only or any(b.protected and b.name == pipeline.ref for b in branches)


def newest_by_commit(pipelines: Iterable[Pipeline]) -> dict[str, Pipeline]:
    """Of each commit the pipeline that was begun last."""
    return {each.sha: each for each in sorted(pipelines, key=lambda pipeline: pipeline.id)}


def images(
    commits: Sequence[Commit], tags: Iterable[Tag], pipelines: Mapping[str, Pipeline], rules: CiRules
) -> list[BuiltImage]:
    """The images of *commits* that count, in the order of the commits.

    Of one commit the project's plain image stands first, then those below it; one that is
    tagged twice is named by its longest tag.
    """
    known = {commit.sha: commit for commit in commits}
    found: dict[tuple[str, str], Tag] = {}
    for tag in sorted(tags, key=lambda tag: (tag.repository, len(tag.name), tag.name)):
        sha = commit_of(tag.name, known, rules)
        if sha is not None and sha in pipelines and runs(tag.repository):
            found[sha, tag.repository] = tag
    place = {commit.sha: number for number, commit in enumerate(commits)}
    return [
        BuiltImage(commit=known[sha], tag=tag, pipeline=pipelines[sha])
        for (sha, _), tag in sorted(found.items(), key=lambda item: (place[item[0][0]], item[0][1]))
    ]


def state(pipeline: Pipeline | None, *, built: bool, configured: bool) -> CiState:
    """What CI has made of a commit with that newest *pipeline*; *configured* is whether the
    project has run any at all."""
    if built:
        return CiState.BUILT
    if pipeline is None:
        return CiState.NO_IMAGE if configured else CiState.NOT_CONFIGURED
    if pipeline.status in _UNDER_WAY:
        return CiState.BUILDING
    return CiState.FAILED if pipeline.status == "failed" else CiState.NO_IMAGE


def telling(ran: Pipeline, children: Sequence[Pipeline]) -> Pipeline:
    """Of a pipeline and those that it has begun, the one that tells what CI makes of the commit: who begins
    another one need not wait for it (https://docs.gitlab.com/ci/pipelines/downstream_pipelines/)."""
    for counts in (_UNDER_WAY, ("failed",)):
        found = next((child for child in children if child.status in counts), None)
        if found is not None:
            return found
    return ran


def reachable(head: str, commits: Mapping[str, Commit]) -> list[str]:
    """The commits of a branch, as far as *commits* goes: *head*, and what came before it step by step.

    The order in which they are listed says less: a commit and its parent may be of the same second.
    """
    found: dict[str, None] = {}
    waiting = deque([head])
    while waiting:
        sha = waiting.popleft()
        if sha in commits and sha not in found:
            found[sha] = None
            waiting.extend(commits[sha].parents)
    return list(found)


def newest_of(
    branches: Iterable[Branch], commits: Sequence[Commit], built: Sequence[BuiltImage]
) -> dict[str, BuiltImage]:
    """The newest image of each branch by its name, as far as *commits* (the newest first) goes."""
    known = {commit.sha: commit for commit in commits}
    images = {each.commit.sha: each for each in reversed(built)}  # of several of one commit the first
    found = {
        branch.name: next((sha for sha in reachable(branch.sha, known) if sha in images), "") for branch in branches
    }
    return {name: images[sha] for name, sha in found.items() if sha}


def as_json(built: Built) -> dict[str, Any]:
    return dict(vars(built))


def from_json(values: Mapping[str, Any] | None) -> Built | None:
    return Built(**values) if values else None
