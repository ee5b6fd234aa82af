"""List, add, change and deprecate managed environments, and apply those of the configuration.

This module also keeps their images on the nodes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..context.app_context import AppContext, read_transaction, write_transaction
from ..context.prepulling import NodeCoverageSnapshot
from ..domain.access import Person
from ..domain.administration import ImagePrepuller, PrepullError, get_prepull_container_name
from ..domain.environments import (
    ENVIRONMENT_USAGE_PERIOD,
    Environment,
    EnvironmentState,
    EnvironmentStateChange,
    EnvironmentUsage,
    ManagedEnvironmentChange,
    NewEnvironment,
    NewManagedEnvironment,
    NewOwnImage,
    NewRevision,
    Revision,
    RunConfiguration,
    check_environment_icon,
    is_same_revision_content,
)
from ..domain.errors import ConflictError, InvalidInputError, UnavailableError, build_not_found_error
from ..domain.ids import is_valid_id
from ..domain.image_checks import InspectionResult
from ..domain.images import parse_image_reference
from ..domain.text import clean_description, clean_keywords, clean_title
from ..persistence.database import Transaction
from ..persistence.statements import ConcurrentUpdate, UniqueConflict
from .images import format_image_reference, get_revision_image, prepare_image_revision
from .sessions import (
    build_repeated_revision,
    build_revision_with_run,
    get_run_choice,
    is_same_image_and_run,
    keeps_pinned_image,
)

_CONFIGURED_ENVIRONMENT_MESSAGE = (
    "The hub's configuration says what this environment is; copy it to make one that can be edited here."
)


async def add_managed_environment(context: AppContext, person: Person, new: NewManagedEnvironment) -> Environment:
    """Add a managed environment at the end of the list; its image is checked with the hub's own credentials.

    Raises:
        InvalidInputError: with a message for each wrong field.
    """
    new_environment = NewEnvironment(
        name=clean_title(new.name, field="name"),
        description=clean_description(new.description),
        keywords=clean_keywords(new.keywords),
        icon=check_environment_icon(new.icon),
    )
    if new.state not in (EnvironmentState.DRAFT, EnvironmentState.ACTIVE):
        raise _build_environment_field_error("state", "A new environment must be a draft or active.")
    _, revision = await prepare_image_revision(context, person, NewOwnImage(image=new.image, run=new.run), trusted=True)

    def work(tx: Transaction) -> Environment:
        placed = replace(new_environment, position=tx.environments.get_next_position())
        made = tx.environments.add(placed, revision, by=person.name, now=context.now(), state=new.state)
        _record_environment_event(
            tx, context, person, "environment added", made, image=revision.image, state=str(new.state)
        )
        return made

    made = await write_transaction(context, work)
    context.prepulling.notify_change()
    return made


async def change_managed_environment(
    context: AppContext, person: Person, id: str, change: ManagedEnvironmentChange
) -> Environment:
    """Edit an environment.

    Another image or run configuration makes a new revision, which sessions do not adopt by themselves.

    Raises:
        NotFoundError, InvalidInputError.
        ConflictError: `configured`, or `changed` with the newer version in `details`.
    """
    present = await read_transaction(context, lambda tx: _get_editable_environment(tx, id, change.version))
    described = _apply_environment_texts(present, change)
    revision = await _prepare_changed_revision(context, person, present.revision, change)

    def work(tx: Transaction) -> str:
        _get_editable_environment(tx, id, change.version)
        if described != present:
            tx.environments.update_description(id, described)
        stored = tx.environments.add_revision(id, revision, by=person.name, now=context.now()) if revision else None
        return f"revision {stored.number}: {stored.image}" if stored else "texts"

    return await _write_environment_change(context, person, id, change.version, "environment changed", work)


def _apply_environment_texts(present: Environment, change: ManagedEnvironmentChange) -> Environment:
    """Return the environment with its changed texts. Raises InvalidInputError."""
    return replace(
        present,
        name=present.name if change.name is None else clean_title(change.name, field="name"),
        description=present.description if change.description is None else clean_description(change.description),
        keywords=present.keywords if change.keywords is None else clean_keywords(change.keywords),
        icon=present.icon if change.icon in (None, present.icon) else check_environment_icon(change.icon),
    )


async def _prepare_changed_revision(
    context: AppContext, person: Person, present: Revision, change: ManagedEnvironmentChange
) -> NewRevision | None:
    """Build the revision that the change makes, or return None if it makes none.

    A tag is resolved again only to `renew` it, or for another image.

    Raises:
        InvalidInputError: at `image`, if it cannot be pulled or cannot run here, or if a tag to renew cannot be
            resolved;
            at the fields of the run configuration.
    """
    typed = (change.image or "").strip() or present.image
    run = get_run_choice(present) if change.run is None else change.run
    kept = keeps_pinned_image(present, typed)
    if is_same_image_and_run(present, typed, run) and not change.renew:
        return None
    if kept and not change.renew:
        return build_revision_with_run(present, run)
    checked, made = await prepare_image_revision(context, person, NewOwnImage(image=typed, run=run), trusted=True)
    if kept and checked.verdict is InspectionResult.UNVERIFIED:
        raise _build_environment_field_error(
            "image", "The registry does not answer, so the tag could not be looked up. Please try again later."
        )
    return None if kept and (made.digest, made.run) == (present.digest, present.run) else made


async def roll_back_managed_environment(
    context: AppContext, person: Person, id: str, number: int, version: int
) -> Environment:
    """Offer an earlier revision again, as a new one.

    Sessions on a later revision are offered it as an update; sessions that still run the same content are not.

    Raises:
        NotFoundError.
        InvalidInputError: at `revision`, if it does not exist or is the newest.
        ConflictError: as `change_managed_environment`.
    """

    def work(tx: Transaction) -> str:
        present = _get_editable_environment(tx, id, version)
        wanted = next((revision for revision in tx.environments.list_revisions(id) if revision.number == number), None)
        if wanted is None:
            raise _build_environment_field_error("revision", "This environment has no such revision.")
        if is_same_revision_content(wanted, present.revision):
            raise _build_environment_field_error("revision", "This is what the newest revision runs.")
        if wanted.is_unpinned_copy_of(present.revision):
            raise _build_environment_field_error(
                "revision", "This is the newest revision's image from before its content was known."
            )
        stored = tx.environments.add_revision(id, build_repeated_revision(wanted), by=person.name, now=context.now())
        return f"to revision {number}, as revision {stored.number}"

    return await _write_environment_change(context, person, id, version, "environment rolled back", work)


async def set_managed_environment_state(
    context: AppContext, person: Person, id: str, wanted: EnvironmentStateChange
) -> Environment:
    """Offer an environment, deprecate it (with a successor and a message), archive it, or bring it back.

    Raises:
        NotFoundError.
        InvalidInputError: at `state`, if that transition does not exist; at `successor` or `message`.
        ConflictError: `configured`, `changed`.
    """
    offered = wanted.state is EnvironmentState.ACTIVE
    message = "" if offered else clean_description(wanted.message, field="message")

    def work(tx: Transaction) -> str:
        present = _get_environment_in_version(tx, id, wanted.version)
        if present.is_configured or (present.key is not None and wanted.state is not EnvironmentState.ARCHIVED):
            raise ConflictError(_CONFIGURED_ENVIRONMENT_MESSAGE, code="configured")
        if not present.state.can_become(wanted.state):
            raise _build_environment_field_error(
                "state", f"An environment that is {present.state} cannot become {wanted.state}."
            )
        successor = None if offered else _resolve_environment_successor(tx, id, wanted.successor)
        tx.environments.set_state(id, wanted.state, successor, message, now=context.now())
        return str(wanted.state)

    return await _write_environment_change(context, person, id, wanted.version, f"environment {wanted.state}", work)


def _resolve_environment_successor(tx: Transaction, id: str, wanted: str | None) -> str | None:
    """Return the id of the successor, which must be active itself, so that successors form no cycle.

    Raises InvalidInputError.
    """
    if wanted is None:
        return None
    successor = tx.environments.get(wanted) if is_valid_id(wanted) else None
    if successor is None or not successor.is_managed or successor.id == id:
        raise _build_environment_field_error("successor", "There is no such environment.")
    if successor.state is not EnvironmentState.ACTIVE:
        raise _build_environment_field_error(
            "successor", f"{successor.name} is {successor.state}: a successor is active."
        )
    return successor.id


async def move_managed_environment(context: AppContext, person: Person, id: str, *, up: bool) -> None:
    """Swap the environment with the one before or after it. Raises NotFoundError, ConflictError."""

    def work(tx: Transaction) -> None:
        present, order = _get_editable_environment(tx, id), tx.environments.list_added_ids()
        index = order.index(id) if id in order else -1
        other_index = index - 1 if up else index + 1
        if index < 0 or not 0 <= other_index < len(order):
            raise ConflictError("It is already at the end of the list.", code="at_the_end")
        order[index], order[other_index] = order[other_index], order[index]
        tx.environments.set_order(order)
        _record_environment_event(tx, context, person, "environment moved", present, to="up" if up else "down")

    await write_transaction(context, work)


async def _write_environment_change(
    context: AppContext, person: Person, id: str, version: int, action: str, work: Callable[[Transaction], str]
) -> Environment:
    """Run *work*, which returns a description for the audit log, unless another change was faster."""

    def work_and_record(tx: Transaction) -> Environment:
        detail = work(tx)
        tx.environments.bump_version(id, version)
        after = tx.environments.get(id)
        assert after is not None
        _record_environment_event(tx, context, person, action, after, what=detail)
        return after

    try:
        after = await write_transaction(context, work_and_record)
    except (UniqueConflict, ConcurrentUpdate):
        raise _build_environment_changed_error(
            await read_transaction(context, lambda tx: get_managed_environment(tx, id))
        ) from None
    context.prepulling.notify_change()
    return after


def get_managed_environment(tx: Transaction, id: str) -> Environment:
    """Return the managed environment with that id, in any state. Raises NotFoundError."""
    environment = tx.environments.get(id) if is_valid_id(id) else None
    if environment is None or not environment.is_managed:
        raise build_not_found_error()
    return environment


def _get_environment_in_version(tx: Transaction, id: str, version: int) -> Environment:
    environment = get_managed_environment(tx, id)
    if environment.version != version:
        raise _build_environment_changed_error(environment)
    return environment


def _get_editable_environment(tx: Transaction, id: str, version: int | None = None) -> Environment:
    """Return an environment that was added in the browser, in the version that the admin saw."""
    environment = get_managed_environment(tx, id) if version is None else _get_environment_in_version(tx, id, version)
    if environment.key is not None:
        raise ConflictError(_CONFIGURED_ENVIRONMENT_MESSAGE, code="configured")
    return environment


def _build_environment_changed_error(now: Environment) -> ConflictError:
    message = "This environment was changed since you opened the page. Check it as it is now, then try again."
    return ConflictError(message, code="changed", details={"version": now.version, "environment": now.id})


def _build_environment_field_error(field: str, sentence: str) -> InvalidInputError:
    return InvalidInputError(sentence, fields={field: sentence})


def _record_environment_event(
    tx: Transaction, context: AppContext, person: Person, action: str, of: Environment, **detail: Any
) -> None:
    detail = {"name": of.name, **detail}
    tx.audit.add(at=context.now(), actor=person.name, username=None, action=action, subject=of.id, detail=detail)


CONFIGURATION_AUTHOR = "the hub's configuration"


@dataclass(frozen=True, kw_only=True)
class ConfiguredEnvironment:
    """A managed environment from the hub's configuration."""

    key: str
    name: str
    image: str
    description: str = ""
    keywords: tuple[str, ...] = ()
    icon: str = ""
    run: RunConfiguration = field(default_factory=RunConfiguration)


