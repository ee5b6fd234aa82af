"""Start, pause, edit and delete instances on behalf of page and API handlers, which share these steps."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import suppress
from functools import partial

from ...context.background_tasks import start_background_task
from ...domain.access import Role
from ...domain.errors import LaunchRefusedError, RenkuError, UnavailableError
from ...domain.instances import Instance
from ...domain.sessions import LaunchSpec, Session, SessionChange
from ...hub.adapter import (
    delete_session_server,
    get_hub_user,
    get_resource_inventory,
    pause_session_server,
    read_instance_log,
    require_disk_not_smaller,
    start_session_server,
    wait_until_settled,
)
from ...hub.authentication import require_current_login
from ...lifecycle.data import acknowledge_lost_volume
from ...lifecycle.runs import load_instance, request_stop
from ...observability.metrics import count_launch_refusals
from ...usecases.administration import get_instance_to_pause, list_instances_to_pause
from ...usecases.instances import exclude_storages, get_last_launch_log, get_own_instance, prepare_launch_spec
from ...usecases.session_queries import SessionPageData, load_session_page, load_session_view
from ...usecases.sessions import change_session, choose_revision
from ..base import RenkuBaseHandler
from ..images.schemas import RevisionBody
from ..rate_limits import LimitedRequest, count_request

_MAX_CONCURRENT_ADMIN_PAUSES = 10
_MAKE_ROOM_TIMEOUT_SECONDS = 20.0  # a pod usually stops within some seconds, and its user waits for the start
_PAUSE_HELPS_CODES = ("already_running", "limit_user")


async def start_owned_instance(
    handler: RenkuBaseHandler,
    session_id: str,
    resource_class: str | None,
    *,
    empty_disk: bool = False,
    without: Collection[str] = (),
    seen: str = "",
    version: int | None = None,
    pause: str = "",
) -> bool:
    """Start or resume the user's instance; return False if it was already running.

    *empty_disk* confirms that a lost disk is replaced by an empty one. *without* lists directories of
    storages that this start excludes. For *seen* and *version* see `prepare_launch_spec`. *pause* is the session
    to pause if it is in the way.

    Raises:
        ConflictError: `changed`, if it would run something else than the user saw; `stopping`, if the other session
            takes longer to stop than a request should.
    """
    context, person = handler.context, handler.person
    prepare = partial(
        prepare_launch_spec, context, person, session_id, resource_class or None, without=without, seen=seen,
        version=version,
    )  # fmt: skip
    with count_launch_refusals():
        spec = await _prepare_with_room(handler, pause, prepare)
    await require_current_login(handler, handler.current_user)  # last, because it reuses the source's answer from above
    if empty_disk:
        await acknowledge_lost_volume(context, person, session_id)
    await exclude_storages(context, person, session_id, without)
    return await start_session_server(handler, handler.current_user, spec, resource_class or None, seen=seen)


async def _prepare_with_room(
    handler: RenkuBaseHandler, other: str, prepare: Callable[[], Awaitable[LaunchSpec]]
) -> LaunchSpec:
    """Return what *prepare* returns; if it refuses the start because of the user's session *other*, pause that first.

    Nothing is paused for a start that is refused for another reason, or that differs from what the user saw.
    """
    try:
        return await prepare()
    except LaunchRefusedError as refusal:
        if not other or refusal.code not in _PAUSE_HELPS_CODES:
            raise
    await get_own_instance(handler.context, handler.person, other)
    await pause_owned_instance(handler, other)
    await wait_until_settled(handler.current_user, other, timeout=_MAKE_ROOM_TIMEOUT_SECONDS)
    return await prepare()


async def edit_session(handler: RenkuBaseHandler, ref: str, session_id: str, wanted: SessionChange) -> Session:
    """Edit a session. Raises InvalidInputError if the editor's own disk in it would become smaller."""
    page = await load_session_page(handler.context, handler.person, ref, session_id)
    instance, configuration = page.view.instance, wanted.configuration
    if instance is not None and instance.claim and configuration is not None and page.role >= Role.EDITOR:
        await require_disk_not_smaller(handler.current_user, instance, configuration.needs.disk)
    return await change_session(handler.context, handler.person, ref, session_id, wanted)


