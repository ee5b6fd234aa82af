"""What every spawner of sessions has in common: who may start what, what is recorded, why it failed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC
from typing import Any
from urllib.parse import urlsplit

from jupyterhub.spawner import Spawner, SpawnException
from jupyterhub.utils import url_path_join
from tornado.web import HTTPError

from . import beside
from .answering import is_answering
from .app import Renku
from .domain.errors import Unavailable
from .domain.instance import Desired, Instance, Observed
from .domain.names import is_id
from .domain.reasons import sentence
from .domain.session import SessionSpec
from .failures import LaunchFailed, SessionSpawnError, told_to_the_hub, too_late
from .gate import admit
from .patience import is_wanted, no_longer_awaited, unless_stopped
from .revoking import Revoking
from .runner import Runner
from .services import runs, use

_ASK_AGAIN_SECONDS = 1.0


class SessionSpawner(Revoking, Runner, Spawner):
    """Starts sessions, whatever they run on: a subclass says how one comes up and goes down (`Runner`).

    The session is the server's name; all else is computed from the database and the
    settings at each start. `spec` is None for a plain server, where those are allowed.
    """

    outlives_hub = False  # whether sessions go on without the hub, however it ends
    spec: SessionSpec | None = None
    begun: bool = False  # whether the start that is under way is on record: past that, it is not refused
    launch_version_seen: str = ""  # of what the user was shown before the start that comes next
    reachable: bool = True  # whether what it runs on answers
    user_options: dict[str, Any]
    api_token: str

    # ---- the gate ----------------------------------------------------------------------------------

    @property
    def renku(self) -> Renku:
        return Renku.instance()

    @property
    def plain(self) -> bool:
        """Whether this is a server beside the sessions; one from before Renku lives on (decision 26)."""
        return self.spec is None and not is_id(self.name)

    async def apply_group_overrides(self) -> None:
        """The authority on what may start: the first hook of a start that is ours alone, whatever asked for it."""
        if not (self.plain and self.renku.allow_plain_servers):
            options, self.user_options = self.user_options, {}
            try:
                self.spec = await self._pass_gate(options)
            finally:  # nothing of a request outlives it; written now, as SQLite is locked from here to the next commit
                self.orm_spawner.user_options = {}
        await super().apply_group_overrides()

    async def _pass_gate(self, options: Mapping[str, Any]) -> SessionSpec:
        seen, self.launch_version_seen = self.launch_version_seen, ""  # of this start alone
        with told_to_the_hub():
            by = getattr(self.handler, "current_user", None)
            return await admit(self.user, self.name, options, by=by, seen=seen)

    async def rename(self, old_name: str, new_name: str) -> None:
        """A session's server is named for ever after the session."""
        raise HTTPError(400, "A session's server cannot be renamed.")

    # ---- start -------------------------------------------------------------------------------------

    def start(self) -> Any:
        """Set the hub's own limit before it reads it; ours is a deadline that progress moves."""
        if self.plain:
            return super().start()
        self.start_timeout = self.renku.start_timeout_max + 60
        return asyncio.ensure_future(self._launch())

    async def _launch(self) -> str:
        assert self.spec is not None
        with told_to_the_hub():
            instance = await runs.begin(self.renku.parts, self.spec)
        self.begun = True
        return await self._see_through(self.spec, instance)

    async def _see_through(self, spec: SessionSpec, instance: Instance) -> str:
        """Bring it up to the end, good or bad; a bad one leaves a reason, a log and nothing that runs."""
        try:
            async with asyncio.timeout(self.renku.start_timeout_max):
                url = await self.bring_up(spec, instance)
            if await runs.ready(self.renku.parts, instance, url) is None:
                raise LaunchFailed("cancelled")
            return url
        except LaunchFailed as failure:
            return await self._give_up(instance, failure)
        except TimeoutError:
            late = too_late(await self.recorded(), limit=self.renku.start_timeout_max, image=spec.image)
            return await self._give_up(instance, late)
        except Exception:
            self.log.exception("Unexpected failure of the start of %s", self._log_name)
            return await self._give_up(instance, LaunchFailed("start_error"))

    async def _give_up(self, instance: Instance, failure: LaunchFailed) -> str:
        failure = self.refined(failure, log := await self.end_of_log(instance))
        await self.take_down(instance, now=True)
        await self._record_failure(failure, log)
        raise SessionSpawnError(sentence(failure.reason, **failure.values), reason=failure.reason)

    async def _record_failure(self, failure: LaunchFailed, log: str) -> None:
        of, storages = (self.renku.parts, self.user.name, self.name), failure.failed_storages
        await runs.fail(*of, reason=failure.reason, log=log, values=failure.values, storages=storages)

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """The stages, for the hub's own pending page."""
        with self.renku.parts.news.subscribe(self.user.name) as news:
            while True:
                instance = await self.recorded()
                if instance is None or instance.stage is None:
                    return
                yield {"progress": 50, "message": instance.stage}
                await news.get(timeout=8)

    # ---- state -------------------------------------------------------------------------------------

    async def recorded(self) -> Instance | None:
        return await runs.recorded(self.renku.parts, self.user.name, self.name)

    async def poll(self) -> int | None:
        """None while it runs. In the hub's check after a restart the answer comes when the truth is known."""
        if self.plain:
            return await super().poll()
        while True:
            try:
                return await (self._check() if self._check_pending else self._poll())
            except Unavailable:
                if not self._check_pending:
                    return None  # we do not know, and that is no reason to stop anybody's work
                await asyncio.sleep(_ASK_AGAIN_SECONDS)  # of a start the hub would ask now if it answers, and stop it

    async def _poll(self) -> int | None:
        instance = await self.recorded()
        if instance is None or not instance.active or instance.turn is not None:
            return 0
        status = await self.look(instance)
        if status is None:
            await self._note_use(instance)
            return None
        if instance.desired is Desired.RUNNING and instance.observed in (Observed.READY, Observed.UNKNOWN):
            await self._note_end(instance, status)
        elif instance.desired is not Desired.RUNNING or self._stop_pending:
            await runs.stop(self.renku.parts, self.user.name, self.name, ended_reason="stopped_by_user")
            await runs.stopped(self.renku.parts, self.user.name, self.name)
            self.see_off(instance)
        return status

    async def _note_use(self, instance: Instance) -> None:
        """The hub hears of activity from the server and from its proxy."""
        if used := self.orm_spawner.last_activity:
            await use.used(self.renku.parts, instance, used.replace(tzinfo=UTC))

    async def _note_end(self, instance: Instance, status: int) -> None:
        """It ended by itself: keep why, then clean up."""
        async with no_longer_awaited(self):
            log = await self.end_of_log(instance)
            await self._record_failure(self.failure(instance, status, log), log)
            self.see_off(instance)

    async def _check(self) -> int | None:
        """Find out what became of it while the hub was away; go on with a start that was under way."""
        instance = await self.recorded()
        if instance is None or not instance.active or instance.turn is not None:
            return 99  # the hub then stops it for good; what waits in line begins anew when its turn comes
        await self.recall(instance)
        if instance.desired is Desired.RUNNING and instance.observed not in (Observed.READY, Observed.UNKNOWN):
            return await self._go_on(instance)
        return await self._find_answering(instance) if instance.desired is Desired.RUNNING else 99

    async def _find_answering(self, instance: Instance) -> int | None:
        """Wait until what ran answers, has ended or shall stop.

        JupyterHub then asks the address once more, for `http_timeout` seconds, and stops what does not answer there.
        A pod whose node has just rebooted answers some seconds later, at another address; a program that is busy for
        a minute has not ended either.
        """
        tries = 0
        while (status := await self._poll()) is None:
            if not await is_wanted(self.renku.parts, instance):
                return 99
            if await is_answering(url_path_join(await self.get_url(), self.server.base_url, "api")):
                return None
            tries += 1
            await asyncio.sleep(_ASK_AGAIN_SECONDS if tries < 60 else 5 * _ASK_AGAIN_SECONDS)
        return status

    async def _go_on(self, instance: Instance) -> int | None:
        """Take the remaining steps of a start, unless its owner wants it stopped in the meantime.

        Raises CancelledError when the hub ends: any status would tell that hub to stop what the next one goes on with.
        """
        try:
            self.spec = await self._pass_gate_again(instance)
            if self.spec is None:
                return 99
            launch = asyncio.ensure_future(self._see_through(self.spec, instance))
            url = await unless_stopped(self.renku.parts, instance, launch)
        except SpawnException:
            return 99
        return 99 if url is None else None

    async def _pass_gate_again(self, instance: Instance) -> SessionSpec | None:
        """Return what a start that was under way runs, or None if it is stopped before that can be said.

        Raises SessionSpawnError when it may not go on; its owner reads why.
        """
        while await is_wanted(self.renku.parts, instance):
            try:
                return await self._pass_gate({"resource_class": instance.resource_class})
            except SessionSpawnError as refused:
                refusal = refused.refusal
                if not isinstance(refusal, Unavailable):
                    await self.take_down(instance, now=True)
                    await runs.fail(
                        self.renku.parts, self.user.name, self.name, reason=refused.code,
                        message=refusal.message if refusal else None,
                    )  # fmt: skip
                    raise
                await asyncio.sleep(max(_ASK_AGAIN_SECONDS, min(refusal.retry_after, 30)))
        return None

    async def _move(self, instance: Instance, url: str) -> None:
        """Let our record, the hub and its proxy lead to where the session answers now."""
        if await runs.move(self.renku.parts, instance, url) is None or self.server is None:
            return
        address = urlsplit(url)
        self.log.warning("%s has moved to %s", self._log_name, address.netloc)
        self.server.ip, self.server.port = address.hostname, address.port
        self.user.db.commit()
        if self.ready:  # else the hub makes the route when it has finished what it does
            beside.begin(self._route(url), f"The route to {self._log_name}")

    async def _route(self, url: str) -> None:
        """Let the proxy lead to *url*, as soon as it answers, unless that is out of date by then."""
        while self.ready and self.server is not None and self.server.ip == urlsplit(url).hostname:
            try:
                await self.user.settings["proxy"].add_user(self.user, self.name)
                return
            except Exception as error:
                self.log.warning("The route to %s could not be changed yet: %s", self._log_name, error)
                await asyncio.sleep(_ASK_AGAIN_SECONDS)

    async def get_url(self) -> str:
        """Where it answers, from our record; never raises."""
        try:
            instance = await self.recorded()
        except Unavailable:
            instance = None
        return (instance and instance.url) or (self.server.url if self.server else "")

    # ---- end ---------------------------------------------------------------------------------------

    async def stop(self, now: bool = False) -> None:
        """The hub's stop is our pause: what runs ends, the volume stays."""
        if self.plain:
            await super().stop(now)
            return
        parts, name = self.renku.parts, self.user.name
        instance = await runs.stop(parts, name, self.name, ended_reason="stopped_by_hub")
        if instance is not None:
            log = await self.end_of_log(instance)
            await self.take_down(instance, now=now)
            await runs.stopped(parts, name, self.name, log=log)

    async def delete_forever(self) -> None:
        """Delete the volume, if its owner has confirmed that; a server row that goes takes no data with it."""
        instance = None if self.plain else await self.recorded()
        if instance is None or instance.desired is not Desired.DELETED:
            return
        await self.take_down(instance, now=True)
        await self.discard(instance)
        await runs.forget(self.renku.parts, self.user.name, self.name)