async def list_offered_environments(
    context: AppContext, person: Person, *, keyword: str | None = None, search: str = ""
) -> tuple[list[Environment], list[str]]:
    """Return the offered environments that match, and all keywords."""
    return await read_transaction(
        context, lambda tx: (tx.environments.list_offered(keyword, search), tx.environments.list_keywords())
    )


async def apply_configured_environments(context: AppContext, wanted: Sequence[ConfiguredEnvironment]) -> None:
    """Make the managed environments match the settings; running it twice changes nothing.

    A changed image or run configuration makes a new revision, which sessions do not adopt by themselves. Environments
    that are not in the settings any more are archived.

    Raises:
        InvalidInputError: an image or text is not valid.
    """
    new = [
        (_build_configured_environment(position, configured), _build_configured_revision(configured))
        for position, configured in enumerate(wanted)
    ]

    def work(tx: Transaction) -> None:
        present = tx.environments.get_configured_by_key()
        for environment, revision in new:
            _store_configured_environment(tx, present.get(environment.key or ""), environment, revision, context)
        for key in present.keys() - {configured.key for configured in wanted}:
            if present[key].archived_at is None:  # also those archived before that time was recorded
                tx.environments.set_state(present[key].id, EnvironmentState.ARCHIVED, now=context.now())

    await write_transaction(context, work)


