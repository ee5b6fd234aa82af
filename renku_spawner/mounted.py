"""Configuration that is mounted into the hub's container, as the chart `helm/renku-hub` does it."""

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
from pathlib import Path
from typing import Any

from traitlets.config import Config, PyFileConfigLoader

from . import metrics
from .services.parts import Parts
from .settings import SettingError

log = logging.getLogger("renku_spawner")
_POLL_INTERVAL_SECONDS = 2.0
_CHECK_TIMEOUT_SECONDS = 120.0
_RECHECK_INTERVAL_SECONDS = 300.0  # a database or a file that was missing may be there by then
_read: set[str] = set()  # the digest of what this process has read last
_TRAIT = re.compile(r"([A-Z][A-Za-z0-9_]*)\.([a-z_][a-z0-9_]*)")


def folder() -> Path:
    return Path(os.environ.get("RENKU_CONFIG_DIR", "/etc/renku"))


def merge(c: Config) -> None:
    """Let what is mounted hold in *c*, whatever was set before; nothing is mounted where there is no such folder.

    `config/renku.json` has traits by class: `{"Renku": {"clone_timeout": 600}}`. A file `secret/<Class>.<trait>`
    holds one text, without the newline at its end; other files there are for settings that name a path.

    Raises:
        SettingError: a file cannot be read, or is not what it has to be; no secret is repeated.
    """
    _read.clear()
    _read.add(_digest())
    c.merge(_settings(folder() / "config" / "renku.json"))
    c.merge(_secrets(folder() / "secret"))


def find_config(given: str) -> Path:
    """Return the path of the hub's configuration: *given*, or what the hub's image names, or the usual file here."""
    return Path(given or os.environ.get("RENKU_HUB_CONFIG") or "jupyterhub_config.py").resolve()


def load_config(file: Path) -> Config:
    """Load the hub's configuration, which is a program and raises what it likes.

    Paths in it are relative to the folder in which the hub runs: the hub's image names it in RENKU_HUB_FOLDER, since
    `kubectl exec` may be used from any folder.
    """
    hub_folder = Path(os.environ.get("RENKU_HUB_FOLDER", ".")).resolve()
    # Zero to JupyterHub's configuration prints, and --json is for programs.
    with redirect_stdout(sys.stderr), chdir(hub_folder if hub_folder.is_dir() else "."):
        config = PyFileConfigLoader(file.name, path=str(file.parent)).load_config()
    for section, default in ((config.Renku, ""), (config.JupyterHub, "sqlite:///jupyterhub.sqlite")):
        if url := section.get("db_url", default):
            section.db_url = _in_folder(str(url), hub_folder)
    return config


def _in_folder(url: str, hub_folder: Path) -> str:
    """*url* with the whole path of a SQLite file that is named relative to *hub_folder*."""
    path = url.removeprefix("sqlite:///")
    if path == url or path[:1] in ("", "/", ":"):
        return url
    return f"sqlite:///{hub_folder / path}"


async def reload_when_changed(hub: Any, parts: Parts) -> None:
    """Let the hub be started again once what is mounted has changed and is what a hub can start with.

    A pod is not replaced when a ConfigMap or Secret changes that it mounts. Settings that a start would refuse are
    refused here: the hub keeps those that it has and says so in its log, in a metric and to admins.
    """
    clock = asyncio.get_running_loop().time
    before, refused, checked_at = "", "", 0.0
    while True:
        digest = _digest()
        if digest != before:
            before = digest  # wait until it has come to rest
        elif digest in _read:
            _accept(parts)
            refused = ""
        elif digest != refused or clock() - checked_at > _RECHECK_INTERVAL_SECONDS:
            problem = await check_settings(hub.config_file)
            if problem is None and digest == _digest():
                break
            if problem is not None:
                refused, checked_at = digest, clock()
                _refuse(parts, problem)
        await asyncio.sleep(_POLL_INTERVAL_SECONDS)
    _restart()


async def check_settings(config_file: str) -> str | None:
    """Return why a hub with *config_file* and what is mounted now would not start, None if it would.

    A process of its own reads them: nothing of this one changes, whatever the configuration does.
    """
    command = [sys.executable, "-m", "renku_spawner.cli", "check", "--settings", "--json", "--config", config_file]
    check = await asyncio.create_subprocess_exec(
        *command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT_SECONDS):
            out, err = await check.communicate()
    except TimeoutError:
        return f"They could not be checked within {_CHECK_TIMEOUT_SECONDS:.0f} seconds."
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


def _refuse(parts: Parts, problem: str) -> None:
    known, parts.health.refused_settings = parts.health.refused_settings, problem
    metrics.settings_refused.set(1)
    if problem != known:
        log.critical("Changed settings in %s are refused, the hub keeps those that it has: %s", folder(), problem)


def _accept(parts: Parts) -> None:
    """What is mounted is again what this hub has read."""
    if parts.health.refused_settings is not None:
        log.warning("Settings in %s are again those that the hub has.", folder())
    parts.health.refused_settings = None
    metrics.settings_refused.set(0)


def _restart() -> None:
    """End this process, to be started again: by the supervisor of the hub's image, else by the kubelet."""
    log.warning("Settings in %s have changed: the hub restarts to read them.", folder())
    supervisor = os.getppid()
    if os.environ.get("RENKU_SUPERVISOR") == str(supervisor):
        os.kill(supervisor, signal.SIGUSR1)
    os.kill(os.getpid(), signal.SIGTERM)


def _digest() -> str:
    """Of all that is mounted; of nothing while it is being exchanged."""
    found = hashlib.sha256()
    for file in sorted(folder().glob("*/*")):
        with suppress(OSError):
            found.update(b"%s\0%s\0" % (file.name.encode(), file.read_bytes()))
    return found.hexdigest()


def _settings(file: Path) -> Config:
    if not file.exists():
        return Config()
    try:
        found = json.loads(_text(file))
    except ValueError as problem:
        raise SettingError(f"{file} is no JSON: {problem}.") from None
    if not isinstance(found, dict):
        raise SettingError(f'{file} is no object of classes: {{"Renku": {{…}}}}.')
    for name, traits in found.items():
        if not (name[:1].isupper() and isinstance(traits, dict)):
            raise SettingError(f"{file}: {name!r} is no class with an object of its traits.")
    return Config(found)


def _secrets(place: Path) -> Config:
    c = Config()
    for file in sorted(place.iterdir()) if place.is_dir() else ():
        named = _TRAIT.fullmatch(file.name)
        if named:
            c[named[1]][named[2]] = _secret(file)
    return c


def _secret(file: Path) -> str:
    value = _text(file).removesuffix("\n")
    if not value:
        raise SettingError(f"{file} is empty.")
    return value


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as problem:
        raise SettingError(f"{file} cannot be read: {problem.strerror}.") from None
    except UnicodeDecodeError:
        raise SettingError(f"{file} is not in UTF-8.") from None
