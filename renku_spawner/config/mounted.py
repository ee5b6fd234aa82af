"""Load configuration that a chart mounts into the hub's container, and restart the hub when it changes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import re
import signal
import sys
from asyncio import subprocess
from contextlib import chdir, redirect_stdout, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from traitlets.config import Config, PyFileConfigLoader

from ..context.app_context import AppContext
from ..domain.errors import SettingError
from ..observability.metrics import SETTINGS_REFUSED

log = logging.getLogger("renku_spawner")
MOUNT_CHECK_INTERVAL_SECONDS = 2.0
_CONFIG_CHECK_TIMEOUT_SECONDS = 120.0
_CONFIG_RECHECK_INTERVAL_SECONDS = 300.0  # a missing database or file may exist by then
_loaded_digests: set[str] = set()  # the digest of the configuration that this process has loaded last
_TRAIT_FILE_PATTERN = re.compile(r"([A-Z][A-Za-z0-9_]*)\.([a-z_][a-z0-9_]*)")


def get_mounted_config_folder() -> Path:
    return Path(os.environ.get("RENKU_CONFIG_DIR", "/etc/renku"))


def merge_mounted_config(c: Config) -> None:
    """Merge mounted configuration into *c*, where it replaces earlier values. Do nothing if none is mounted.

    `config/renku.json` has traits by class: `{"Renku": {"clone_timeout": 600}}`. A file `secret/<Class>.<trait>`
    has the value of one text trait; a newline at its end is removed. Other files in `secret/` are for settings that
    name a path.

    Raises:
        SettingError: a file cannot be read or is invalid; the message contains no secret.
    """
    _loaded_digests.clear()
    _loaded_digests.add(_compute_mount_digest())
    c.merge(_read_mounted_settings(get_mounted_config_folder() / "config" / "renku.json"))
    c.merge(_read_mounted_secrets(get_mounted_config_folder() / "secret"))


def find_config_file(given: str) -> Path:
    """Return the path of the hub's configuration: *given*, else `RENKU_HUB_CONFIG`, else `jupyterhub_config.py`."""
    return Path(given or os.environ.get("RENKU_HUB_CONFIG") or "jupyterhub_config.py").resolve()


def load_hub_config(file: Path) -> Config:
    """Load the hub's configuration, which is a Python program and can raise any exception.

    Paths in it are relative to the folder in which the hub runs. The hub's image sets RENKU_HUB_FOLDER to it, since
    `kubectl exec` can be used from any folder.
    """
    hub_folder = Path(os.environ.get("RENKU_HUB_FOLDER", ".")).resolve()
    # Zero to JupyterHub's configuration prints to stdout, which would break the output of --json.
    with redirect_stdout(sys.stderr), chdir(hub_folder if hub_folder.is_dir() else "."):
        config = PyFileConfigLoader(file.name, path=str(file.parent)).load_config()
    for section, default in ((config.Renku, ""), (config.JupyterHub, "sqlite:///jupyterhub.sqlite")):
        if url := section.get("db_url", default):
            section.db_url = _resolve_sqlite_url(str(url), hub_folder)
    return config


def _resolve_sqlite_url(url: str, hub_folder: Path) -> str:
    """Return *url*; the path of a SQLite file is made absolute, relative to *hub_folder*."""
    path = url.removeprefix("sqlite:///")
    if path == url or path[:1] in ("", "/", ":"):
        return url
    return f"sqlite:///{hub_folder / path}"


@dataclass(kw_only=True)
class MountedConfigWatch:
    """Restart the hub when mounted configuration has changed and is valid.

    Kubernetes does not replace a pod when a ConfigMap or Secret that it mounts changes. If the hub could not start with
    the changed settings, it keeps the current ones and reports that in its log, in a metric and to admins.

    `seen` is the digest of the last check, `refused` that of the settings refused at `refused_at`, in seconds of the
    event loop's clock.
    """

    seen: str = ""
    refused: str = ""
    refused_at: float = 0.0

    async def check(self, context: AppContext, config_file: str) -> timedelta | None:
        """Compare the mounted configuration with the loaded one. Return `timedelta.max` when the hub is restarted."""
        now, digest = asyncio.get_running_loop().time(), _compute_mount_digest()
        if digest != self.seen:
            self.seen = digest  # wait for another check without changes
        elif digest in _loaded_digests:
            _clear_refused_settings(context)
            self.refused = ""
        elif digest != self.refused or now - self.refused_at > _CONFIG_RECHECK_INTERVAL_SECONDS:
            problem = await find_config_problem(config_file)
            if problem is not None:
                self.refused, self.refused_at = digest, now
                _record_refused_settings(context, problem)
            elif digest == _compute_mount_digest():
                _restart_hub()
                return timedelta.max
        return None