def _build_configured_environment(position: int, each: ConfiguredEnvironment) -> NewEnvironment:
    return NewEnvironment(
        name=clean_title(each.name, field="name"),
        description=clean_description(each.description),
        keywords=clean_keywords(each.keywords),
        icon=each.icon,
        position=position,
        key=each.key,
    )


def _build_configured_revision(each: ConfiguredEnvironment) -> NewRevision:
    parsed = parse_image_reference(each.image)
    return NewRevision(
        image=each.image, repository=parsed.repository, tag=parsed.tag, digest=parsed.digest, run=each.run
    )


def _store_configured_environment(
    tx: Transaction,
    present: Environment | None,
    environment: NewEnvironment,
    revision: NewRevision,
    context: AppContext,
) -> None:
    if present is None:
        tx.environments.add(environment, revision, by=CONFIGURATION_AUTHOR, now=context.now())
        return
    if _get_environment_texts(present) != _get_environment_texts(environment):
        tx.environments.update_description(present.id, environment)
    if present.state is not EnvironmentState.ACTIVE:
        tx.environments.set_state(present.id, EnvironmentState.ACTIVE, now=context.now())
    if _get_run_settings(present.revision) != _get_run_settings(revision):
        tx.environments.add_revision(present.id, revision, by=CONFIGURATION_AUTHOR, now=context.now())


