"""List images that a project's CI has built, pin them and check them for updates.

GitLab is always queried with the user's own token. Logins to pull private images are in
`usecases.image_pull_credentials`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from ..context.app_context import AppContext, read_transaction, write_transaction
from ..domain.access import Person, ProjectAction
from ..domain.ci_images import (
    BranchImageStatus,
    CiImage,
    CiImageOrigin,
    CiPipeline,
    CiRules,
    CiState,
    GitBranch,
    GitCommit,
    GitLabCodeProject,
    RegistryTag,
    find_newest_branch_images,
    find_tagged_commit,
    get_newest_pipelines,
    is_project_repository,
    is_trusted_pipeline,
    resolve_ci_state,
    select_ci_images,
    select_decisive_pipeline,
)
from ..domain.environments import (
    EnvironmentKind,
    NewCiImage,
    NewEnvironment,
    NewRevision,
    Revision,
    RunConfiguration,
    RunOverrides,
    check_run_overrides,
)
from ..domain.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    RenkuError,
    UnavailableError,
)
from ..domain.image_checks import InspectionResult
from ..domain.image_metadata import check_image_user, to_image_metadata_json
from ..domain.image_updates import ImageStatus, ImageUpdate
from ..domain.images import ImageReference, parse_image_reference
from ..domain.projects import Project, Repository
from ..domain.reasons import format_reason_sentence
from ..domain.sessions import Session
from ..domain.text import clean_title
from ..integrations.gitlab.ci import GitLabCI
from ..integrations.gitlab.client import GitLabForbidden, GitLabNotFound, GitLabUnavailable
from ..persistence.statements import UniqueConflict
from .images import (
    IMAGE_CHECK_AT_LAUNCH_TIMEOUT_SECONDS,
    IMAGE_CHECK_TIMEOUT_SECONDS,
    IMAGE_STATUS_PAGE_TIMEOUT_SECONDS,
    build_image_refusal,
    format_image_reference,
    get_revision_image,
    get_suggested_run,
    import_attached_sbom,
    inspect_image,
    is_image_permitted,
)

CI_IMAGES_TIMEOUT_SECONDS = 5.0  # for all queries of one page
_MAX_PIPELINE_LOOKUPS = 5  # tags whose pipeline ran on another branch and is looked up by its commit


@dataclass(frozen=True, kw_only=True)
class BranchCIImages:
    """The images that CI has built of one branch.

    `images` are in the order of `commits`, newest first. `pipelines` maps each commit to its last pipeline. `newest` is
    the newest image of each branch, as far as GitLab's last hundred commits show. `job` is the page of the failed job
    of
    the newest commit.
    """

    project: GitLabCodeProject
    branches: Sequence[GitBranch] = ()
    branch: GitBranch | None = None
    commits: Sequence[GitCommit] = ()
    images: Sequence[CiImage] = ()
    pipelines: Mapping[str, CiPipeline] = field(default_factory=dict)
    newest: Mapping[str, CiImage] = field(default_factory=dict)
    state: CiState = CiState.UNKNOWN
    job: str = ""


@dataclass(frozen=True, kw_only=True)
class CIImageChoices:
    """The data of the tab for CI images: the project's repositories in its GitLab, and the images of the chosen one.

    `problem` is a sentence that says why the images are unknown.
    """

    repositories: Sequence[Repository]
    repository: Repository | None = None
    builds: BranchCIImages | None = None
    problem: str = ""


def list_gitlab_repositories(context: AppContext, project: Project) -> list[Repository]:
    """List the repositories of *project* that are in its GitLab, the project's own first."""
    if context.gitlab_ci is None or context.policy.local:
        return []
    return [r for r in project.repositories if r.fixed or _get_gitlab_path(context.gitlab_ci, r)]


def _get_gitlab_path(ci: GitLabCI, repository: Repository) -> str:
    """Return the path of the repository's project in our GitLab, or an empty string for other hosts."""
    address, home = urlsplit(repository.url), urlsplit(ci.url)
    path = address.path.removesuffix("/").removesuffix(".git")
    above = home.path.rstrip("/")
    if address.netloc != home.netloc or not path.startswith(f"{above}/"):
        return ""
    return path.removeprefix(above).strip("/")


