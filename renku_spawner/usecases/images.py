"""Check images that users enter, build pinned revisions of them, and refresh the stored status of images in use.

Images built by CI are in `usecases.ci_images`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from ..context.app_context import AppContext, read_transaction, write_transaction
from ..domain.access import Person
from ..domain.environments import (
    Environment,
    EnvironmentKind,
    NewEnvironment,
    NewOwnImage,
    NewRevision,
    Revision,
    RunConfiguration,
    RunOverrides,
    check_run_overrides,
)
from ..domain.errors import InvalidInputError
from ..domain.image_checks import ImageInspection, InspectionResult, find_image_warnings
from ..domain.image_metadata import (
    ImageMetadata,
    check_image_user,
    detect_run_configuration,
    parse_image_metadata_json,
    to_image_metadata_json,
)
from ..domain.image_updates import ImageStatus
from ..domain.images import ImageReference, parse_image_reference
from ..domain.policy import HubPolicy
from ..domain.reasons import format_reason_sentence
from ..domain.sessions import Session
from ..domain.text import MAX_DESCRIPTION_LENGTH, MAX_TITLE_LENGTH, clean_title
from ..integrations.net.errors import (
    ConnectionNotAllowed,
    ImageAccessDenied,
    ImageNotFound,
    NoMatchingPlatform,
    RemoteError,
)
from ..persistence.database import Transaction
from ..persistence.statements import UniqueConflict
from .software import import_attested_software, needs_package_scan

_VERDICTS_BY_ERROR: dict[type[RemoteError], InspectionResult] = {
    ImageNotFound: InspectionResult.NOT_FOUND,
    ImageAccessDenied: InspectionResult.DENIED,
    ConnectionNotAllowed: InspectionResult.NOT_ALLOWED,
    NoMatchingPlatform: InspectionResult.PLATFORM_MISMATCH,
}
IMAGE_CHECK_AT_LAUNCH_TIMEOUT_SECONDS = 2.0  # a registry that is down blocks no start
IMAGE_CHECK_TIMEOUT_SECONDS = 3.0  # for a user who views an image or saves it
REGISTRY_CHECKS_OFF_MESSAGE = "This hub does not query registries."
IMAGES_NOT_SUPPORTED_MESSAGE = "This hub runs sessions as programs on its own machine and does not support images."


async def check_image(
    context: AppContext,
    person: Person,
    entered: str,
    run: RunOverrides | None = None,
    *,
    gpu: int = 0,
    beside: Iterable[Session] = (),
    trusted: bool = False,
) -> ImageInspection:
    """Check an image that a user typed against the policy and its registry; nothing is stored.

    *gpu* is the number of GPUs that the session requests, *beside* are the sessions of its project. A *trusted* image
    is entered by an admin for a managed environment, so the image policy does not apply.

    Raises:
        InvalidInputError: at `image`, if it is no image reference, or the hub runs no images.
    """
    image, run = (
        parse_image_reference(entered) if trusted else _parse_runnable_image(context.policy, entered),
        run or RunOverrides(),
    )
    # Check this first: forbidden images are never queried.
    if not (trusted or context.policy.images.is_permitted(image, person)):
        return _build_image_check(context, image, InspectionResult.NOT_ALLOWED)
    if context.policy.local:
        return _build_image_check(context, image, InspectionResult.UNVERIFIED, IMAGES_NOT_SUPPORTED_MESSAGE)
    inspection = await inspect_image(context, image, trusted=trusted, patience=IMAGE_CHECK_TIMEOUT_SECONDS)
    if inspection.is_blocking:
        return inspection
    as_run = run.apply_to(get_suggested_run(inspection.facts, inspection.image))
    policy = context.policy
    warnings = find_image_warnings(
        inspection.facts,
        inspection.image,
        run=as_run,
        platforms=policy.platforms,
        now=context.now(),
        big=policy.image_big,
        gpu=gpu,
        used_by=[
            session.title for session in beside if session.revision.canonical_reference == image.canonical_reference
        ],
    )
    return replace(inspection, hints=warnings)


async def check_image_while_typing(
    context: AppContext, person: Person, entered: str, run: RunOverrides, **more: Any
) -> ImageInspection | None:
    """Check an image while it is being typed; return None while it is no image reference."""
    try:
        return await check_image(context, person, entered, run, **more)
    except InvalidInputError:
        return None


def _parse_runnable_image(policy: HubPolicy, entered: str) -> ImageReference:
    if policy.local:
        raise InvalidInputError(IMAGES_NOT_SUPPORTED_MESSAGE, fields={"image": IMAGES_NOT_SUPPORTED_MESSAGE})
    return parse_image_reference(entered)


async def inspect_image(
    context: AppContext, image: ImageReference, *, trusted: bool = False, patience: float | None = None
) -> ImageInspection:
    """Return the registry's answer about *image*, with the result `unverified` if there is none.

    The query goes on after *patience* seconds, so that its answer is cached for the next call. A *trusted* image is
    entered by an admin and may be queried with the hub's own credentials.
    """
    if context.registry is None:
        return _build_image_check(context, image, InspectionResult.UNVERIFIED, REGISTRY_CHECKS_OFF_MESSAGE)
    try:
        async with asyncio.timeout(patience):
            metadata = await context.registry.inspect_image(image, trusted=trusted)
    except RemoteError as problem:
        return _build_image_check(context, image, to_verdict(problem), str(problem))
    except TimeoutError:
        return _build_image_check(context, image, InspectionResult.UNVERIFIED, f"no answer within {patience:g} seconds")
    return ImageInspection(
        image=replace(image, digest=metadata.digest),
        verdict=InspectionResult.OK,
        checked_at=context.now(),
        facts=metadata,
    )


async def check_image_exists(context: AppContext, image: ImageReference, *, trusted: bool) -> InspectionResult:
    """Check within a few seconds that the image exists.

    Returns `unverified` without an answer, and `ok` if registries are not queried.
    """
    if context.registry is None or context.policy.local:
        return InspectionResult.OK
    try:
        async with asyncio.timeout(IMAGE_CHECK_AT_LAUNCH_TIMEOUT_SECONDS):
            await context.registry.resolve_manifest(image, trusted=trusted)
    except RemoteError as problem:
        return to_verdict(problem)
    except TimeoutError:
        return InspectionResult.UNVERIFIED
    return InspectionResult.OK


def to_verdict(problem: RemoteError) -> InspectionResult:
    return next((v for kind, v in _VERDICTS_BY_ERROR.items() if isinstance(problem, kind)), InspectionResult.UNVERIFIED)


def _build_image_check(
    context: AppContext, image: ImageReference, verdict: InspectionResult, detail: str = ""
) -> ImageInspection:
    return ImageInspection(image=image, verdict=verdict, checked_at=context.now(), detail=detail)


def build_image_refusal(checked: ImageInspection) -> InvalidInputError:
    """Build the validation error for an image that cannot be saved."""
    message = format_image_refusal(checked)
    return InvalidInputError(message, fields={"image": message}, code=checked.reason)


def format_image_refusal(checked: ImageInspection) -> str:
    """Return the verdict in one or two sentences, or an empty string if the image is fine."""
    if checked.reason is None:
        return ""
    return format_reason_sentence(checked.reason, image=checked.image.canonical_reference, message=checked.detail)


async def prepare_external_environment(
    context: AppContext, person: Person, project: str, new: NewOwnImage
) -> tuple[NewEnvironment, NewRevision]:
    """Check a user's own image and prepare the environment and revision that a project gets from it.

    A registry that does not answer does not prevent saving: the revision then has no digest until a later check
    (`refresh_image_status`) finds it.

    Raises:
        InvalidInputError: at `image`, if it cannot be pulled, is not allowed or cannot run here; at the fields of the
            run configuration.
    """
    checked, revision = await prepare_image_revision(context, person, new)
    environment = NewEnvironment(
        name=clean_title(new.name or get_default_environment_name(checked.image), field="name"),
        kind=EnvironmentKind.EXTERNAL,
        project=project,
        description=get_default_environment_description(checked.facts),
    )
    return environment, revision


async def prepare_image_revision(
    context: AppContext, person: Person, new: NewOwnImage, *, trusted: bool = False
) -> tuple[ImageInspection, NewRevision]:
    """Return the inspection of the image and its new revision.

    Raises InvalidInputError, as `prepare_external_environment`.
    """
    choice = check_run_overrides(new.run)
    checked = await check_image(context, person, new.image, choice, trusted=trusted)
    if checked.is_blocking:
        raise build_image_refusal(checked)
    image, metadata = checked.image, checked.facts
    revision = build_image_revision(new.image, image, metadata, choice.apply_to(get_suggested_run(metadata, image)))
    check_image_user(revision.run, revision.facts)
    return checked, revision


def get_suggested_run(found: ImageMetadata | None, image: ImageReference) -> RunConfiguration:
    """Return the default run configuration of an image."""
    return detect_run_configuration(found, image) if found else RunConfiguration()


def build_image_revision(
    typed: str, image: ImageReference, found: ImageMetadata | None, run: RunConfiguration
) -> NewRevision:
    return NewRevision(
        image=typed,
        repository=image.repository,
        tag=image.tag,
        digest=image.digest,
        facts=to_image_metadata_json(found) if found else {},
        run=run,
    )


def get_default_environment_name(image: ImageReference) -> str:
    return image.path.rpartition("/")[2][:MAX_TITLE_LENGTH]


def get_default_environment_description(found: ImageMetadata | None) -> str:
    return found.get_label("description")[:MAX_DESCRIPTION_LENGTH] if found else ""


HUB_REVISION_AUTHOR = "the hub"  # author of revisions that pin an image which could not be checked when saved


def is_image_permitted(
    context: AppContext, environment: Environment, revision: Revision, person: Person | None = None
) -> bool:
    """Return True if *person*, or the user who chose the image, may use it.

    Managed environments are the admins' own, so their images are permitted. An image that was chosen by a user who is
    not bound to `allowed` is permitted for all members of the project.
    """
    if environment.is_managed:
        return True
    image = ImageReference(repository=revision.repository, tag=revision.tag, digest=revision.digest)
    if environment.kind is EnvironmentKind.REPOSITORY:
        return not context.policy.images.is_denied(image)
    by = environment.created_by if revision.created_by == HUB_REVISION_AUTHOR else revision.created_by
    author = Person(name=by, groups=frozenset(context.get_user_groups(by)))
    return any(context.policy.images.is_permitted(image, user) for user in (author, person) if user)


log = logging.getLogger("renku_spawner")
IMAGE_STATUS_PAGE_TIMEOUT_SECONDS = 0.5
_MISSING_SBOM_RETRY_SECONDS, _FAILED_SBOM_RETRY_SECONDS = 86400.0, 3600.0  # an SBOM may be several megabytes


def get_revision_image(revision: NewRevision | Revision) -> ImageReference:
    return ImageReference(repository=revision.repository, tag=revision.tag, digest=revision.digest)


def get_tag_image(revision: NewRevision | Revision) -> ImageReference | None:
    """Return the image by its tag only, or None for an image that was given by its digest."""
    return ImageReference(repository=revision.repository, tag=revision.tag) if revision.tag else None


def get_digest_image(revision: NewRevision | Revision) -> ImageReference | None:
    """Return the image by its digest only, or None while it is not pinned."""
    return ImageReference(repository=revision.repository, digest=revision.digest) if revision.digest else None


def format_image_reference(image: ImageReference) -> str:
    return image.pinned_reference or image.canonical_reference


def get_image_status_key(image: ImageReference, environment: Environment) -> str:
    """Return the key of the stored status.

    Managed environments have keys of their own: what the hub's credentials reveal about an image must not be used for a
    user who enters the same name.
    """
    return f"{format_image_reference(image)} ready-made" if environment.is_managed else format_image_reference(image)


async def get_image_status(context: AppContext, image: ImageReference, environment: Environment) -> ImageStatus | None:
    """Return the stored status of the image."""
    return await read_transaction(context, lambda tx: tx.images.get(get_image_status_key(image, environment)))


async def refresh_image_status(
    context: AppContext, session: Session, *, patience: float = IMAGE_STATUS_PAGE_TIMEOUT_SECONDS, insist: bool = False
) -> bool:
    """Check the registry for a session's image, unless that was done recently. Return True if there is something new.

    Waits for at most *patience* seconds, and for a registry that did not answer the last time only with *insist*.
    Images of managed environments are only checked until they are pinned: newer images are offered by the admins.
    """
    wanted = _list_images_to_check(context, session)
    if not wanted:
        return False
    known = await read_transaction(context, lambda tx: tx.images.get_many(wanted))
    stale = {key: known.get(key) for key in wanted if _is_image_status_stale(context, known.get(key))}
    tasks = {_start_image_status_refresh(context, wanted[key], session.environment): old for key, old in stale.items()}
    waited = {task for task, old in tasks.items() if insist or old is None or old.answered}
    answered = (await asyncio.wait(waited, timeout=patience))[0] if waited else set()
    return await _pin_from_stored_status(context, session) or bool(answered)


async def resolve_managed_environment_tags(context: AppContext) -> None:
    """Resolve unpinned tags of managed environments in the background."""
    if context.registry is None or context.policy.local:
        return
    for environment in await read_transaction(context, lambda tx: tx.environments.list_offered()):
        tag = get_tag_image(environment.revision)
        if tag is not None and environment.revision.digest is None:
            _start_image_status_refresh(context, tag, environment)


def _list_images_to_check(context: AppContext, session: Session) -> Mapping[str, ImageReference]:
    """Return the images to query by the key of their status; images that are forbidden by now are not queried."""
    revision, environment = session.revision, session.environment
    if context.registry is None or context.policy.local or (environment.is_managed and revision.digest is not None):
        return {}
    if environment.kind is EnvironmentKind.REPOSITORY or not is_image_permitted(context, environment, revision):
        return {}  # GitLab knows more about CI images, also about private ones (`usecases.ci_images`)
    return {
        get_image_status_key(image, environment): image
        for image in (get_tag_image(revision), get_digest_image(revision))
        if image
    }


def _is_image_status_stale(context: AppContext, known: ImageStatus | None) -> bool:
    return known is None or known.is_stale(context.now())


def _start_image_status_refresh(
    context: AppContext, image: ImageReference, environment: Environment
) -> asyncio.Task[None]:
    """Return the task that queries *image*, shared by all callers."""
    return context.registry_queries.start(
        get_image_status_key(image, environment), partial(_update_image_status, context, image, environment)
    )


async def _update_image_status(context: AppContext, image: ImageReference, environment: Environment) -> None:
    """Query the registry and store the answer; a failed query is repeated with the next page."""
    try:
        before = await get_image_status(context, image, environment)
        after = await _fetch_image_status(context, image, environment, before)
        await write_transaction(context, lambda tx: _store_image_status(tx, context, image, environment, after))
        if environment.is_managed:
            context.prepulling.notify_change()
        await import_attached_sbom(context, image, after, trusted=environment.is_managed)
    except UniqueConflict:
        log.debug("Image status of %s was stored concurrently", format_image_reference(image))
    except Exception:
        log.exception("Failed to refresh image status of %s", format_image_reference(image))


async def import_attached_sbom(context: AppContext, image: ImageReference, seen: ImageStatus, *, trusted: bool) -> None:
    """Import the SBOM that is attached to an image, once."""
    metadata = parse_image_metadata_json(seen.facts)
    if context.registry is None or metadata is None or not metadata.sbom or seen.digest is None:
        return
    if context.unreadable_packages.get((trusted, seen.digest)) or not await needs_package_scan(context, seen.digest):
        return
    try:
        software = await import_attested_software(context, context.registry, image, seen.digest, trusted=trusted)
    except RemoteError as problem:
        context.unreadable_packages.put((trusted, seen.digest), value=True, seconds=_FAILED_SBOM_RETRY_SECONDS)
        log.info("Failed to fetch SBOM of %s: %s", format_image_reference(image), problem.detail)
    else:
        if software is None:
            context.unreadable_packages.put((trusted, seen.digest), value=True, seconds=_MISSING_SBOM_RETRY_SECONDS)


async def _fetch_image_status(
    context: AppContext, image: ImageReference, environment: Environment, before: ImageStatus | None
) -> ImageStatus:
    """Return the registry's present answer, or the status *before* where it gives no answer.

    Existence is checked with HEAD; the metadata of a digest is fetched only once, since it never changes.
    """
    assert context.registry is not None
    now, key, trusted = context.now(), get_image_status_key(image, environment), environment.is_managed
    try:
        manifest = await context.registry.resolve_manifest(image, trusted=trusted)
    except RemoteError as problem:
        return _build_status_without_answer(before, key, to_verdict(problem), context)
    if before is not None and before.digest == manifest.digest and before.facts:
        return replace(before, verdict=InspectionResult.OK, looked_at=now, answered=True)
    checked = await inspect_image(context, replace(image, digest=manifest.digest), trusted=trusted)
    if checked.verdict is InspectionResult.UNVERIFIED:
        return _build_status_without_answer(before, key, InspectionResult.UNVERIFIED, context)
    stored = to_image_metadata_json(checked.facts) if checked.facts else {}
    return ImageStatus(
        reference=key, verdict=checked.verdict, looked_at=now, digest=manifest.digest, since=now, facts=stored
    )


def _build_status_without_answer(
    before: ImageStatus | None, key: str, verdict: InspectionResult, context: AppContext
) -> ImageStatus:
    """Keep the verdict if the registry gave no answer; "not found" is an answer."""
    old = before or ImageStatus(reference=key, verdict=InspectionResult.UNVERIFIED, looked_at=context.now())
    answered = verdict.is_definitive
    return replace(old, verdict=verdict if answered else old.verdict, looked_at=context.now(), answered=answered)


async def _pin_from_stored_status(context: AppContext, session: Session) -> bool:
    """Pin the session from a stored status, which may come from another environment with this image.

    Return True if the session was pinned.
    """
    tag = get_tag_image(session.revision)
    if tag is None or session.revision.digest is not None:
        return False
    status = await get_image_status(context, tag, session.environment)
    if status is None or not _can_pin_revision(status) or status.is_stale(context.now()):
        return False
    try:
        return await write_transaction(
            context, lambda tx: _pin_environment(tx, context, tag, session.environment, status)
        )
    except UniqueConflict:  # another request pinned it
        return True


def _store_image_status(
    tx: Transaction, context: AppContext, image: ImageReference, environment: Environment, sighting: ImageStatus
) -> None:
    tx.images.save(sighting)
    if _can_pin_revision(sighting):
        _pin_environment(tx, context, image, environment, sighting)


def _can_pin_revision(sighting: ImageStatus) -> bool:
    """Return True if the registry's last answer accepted the image and gave its digest."""
    return sighting.answered and sighting.verdict is InspectionResult.OK and sighting.digest is not None


def _pin_environment(
    tx: Transaction, context: AppContext, image: ImageReference, environment: Environment, sighting: ImageStatus
) -> bool:
    """Create a pinned revision from the first definitive answer about an image that was not checked when it was saved.

    Sessions that ran its tag run that digest from now on.
    """
    present = tx.environments.get(environment.id)
    if (
        present is None
        or present.revision.digest is not None
        or present.revision.canonical_reference != image.canonical_reference
    ):
        return False
    old = present.revision
    pinned = NewRevision(
        image=old.image, repository=old.repository, tag=old.tag, digest=sighting.digest, facts=sighting.facts,
        run=old.run, commit=old.commit,
    )  # fmt: skip
    new = tx.environments.add_revision(present.id, pinned, by=HUB_REVISION_AUTHOR, now=context.now())
    tx.sessions.replace_revision(old.id, new.id)
    return True


async def close_registry_checks(context: AppContext) -> None:
    """Cancel all queries to registries and close the client."""
    await context.registry_queries.close()
    if context.registry is not None:
        await context.registry.close()
