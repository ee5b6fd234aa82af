"""Pause running sessions of users who lost access to the project; their files are kept."""

from __future__ import annotations

import logging

from ..context.app_context import AppContext
from ..domain.errors import RenkuError
from ..domain.instances import Instance
from ..hub.adapter import pause_session_server
from ..hub.jupyterhub import HubApp
from ..hub.users import to_person
from ..lifecycle.runs import iter_active_instances

ACCESS_REVOKED_REASON = "access_revoked"
log = logging.getLogger("renku_spawner")


async def pause_inaccessible_sessions(hub: HubApp, context: AppContext) -> int:
    """Check the access of every active instance's owner once; return the number of paused instances."""
    paused = 0
    async for page in iter_active_instances(context):
        for instance in page:
            paused += await _pause_if_access_lost(hub, context, instance)
    return paused


async def _pause_if_access_lost(hub: HubApp, context: AppContext, instance: Instance) -> bool:
    user = hub.users.get(instance.username)
    if user is None or not await context.source.has_lost_access(to_person(user), instance.project):
        return False
    log.info("Pausing %s:%s: access to the project was revoked", instance.username, instance.session)
    try:
        await pause_session_server(user, context, instance.session, ended_reason=ACCESS_REVOKED_REASON)
    except RenkuError as problem:
        log.warning("Failed to pause %s:%s: %s", instance.username, instance.session, problem)
        return False
    return True