async def load_ci_image_choices(
    context: AppContext, person: Person, project: Project, directory: str, branch: str
) -> CIImageChoices:
    """Load the repositories and images to choose from; errors of GitLab are returned in `problem`."""
    repositories = list_gitlab_repositories(context, project)
    if not repositories:
        return CIImageChoices(repositories=())
    choices = CIImageChoices(repositories=repositories, repository=repositories[0])
    try:
        choices = replace(choices, repository=_select_gitlab_repository(repositories, directory))
        assert choices.repository is not None
        return replace(
            choices, builds=await load_ci_images(context, person, project, choices.repository, branch, wide=True)
        )
    except (ForbiddenError, NotFoundError, UnavailableError, InvalidInputError) as problem:
        return replace(choices, problem=problem.message)


def _select_gitlab_repository(found: Sequence[Repository], directory: str) -> Repository:
    if not directory:
        return found[0]
    named = next((repository for repository in found if repository.directory == directory), None)
    if named is None:
        message = "The project has no repository of this name in its GitLab."
        raise InvalidInputError(message, fields={"repository": message})
    return named


async def list_ci_images(
    context: AppContext, person: Person, ref: str, directory: str, branch: str
) -> tuple[Repository, BranchCIImages]:
    """List the images that CI has built of a repository.

    Raises:
        NotFoundError, ForbiddenError, UnavailableError.
        InvalidInputError: at `repository` or `branch`; on a hub without GitLab, or one that runs no images.
    """
    project = await context.source.get_project(person, ref, ProjectAction.WRITE)
    repository = require_gitlab_repository(context, project, directory)
    return repository, await load_ci_images(context, person, project, repository, branch, wide=True)


def require_gitlab_repository(context: AppContext, project: Project, directory: str) -> Repository:
    """Return one of the project's repositories in its GitLab. Raises InvalidInputError: at `repository`."""
    repositories = list_gitlab_repositories(context, project)
    if not repositories:
        message = "This hub runs no images that a project's CI has built."
        raise InvalidInputError(message, fields={"repository": message})
    return _select_gitlab_repository(repositories, directory)


async def load_ci_images(
    context: AppContext, person: Person, project: Project, repository: Repository, branch: str, *, wide: bool = False
) -> BranchCIImages:
    """Load the images that CI has built of *branch* or the default branch; with *wide* also the newest of each branch.

    Raises:
        InvalidInputError: at `branch`; and the errors of GitLab.
    """
    assert context.gitlab_ci is not None
    number = int(project.source_id) if repository.fixed else _get_gitlab_path(context.gitlab_ci, repository)
    return await load_ci_images_of_gitlab_project(context, person.name, number, branch, wide=wide)


async def load_ci_images_of_gitlab_project(
    context: AppContext, name: str, project: int | str, branch: str, *, wide: bool = False, sure: bool = False
) -> BranchCIImages:
    """Load the CI images of GitLab's *project*, given by its number or path, with the token of user *name*.

    With *sure*, the caller knows that the branch exists or existed, so it is only looked up if it is needed otherwise.
    """
    assert context.gitlab_ci is not None
    query = _CIImagesQuery(ci=context.gitlab_ci, name=name, rules=context.policy.ci)
    try:
        async with asyncio.timeout(CI_IMAGES_TIMEOUT_SECONDS):
            return await query.load(project, branch, wide=wide, sure=sure)
    except TimeoutError:
        raise GitLabUnavailable from None


def _select_branch(found: BranchCIImages, wanted: str) -> GitBranch | None:
    """Return the branch named *wanted* or the default branch, or None in an empty repository."""
    name = wanted or found.project.default_branch
    chosen = next((branch for branch in found.branches if branch.name == name), None)
    if chosen is None and wanted:
        message = "The repository has no branch of this name."
        raise InvalidInputError(message, fields={"branch": message})
    return chosen or next(iter(found.branches), None)


