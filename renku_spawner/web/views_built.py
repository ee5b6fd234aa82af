"""What pages show of images that CI has built: the tab, and where a session's image comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from ..domain.built import Newest
from ..domain.ci import Branch, CiState, Commit, Pipeline
from ..domain.environment import Revision
from ..services.builds import Builds, Tab
from . import words
from .forms_run import RUN
from .urls import query
from .views_frame import Frame, View

_PAGE = 20  # commits
_GUIDE = "How CI builds an image"
# What is said of the newest commit: title, text, and a link.
_STATES: Mapping[CiState, tuple[str, str, str]] = {
    CiState.BUILDING: (
        "CI is at work on the newest commit.",
        "Load this page again when it is done.",
        "See the pipeline",
    ),
    CiState.FAILED: (
        "CI failed for the newest commit.",
        "Sessions go on with the image that they have.",
        "Read why in GitLab",
    ),
    CiState.NO_IMAGE: ("CI has built no image of the newest commit.", "", _GUIDE),
    CiState.NOT_CONFIGURED: ("No CI has ever run on this branch.", "", _GUIDE),
    CiState.UNKNOWN: ("GitLab does not show you what CI does here.", "So no image can be said to be its own.", ""),
}
_STATUS = {
    "success": ("fa-circle-check", "CI passed"),
    "failed": ("fa-triangle-exclamation", "CI failed"),
    "canceled": ("fa-ban", "CI was cancelled"),
    "skipped": ("fa-ban", "CI was skipped"),
    "manual": ("fa-hand", "CI waits for somebody to press play"),
}
_UNDER_WAY = ("fa-circle-notch", "CI is at work")


# Of an image that is not chosen yet nothing is known: the fields for how it is run stay empty.
_SUGGESTED: View = {**dict.fromkeys(RUN, ""), "from_image": True}


def tab(found: Tab, url: str, image: str, after: str | None, frame: Frame) -> View:
    """The tab *Built from a repository*; *image* is the chosen one, *after* how many commits are passed over."""
    builds = found.builds
    shown: View = {
        "repositories": [{"name": each.directory, "selected": each is found.repository} for each in found.repositories],
        "repository": found.repository.directory if found.repository else "",
        "problem": found.problem,
        "branches": [],
        "branch": "",
        "commits": [],
        "notice": None,
        "older": None,
        "new_url": url,
        "suggested": _SUGGESTED,
        "none_yet": builds is not None and builds.branch is None,
    }
    if builds is None or builds.branch is None:
        return shown
    passed = _passed(after)
    return shown | {
        "branches": [_branch(each, builds, frame) for each in builds.branches],
        "branch": builds.branch.name,
        "commits": _commits(builds, builds.commits[passed : passed + _PAGE], image, frame),
        "notice": _notice(builds, frame),
        "older": _older(shown, builds, url, passed + _PAGE),
    }


def _passed(after: str | None) -> int:
    return int(after) if after and after.isascii() and after.isdigit() and len(after) < 4 else 0


def _older(shown: View, builds: Builds, url: str, passed: int) -> str | None:
    if passed >= len(builds.commits):
        return None
    branch = builds.branch.name if builds.branch else ""
    return query(url, kind="repository", repository=shown["repository"], branch=branch, after=str(passed))


def _branch(branch: Branch, builds: Builds, frame: Frame) -> View:
    newest = builds.newest.get(branch.name)
    at = newest.commit.at if newest else None
    said = f"image of {newest.commit.short}" if newest else "no image lately"
    return {
        "name": branch.name,
        "selected": builds.branch is not None and branch.name == builds.branch.name,
        "about": f"{said}, {words.ago(at, frame.now)}" if at else said,
    }


def _notice(builds: Builds, frame: Frame) -> View | None:
    """What CI has made of the newest commit, where that is not an image."""
    if builds.state is CiState.BUILT or not builds.commits:
        return None
    title, text, link = _STATES[builds.state]
    head = builds.pipelines.get(builds.commits[0].sha)
    guide = f"{frame.urls.base}renku/images/ci"
    url = {CiState.BUILDING: head.url if head else "", CiState.FAILED: builds.job}.get(builds.state, guide)
    return {"title": title, "text": text, "link": link if url else "", "url": url}


def _commits(builds: Builds, commits: Sequence[Commit], image: str, frame: Frame) -> list[View]:
    of: dict[str, list[str]] = {}
    for each in builds.images:
        of.setdefault(each.commit.sha, []).append(each.tag.reference)
    chosen = image or next((references[0] for commit in commits if (references := of.get(commit.sha))), "")
    return [
        {
            "sha": commit.sha,
            "short": commit.short,
            "title": commit.title or commit.short,
            "author": commit.author,
            "when": words.ago(commit.at, frame.now) if commit.at else "",
            "when_at": words.iso(commit.at),
            "url": commit.url,
            "ci": pipeline(builds.pipelines.get(commit.sha)),
            "images": [{"reference": each, "checked": each == chosen} for each in of.get(commit.sha, [])],
        }
        for commit in commits
    ]


def pipeline(found: Pipeline | None) -> View:
    """How CI came out, in words."""
    if found is None:
        return {"icon": "fa-minus", "text": "CI has not run", "url": ""}
    icon, text = _STATUS.get(found.status, _UNDER_WAY)
    return {"icon": icon, "text": text, "url": found.url}


def source(revision: Revision, newest: Newest | None) -> View | None:
    """Where the image of a session comes from, if CI has built it, and what CI has made of the newest commit."""
    found = revision.built
    if found is None:
        return None
    status = newest.statuses.get(revision.commit or "") if newest else None
    icon, outcome = _STATUS.get(status, _UNDER_WAY) if status else ("", "")
    web = found.url.removesuffix(".git")
    commit = revision.commit or ""
    return {
        "repository": web.partition("://")[2].partition("/")[2],
        "repository_url": web,
        "branch": found.ref,
        "branch_url": f"{web}/-/tree/{quote(found.ref)}",
        "commit": commit[:8],
        "commit_url": f"{web}/-/commit/{commit}",
        "pipeline": found.pipeline,
        "pipeline_url": f"{web}/-/pipelines/{found.pipeline}",
        "ci": {"icon": icon, "text": outcome} if outcome else None,
        "newest": _newest(newest) if newest else None,
    }


def _newest(found: Newest) -> View | None:
    """What CI makes of the newest commit, where that is no image (yet)."""
    if found.state not in (CiState.BUILDING, CiState.FAILED):
        return None
    return {"title": _STATES[found.state][0], "link": _STATES[found.state][2] if found.link else "", "url": found.link}


def titles(commits: Sequence[Commit], frame: Frame) -> list[View]:
    """The commits between what is pinned and what is new, for those who may read the code."""
    return [
        {
            "short": each.short,
            "title": each.title,
            "author": each.author,
            "url": each.url,
            "when": words.ago(each.at, frame.now) if each.at else "",
            "when_at": words.iso(each.at),
        }
        for each in commits
    ]
