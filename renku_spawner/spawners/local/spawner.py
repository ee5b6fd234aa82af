"""Spawn sessions as processes on the hub's machine: without a cluster, and without isolation between users."""

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

from ...domain.administration import BackendInventory, OrphanedResource
from ...domain.instances import STAGE_LABELS, Instance, InstanceStatus, ObservedState
from ...domain.reasons import format_reason, merge_notices, resolve_exit_reason
from ...domain.sessions import LaunchSpec
from ...hub.jupyterhub import get_log_name
from ...integrations.net.guarded_http import EgressGuard
from ...lifecycle.decide import ActualState
from ...lifecycle.reconciler import Observation
from ...lifecycle.runs import iter_active_instances, record_stage
from ...usecases.downloads import build_download_failed_error
from ...usecases.git_credentials import build_egress_check
from ..base import SessionSpawner
from ..errors import DownloadInterrupted, LaunchFailed
from ..in_pod.contents import ContentsInspection, inspect_contents
from ..logs import read_file_tail, redact_log
from ..readiness import ReadinessProbe
from .archive import stream_archive
from .clone import CloneResult, clone_repositories
from .environment import build_local_session_variables
from .folders import (
    InstanceFolder,
    InstanceFolders,
    build_folder_inventory,
    delete_orphaned_folder,
    delete_server_token,
    prepare_home,
    read_server_token,
)
from .launcher import DISK_FULL_ERRNOS
from .mounts import remove_mounts
from .process import (
    CPUMeter,
    DiskFull,
    ServerStartFailed,
    find_server_pid,
    get_server_exit_code,
    read_server_variable,
    start_server_process,
    stop_server_process,
)
from .storages import mount_storages

_API_TOKEN_VARIABLE = "JUPYTERHUB_API_TOKEN"
_CPU_METER = CPUMeter()  # shared by all spawners, as it measures the whole machine