@dataclass(frozen=True, kw_only=True)
class _CIImagesQuery:
    """Queries to GitLab with the token of one user."""

    ci: GitLabCI
    name: str
    rules: CiRules

    async def load(self, project: int | str, branch: str, *, wide: bool, sure: bool) -> BranchCIImages:
        gitlab_project = await self.ci.get_project(self.name, project)
        needed = wide or not sure or self.rules.protected_only
        branches = (
            await self.ci.list_branches(self.name, gitlab_project.id) if needed else [GitBranch(name=branch, sha="")]
        )
        found = BranchCIImages(project=gitlab_project, branches=branches)
        chosen = _select_branch(found, branch)
        return await self._load_branch(replace(found, branch=chosen), chosen.name, wide=wide) if chosen else found

    async def _load_branch(self, found: BranchCIImages, branch: str, *, wide: bool) -> BranchCIImages:
        id = found.project.id
        commits, tags, ran, everything = await asyncio.gather(
            self.ci.list_commits(self.name, id, branch),
            self.ci.list_registry_tags(self.name, id),
            self._list_pipelines(id, branch),
            self.ci.list_commits(self.name, id) if wide else _get_no_commits(),
        )
        found = replace(found, commits=commits)
        if ran is None:  # without pipelines no image can be trusted
            return found
        own = [tag for tag in tags if is_project_repository(tag.repository, found.project.images)]
        pipelines = ran + await self._list_pipelines_by_commit(
            id, _list_commits_without_pipeline([*commits, *everything], own, ran, self.rules)
        )
        return await self._add_images(found, own, pipelines, everything)

    async def _add_images(
        self,
        found: BranchCIImages,
        tags: Sequence[RegistryTag],
        pipelines: Sequence[CiPipeline],
        everything: Sequence[GitCommit],
    ) -> BranchCIImages:
        plain = replace(self.rules, protected_only=False)
        good, last = (
            get_newest_pipelines(
                p for p in pipelines if is_trusted_pipeline(p, found.project.id, found.branches, rules)
            )
            for rules in (self.rules, plain)
        )
        images = select_ci_images(found.commits, tags, good, self.rules)
        wide = find_newest_branch_images(
            found.branches, everything, select_ci_images(everything, tags, good, self.rules)
        )
        newest = wide | ({found.branch.name: images[0]} if images and found.branch else {})
        head = found.commits[0].sha if found.commits else ""
        head_is_built = any(image.commit.sha == head for image in images)
        ran = await self._find_build_pipeline(last[head]) if head in last and not head_is_built else last.get(head)
        state = resolve_ci_state(ran, built=head_is_built, configured=bool(pipelines))
        job = await self._get_failed_job_url(ran) if ran is not None and state is CiState.FAILED else ""
        return replace(found, images=images, pipelines=last, newest=newest, state=state, job=job)

    async def _list_pipelines(self, project: int, branch: str) -> list[CiPipeline] | None:
        """List the pipelines of a branch, or return None if the user may not see them or CI is disabled."""
        try:
            return await self.ci.list_pipelines(self.name, project, ref=branch)
        except GitLabForbidden:
            return None

    async def _list_pipelines_by_commit(self, project: int, shas: Sequence[str]) -> list[CiPipeline]:
        results = await asyncio.gather(*(self.ci.list_pipelines(self.name, project, sha=sha) for sha in shas))
        return [pipeline for pipelines in results for pipeline in pipelines]

    async def _find_build_pipeline(self, ran: CiPipeline) -> CiPipeline:
        """Return the pipeline that decides about the image.

        A pipeline that passed without an image may have started a child pipeline that builds it, without waiting for
        it.
        """
        if ran.status != "success":
            return ran
        try:
            return select_decisive_pipeline(ran, await self.ci.list_child_pipelines(self.name, ran.project, ran.id))
        except (ForbiddenError, NotFoundError, UnavailableError):
            return ran

    async def _get_failed_job_url(self, pipeline: CiPipeline) -> str:
        """Return the URL of the failed job, or of the pipeline where jobs are hidden or deleted."""
        try:
            return await self.ci.get_failed_job_url(self.name, pipeline.project, pipeline.id) or pipeline.url
        except (ForbiddenError, NotFoundError, UnavailableError):
            return pipeline.url


def _list_commits_without_pipeline(
    commits: Sequence[GitCommit], tags: Sequence[RegistryTag], pipelines: Sequence[CiPipeline], rules: CiRules
) -> list[str]:
    """List commits with an image and no pipeline on this branch: the pipeline may have run on another one."""
    known = {commit.sha for commit in commits} - {pipeline.sha for pipeline in pipelines}
    named = {find_tagged_commit(tag.name, {commit.sha for commit in commits}, rules) for tag in tags}
    return [sha for sha in dict.fromkeys(commit.sha for commit in commits) if sha in known & named][
        :_MAX_PIPELINE_LOOKUPS
    ]


