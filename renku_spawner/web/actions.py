"""What pages and API do with one's own instance: through the gate, then through the door to the hub."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from typing import Any

from .. import beside, metrics
from ..domain.access import Role
from ..domain.errors import RenkuError, Unavailable
from ..domain.instance import Instance
from ..domain.session import Session, SessionChange
from ..services import data, instances, leaving, looks, operating, revisions, runs, sessions
from ..services.looks import SessionPage
from . import deletions, servers, starts, throttle
from .bodies_image import RevisionBody
from .visitor import require_log_in

_PAUSES_AT_ONCE = 10


async def start(
    handler: Any,
    session_id: str,
    resource_class: str | None,
    *,
    empty_disk: bool = False,
    without: Collection[str] = (),
    seen: str = "",
    version: int | None = None,
) -> bool:
    """Start or resume it; whether that is under way (True) or it ran already (False).

    *empty_disk*: its owner knows that the disk is gone, and wants another one. *without*: directories of storages
    that this start leaves out. *seen* and *version*: see `instances.prepare`.

    Raises:
        Conflict: `changed`, if it would run something else than the person saw.
    """
    parts, person = handler.parts, handler.person
    with metrics.refusals():
        spec = await instances.prepare(
            parts, person, session_id, resource_class or None, without=without, seen=seen, version=version
        )
    await require_log_in(handler, handler.current_user)  # last: what a source was asked just now answers this too
    if empty_disk:
        await data.give_up(parts, person, session_id)
    await leaving.leave_out(parts, person, session_id, without)
    return await starts.start(handler, handler.current_user, spec, resource_class or None, seen=seen)


async def change(handler: Any, ref: str, session_id: str, wanted: SessionChange) -> Session:
    """Edit a session; its editor's own disk in it cannot become smaller by that (H64)."""
    found = await looks.session(handler.parts, handler.person, ref, session_id)
    mine, asked = found.view.instance, wanted.configuration
    if mine is not None and mine.claim and asked is not None and found.role >= Role.EDITOR:
        await servers.require_disk(handler.current_user, mine, asked.needs.disk)
    return await sessions.change(handler.parts, handler.person, ref, session_id, wanted)


async def revise(handler: Any, ref: str, session_id: str, body: RevisionBody) -> Session:
    """Pin a session to a revision that is there, or to a new one with another image."""
    parts, person, image = handler.parts, handler.person, body.another()
    if image is None:
        assert body.revision is not None
        return await revisions.choose(parts, person, ref, session_id, body.revision, body.digest, body.version)
    throttle.count_check(parts, person.name)
    return await revisions.replace(parts, person, ref, session_id, image, body.version)


async def pause(handler: Any, session_id: str) -> None:
    """Stop one's own instance, at whatever step it is; its files stay."""
    await servers.pause(handler, handler.current_user, handler.parts, session_id, ended_reason="stopped_by_user")


async def pause_some(handler: Any, session_ids: Iterable[str]) -> dict[str, str]:
    """Pause several of one's own at once: for each the code of what was in the way, empty if nothing was."""
    ids = list(dict.fromkeys(session_ids))
    codes = await asyncio.gather(*(_paused(handler, each) for each in ids))
    return dict(zip(ids, codes, strict=True))


async def _paused(handler: Any, session_id: str) -> str:
    try:
        await instances.one(handler.parts, handler.person, session_id)
        await pause(handler, session_id)
    except RenkuError as problem:
        return problem.code
    return ""


async def pause_for(handler: Any, username: str, session_id: str) -> Instance:
    """Stop somebody's instance, which is on record before it happens. Raises NotFound, also of one whose owner the
    hub knows no more: what is left of that is an orphan."""
    user = servers.user_of(handler, username)
    found = await operating.pausing(handler.parts, handler.person, username, session_id)
    await servers.pause(handler, user, handler.parts, session_id, ended_reason="stopped_by_admin")
    return await runs.recorded(handler.parts, username, session_id) or found


async def pause_all(handler: Any, node: str | None, *, dry_run: bool = False) -> int:
    """Stop everything that runs on *node* (None: on the hub) in the background, and return how many sessions that are.

    Raises Unavailable: nobody can tell what runs on that node.
    """
    parts = handler.parts
    ground = servers.ground(handler.current_user)
    found = await operating.choose_all(parts, handler.person, ground, node, dry_run=dry_run)
    if found and not dry_run:
        reason = "stopped_for_all" if node is None else "stopped_for_node"
        beside.begin(_pause_each(handler, found, reason), f"The pause of {len(found)} sessions")
    return len(found)


async def _pause_each(handler: Any, found: Sequence[Instance], reason: str) -> None:
    """First all are on record as stopping, which a hub that is restarted meanwhile finds; then they stop."""
    for instance in found:
        with suppress(Unavailable):
            await runs.stop(handler.parts, instance.username, instance.session, ended_reason=reason)
    room = asyncio.Semaphore(_PAUSES_AT_ONCE)

    async def pause_one(instance: Instance) -> None:
        async with room:
            try:
                user = servers.user_of(handler, instance.username)
                await servers.pause(handler, user, handler.parts, instance.session, ended_reason=reason)
            except RenkuError as problem:
                handler.log.warning("Failed to pause %s of %s: %s", instance.session, instance.username, problem)

    await asyncio.gather(*map(pause_one, found))


async def delete(handler: Any, session_id: str) -> bool:
    """Delete one's own instance and its files. Return whether they are gone; False while that goes on."""
    return await deletions.delete(handler, handler.current_user, handler.parts, session_id)


async def log(handler: Any, session_id: str) -> str:
    """The end of what it prints, or printed when it last ran. Raises NotFound without an instance."""
    instance = await instances.one(handler.parts, handler.person, session_id)
    live = await servers.log(handler.current_user, instance) if instance.active else ""
    return live or await instances.log(handler.parts, handler.person, session_id)


async def log_of(handler: Any, found: SessionPage) -> str:
    """The same for a session that is being looked at."""
    instance = found.view.instance
    live = await servers.log(handler.current_user, instance) if instance and instance.active else ""
    return live or next((launch.log for launch in found.launches if launch.log), "")
