"""Runs sessions as processes of this machine: the demo, without a cluster and without isolation."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jupyterhub.spawner import SimpleLocalProcessSpawner
from jupyterhub.traitlets import Command
from jupyterhub.utils import random_port
from traitlets import Integer, default

from . import local_storages
from .answering import Answering
from .domain import reasons
from .domain.instance import STAGES, Instance, Observed, Status
from .domain.inventory import Inventory, Orphan
from .domain.session import SessionSpec
from .environ import session_variables
from .failures import LaunchFailed, unreadable
from .registry.guard import Guard
from .runtime import contents, folder_inventory, home, logs, mounts, packed, process, repositories
from .runtime.contents import Look
from .runtime.folders import Folder, Folders
from .runtime.launcher import NO_ROOM
from .runtime.load import Meter
from .services import runs, way_out
from .session_spawner import SessionSpawner

_TOKEN = "JUPYTERHUB_API_TOKEN"
_METER = Meter()  # of this machine, whoever asks


class RenkuLocalSpawner(SessionSpawner, SimpleLocalProcessSpawner):
    """A session is a JupyterLab of the hub's own Python, in a folder that plays `/work`.

    Limits of classes are not enforced, the environment's image is not run, and nobody
    is kept from anybody: pages say so, and a hub that listens beyond this machine
    refuses to start with it (`Renku.allow_unisolated`).
    """

    local = True  # what pages say of it: no image is run, no limit is enforced

    cmd = Command([sys.executable, "-m", "jupyterhub.singleuser"], config=True, help="The command of a session.")
    poll_interval = Integer(5, config=True, help="Seconds between two looks at whether a session still runs.")

    @default("home_dir")
    def _default_home_dir(self) -> str:
        return str(self.folders.root / "plain" / self.user.name) if self.plain else str(self.folders.root)

    @property
    def folders(self) -> Folders:
        return Folders(self.renku.folder)

    def _folder(self, instance: Instance) -> Folder:
        return self.folders.of(instance.claim or "")

    # ---- up ----------------------------------------------------------------------------------------

    async def bring_up(self, spec: SessionSpec, instance: Instance) -> str:
        folder = self._folder(instance)
        if not self._is_ours(folder):
            await process.stop(folder.path, grace=self.renku.stop_grace)  # left over by an earlier run
            await mounts.clear(folder)
            await asyncio.to_thread(folder.log.unlink, missing_ok=True)  # an early failure must not tell that run's
            await self._make_home(spec, instance)
            instance = await self._prepare(spec, instance, folder)
            instance = await self._run(spec, instance, folder)
        else:
            instance = await self._stage(instance, Observed.WAITING)
        await self._wait(instance, folder)
        return instance.url or ""

    async def _make_home(self, spec: SessionSpec, instance: Instance) -> None:
        try:
            folder = await asyncio.to_thread(self.folders.create, instance.claim or "")
            await asyncio.to_thread(home.prepare, folder, token=self.api_token, username=spec.username)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            self.log.warning("No room for the home of %s", self._log_name)
            raise LaunchFailed("crash_disk_full") from None

    def _is_ours(self, folder: Folder) -> bool:
        """Whether the process that runs there belongs to this very start."""
        return process.environment(folder.path, _TOKEN) == self.api_token

    async def _stage(self, instance: Instance, observed: Observed, **seen: Any) -> Instance:
        current = await runs.stage(self.renku.parts, instance, observed, **seen)
        if current is None:
            raise LaunchFailed("cancelled")
        return current

    async def _prepare(self, spec: SessionSpec, instance: Instance, folder: Folder) -> Instance:
        """Storages, then repositories: one of these that fails is told and does not keep the session from starting."""
        instance = await self._stage(instance, Observed.PREPARING)
        storages = await local_storages.provide(self.renku.parts.policy, spec, folder)
        rows = [vars(repository) for repository in spec.repositories]
        credentials = spec.git.gitlab if spec.git and spec.git.credentials else None
        passed = {"PATH", "LANG", "LC_ALL", *(("JUPYTERHUB_API_URL", _TOKEN) if credentials else ())}
        env = {key: value for key, value in self.get_env().items() if key in passed}
        with contextlib.closing(Guard(hosts=self.renku.parts.policy.repository_hosts)) as guard:
            vet, timeout = way_out.through(guard), self.renku.clone_timeout
            results = await repositories.clone(folder, rows, env=env, vet=vet, timeout=timeout, credentials=credentials)
        notices = _notices(spec, results)
        return await self._stage(
            instance, Observed.STARTING, notices=reasons.merge_notices(instance.notices, *storages, *notices)
        )

    async def _run(self, spec: SessionSpec, instance: Instance, folder: Folder) -> Instance:
        self.port = random_port()
        url = f"http://127.0.0.1:{self.port}"
        await self._stage(instance, Observed.STARTING, url=url)  # before the process, so that it is found again
        command = [*self.cmd, *self._arguments(spec, folder)]
        env = session_variables(self.get_env(), spec, folder, base_url=self.server.base_url, port=self.port)
        env[_TOKEN] = self.api_token
        try:
            await process.start(folder.path, folder.log, command, env=env, cwd=folder.work)
        except process.DiskFull:
            raise LaunchFailed("crash_disk_full") from None
        except process.StartFailed:
            self.log.exception("The process of %s did not start", self._log_name)
            raise LaunchFailed("start_error") from None
        return await self._stage(instance, Observed.WAITING)

    def _arguments(self, spec: SessionSpec, folder: Folder) -> list[str]:
        return [
            f"--ServerApp.root_dir={folder.work}",
            f"--ServerApp.default_url={spec.run.default_url}",
            "--ServerApp.terminado_settings={'shell_command': ['/bin/bash']}",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
            "--allow-root",
        ]

    async def _wait(self, instance: Instance, folder: Folder) -> None:
        """Until it answers, ends, or nothing has come further for `Renku.start_timeout`."""

        async def well() -> None:
            if process.running(folder.path) is None:
                log = await self.end_of_log(instance)
                raise self.failure(instance, process.exit_code(folder.path) or 0, log)

        prefix, hub, timeout = self.server.base_url, self.hub.base_url, self.renku.start_timeout
        await Answering(url=instance.url or "", prefix=prefix, hub=hub, timeout=timeout).wait(well)

    # ---- while it runs, and down ---------------------------------------------------------------------

    async def look(self, instance: Instance) -> int | None:
        folder = self._folder(instance)
        if process.running(folder.path) is not None:
            return None
        return process.exit_code(folder.path) or 0

    async def recall(self, instance: Instance) -> None:
        folder = self._folder(instance)
        token = await asyncio.to_thread(home.token, folder)
        self.api_token = token or self.api_token
        if instance.url:
            self.port = urlsplit(instance.url).port or 0

    def failure(self, instance: Instance, exit_code: int, log: str) -> LaunchFailed:
        was_ready = instance.observed is Observed.READY
        shell = exit_code if exit_code >= 0 else 128 - exit_code
        known = process.exit_code(self._folder(instance).path) is not None  # only of what this very hub started
        code = reasons.of_exit(shell if known else None, log, was_ready=was_ready)
        stage = STAGES.get(instance.observed, "")
        return LaunchFailed(code, exit_code=exit_code, program=self.cmd[0], stage=stage)

    async def end_of_log(self, instance: Instance) -> str:
        text = await asyncio.to_thread(logs.tail, self._folder(instance).log)
        return logs.redact(text, [self.api_token])

    async def take_down(self, instance: Instance, *, now: bool = False) -> None:
        folder = self._folder(instance)
        await process.stop(folder.path, grace=0.5 if now else self.renku.stop_grace)
        await mounts.clear(folder)  # what nothing has open any more
        await asyncio.to_thread(home.forget_token, folder)

    async def contents(self, instance: Instance) -> Look:
        if instance.claim is None or not self.folders.exists(instance.claim):
            return Look()
        return Look(contents=await asyncio.to_thread(contents.look, self._folder(instance).work))

    async def files(self, instance: Instance) -> AsyncGenerator[bytes, None]:
        begun = False
        try:
            async with aclosing(packed.pieces(self._folder(instance).work)) as pieces:
                async for piece in pieces:
                    begun = True
                    yield piece
        except ChildProcessError as error:
            raise unreadable(error, begun=begun) from None

    async def inventory(self) -> Inventory:
        return await asyncio.to_thread(folder_inventory.see, self.folders)

    async def remove(self, orphan: Orphan) -> None:
        await asyncio.to_thread(folder_inventory.remove, self.folders, orphan)

    async def processors(self) -> dict[tuple[str, str], float]:
        keys: dict[Path, tuple[str, str]] = {}
        async for page in runs.active(self.renku.parts):
            ours = (each for each in page if each.claim and each.status is Status.RUNNING)
            keys |= {self._folder(each).path: (each.username, each.session) for each in ours}
        cores = await asyncio.to_thread(_METER.cores, list(keys))
        return {keys[path]: used for path, used in cores.items()}

    async def discard(self, instance: Instance) -> None:
        await asyncio.to_thread(self.folders.remove, instance.claim or "")


def _notices(spec: SessionSpec, results: Sequence[repositories.Cloned]) -> tuple[dict[str, str], ...]:
    """What to tell of repositories that are missing."""
    refs = {repository.directory: repository.ref or "" for repository in spec.repositories}
    told = []
    for result in results:
        if result.outcome == "failed":
            code = result.code or "clone_failed"
            values = {"directory": result.directory, "message": result.message, "ref": refs.get(result.directory, "")}
            title, text = reasons.words(code, **values)
            told.append({"code": code, "title": title, "text": text})
    return tuple(told)
