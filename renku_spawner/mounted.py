"""Configuration that is mounted into the hub's container, as the chart `helm/renku-hub` does it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import re
import signal
from contextlib import suppress
from pathlib import Path

from traitlets.config import Config

from .settings import SettingError

log = logging.getLogger("renku_spawner")
_LOOK_AGAIN = 2.0  # seconds
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


async def end_when_changed() -> None:
    """End this process, as Kubernetes would, once what is mounted is no longer what was read and has come to rest.

    A pod is not replaced when a ConfigMap or Secret changes that it mounts; a container that ends is started again.
    """
    before, now = "", _digest()
    while now in _read or now != before:
        await asyncio.sleep(_LOOK_AGAIN)
        before, now = now, _digest()
    log.warning("What is mounted in %s has changed: the hub ends, to be started again with it.", folder())
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
