"""Check the image of a launch before it starts: it must be permitted, still exist and support the hub's platforms."""

from __future__ import annotations

from dataclasses import replace

from ..context.app_context import AppContext, read_transaction
from ..domain.access import Person
from ..domain.environments import Environment, EnvironmentKind, Revision, RunConfiguration, find_environment_refusal
from ..domain.errors import InvalidInputError, LaunchRefusedError
from ..domain.image_checks import InspectionResult
from ..domain.image_metadata import apply_image_user, check_image_user, parse_image_metadata_json
from ..domain.images import ImageReference
from ..domain.instances import Instance
from ..domain.policy import HubPolicy
from ..domain.reasons import build_launch_refusal, build_session_not_found_error
from ..domain.resource_classes import ResourceClass, list_fitting_classes
from ..domain.sessions import LaunchSpec, Session
from ..domain.text import to_single_line
from .ci_images import check_ci_image
from .images import (
    IMAGE_CHECK_AT_LAUNCH_TIMEOUT_SECONDS,
    check_image_exists,
    get_digest_image,
    get_image_status,
    get_tag_image,
    is_image_permitted,
    refresh_image_status,
)


def require_launchable_environment(context: AppContext, session: Session, mine: Instance | None) -> None:
    """Check that the environment is offered; the data of an archived one can only be resumed, for a limited time.

    *mine* is the user's own instance. Raises LaunchRefusedError.
    """
    days = context.policy.archived_resume_days
    if refusal := find_environment_refusal(session.environment, mine, context.now(), days):
        code, message = refusal
        raise LaunchRefusedError(message, code=code)


def resolve_launch_run(revision: Revision) -> RunConfiguration:
    """Return the run configuration with the image's user.

    It is checked again, because it was only valid for the image of that time. Raises LaunchRefusedError: `image_root`.
    """
    try:
        check_image_user(revision.run, revision.facts)
    except InvalidInputError:
        raise build_launch_refusal("image_root", image=revision.canonical_reference) from None
    return apply_image_user(revision)


def select_resource_class(policy: HubPolicy, person: Person, session: Session, wanted: str | None) -> ResourceClass:
    """Return the resource class named *wanted*, or the smallest usable one that fits. Raises LaunchRefusedError."""
    needs = session.configuration.needs
    usable = list_fitting_classes(policy.classes, person, needs)
    if wanted is None:
        if not usable:
            raise build_launch_refusal("class_none", needs=needs.summary)
        return usable[0]
    named = next((c for c in policy.classes if c.name == wanted), None)
    if named is None:
        raise build_launch_refusal("class_gone", resource_class=to_single_line(wanted, limit=50))
    if not named.is_usable_by(person):
        raise build_launch_refusal("class_forbidden", resource_class=named.name)
    if named not in usable:
        raise build_launch_refusal("class_too_small", resource_class=named.name)
    return named


async def admit_launch(context: AppContext, person: Person, spec: LaunchSpec) -> LaunchSpec:
    """Check the image of *spec*, and pin its tag to a digest if that was not possible before.

    Raises:
        LaunchRefusedError: `registry_not_allowed`, `image_platform_mismatch`, `image_not_found`, `image_denied`, or
            `image_digest_gone` if the tag names another image by now.
    """
    if context.policy.local:
        return spec
    session = await read_transaction(context, lambda tx: tx.sessions.get(spec.session))
    if session is None:
        raise build_session_not_found_error()
    _require_permitted_image(context, person, session)
    _require_supported_platform(context, session.revision)
    never_seen = spec.own_image and not session.revision.facts  # also if a digest was typed
    if context.registry is None and session.environment.kind is not EnvironmentKind.REPOSITORY:
        # The admins switched registry queries off: they know their own images.
        return replace(spec, unverified=never_seen)
    if session.revision.digest is None:
        return await _pin_launch_spec(context, session, spec)
    available = await _require_available_image(context, person, session)
    return replace(spec, unverified=never_seen and not available)


def _require_permitted_image(context: AppContext, person: Person, session: Session) -> None:
    if not is_image_permitted(context, session.environment, session.revision, person):
        raise build_launch_refusal("registry_not_allowed", image=session.revision.canonical_reference)


def _require_supported_platform(context: AppContext, revision: Revision) -> None:
    facts = parse_image_metadata_json(revision.facts)
    if facts is not None and facts.platforms and not set(facts.platforms) & set(context.policy.platforms):
        raise build_launch_refusal("image_platform_mismatch", image=revision.canonical_reference)


async def _pin_launch_spec(context: AppContext, session: Session, spec: LaunchSpec) -> LaunchSpec:
    """Check an image that could not be checked when it was saved, and pin it for all users if that succeeds."""
    await refresh_image_status(context, session, patience=IMAGE_CHECK_AT_LAUNCH_TIMEOUT_SECONDS, insist=True)
    current = await read_transaction(context, lambda tx: tx.sessions.get(session.id))
    if current is None:
        raise build_session_not_found_error()
    tag = get_tag_image(session.revision)
    status = await get_image_status(context, tag, session.environment) if tag else None
    if status is not None and status.verdict.is_blocking:
        raise build_launch_refusal(
            status.verdict.reason or "image_not_found", image=session.revision.canonical_reference
        )
    return replace(
        spec, digest=current.revision.digest, revision=current.revision.id, fingerprint=current.fingerprint,
        unverified=current.revision.digest is None,
    )  # fmt: skip


async def _require_available_image(context: AppContext, person: Person, session: Session) -> bool:
    """Return True if the registry confirmed that the image exists.

    A registry that does not answer never blocks a launch. Raises LaunchRefusedError if the image is gone or denied.
    """
    if session.environment.kind is EnvironmentKind.REPOSITORY:
        return await _require_available_ci_image(context, person, session.revision)
    content, canonical = get_digest_image(session.revision), session.revision.canonical_reference
    if content is None or await _is_registry_unresponsive(context, content, session.environment):
        return False
    trusted = session.environment.is_managed
    verdict = await check_image_exists(context, content, trusted=trusted)
    if verdict is InspectionResult.NOT_FOUND and (tag := get_tag_image(session.revision)):
        moved = await check_image_exists(context, tag, trusted=trusted) is InspectionResult.OK
        verdict = InspectionResult.DIGEST_GONE if moved else verdict
    if verdict.is_blocking:
        await refresh_image_status(context, session, patience=IMAGE_CHECK_AT_LAUNCH_TIMEOUT_SECONDS)
        raise build_launch_refusal(verdict.reason or "image_not_found", image=canonical)
    return verdict is InspectionResult.OK


# Reason codes for the answers of GitLab.
_CI_IMAGE_REFUSAL_CODES = {InspectionResult.NOT_FOUND: "image_digest_gone", InspectionResult.DENIED: "image_denied"}


async def _require_available_ci_image(context: AppContext, person: Person, revision: Revision) -> bool:
    """Return True if a CI image is known to be public; GitLab shows images only to users who may see the project's."""
    verdict = await check_ci_image(context, person, revision)
    if verdict.is_blocking:
        raise build_launch_refusal(_CI_IMAGE_REFUSAL_CODES[verdict], image=revision.canonical_reference)
    return bool(revision.facts)  # metadata is only stored for images that could be read without a login


async def _is_registry_unresponsive(context: AppContext, content: ImageReference, environment: Environment) -> bool:
    """Return True if the registry did not answer a moment ago, so that the launch does not wait for it again."""
    known = await get_image_status(context, content, environment)
    return known is not None and not known.answered and not known.is_stale(context.now())