async def _get_no_commits() -> list[GitCommit]:
    return []


_CI_IMAGE_GONE_MESSAGE = "GitLab no longer has this image; load the page again."


async def prepare_ci_environment(
    context: AppContext, person: Person, project: Project, new: NewCiImage
) -> tuple[NewEnvironment, NewRevision]:
    """Prepare the environment and revision of an image of the project's CI, pinned to its present digest.

    Raises:
        InvalidInputError: at `repository`, `branch` or `image`, if it does not belong to the project; or if the image
            cannot run here.
        ForbiddenError, NotFoundError, UnavailableError: errors of GitLab.
    """
    choice = check_run_overrides(new.run)
    repository = require_gitlab_repository(context, project, new.repository)
    images = await load_ci_images(context, person, project, repository, new.branch or "")
    revision = await _build_pinned_ci_revision(context, person, images, _select_ci_image(images, new.image), choice)
    check_image_user(revision.run, revision.facts)
    environment = NewEnvironment(
        name=clean_title(new.name or repository.directory, field="name"),
        kind=EnvironmentKind.REPOSITORY,
        project=project.id,
    )
    return environment, revision


def _select_ci_image(found: BranchCIImages, wanted: str | None) -> CiImage:
    """Return the wanted image; only trusted images can be chosen."""
    named = [image for image in found.images if wanted in (None, image.tag.reference)]
    if not named:
        message = "The project's CI has built no such image of a commit of this branch."
        raise InvalidInputError(message, fields={"image": message}, code="image_not_found")
    return named[0]


async def _build_pinned_ci_revision(
    context: AppContext, person: Person, found: BranchCIImages, chosen: CiImage, run: RunOverrides | RunConfiguration
) -> NewRevision:
    """Build the revision of *chosen*.

    The digest comes from GitLab, the metadata from the registry if the image is public.
    """
    assert context.gitlab_ci is not None
    assert found.branch is not None
    image = _parse_ci_image(context, chosen)
    try:
        digest = await context.gitlab_ci.get_tag_digest(person.name, found.project.id, chosen.tag)
    except GitLabNotFound:
        raise InvalidInputError(
            _CI_IMAGE_GONE_MESSAGE, fields={"image": _CI_IMAGE_GONE_MESSAGE}, code="image_not_found"
        ) from None
    checked = await inspect_image(context, replace(image, digest=digest), patience=IMAGE_CHECK_TIMEOUT_SECONDS)
    if checked.verdict is InspectionResult.PLATFORM_MISMATCH:
        raise build_image_refusal(checked)
    known = checked.facts if checked.verdict is InspectionResult.OK else None
    return NewRevision(
        image=chosen.tag.reference,
        repository=image.repository,
        tag=image.tag,
        digest=digest,
        facts=to_image_metadata_json(known) if known else {},
        run=run.apply_to(get_suggested_run(known, image)) if isinstance(run, RunOverrides) else run,
        commit=chosen.commit.sha,
        built=CiImageOrigin(
            url=found.project.url,
            source=str(found.project.id),
            ref=found.branch.name,
            pipeline=chosen.pipeline.id,
        ),
    )


def _parse_ci_image(context: AppContext, chosen: CiImage) -> ImageReference:
    """Parse the image reference, and reject one that pods would pull from elsewhere than GitLab means."""
    image = parse_image_reference(chosen.tag.reference)
    if image.repository != chosen.tag.repository or context.policy.images.is_denied(image):
        message = format_reason_sentence("registry_not_allowed", image=image.canonical_reference)
        raise InvalidInputError(message, fields={"image": message}, code="registry_not_allowed")
    return image


async def get_newest_ci_revision(context: AppContext, person: Person, session: Session) -> NewRevision:
    """Build a revision of the branch's newest image, for an editor who accepts it. GitLab is always queried again.

    Raises:
        ConflictError: `changed`, if there is no image any more.
        InvalidInputError, ForbiddenError, NotFoundError, UnavailableError.
    """
    newest = session.environment.revision
    branch_images = await load_ci_images_of_revision(context, person, newest)
    images = (
        [image for image in branch_images.images if image.tag.repository == newest.repository] if branch_images else []
    )
    if branch_images is None or not images:
        raise ConflictError(_CI_IMAGE_GONE_MESSAGE, code="changed")
    return await _build_pinned_ci_revision(context, person, branch_images, images[0], newest.run)