def _get_environment_texts(environment: NewEnvironment) -> tuple[object, ...]:
    return (
        environment.name, environment.description, environment.keywords, environment.icon, environment.position,
    )  # fmt: skip


def _get_run_settings(revision: NewRevision | Revision) -> tuple[object, ...]:
    """Return the image as written: resolving its tag is no change of the settings."""
    return revision.image, revision.run


log = logging.getLogger("renku_spawner")
_COVERAGE_TIMEOUT_SECONDS, _COVERAGE_CACHE_SECONDS = 2.0, 5.0  # a page waits for the cluster; its answer is reused


async def sync_prepulled_images(context: AppContext, puller: ImagePrepuller) -> None:
    """Apply the list of images to the pre-puller. A problem is shown to admins until it is solved.

    Raises:
        PrepullError, UnavailableError: the cluster or the database does not answer.
    """
    try:
        await puller.set_images(await read_transaction(context, _list_images_to_prepull))
    except (PrepullError, UnavailableError) as problem:
        context.prepulling.problem = str(problem)
        raise
    except Exception:
        context.prepulling.problem = "An unexpected error occurred; see the hub's log."
        raise
    context.prepulling.problem = ""


def _list_images_to_prepull(tx: Transaction) -> dict[str, str]:
    """Return the images of offered environments that admins added in the browser; drafts cannot be started."""
    return {
        get_prepull_container_name(environment): _get_prepull_reference(environment)
        for environment in tx.environments.list_offered()
        if environment.key is None
    }


def _get_prepull_reference(environment: Environment) -> str:
    return format_image_reference(get_revision_image(environment.revision))


async def get_node_coverage(context: AppContext, environments: Iterable[Environment]) -> NodeCoverageSnapshot | None:
    """Return the nodes that have the images of those *environments* that are offered.

    Returns None where nothing is pre-pulled.
    """
    puller, problem = context.prepulling.puller, context.prepulling.problem
    if puller is None:
        return None
    wanted = {
        environment.id: (
            get_prepull_container_name(environment),
            None if environment.key else _get_prepull_reference(environment),
        )
        for environment in environments
        if environment.is_offered
    }
    key = (problem, frozenset(wanted.items()))
    snapshot = context.prepulling.known.get(key)
    if snapshot is None:
        snapshot = await _fetch_node_coverage(puller, wanted, problem)
        context.prepulling.known.put(key, snapshot, seconds=_COVERAGE_CACHE_SECONDS)
    return snapshot