class RenkuLocalSpawner(SessionSpawner, SimpleLocalProcessSpawner):
    """Run a session as JupyterLab of the hub's own Python, in a folder in place of `/work`.

    Limits of resource classes are not enforced, the environment's image is not run, and users are not isolated from
    each other. Pages say so, and a hub that listens beyond this machine refuses to start with this spawner unless
    `Renku.allow_unisolated` is set.
    """

    local = True  # pages then say that no image is run and no limit is enforced

    cmd = Command([sys.executable, "-m", "jupyterhub.singleuser"], config=True, help="The command of a session.")
    poll_interval = Integer(5, config=True, help="Seconds between two checks whether a session still runs.")

    @default("home_dir")
    def _default_home_dir(self) -> str:
        return str(self.folders.root / "plain" / self.user.name) if self.is_plain_server else str(self.folders.root)

    @property
    def folders(self) -> InstanceFolders:
        return InstanceFolders(self.renku.workspace_folder)

    def _get_folder(self, instance: Instance) -> InstanceFolder:
        return self.folders.get_folder(instance.claim or "")

    # Starting

    async def start_session(self, spec: LaunchSpec, instance: Instance) -> str:
        folder = self._get_folder(instance)
        if not self._is_own_process(folder):
            await stop_server_process(folder.path, grace=self.renku.stop_grace)  # left over from an earlier start
            await remove_mounts(folder)
            # An early failure must not show the log of an earlier start.
            await asyncio.to_thread(folder.log_file.unlink, missing_ok=True)
            await self._create_home(spec, instance)
            instance = await self._prepare_work_dir(spec, instance, folder)
            instance = await self._start_process(spec, instance, folder)
        else:
            instance = await self._record_stage(instance, ObservedState.WAITING)
        await self._wait_until_ready(instance, folder)
        return instance.url or ""

    async def _create_home(self, spec: LaunchSpec, instance: Instance) -> None:
        try:
            folder = await asyncio.to_thread(self.folders.create_folder, instance.claim or "")
            await asyncio.to_thread(prepare_home, folder, token=self.api_token, username=spec.username)
        except OSError as error:
            if error.errno not in DISK_FULL_ERRNOS:
                raise
            self.log.warning("Disk full: cannot create the home of %s", get_log_name(self))
            raise LaunchFailed("crash_disk_full") from None

    def _is_own_process(self, folder: InstanceFolder) -> bool:
        """Return whether the running process belongs to this start: it then has its API token."""
        return read_server_variable(folder.path, _API_TOKEN_VARIABLE) == self.api_token

    async def _record_stage(self, instance: Instance, observed: ObservedState, **seen: Any) -> Instance:
        current = await record_stage(self.renku.context, instance, observed, **seen)
        if current is None:
            raise LaunchFailed("cancelled")
        return current

    async def _prepare_work_dir(self, spec: LaunchSpec, instance: Instance, folder: InstanceFolder) -> Instance:
        """Mount storages, then clone repositories; a failed clone becomes a notice and does not fail the start."""
        instance = await self._record_stage(instance, ObservedState.PREPARING)
        storages = await mount_storages(self.renku.context.policy, spec, folder)
        rows = [vars(repository) for repository in spec.repositories]
        credentials = spec.git.gitlab if spec.git and spec.git.credentials else None
        passed = {"PATH", "LANG", "LC_ALL", *(("JUPYTERHUB_API_URL", _API_TOKEN_VARIABLE) if credentials else ())}
        env = {key: value for key, value in self.get_env().items() if key in passed}
        with contextlib.closing(EgressGuard(hosts=self.renku.context.policy.repository_hosts)) as guard:
            vet, timeout = build_egress_check(guard), self.renku.clone_timeout
            results = await clone_repositories(folder, rows, env=env, vet=vet, timeout=timeout, credentials=credentials)
        notices = _build_clone_notices(spec, results)
        return await self._record_stage(
            instance, ObservedState.STARTING, notices=merge_notices(instance.notices, *storages, *notices)
        )

    async def _start_process(self, spec: LaunchSpec, instance: Instance, folder: InstanceFolder) -> Instance:
        self.port = random_port()
        url = f"http://127.0.0.1:{self.port}"
        # Record the address before the process exists, so that a restarted hub finds the session.
        await self._record_stage(instance, ObservedState.STARTING, url=url)
        command = [*self.cmd, *self._build_arguments(spec, folder)]
        env = build_local_session_variables(self.get_env(), spec, folder, base_url=self.server.base_url, port=self.port)
        env[_API_TOKEN_VARIABLE] = self.api_token
        try:
            await start_server_process(folder.path, folder.log_file, command, env=env, cwd=folder.work_dir)
        except DiskFull:
            raise LaunchFailed("crash_disk_full") from None
        except ServerStartFailed:
            self.log.exception("Failed to start the process of %s", get_log_name(self))
            raise LaunchFailed("start_error") from None
        return await self._record_stage(instance, ObservedState.WAITING)

    def _build_arguments(self, spec: LaunchSpec, folder: InstanceFolder) -> list[str]:
        return [
            f"--ServerApp.root_dir={folder.work_dir}",
            f"--ServerApp.default_url={spec.run.default_url}",
            "--ServerApp.terminado_settings={'shell_command': ['/bin/bash']}",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
            "--allow-root",
        ]

    async def _wait_until_ready(self, instance: Instance, folder: InstanceFolder) -> None:
        """Wait until the server answers; raise LaunchFailed if it ends or `Renku.start_timeout` is exceeded."""

        async def check_process() -> None:
            if find_server_pid(folder.path) is None:
                log = await self.read_log_tail(instance)
                raise self.explain_exit(instance, get_server_exit_code(folder.path) or 0, log)

        prefix, hub, timeout = self.server.base_url, self.hub.base_url, self.renku.start_timeout
        await ReadinessProbe(url=instance.url or "", prefix=prefix, hub=hub, timeout=timeout).wait_until_ready(
            check_process
        )

    # Running and stopping

    async def observe_session(self, instance: Instance) -> Observation:
        folder = self._get_folder(instance)
        if find_server_pid(folder.path) is not None:
            return Observation(actual=ActualState.RUNNING)
        return Observation(actual=ActualState.ENDED, exit_code=get_server_exit_code(folder.path) or 0)

    async def restore_api_token(self, instance: Instance) -> None:
        folder = self._get_folder(instance)
        token = await asyncio.to_thread(read_server_token, folder)
        self.api_token = token or self.api_token
        if instance.url:
            self.port = urlsplit(instance.url).port or 0

    def explain_exit(self, instance: Instance, exit_code: int, log: str) -> LaunchFailed:
        was_ready = instance.observed is ObservedState.READY
        shell = exit_code if exit_code >= 0 else 128 - exit_code
        # A hub process knows the exit code only of servers that it started itself.
        known = get_server_exit_code(self._get_folder(instance).path) is not None
        code = resolve_exit_reason(shell if known else None, log, was_ready=was_ready)
        stage = STAGE_LABELS.get(instance.observed, "")
        return LaunchFailed(code, exit_code=exit_code, program=self.cmd[0], stage=stage)

    async def read_log_tail(self, instance: Instance) -> str:
        folder = self._get_folder(instance)
        text = await asyncio.to_thread(read_file_tail, folder.log_file)
        # JupyterHub replaces a spawner whose stop failed, and the new one has no token.
        stored = await asyncio.to_thread(read_server_token, folder)
        return redact_log(text, [self.api_token, stored or ""])

    async def stop_session(self, instance: Instance, *, now: bool = False) -> None:
        folder = self._get_folder(instance)
        await stop_server_process(folder.path, grace=0.5 if now else self.renku.stop_grace)
        await remove_mounts(folder)  # only now are their files closed
        await asyncio.to_thread(delete_server_token, folder)

    async def inspect_files(self, instance: Instance) -> ContentsInspection:
        if instance.claim is None or not self.folders.has_folder(instance.claim):
            return ContentsInspection()
        contents = await asyncio.to_thread(inspect_contents, self._get_folder(instance).work_dir)
        return ContentsInspection(contents=contents)

    async def stream_files(self, instance: Instance) -> AsyncGenerator[bytes, None]:
        has_started = False
        try:
            async with aclosing(stream_archive(self._get_folder(instance).work_dir)) as chunks:
                async for chunk in chunks:
                    has_started = True
                    yield chunk
        except ChildProcessError as error:
            if has_started:
                raise DownloadInterrupted(str(error)) from None
            raise build_download_failed_error("reading them failed.") from None

    async def load_inventory(self) -> BackendInventory:
        return await asyncio.to_thread(build_folder_inventory, self.folders)

    async def remove_resource(self, orphan: OrphanedResource) -> None:
        await asyncio.to_thread(delete_orphaned_folder, self.folders, orphan)

    async def load_processor_usage(self) -> dict[tuple[str, str], float]:
        keys: dict[Path, tuple[str, str]] = {}
        async for page in iter_active_instances(self.renku.context):
            ours = (each for each in page if each.claim and each.status is InstanceStatus.RUNNING)
            keys |= {self._get_folder(each).path: (each.username, each.session) for each in ours}
        cores = await asyncio.to_thread(_CPU_METER.measure_cores, list(keys))
        return {keys[path]: used for path, used in cores.items()}

    async def delete_volume(self, instance: Instance) -> None:
        await asyncio.to_thread(self.folders.delete_folder, instance.claim or "")


def _build_clone_notices(spec: LaunchSpec, results: Sequence[CloneResult]) -> tuple[dict[str, str], ...]:
    """Build a notice for each repository that could not be cloned."""
    refs = {repository.directory: repository.ref or "" for repository in spec.repositories}
    notices = []
    for result in results:
        if result.outcome == "failed":
            code = result.code or "clone_failed"
            values = {"directory": result.directory, "message": result.message, "ref": refs.get(result.directory, "")}
            title, text = format_reason(code, **values)
            notices.append({"code": code, "title": title, "text": text})
    return tuple(notices)