async def load_ci_images_of_revision(context: AppContext, person: Person, revision: Revision) -> BranchCIImages | None:
    """Load the CI images of the branch that *revision* comes from, as *person* sees them."""
    if context.gitlab_ci is None or revision.built is None:
        return None
    return await load_ci_images_of_gitlab_project(
        context, person.name, int(revision.built.source), revision.built.ref, sure=True
    )


async def check_ci_image(context: AppContext, person: Person, revision: Revision) -> InspectionResult:
    """Check if GitLab still has the image: `denied` if *person* may not see it, `unverified` without an answer.

    Only the tag is looked up. If it was moved, the pull by digest shows whether the old content still exists.
    """
    if context.gitlab_ci is None or revision.built is None:
        return InspectionResult.UNVERIFIED
    try:
        async with asyncio.timeout(IMAGE_CHECK_AT_LAUNCH_TIMEOUT_SECONDS):
            tags = await context.gitlab_ci.list_registry_tags(person.name, int(revision.built.source))
    except GitLabForbidden as refused:
        return InspectionResult.UNVERIFIED if refused.scope else InspectionResult.DENIED
    except (ForbiddenError, NotFoundError, UnavailableError, TimeoutError):
        return InspectionResult.UNVERIFIED
    name = (revision.repository, revision.tag)
    return (
        InspectionResult.OK if any((tag.repository, tag.name) == name for tag in tags) else InspectionResult.NOT_FOUND
    )


CI_IMAGE_STATUS_MAX_AGE = timedelta(minutes=10)
CI_IMAGE_STATUS_RETRY_INTERVAL = timedelta(minutes=2)  # after a query that got no answer or was not allowed
log = logging.getLogger("renku_spawner")


async def refresh_ci_image_status(
    context: AppContext, person: Person, session: Session, *, patience: float = IMAGE_STATUS_PAGE_TIMEOUT_SECONDS
) -> bool:
    """Check as *person* whether CI has built a newer image, unless that was checked recently.

    Waits for at most *patience* seconds; the query continues in the background. Returns True if it finished in time.
    """
    revision = session.environment.revision
    if context.gitlab_ci is None or context.policy.local or revision.built is None:
        return False
    if not is_image_permitted(context, session.environment, revision):
        return False  # forbidden images are never queried
    source = revision.built
    known = await read_transaction(context, lambda tx: tx.ci_images.get(get_ci_image_status_key(revision)))
    if known is not None and not _is_ci_image_status_stale(known, context.now()):
        return False
    done, _ = await asyncio.wait(
        {_start_ci_image_status_refresh(context, person, revision, source, known)}, timeout=patience
    )
    return bool(done)


async def get_ci_image_status(context: AppContext, session: Session) -> BranchImageStatus | None:
    """Return the stored status of the branch that the session's image comes from."""
    return (
        await read_transaction(context, lambda tx: tx.ci_images.get(get_ci_image_status_key(session.revision)))
        if session.revision.built
        else None
    )


def get_ci_image_status_key(revision: Revision) -> tuple[str, str, str]:
    """Return project, branch and image as the key of the stored status.

    The key of an image that CI has not built is empty, and nothing is stored under it.
    """
    source = revision.built
    return (source.source, source.ref, revision.repository) if source else ("", "", "")


async def expire_ci_image_status(context: AppContext, source: str) -> None:
    """Mark the stored statuses of GitLab's project number *source* as stale, after GitLab reported an event."""
    if context.gitlab_ci is not None:
        context.gitlab_ci.clear_cache()
    long_ago = context.now() - CI_IMAGE_STATUS_MAX_AGE
    await write_transaction(context, lambda tx: tx.ci_images.mark_stale(source, long_ago))


def _is_ci_image_status_stale(known: BranchImageStatus, now: datetime) -> bool:
    return now - known.looked_at >= (CI_IMAGE_STATUS_MAX_AGE if known.answered else CI_IMAGE_STATUS_RETRY_INTERVAL)


