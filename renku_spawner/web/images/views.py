"""View models of images: check results, metadata, updates, revisions, packages and CI images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypedDict
from urllib.parse import quote

from ...domain.ci_images import BranchImageStatus, CiPipeline, CiState, GitBranch, GitCommit
from ...domain.environments import NewRevision, Revision
from ...domain.image_checks import (
    UNVERIFIED_IMAGE_WARNING,
    ImageInspection,
    ImageWarning,
    InspectionResult,
)
from ...domain.image_metadata import ImageKind, ImageMetadata, detect_image_kind, parse_image_metadata_json
from ...domain.image_updates import ImageStatus, ImageUpdate
from ...domain.images import ImageReference
from ...domain.quantities import format_size
from ...domain.software import (
    ImageSoftware,
    PackageKind,
    SoftwareChanges,
    SoftwareOrigin,
    SoftwarePackage,
    search_packages,
)
from ...usecases.ci_images import BranchCIImages, CIImageChoices
from ...usecases.images import (
    HUB_REVISION_AUTHOR,
    IMAGES_NOT_SUPPORTED_MESSAGE,
    REGISTRY_CHECKS_OFF_MESSAGE,
    format_image_reference,
    format_image_refusal,
    get_digest_image,
)
from ...usecases.session_queries import InstalledSoftware
from ..formatting import format_commit_distance, format_count, format_iso_time, format_time_ago
from ..page_context import ChoiceLink, NoticeView, PageContext
from ..urls import add_query_parameters

_COMMITS_PER_PAGE = 20
_CI_GUIDE_LABEL = "How CI builds an image"
# Title, text and link label of the notice about the newest commit.
_CI_STATE_TEXTS: Mapping[CiState, tuple[str, str, str]] = {
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
    CiState.NO_IMAGE: ("CI has built no image of the newest commit.", "", _CI_GUIDE_LABEL),
    CiState.NOT_CONFIGURED: ("No CI has ever run on this branch.", "", _CI_GUIDE_LABEL),
    CiState.UNKNOWN: ("GitLab does not show you what CI does here.", "So no image can be said to be its own.", ""),
}
_PIPELINE_STATUS_TEXTS = {
    "success": ("fa-circle-check", "CI passed"),
    "failed": ("fa-triangle-exclamation", "CI failed"),
    "canceled": ("fa-ban", "CI was cancelled"),
    "skipped": ("fa-ban", "CI was skipped"),
    "manual": ("fa-hand", "CI waits for a manual start"),
}
_PIPELINE_RUNNING_TEXT = ("fa-circle-notch", "CI is at work")


class SuggestedRunView(TypedDict):
    """The defaults that the empty fields of a run configuration show."""

    port: int | str
    default_url: str
    working_directory: str
    uid: int | str
    gid: int | str
    command: str
    from_image: bool


# No image is chosen yet, so the fields of its run configuration are empty.
_EMPTY_RUN_SUGGESTION: SuggestedRunView = {
    "port": "", "default_url": "", "working_directory": "", "uid": "", "gid": "", "command": "", "from_image": True,
}  # fmt: skip


class CIImagesTabView(TypedDict):
    repositories: list[RepositoryChoice]
    repository: str
    problem: str
    branches: list[BranchView]
    branch: str
    commits: list[CICommitView]
    notice: CINoticeView | None
    older: str | None
    new_url: str
    suggested: SuggestedRunView
    none_yet: bool


class RepositoryChoice(TypedDict):
    name: str
    selected: bool


def build_ci_images_tab_view(
    found: CIImageChoices, url: str, image: str, after: str | None, frame: PageContext
) -> CIImagesTabView:
    """Build the tab *Built from a repository*; *image* is the chosen one, *after* the number of commits to skip."""
    builds = found.builds
    view: CIImagesTabView = {
        "repositories": [{"name": each.directory, "selected": each is found.repository} for each in found.repositories],
        "repository": found.repository.directory if found.repository else "",
        "problem": found.problem,
        "branches": [],
        "branch": "",
        "commits": [],
        "notice": None,
        "older": None,
        "new_url": url,
        "suggested": _EMPTY_RUN_SUGGESTION,
        "none_yet": builds is not None and builds.branch is None,
    }
    if builds is None or builds.branch is None:
        return view
    offset = _parse_commit_offset(after)
    return {
        **view,
        "branches": [_build_branch_view(each, builds, frame) for each in builds.branches],
        "branch": builds.branch.name,
        "commits": _build_ci_commits_view(builds, builds.commits[offset : offset + _COMMITS_PER_PAGE], image, frame),
        "notice": _build_ci_notice_view(builds, frame),
        "older": _build_older_commits_url(view, builds, url, offset + _COMMITS_PER_PAGE),
    }


def _parse_commit_offset(after: str | None) -> int:
    return int(after) if after and after.isascii() and after.isdigit() and len(after) < 4 else 0


def _build_older_commits_url(shown: CIImagesTabView, builds: BranchCIImages, url: str, passed: int) -> str | None:
    if passed >= len(builds.commits):
        return None
    branch = builds.branch.name if builds.branch else ""
    return add_query_parameters(
        url, kind="repository", repository=shown["repository"], branch=branch, after=str(passed)
    )


class BranchView(TypedDict):
    name: str
    selected: bool
    about: str


def _build_branch_view(branch: GitBranch, builds: BranchCIImages, frame: PageContext) -> BranchView:
    newest = builds.newest.get(branch.name)
    at = newest.commit.at if newest else None
    text = f"image of {newest.commit.short_sha}" if newest else "no image lately"
    return {
        "name": branch.name,
        "selected": builds.branch is not None and branch.name == builds.branch.name,
        "about": f"{text}, {format_time_ago(at, frame.now)}" if at else text,
    }


class CINoticeView(TypedDict):
    title: str
    text: str
    link: str
    url: str


def _build_ci_notice_view(builds: BranchCIImages, frame: PageContext) -> CINoticeView | None:
    """Build the notice about CI of the newest commit; None if there is an image of it."""
    if builds.state is CiState.BUILT or not builds.commits:
        return None
    title, text, link = _CI_STATE_TEXTS[builds.state]
    head = builds.pipelines.get(builds.commits[0].sha)
    guide = f"{frame.urls.base}renku/images/ci"
    url = {CiState.BUILDING: head.url if head else "", CiState.FAILED: builds.job}.get(builds.state, guide)
    return {"title": title, "text": text, "link": link if url else "", "url": url}


class CICommitView(TypedDict):
    sha: str
    short: str
    title: str
    author: str
    when: str
    when_at: str | None
    url: str
    ci: PipelineView
    images: list[ImageChoice]


class ImageChoice(TypedDict):
    reference: str
    checked: bool


def _build_ci_commits_view(
    builds: BranchCIImages, commits: Sequence[GitCommit], image: str, frame: PageContext
) -> list[CICommitView]:
    of: dict[str, list[str]] = {}
    for each in builds.images:
        of.setdefault(each.commit.sha, []).append(each.tag.reference)
    chosen = image or next((references[0] for commit in commits if (references := of.get(commit.sha))), "")
    return [
        {
            "sha": commit.sha,
            "short": commit.short_sha,
            "title": commit.title or commit.short_sha,
            "author": commit.author,
            "when": format_time_ago(commit.at, frame.now) if commit.at else "",
            "when_at": format_iso_time(commit.at),
            "url": commit.url,
            "ci": build_pipeline_view(builds.pipelines.get(commit.sha)),
            "images": [{"reference": each, "checked": each == chosen} for each in of.get(commit.sha, [])],
        }
        for commit in commits
    ]


class PipelineStateView(TypedDict):
    icon: str
    text: str


class PipelineView(PipelineStateView):
    url: str


def build_pipeline_view(found: CiPipeline | None) -> PipelineView:
    """Describe the result of a pipeline."""
    if found is None:
        return {"icon": "fa-minus", "text": "CI has not run", "url": ""}
    icon, text = _PIPELINE_STATUS_TEXTS.get(found.status, _PIPELINE_RUNNING_TEXT)
    return {"icon": icon, "text": text, "url": found.url}


class CISourceView(TypedDict):
    repository: str
    repository_url: str
    branch: str
    branch_url: str
    commit: str
    commit_url: str
    pipeline: int
    pipeline_url: str
    ci: PipelineStateView | None
    newest: NewestCommitView | None


def build_ci_source_view(revision: Revision, newest: BranchImageStatus | None) -> CISourceView | None:
    """Build where an image built by CI comes from, and the CI state of the newest commit."""
    build = revision.built
    if build is None:
        return None
    status = newest.statuses.get(revision.commit or "") if newest else None
    icon, outcome = _PIPELINE_STATUS_TEXTS.get(status, _PIPELINE_RUNNING_TEXT) if status else ("", "")
    web = build.url.removesuffix(".git")
    commit = revision.commit or ""
    return {
        "repository": web.partition("://")[2].partition("/")[2],
        "repository_url": web,
        "branch": build.ref,
        "branch_url": f"{web}/-/tree/{quote(build.ref)}",
        "commit": commit[:8],
        "commit_url": f"{web}/-/commit/{commit}",
        "pipeline": build.pipeline,
        "pipeline_url": f"{web}/-/pipelines/{build.pipeline}",
        "ci": {"icon": icon, "text": outcome} if outcome else None,
        "newest": _build_newest_commit_view(newest) if newest else None,
    }


class NewestCommitView(TypedDict):
    title: str
    link: str
    url: str


def _build_newest_commit_view(found: BranchImageStatus) -> NewestCommitView | None:
    """Build the CI state of the newest commit, if that is running or failed."""
    if found.state not in (CiState.BUILDING, CiState.FAILED):
        return None
    return {
        "title": _CI_STATE_TEXTS[found.state][0],
        "link": _CI_STATE_TEXTS[found.state][2] if found.link else "",
        "url": found.link,
    }


class CommitListView(TypedDict):
    short: str
    title: str
    author: str
    url: str
    when: str
    when_at: str | None


def build_commit_list_view(commits: Sequence[GitCommit], frame: PageContext) -> list[CommitListView]:
    """List the commits from the pinned image to the newer one, for users who may read the code."""
    return [
        {
            "short": commit.short_sha,
            "title": commit.title,
            "author": commit.author,
            "url": commit.url,
            "when": format_time_ago(commit.at, frame.now) if commit.at else "",
            "when_at": format_iso_time(commit.at),
        }
        for commit in commits
    ]


_IMAGE_LABEL_TITLES = {
    "title": "Title",
    "source": "Source",
    "documentation": "Documentation",
    "licenses": "Licence",
    "version": "Version",
}
_LINKED_IMAGE_LABELS = ("source", "documentation")
_MAX_SHOWN_LABELS = 50


class ImageCheckView(TypedDict):
    title: str
    style: str
    good: bool
    text: str
    image: str
    digest: str | None
    steps: list[ImageCheckStep]
    hints: list[ImageHintView]
    facts: list[PropertyView]


class ImageHintView(NoticeView):
    is_problem: bool


def build_image_check_view(
    checked: ImageInspection | None, platforms: Sequence[str], now: datetime
) -> ImageCheckView | None:
    """Build the panel of an image check; None before a check."""
    if checked is None:
        return None
    good = checked.verdict is InspectionResult.OK
    hints = [h for h in checked.hints if h.code != UNVERIFIED_IMAGE_WARNING.code]  # the title says so already
    return {
        "title": _format_usable_title(hints)
        if good
        else _UNUSABLE_IMAGE_TITLES[checked.verdict].format(detail=checked.detail),
        "style": _get_image_check_style(checked.verdict, hints),
        "good": good,
        "text": _format_image_advice(checked, platforms),
        "image": checked.image.canonical_reference,
        "digest": checked.image.digest,
        "steps": _build_image_check_steps(checked.facts, checked, platforms),
        "hints": [{"is_problem": h.is_problem, "title": h.title, "text": h.text} for h in hints],
        "facts": [] if checked.facts is None else _build_image_metadata_view(checked.facts, now),
    }


def _get_image_check_style(verdict: InspectionResult, hints: Sequence[ImageWarning]) -> str:
    if verdict is InspectionResult.OK:
        return "warning" if any(hint.prevents_start for hint in hints) else "running"
    return "paused" if verdict is InspectionResult.UNVERIFIED else "failed"


def _format_usable_title(hints: Sequence[ImageWarning]) -> str:
    """Return the title for an image that is there and public, with the number of problems and hints below it."""
    n_problems = sum(hint.is_problem for hint in hints)
    problems = format_count(n_problems, "problem")
    if any(hint.prevents_start for hint in hints):
        return f"This image will probably not start: {problems}"
    counts = [problems] * bool(n_problems)
    if n_hints := len(hints) - n_problems:
        counts.append(format_count(n_hints, "hint"))
    return "This image can be used" + ", with ".join(["", " and ".join(counts)] if counts else [])


_UNUSABLE_IMAGE_TITLES = {
    InspectionResult.NOT_FOUND: "This image cannot be used: it does not exist or is not public",
    InspectionResult.DENIED: "This image cannot be used: it is not public",
    InspectionResult.PLATFORM_MISMATCH: "This image cannot be used here: it is built for {detail} only",
    InspectionResult.DIGEST_GONE: "This image cannot be used: it is no longer in the registry",
    InspectionResult.UNVERIFIED: "This image could not be checked now; it can be saved all the same",
    InspectionResult.NOT_ALLOWED: "This image cannot be used: this hub does not allow it",
}


_UNUSABLE_IMAGE_ADVICE = {
    InspectionResult.NOT_FOUND: "{image} cannot be read without a login. Check the spelling of its name and tag, and "
    "that it is public.",
    InspectionResult.DENIED: "The registry requires a login for {image}. Make it public, or choose another one.",
    InspectionResult.PLATFORM_MISMATCH: "This hub runs {platforms}. Build the image for that, for example with “docker "
    "buildx"
    " build --platform {platforms}”, and check it again.",
    InspectionResult.DIGEST_GONE: "The registry has had this content of {image}, and has deleted it. Choose a tag, or "
    "another"
    " digest.",
    InspectionResult.UNVERIFIED: "The registry of {image} does not answer. The hub asks again, and pins it as soon as "
    "it knows.",
}


def _format_image_advice(checked: ImageInspection, platforms: Sequence[str]) -> str:
    """Return what was wrong with the image and what helps; empty if all is well."""
    is_own_message = checked.detail in (REGISTRY_CHECKS_OFF_MESSAGE, IMAGES_NOT_SUPPORTED_MESSAGE)
    advice = checked.detail if is_own_message else _UNUSABLE_IMAGE_ADVICE.get(checked.verdict)
    if advice is None:
        return format_image_refusal(checked)
    return advice.format(image=checked.image.canonical_reference, platforms=",".join(platforms))


class ImageCheckStep(TypedDict):
    good: bool
    text: str


_IMAGE_FOUND_STEP: ImageCheckStep = {"good": True, "text": "Found and public"}


def _build_image_check_steps(
    found: ImageMetadata | None, checked: ImageInspection, platforms: Sequence[str]
) -> list[ImageCheckStep]:
    """List the steps of an image check with their results."""
    if found is None:
        wrong: ImageCheckStep = {"good": False, "text": f"Does not run here: only {checked.detail}"}
        return [_IMAGE_FOUND_STEP, wrong] if checked.verdict is InspectionResult.PLATFORM_MISMATCH else []
    runs = [p for p in found.platforms if p in platforms] or ([] if found.platforms else list(platforms))
    also = [p for p in found.platforms if p not in platforms]
    kind = detect_image_kind(found, checked.image)
    return [
        _IMAGE_FOUND_STEP,
        {"good": bool(runs), "text": _format_platforms(runs, also)},
        {"good": kind is not ImageKind.NONE, "text": _format_start_command(found, kind)},
        {
            "good": not _is_root_user(found),
            "text": f"User {found.user or 'root'}{', not root' if not _is_root_user(found) else ''}",
        },
    ]


def _format_platforms(runs: Sequence[str], also: Sequence[str]) -> str:
    if not runs:
        return f"Does not run here: only {', '.join(also)}"
    return f"Runs here: {', '.join(runs)}" + (f" (also {', '.join(also)})" if also else "")


def _format_start_command(found: ImageMetadata, kind: ImageKind) -> str:
    ports = f" on port {found.ports[0]}" if found.ports else ""
    command = " ".join([*found.entrypoint, *found.command])[:200] or "nothing by itself"
    return f"{kind.description[0].upper()}{kind.description[1:]}: starts {command}{ports}"


def _is_root_user(found: ImageMetadata) -> bool:
    return found.user.partition(":")[0] in ("", "0", "root")


def _build_image_metadata_view(found: ImageMetadata, now: datetime) -> list[PropertyView]:
    rows: list[PropertyView] = []
    if found.size is not None:
        rows.append(build_property_view("Size", f"{format_size(found.size)} to download"))
    if found.created is not None:
        rows.append(
            build_property_view("Built", format_time_ago(found.created, now), built_at=format_iso_time(found.created))
        )
    if found.platforms:
        rows.append(build_property_view("Platforms", ", ".join(found.platforms)))
    return rows + [
        _build_image_label_view(name, found.get_label(key), key)
        for key, name in _IMAGE_LABEL_TITLES.items()
        if found.get_label(key)
    ]


def _build_image_label_view(name: str, text: str, key: str) -> PropertyView:
    link = text if key in _LINKED_IMAGE_LABELS and text.startswith("https://") else None
    return build_property_view(name, text, link=link)


class PropertyView(TypedDict):
    """A name and a text, which may be a link, code, or about the time `built_at`."""

    name: str
    text: str
    link: str | None
    code: bool
    built_at: str | None


def build_property_view(
    name: str, text: str, *, link: str | None = None, code: bool = False, built_at: str | None = None
) -> PropertyView:
    return {"name": name, "text": text, "link": link, "code": code, "built_at": built_at}


class SessionImageView(TypedDict):
    facts: list[PropertyView]
    labels: list[tuple[str, str]]
    likely: str | None
    pinned: PinView | None


class PinView(TypedDict):
    by: str
    pinned_at: str
    why: str


def build_session_image_view(revision: Revision, now: datetime) -> SessionImageView:
    """Build the known metadata of the image that a session runs."""
    metadata = parse_image_metadata_json(revision.facts)
    view: SessionImageView = {"facts": [], "labels": [], "likely": None, "pinned": _build_pin_view(revision)}
    if metadata is None:
        return view
    image = ImageReference(repository=revision.repository, tag=revision.tag, digest=revision.digest)
    return {
        **view,
        "facts": _build_image_metadata_view(metadata, now),
        "labels": sorted(metadata.labels.items())[:_MAX_SHOWN_LABELS],
        "likely": detect_image_kind(metadata, image).description,
    }


def _build_pin_view(revision: Revision) -> PinView | None:
    """Return who pinned the image and when; the hub did if the registry was not available before."""
    if revision.digest is None:
        return None
    why = ", when the registry first answered" if revision.created_by == HUB_REVISION_AUTHOR else ""
    return {"by": revision.created_by, "pinned_at": format_iso_time(revision.created_at), "why": why}


class ImageUpdateView(TypedDict):
    revision: int
    image: str
    digest: str | None
    since: str
    since_at: str
    stored: bool
    rows: list[ComparisonRow]
    accept: str | None
    dismiss: str | None


def build_image_update_view(
    found: ImageUpdate | None, pinned: Revision, url: str, frame: PageContext, *, writes: bool
) -> ImageUpdateView | None:
    """Build the comparison of a newer image with the pinned one; None without a newer one."""
    if found is None:
        return None
    return {
        "revision": found.revision,
        "image": found.image,
        "digest": found.digest,
        "since": format_time_ago(found.since, frame.now),
        "since_at": format_iso_time(found.since),
        "stored": found.stored,
        "rows": [
            build_comparison_row("Revision", str(pinned.number), str(found.revision)),
            *_compare_commits(found, pinned),
            *_compare_image_contents(pinned, found),
        ],
        "accept": f"{url}/revision" if writes else None,
        "dismiss": f"{url}/dismissal" if writes and found.digest else None,
    }


def build_image_comparison_view(old: Revision, new: NewRevision) -> list[ComparisonRow]:
    """List the differences of two images."""
    return [
        build_comparison_row("Image", old.canonical_reference, new.canonical_reference, code=True),
        *_compare_image_contents(old, new),
        *_compare_revision_commits(old, new),
    ]


def _compare_revision_commits(old: Revision, new: NewRevision) -> list[ComparisonRow]:
    commits = [revision.commit[:8] if revision.commit and revision.built else "" for revision in (old, new)]
    return [build_comparison_row("Commit", *(each or "none" for each in commits), code=True)] if any(commits) else []


def _compare_image_contents(old: Revision, new: NewRevision | ImageUpdate) -> list[ComparisonRow]:
    older, newer = parse_image_metadata_json(old.facts), parse_image_metadata_json(new.facts)
    return [
        build_comparison_row("Digest", _shorten_digest(old.digest), _shorten_digest(new.digest), code=True),
        build_comparison_row("Built", _format_build_time(older), _format_build_time(newer)),
        build_comparison_row("Size", _format_image_size(older), _format_image_size(newer)),
    ]


def _compare_commits(found: ImageUpdate, pinned: Revision) -> list[ComparisonRow]:
    """Compare the commits of two images; empty unless CI has built both."""
    if found.commit is None or pinned.commit is None:
        return []
    return [build_comparison_row("Commit", pinned.commit[:8], f"{found.commit[:8]} ({format_commit_distance(found)})")]


class ComparisonRow(TypedDict):
    name: str
    old: str
    new: str
    code: bool


def build_comparison_row(name: str, old: str, new: str, *, code: bool = False) -> ComparisonRow:
    return {"name": name, "old": old, "new": new, "code": code}


def _shorten_digest(digest: str | None) -> str:
    return digest[:19] if digest else "not checked yet"


def _format_build_time(found: ImageMetadata | None) -> str:
    return f"{found.created.day} {found.created:%B %Y, %H:%M} UTC" if found and found.created else "unknown"


def _format_image_size(found: ImageMetadata | None) -> str:
    return format_size(found.size) if found and found.size is not None else "unknown"


class ImageRevisionView(TypedDict):
    revision: int
    image: str
    digest: str | None
    created_at: str
    creator: str
    current: bool
    gone: bool
    verb: str
    use: str | None


def build_image_revision_view(
    each: Revision, pinned: Revision, url: str, seen: Mapping[str, ImageStatus], *, writes: bool
) -> ImageRevisionView:
    current, content = each.id == pinned.id, get_digest_image(each)
    sighting = seen.get(format_image_reference(content)) if content else None
    gone = sighting is not None and sighting.verdict is InspectionResult.NOT_FOUND
    verb = "Accept" if each.number > pinned.number else "Roll back to"
    return {
        "revision": each.number,
        "image": each.canonical_reference,
        "digest": each.digest,
        "created_at": format_iso_time(each.created_at),
        "creator": each.created_by,
        "current": current,
        "gone": gone,
        "verb": verb,
        "use": f"{url}/revision" if writes and not (current or gone or each.is_unpinned_copy_of(pinned)) else None,
    }


_MAX_LISTED_PACKAGES = 200  # packages on a page, unless it is requested with `all`
_SOFTWARE_ORIGIN_TEXTS = {
    SoftwareOrigin.SBOM: "from the image's own list (SBOM)",
    SoftwareOrigin.PROBE: "looked up by an admin",
    SoftwareOrigin.IMAGE: "reported by the image when a session of it started",
    SoftwareOrigin.HUB: "of this hub's own Python, in which sessions run here",
}
_PACKAGE_KIND_LABELS = {
    PackageKind.PYTHON: "Python",
    PackageKind.CONDA: "conda",
    PackageKind.R: "R",
    PackageKind.DEBIAN: "Debian",
    PackageKind.OTHER: "other",
}


class PackagesView(TypedDict):
    note: str
    complete: bool
    interpreters: list[tuple[str, str]]
    find: str
    kind: str
    kinds: list[ChoiceLink]
    rows: list[PackageRow]
    count: str
    none: bool
    more: int
    all: str | None
    action: str
    bill: str


def build_packages_view(
    found: ImageSoftware | None, page: str, *, find: str, kind: str, everything: bool, frame: PageContext
) -> PackagesView | None:
    """Build the section *What is installed*; None while the packages are unknown."""
    if found is None:
        return None
    chosen = [package for package in search_packages(found, find) if not kind or package.kind == kind]
    rows = chosen if everything else chosen[:_MAX_LISTED_PACKAGES]
    rest = add_query_parameters(page, find=find, kind=kind, all="1")
    return {
        "note": f"{_SOFTWARE_ORIGIN_TEXTS[found.origin]}, {format_time_ago(found.found_at, frame.now)}",
        "complete": found.complete,
        "interpreters": [*found.interpreters.items(), *([("CUDA", found.cuda)] if found.cuda else [])],
        "find": find,
        "kind": kind,
        "kinds": _build_package_kind_links(found, page, find, kind),
        "rows": [_build_package_row(package) for package in rows],
        "count": f"{len(rows)} of {len(chosen)} shown" if len(rows) < len(chosen) else "",
        "none": not chosen,
        "more": found.more,
        "all": f"{rest}#installed" if len(rows) < len(chosen) else None,
        "action": page,
        "bill": f"{page}/packages.cdx.json",
    }


def _build_package_kind_links(found: ImageSoftware, page: str, find: str, kind: str) -> list[ChoiceLink]:
    counted = [(each, len(found.list_packages(each))) for each in PackageKind]
    every: ChoiceLink = {
        "text": f"all {len(found.packages)}",
        "url": f"{add_query_parameters(page, find=find)}#installed",
        "current": not kind,
    }
    links: list[ChoiceLink] = [
        {
            "text": f"{_PACKAGE_KIND_LABELS[each]} {count}",
            "url": f"{add_query_parameters(page, find=find, kind=each)}#installed",
            "current": kind == each,
        }
        for each, count in counted
        if count
    ]
    return [every, *links] if len(links) > 1 else []


class PackageRow(TypedDict):
    name: str
    version: str
    kind: str


def _build_package_row(one: SoftwarePackage) -> PackageRow:
    return {"name": one.name, "version": one.version, "kind": _PACKAGE_KIND_LABELS[one.kind]}


class PackageChangesView(TypedDict):
    title: str
    rows: list[PackageChangeRow]


class PackageChangeRow(TypedDict):
    icon: str
    what: str
    name: str
    old: str | None
    new: str | None


def build_package_changes_view(installed: InstalledSoftware) -> PackageChangesView | None:
    """List packages that a newer image adds, removes and changes; None while those of either are unknown."""
    changes = installed.changes
    if changes is None:
        return None
    return {
        "title": _format_change_counts(changes),
        "rows": [
            *_build_added_package_rows(changes.added),
            *_build_removed_package_rows(changes.removed),
            *_build_changed_package_rows(changes),
        ][:_MAX_LISTED_PACKAGES],
    }


def _format_change_counts(found: SoftwareChanges) -> str:
    if not found:
        return "The packages are the same"
    return f"{len(found.added)} added, {len(found.removed)} removed, {len(found.changed)} changed"


def _build_added_package_rows(found: Sequence[SoftwarePackage]) -> list[PackageChangeRow]:
    return [{"icon": "fa-plus", "what": "added", "name": p.name, "old": None, "new": p.version} for p in found]


def _build_removed_package_rows(found: Sequence[SoftwarePackage]) -> list[PackageChangeRow]:
    return [{"icon": "fa-minus", "what": "removed", "name": p.name, "old": p.version, "new": None} for p in found]


def _build_changed_package_rows(found: SoftwareChanges) -> list[PackageChangeRow]:
    return [
        {"icon": "fa-arrow-right", "what": "changed", "name": c.name, "old": c.old, "new": c.new} for c in found.changed
    ]
