"""What Renku does when the hub starts.

JupyterHub has no hook for that. Its template environment is made after its database
is open and before it checks its servers and serves: an extension of Jinja stands there.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import cache, partial
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment
from jinja2.ext import Extension
from jupyterhub.app import JupyterHub
from traitlets import TraitError

from . import access_ends, left_proxy, metrics, mounted, observed, prepulled
from .app import Renku
from .domain.instance import Instance
from .gitlab_login import setup
from .local import RenkuLocalSpawner
from .services import environments, housekeeping, instances, pins, runs
from .services.parts import Parts
from .session_spawner import SessionSpawner
from .settings import SettingError
from .store.migrate import OutOfDate

log = logging.getLogger("renku_spawner")
_BREATH = 0.02  # seconds
_AGAIN, _TRIES = 30.0, 3  # seconds between attempts, and how many of them


class Startup(Extension):
    """Puts Renku together when the hub makes its templates; twice, since there are two environments."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        if JupyterHub.initialized():
            _begin_or_end(JupyterHub.instance())


def _begin_or_end(hub: Any) -> None:
    """A hub that cannot have Renku ends with a sentence; a traceback would hide it."""
    try:
        begin(hub)
    except (OutOfDate, TraitError, OSError, ValueError) as problem:
        hub.log.critical("Renku cannot start: %s", problem)
        hub.exit(1)


def begin(hub: Any) -> None:
    """Make the parts, check the settings against the hub, and begin what goes on beside it.

    Raises:
        SettingError, OutOfDate, TraitError: the hub does not start; the message says what to do.
    """
    if Renku.initialized():
        if Renku.instance().parent is hub:
            return
        Renku.clear_instance()
    renku = Renku.instance(parent=hub)
    _refuse_foreign_spawner(hub)
    _refuse_open_door(hub, renku)
    setup.check(hub, renku)
    renku.tasks = [asyncio.ensure_future(left_proxy.end(hub)), asyncio.ensure_future(_after_start(hub, renku))]
    renku.tasks.append(observed.begin(hub, renku))
    if renku.restart_on_change:
        renku.tasks.append(asyncio.ensure_future(mounted.end_when_changed()))
    _spare_what_is_loaded()


@cache
def _spare_what_is_loaded() -> None:
    """A full collection of garbage stops the loop for as long as it looks at everything, 0.1 s and more, and hardly
    any of what is loaded by now will ever be garbage: it need not be looked at."""
    gc.freeze()


def _refuse_foreign_spawner(hub: Any) -> None:
    """Another spawner would start sessions without asking who may (design §6)."""
    if not issubclass(hub.spawner_class, SessionSpawner):
        raise SettingError(
            f"c.JupyterHub.spawner_class is {hub.spawner_class.__name__}, which cannot run sessions. "
            "Leave it out, or set it to 'renku-local' or a class derived from RenkuLocalSpawner."
        )


def _refuse_open_door(hub: Any, renku: Renku) -> None:
    """Sessions of the local spawner isolate nobody (decision 35)."""
    if renku.allow_unisolated or not issubclass(hub.spawner_class, RenkuLocalSpawner):
        return
    own = hub.hub_bind_url or f"http://{hub.hub_ip}"  # where the hub is reached past its proxy
    for setting, url, example in (("bind_url", hub.bind_url, 8000), ("hub_bind_url", own, 8081)):
        if not _is_loopback(url):
            where = urlsplit(url).hostname or "all addresses"
            raise SettingError(
                f"RenkuLocalSpawner isolates nobody, and this hub listens on {where}. "
                f"Set c.JupyterHub.{setting} = 'http://127.0.0.1:{example}', "
                "or c.Renku.allow_unisolated = True if you trust everybody who can reach it."
            )


def _is_loopback(url: str) -> bool:
    parts = urlsplit(url)
    if "unix" in parts.scheme or parts.hostname == "localhost":
        return True
    try:
        return ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


async def _after_start(hub: Any, renku: Renku) -> None:
    """Bring the environments up to date, look after what the hub forgot, then tidy up now and then."""
    try:
        await _tried(
            "environments", "to configure environments", partial(environments.configure, renku.parts, renku.configured)
        )
        await hub._start_future
        await _tried("images", "to look at ready-made images", partial(pins.look_at_ready_made, renku.parts))
        for task, what, work in _LATER:
            renku.tasks.append(asyncio.ensure_future(_tried(task, what, partial(work, hub, renku))))
        if renku.parts.gitlab is not None:
            renku.tasks.append(asyncio.ensure_future(access_ends.forever(hub, renku.parts, renku.access_check)))
        await _tried("routes", "to make routes", partial(_route_checked, hub))
        await housekeeping.forever(renku.parts, timedelta(days=renku.launches_kept_days))
    except asyncio.CancelledError:
        await pins.close(renku.parts)
        await _close_source(renku.parts)
        raise


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


async def _close_source(parts: Parts) -> None:
    await parts.source.close()
    if parts.ci is not None:
        await parts.ci.close()
    if parts.gitlab is not None:
        parts.gitlab.close()


async def _route_checked(hub: Any) -> None:
    """After a restart the hub makes routes when all servers are checked, and one that still
    starts can take long: let those that are found running be reached before (recipe 2)."""
    checking = _checking(hub)
    while checking:
        await asyncio.sleep(1)
        left = _checking(hub)
        if left != checking:
            await hub.proxy.check_routes(hub.users, hub._service_map)
        checking = left


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
            if (instance.username, instance.session) not in known:
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