def _start_ci_image_status_refresh(
    context: AppContext, person: Person, revision: Revision, source: CiImageOrigin, known: BranchImageStatus | None
) -> asyncio.Task[None]:
    return context.registry_queries.start(
        f"built {source.source} {source.ref} {revision.repository}",
        partial(_update_ci_image_status, context, person, revision, source, known),
    )


async def _update_ci_image_status(
    context: AppContext, person: Person, revision: Revision, source: CiImageOrigin, known: BranchImageStatus | None
) -> None:
    """Query GitLab and store the answer; without an answer only the time of the query is stored."""
    before = known or BranchImageStatus(
        source=source.source, ref=source.ref, image=revision.repository, looked_at=context.now()
    )
    try:
        after = await _fetch_ci_image_status(context, person, revision, before)
        await write_transaction(context, lambda tx: tx.ci_images.save(after))
    except UniqueConflict:
        log.debug("CI image status of %s of project %s was stored concurrently", source.ref, source.source)
    except Exception:
        log.exception("Failed to refresh CI image status of project %s", source.source)


async def _fetch_ci_image_status(
    context: AppContext, person: Person, revision: Revision, before: BranchImageStatus
) -> BranchImageStatus:
    try:
        found = await load_ci_images_of_revision(context, person, revision)
        return await _apply_newest_ci_image(context, person, before, found, revision) if found else before
    except RenkuError as problem:
        log.info("GitLab returned no CI image status of project %s: %s", before.source, problem.code)
        return replace(before, looked_at=context.now(), answered=False)


async def _apply_newest_ci_image(
    context: AppContext, person: Person, before: BranchImageStatus, found: BranchCIImages, revision: Revision
) -> BranchImageStatus:
    """Return the status with the newest image.

    A push without an image, or with one that was deleted, changes nothing.
    """
    assert context.gitlab_ci is not None
    head = found.pipelines.get(found.commits[0].sha) if found.commits else None
    status = replace(
        before, looked_at=context.now(), answered=True, shas=tuple(item.sha for item in found.commits),
        statuses={sha: item.status for sha, item in found.pipelines.items()}, state=found.state,
        link=found.job or (head.url if head else ""),
    )  # fmt: skip
    chosen = next((item for item in found.images if item.tag.repository == revision.repository), None)
    if chosen is None:
        return status
    digest = await context.gitlab_ci.get_tag_digest(person.name, found.project.id, chosen.tag)
    same = before.digest == digest
    metadata = (
        before.facts
        if same
        else await _fetch_ci_image_metadata(context, replace(revision, tag=chosen.tag.name, digest=digest))
    )
    since = before.since if same and before.since else context.now()
    return replace(
        status, since=since, commit=chosen.commit.sha, tag=chosen.tag.name, digest=digest,
        pipeline=chosen.pipeline.id, facts=metadata,
    )  # fmt: skip


async def _fetch_ci_image_metadata(context: AppContext, revision: Revision) -> Mapping[str, Any]:
    """Fetch the registry's metadata of a new public image, and import its list of packages."""
    image = get_revision_image(revision)
    checked = await inspect_image(context, image, patience=IMAGE_CHECK_TIMEOUT_SECONDS)
    if checked.facts is None or checked.verdict is not InspectionResult.OK:
        return {}
    metadata = to_image_metadata_json(checked.facts)
    status = ImageStatus(
        reference=format_image_reference(image),
        verdict=InspectionResult.OK,
        looked_at=context.now(),
        digest=revision.digest,
        facts=metadata,
    )
    await import_attached_sbom(context, image, status, trusted=False)
    return metadata


async def list_commits_of_update(
    context: AppContext, person: Person, session: Session, update: ImageUpdate | None
) -> list[GitCommit]:
    """List the commits between the pinned image and the newer one, newest first.

    The list is empty for users who may not read the code, and if the commits are unknown.
    """
    if context.gitlab_ci is None or update is None or not update.commits or session.revision.built is None:
        return []
    source = session.revision.built
    try:
        async with asyncio.timeout(IMAGE_STATUS_PAGE_TIMEOUT_SECONDS):
            commits = await context.gitlab_ci.list_commits(person.name, int(source.source), source.ref)
    except (RenkuError, TimeoutError):
        return []
    shas = [commit.sha for commit in commits]
    if update.commit not in shas or session.revision.commit not in shas:
        return []
    return commits[shas.index(update.commit) : shas.index(session.revision.commit)]