async def pin_requested_revision(handler: RenkuBaseHandler, ref: str, session_id: str, body: RevisionBody) -> Session:
    """Pin a session to another revision of its environment, or change what it runs."""
    context, person = handler.context, handler.person
    version = body.version or (await load_session_view(context, person, ref, session_id)).session.version
    change = body.to_session_change(version)
    if change is None:
        assert body.revision is not None
        return await choose_revision(context, person, ref, session_id, body.revision, body.digest, body.version)
    if change.environment is None:
        count_request(context, person.name, LimitedRequest.IMAGE_CHECK)
    return await change_session(context, person, ref, session_id, change)


async def pause_owned_instance(handler: RenkuBaseHandler, session_id: str) -> None:
    """Stop the user's own instance at any stage; its files stay."""
    await pause_session_server(handler.current_user, handler.context, session_id, ended_reason="stopped_by_user")


async def pause_owned_instances(handler: RenkuBaseHandler, session_ids: Iterable[str]) -> dict[str, str]:
    """Pause several of the user's own instances; return the error code of each, empty on success."""
    ids = list(dict.fromkeys(session_ids))
    codes = await asyncio.gather(*(_try_pause_owned_instance(handler, session_id) for session_id in ids))
    return dict(zip(ids, codes, strict=True))


async def _try_pause_owned_instance(handler: RenkuBaseHandler, session_id: str) -> str:
    try:
        await get_own_instance(handler.context, handler.person, session_id)
        await pause_owned_instance(handler, session_id)
    except RenkuError as problem:
        return problem.code
    return ""


async def pause_instance_as_admin(handler: RenkuBaseHandler, username: str, session_id: str) -> Instance:
    """Stop an instance of any user, after recording that in the audit log.

    Raises NotFoundError, also if the hub no longer has its owner: the instance is then an orphan.
    """
    user = get_hub_user(handler, username)
    instance = await get_instance_to_pause(handler.context, handler.person, username, session_id)
    await pause_session_server(user, handler.context, session_id, ended_reason="stopped_by_admin")
    return await load_instance(handler.context, username, session_id) or instance


async def pause_all_instances(handler: RenkuBaseHandler, node: str | None, *, dry_run: bool = False) -> int:
    """Stop all instances on *node* (None: of the hub) in the background, and return their number.

    Raises UnavailableError if it is unknown what runs on that node.
    """
    context = handler.context
    ground = get_resource_inventory(handler.current_user)
    instances = await list_instances_to_pause(context, handler.person, ground, node, dry_run=dry_run)
    if instances and not dry_run:
        reason = "stopped_for_all" if node is None else "stopped_for_node"
        start_background_task(
            _pause_recorded_instances(handler, instances, reason), f"The pause of {len(instances)} sessions"
        )
    return len(instances)


async def _pause_recorded_instances(handler: RenkuBaseHandler, found: Sequence[Instance], reason: str) -> None:
    """Record all instances as stopping, for a hub that is restarted meanwhile, and then stop them."""
    for instance in found:
        with suppress(UnavailableError):
            await request_stop(handler.context, instance.username, instance.session, ended_reason=reason)
    room = asyncio.Semaphore(_MAX_CONCURRENT_ADMIN_PAUSES)

    async def pause_one(instance: Instance) -> None:
        async with room:
            try:
                user = get_hub_user(handler, instance.username)
                await pause_session_server(user, handler.context, instance.session, ended_reason=reason)
            except RenkuError as problem:
                handler.log.warning("Failed to pause %s of %s: %s", instance.session, instance.username, problem)

    await asyncio.gather(*map(pause_one, found))


async def delete_owned_instance(handler: RenkuBaseHandler, session_id: str) -> bool:
    """Delete the user's own instance and its files; return False while the deletion goes on."""
    return await delete_session_server(handler.current_user, handler.context, session_id)


async def read_owned_instance_log(handler: RenkuBaseHandler, session_id: str) -> str:
    """Return the end of the log of the present or last run. Raises NotFoundError without an instance."""
    instance = await get_own_instance(handler.context, handler.person, session_id)
    live = await read_instance_log(handler.current_user, instance) if instance.is_active else ""
    return live or await get_last_launch_log(handler.context, handler.person, session_id)


async def read_session_page_log(handler: RenkuBaseHandler, found: SessionPageData) -> str:
    """Return the end of the log of the present or last run, for a session page that is loaded."""
    instance = found.view.instance
    live = await read_instance_log(handler.current_user, instance) if instance and instance.is_active else ""
    return live or next((launch.log for launch in found.launches if launch.log), "")
