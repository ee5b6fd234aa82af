"""What Renku does once the hub has started, and from then on beside it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout
from jupyterhub.httpclient import JupyterHubHTTPClient
from jupyterhub.proxy import ConfigurableHTTPProxy
from jupyterhub.utils import url_path_join

from . import access_ends, expires, gate, listening, metrics, prepulled
from .app import Renku
from .domain.instance import Instance
from .hub_door import Hand
from .services import environments, housekeeping, instances, pins, records, rounds, runs
from .services.expiry import Expiring
from .services.parts import Parts

log = logging.getLogger("renku_spawner")
_BREATH = 0.02  # seconds
_CHECKING_SECONDS = 1.0  # between two looks at how many servers are still to be checked
_ROUTES_SECONDS = 2.0  # between two questions to the proxy, which logs each of them
_AGAIN, _TRIES = 30.0, 3  # seconds between attempts, and how many of them


async def go_on(hub: Any, renku: Renku) -> None:
    """Bring the environments up to date, look after what the hub forgot, then tidy up now and then."""
    try:
        await _tried(
            "environments", "to configure environments", partial(environments.configure, renku.parts, renku.configured)
        )
        await hub._start_future
        # What is added to the application comes before the hub's own handlers.
        hub.tornado_application.add_handlers(".*", hub.add_url_prefix(hub.hub_prefix, gate.handlers()))
        renku.tasks.append(asyncio.ensure_future(_keep_routes(hub)))
        renku.tasks.append(asyncio.ensure_future(_go_round(hub, renku)))
        await _tried("images", "to look at ready-made images", partial(pins.look_at_ready_made, renku.parts))
        for task, what, work in _LATER:
            renku.tasks.append(asyncio.ensure_future(_tried(task, what, partial(work, hub, renku))))
        if renku.parts.gitlab is not None:
            renku.tasks.append(asyncio.ensure_future(access_ends.forever(hub, renku.parts, renku.access_check)))
        await housekeeping.forever(renku.parts, timedelta(days=renku.launches_kept_days))
    finally:  # also when the hub did not start
        await asyncio.shield(_close(renku.parts))


async def _go_round(hub: Any, renku: Renku) -> None:
    """What happens by itself, from when on it is heard who uses what."""
    listening.begin(hub, renku)
    expiring = Expiring(renku.parts, expires.ExpiryDoor(hub, renku.parts))
    try:
        await rounds.forever(renku.parts, Hand(hub, renku), renku.rounds_interval, expiring)
    finally:
        expiring.end()


async def _tried(task: str, what: str, work: Callable[[], Awaitable[None]]) -> None:
    """Do one step, thrice if need be: whatever goes wrong in it, the others are done too."""
    for tries in range(1, _TRIES + 1):
        try:
            await work()
        except Exception:
            metrics.failed(task)
            log.exception("The attempt %s failed (%d of %d)", what, tries, _TRIES)
        else:
            metrics.done(task)
            return
        if tries < _TRIES:
            await asyncio.sleep(_AGAIN)


async def _close(parts: Parts) -> None:
    """Close all that the parts have opened, one after the other, even if one of them fails."""
    opened = [parts.offers, parts.source, *parts.post, parts.ci, parts.git]
    closes: list[Callable[[], Awaitable[None]]] = [partial(records.flush_repeated, parts), partial(pins.close, parts)]
    closes += [each.close for each in opened if each is not None]
    for close in closes:
        try:
            await close()
        except Exception:
            log.exception("Failed to close %s", close)
    if parts.gitlab is not None:
        parts.gitlab.close()


async def _keep_routes(hub: Any) -> None:
    """Give the proxy the routes that it lacks, a moment after it lacks them.

    After a restart JupyterHub makes routes when all servers are checked, of which one that still starts can take long,
    so those that are found running are routed before. A proxy that was replaced has lost all routes, which JupyterHub
    finds out only once in `last_activity_interval` seconds.
    """
    checking = _checking(hub)
    # With the certificates of JupyterHub's own client, where it has any; that client is closed before this job ends.
    async with JupyterHubHTTPClient.loop_instance()._new_session() as client:
        sentinel = _Sentinel(hub, client)
        while checking or sentinel.is_needed:
            await asyncio.sleep(_CHECKING_SECONDS if checking else _ROUTES_SECONDS)
            left = checking and _checking(hub)
            try:
                if left != checking or await sentinel.is_missing():
                    await hub.proxy.check_routes(hub.users, hub._service_map)
                metrics.done("routes")
            except Exception as error:
                metrics.failed("routes")
                log.warning("The proxy's routes could not be checked: %s: %s", type(error).__name__, error)
            checking = left


class _Sentinel:
    """One route of the hub's proxy, which is asked for so often that the question has to cost nothing.

    A proxy that the hub has started itself is watched by JupyterHub, and others keep their routes elsewhere.
    """

    def __init__(self, hub: Any, client: ClientSession) -> None:
        self._hub, self._client = hub, client
        self._spawner: Any = None

    @property
    def is_needed(self) -> bool:
        proxy = self._hub.proxy
        return isinstance(proxy, ConfigurableHTTPProxy) and not proxy.should_start

    async def is_missing(self) -> bool:
        """Ask the proxy. False also when it does not answer: there is no proxy yet that could be given routes."""
        if not self.is_needed:
            return False
        spawner = self._ready_spawner()
        path = self._hub.proxy._routespec_to_chp_path(spawner.proxy_spec) if spawner else ""
        try:
            status, body = await self._get(path)
        except (ClientError, OSError, TimeoutError, ValueError):
            return False
        if spawner is None:  # all there are: the hub's own, and those of services
            named = self._hub.proxy._routespec_from_chp_path
            routes = {named(path) for path, route in body.items() if "jupyterhub" in route}
            return status == 200 and self._hub.hub.routespec not in routes
        ready = spawner.ready and spawner.server is not None
        return ready and (status == 404 or (status == 200 and body.get("target") != spawner.server.host))

    async def _get(self, path: str) -> tuple[int, Mapping[str, Any]]:
        proxy = self._hub.proxy
        url, headers = url_path_join(proxy.api_url, "api/routes", path), {"Authorization": f"token {proxy.auth_token}"}
        async with self._client.get(url, headers=headers, timeout=ClientTimeout(total=_ROUTES_SECONDS)) as answer:
            return answer.status, json.loads(await answer.read()) if answer.status == 200 else {}

    def _ready_spawner(self) -> Any:
        """Return a spawner that has a route, the same one as long as it has."""
        if self._spawner is None or not self._spawner.ready:
            spawners = (spawner for user in self._hub.users.values() for spawner in user.spawners.values())
            self._spawner = next((spawner for spawner in spawners if spawner.ready), None)
        return self._spawner


def _checking(hub: Any) -> int:
    return sum(s.pending == "check" for user in hub.users.values() for s in user.spawners.values())


async def _settle_forgotten(hub: Any, renku: Renku) -> None:
    """What our records say runs and the hub does not know of ends, if it has not ended while the hub was away.

    Between two of them is room for everybody else: they are many when records outlive their hub.
    """
    while not await _settled_all(hub, renku):
        await asyncio.sleep(_AGAIN)


async def _settled_all(hub: Any, renku: Renku) -> bool:
    settled = True
    async for page in runs.active(renku.parts):
        known = {(user.name, name) for user in hub.users.values() for name, s in user.spawners.items() if s.active}
        for instance in page:
            if instance.turn is None and (instance.username, instance.session) not in known:
                settled = await _settled(hub, renku, instance) and settled
                await asyncio.sleep(_BREATH)
        await asyncio.sleep(0)
    return settled


async def _settled(hub: Any, renku: Renku, instance: Instance) -> bool:
    try:
        await _settle(hub, renku, instance)
    except Exception as error:
        log.warning("The end of %s cannot be settled yet: %s", instance.session, error)
        return False
    return True


async def _settle(hub: Any, renku: Renku, instance: Instance) -> None:
    user = hub.users.get(instance.username)
    spawner = user.spawners.get(instance.session) if user else None
    if spawner is not None and spawner.active:  # it was started meanwhile
        return
    if user is not None:
        spawner = user.spawners[instance.session]
        await spawner.take_down(instance, now=True)
        spawner.revoke()
    await runs.fail(renku.parts, instance.username, instance.session, reason="lost")


async def _finish_deletions(hub: Any, renku: Renku) -> None:
    """What its owner has confirmed is seen through, also when the hub was killed in the middle of it."""
    left = await instances.doomed(renku.parts)
    while left:
        left = [instance for instance in left if not await _deleted(hub, instance)]
        if left:
            await asyncio.sleep(_AGAIN)


async def _deleted(hub: Any, instance: Instance) -> bool:
    user = hub.users.get(instance.username)
    if user is None:
        return True
    try:
        spawner = user.spawners[instance.session]
        await spawner.delete_forever()
        spawner.revoke()
    except Exception as error:
        log.warning("The data of %s cannot be deleted yet: %s", instance.session, error)
        return False
    return True


_LATER = (
    ("deletions", "to finish deletions", _finish_deletions),
    ("lost", "to settle what was lost", _settle_forgotten),
    ("prepulling", "to keep images on the nodes", prepulled.keep),
)