async def _fetch_node_coverage(
    puller: ImagePrepuller, wanted: dict[str, tuple[str, str | None]], problem: str
) -> NodeCoverageSnapshot:
    try:
        async with asyncio.timeout(_COVERAGE_TIMEOUT_SECONDS):
            spread = await puller.get_node_coverage(dict(wanted.values()))
    except TimeoutError:
        return NodeCoverageSnapshot(
            problem=problem or "The cluster did not answer in time which nodes have the images."
        )
    except PrepullError as error:
        return NodeCoverageSnapshot(problem=problem or str(error))
    return NodeCoverageSnapshot(spread={id: spread[name] for id, (name, _) in wanted.items()}, problem=problem)


LISTED_ENVIRONMENT_STATES = (EnvironmentState.DRAFT, EnvironmentState.ACTIVE, EnvironmentState.DEPRECATED)
_MAX_LISTED_SUCCESSORS = 100


@dataclass(frozen=True, kw_only=True)
class ManagedEnvironment:
    """An environment with its use; `successor` is its replacement."""

    environment: Environment
    usage: EnvironmentUsage = field(default_factory=EnvironmentUsage)
    successor: Environment | None = None


@dataclass(frozen=True, kw_only=True)
class ManagedEnvironmentsPage:
    """One page of managed environments.

    `movable` are the ids of environments that can be moved, in their order; `nodes` is None where nothing is
    pre-pulled.
    """

    items: list[ManagedEnvironment]
    next: str | None
    keywords: list[str]
    movable: list[str]
    nodes: NodeCoverageSnapshot | None = None


@dataclass(frozen=True, kw_only=True)
class ManagedEnvironmentDetails(ManagedEnvironment):
    """An environment with its revisions, newest first, and the possible successors."""

    revisions: list[Revision]
    successors: list[Environment]
    nodes: NodeCoverageSnapshot | None = None


async def list_managed_environments(
    context: AppContext,
    *,
    states: Iterable[EnvironmentState] = LISTED_ENVIRONMENT_STATES,
    keyword: str | None = None,
    after: str | None = None,
    limit: int = 20,
) -> ManagedEnvironmentsPage:
    """Return one page of environments in the order of the list. Raises InvalidInputError if there is no such page."""

    def work(tx: Transaction) -> ManagedEnvironmentsPage:
        environments, following = tx.environments.list_page(states, keyword, after, limit)
        items = _add_environment_usage(tx, context, environments)
        return ManagedEnvironmentsPage(
            items=items,
            next=following,
            keywords=tx.environments.list_keywords(),
            movable=tx.environments.list_added_ids(),
        )

    page = await read_transaction(context, work)
    return replace(page, nodes=await get_node_coverage(context, [managed.environment for managed in page.items]))


async def load_managed_environment_details(context: AppContext, id: str) -> ManagedEnvironmentDetails:
    """Load everything about one environment. Raises NotFoundError."""

    def work(tx: Transaction) -> ManagedEnvironmentDetails:
        environment = get_managed_environment(tx, id)
        [managed] = _add_environment_usage(tx, context, [environment])
        active, _ = tx.environments.list_page([EnvironmentState.ACTIVE], limit=_MAX_LISTED_SUCCESSORS)
        return ManagedEnvironmentDetails(
            environment=environment,
            usage=managed.usage,
            successor=managed.successor,
            revisions=tx.environments.list_revisions(id),
            successors=[candidate for candidate in active if candidate.id != id],
        )

    details = await read_transaction(context, work)
    return replace(details, nodes=await get_node_coverage(context, [details.environment]))


def _add_environment_usage(tx: Transaction, context: AppContext, found: list[Environment]) -> list[ManagedEnvironment]:
    usage = tx.environment_usage.get_usage(
        [environment.id for environment in found], context.now() - ENVIRONMENT_USAGE_PERIOD
    )
    successors = tx.environments.get_many(environment.successor for environment in found if environment.successor)
    return [
        ManagedEnvironment(
            environment=environment, usage=usage[environment.id], successor=successors.get(environment.successor or "")
        )
        for environment in found
    ]
