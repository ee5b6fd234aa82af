"""Reads the credentials that an admin mounts: a `.dockerconfigjson`, as Kubernetes and docker write it."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .login import DOCKER_HUB

_LIMIT = 1 << 20  # bytes; a Secret holds no more
_PATHS = {"", "v1", "v2"}


def read(path: Path) -> dict[str, tuple[str, str]]:
    """User and password per host; Docker Hub's stand under `docker.io`.

    Raises:
        OSError: the file cannot be read.
        ValueError: an entry that we could not use as it is meant, named without its secret.
    """
    with path.open("rb") as file:
        text = file.read(_LIMIT + 1)
    try:
        auths = json.loads(text)["auths"]
        entries = dict(auths.items())
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        raise ValueError(f"{path} is no .dockerconfigjson: there is no object `auths`") from None
    return {_host(key): _pair(key, entry) for key, entry in entries.items()}


def _host(key: str) -> str:
    """`https://index.docker.io/v1/`, `registry.example.org:5050`; older clients write the whole address."""
    host, _, rest = key.partition("://")[2].partition("/") if "://" in key else key.partition("/")
    if not host or rest.strip("/") not in _PATHS:
        raise ValueError(f"Credentials for {key!r} are for a part of a registry; only whole hosts are supported")
    return "docker.io" if host.lower() in DOCKER_HUB else host.lower()


def _pair(key: str, entry: Any) -> tuple[str, str]:
    fields: Mapping[str, Any] = entry if isinstance(entry, dict) else {}
    user, password = fields.get("username"), fields.get("password")
    if fields.get("auth") and not user:
        try:
            user, _, password = b64decode(fields["auth"], validate=True).decode().partition(":")
        except (ValueError, TypeError):
            user = None
    if not isinstance(user, str) or not isinstance(password, str) or not user or not password or ":" in user:
        raise ValueError(f"Credentials for {key!r} have no user and password")
    return user, password