async def find_config_problem(config_file: str) -> str | None:
    """Return why a hub with *config_file* and the mounted configuration could not start, None if it could.

    The configuration is loaded in a child process, since it may change the state of the process.
    """
    command = [sys.executable, "-m", "renku_spawner.cli", "check", "--settings", "--json", "--config", config_file]
    check = await asyncio.create_subprocess_exec(
        *command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        async with asyncio.timeout(_CONFIG_CHECK_TIMEOUT_SECONDS):
            out, err = await check.communicate()
    except TimeoutError:
        return f"They could not be checked within {_CONFIG_CHECK_TIMEOUT_SECONDS:.0f} seconds."
    finally:
        if check.returncode is None:
            check.kill()
            await check.wait()
    try:
        findings = json.loads(out)
        wrong = [str(finding["says"]) for finding in findings if finding["good"] is False]
    except (ValueError, TypeError, KeyError):
        last = err.decode(errors="replace").strip().splitlines()[-1:]
        return " ".join(["They could not be checked:", *last]) if last else "They could not be checked."
    return wrong[0] if wrong else None


def _record_refused_settings(context: AppContext, problem: str) -> None:
    previous, context.hub_health.refused_settings = context.hub_health.refused_settings, problem
    SETTINGS_REFUSED.set(1)
    if problem != previous:
        log.critical(
            "Changed settings in %s refused, keeping the current ones: %s",
            get_mounted_config_folder(),
            problem,
        )


def _clear_refused_settings(context: AppContext) -> None:
    """Record that mounted configuration is the same again as the one that this hub has loaded."""
    if context.hub_health.refused_settings is not None:
        log.warning("Settings in %s match the current ones again", get_mounted_config_folder())
    context.hub_health.refused_settings = None
    SETTINGS_REFUSED.set(0)


def _restart_hub() -> None:
    """Stop this process, so that the supervisor of the hub's image or the kubelet starts it again."""
    log.warning("Settings in %s changed, restarting the hub to load them", get_mounted_config_folder())
    supervisor = os.getppid()
    if os.environ.get("RENKU_SUPERVISOR") == str(supervisor):
        os.kill(supervisor, signal.SIGUSR1)
    os.kill(os.getpid(), signal.SIGTERM)


def _compute_mount_digest() -> str:
    """Return a digest of all mounted files, without those that cannot be read while the kubelet replaces them."""
    digest = hashlib.sha256()
    for file in sorted(get_mounted_config_folder().glob("*/*")):
        with suppress(OSError):
            digest.update(b"%s\0%s\0" % (file.name.encode(), file.read_bytes()))
    return digest.hexdigest()


def _read_mounted_settings(file: Path) -> Config:
    if not file.exists():
        return Config()
    try:
        settings = json.loads(_read_text_file(file))
    except ValueError as problem:
        raise SettingError(f"{file} is not valid JSON: {problem}.") from None
    if not isinstance(settings, dict):
        raise SettingError(f'{file} is not an object of classes: {{"Renku": {{…}}}}.')
    for name, traits in settings.items():
        if not (name[:1].isupper() and isinstance(traits, dict)):
            raise SettingError(f"{file}: {name!r} is not a class with an object of its traits.")
    return Config(settings)


def _read_mounted_secrets(place: Path) -> Config:
    c = Config()
    for file in sorted(place.iterdir()) if place.is_dir() else ():
        match = _TRAIT_FILE_PATTERN.fullmatch(file.name)
        if match:
            c[match[1]][match[2]] = _read_secret_file(file)
    return c


def _read_secret_file(file: Path) -> str:
    value = _read_text_file(file).removesuffix("\n")
    if not value:
        raise SettingError(f"{file} is empty.")
    return value


def _read_text_file(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as problem:
        raise SettingError(f"{file} cannot be read: {problem.strerror}.") from None
    except UnicodeDecodeError:
        raise SettingError(f"{file} is not in UTF-8.") from None
