"""The init container that clones a session's repositories.

One fixed script and the repositories as a JSON file come to it in the Secret that the
pod owns; its command line is the same for everybody. The script and its report are
described in `renku_spawner/runtime/clone`, which runs locally too.
"""

from __future__ import annotations

import json
import shlex
from typing import Any

from kubernetes_asyncio.client import V1Container, V1EnvVar, V1KeyToPath, V1SecretVolumeSource, V1Volume, V1VolumeMount

from ..domain.session import SessionSpec
from .environment import literal
from .resources import requirements
from .scripts import script
from .security import of_container
from .settings import CLONE, WORK, PodSettings

VOLUME = "renku-clone"
_FOLDER = "/opt/renku"
_ROWS = "repositories.json"
_REPORT = "/tmp/renku-clone.json"


def secret_values(spec: SessionSpec) -> dict[str, str]:
    """What the Secret holds for the container; nothing if there is nothing to clone."""
    if not spec.repositories:
        return {}
    rows = [vars(repository) for repository in spec.repositories]
    return {**script(), _ROWS: json.dumps(rows)}


def volume(secret: str) -> V1Volume:
    """Script and repositories out of the Secret, and nothing else of it.

    A pod waits for a Secret that it mounts, so the container never starts too early.
    """
    items = [V1KeyToPath(key=name, path=f"clone/{name}") for name in sorted(script())]
    items.append(V1KeyToPath(key=_ROWS, path=_ROWS))
    return V1Volume(name=VOLUME, secret=V1SecretVolumeSource(secret_name=secret, items=items, default_mode=0o444))


def _command(spec: SessionSpec, settings: PodSettings) -> str:
    options = ["--timeout", f"{settings.clone_timeout:d}"]
    if spec.git and spec.git.credentials:
        options += ["--credentials", shlex.quote(spec.git.gitlab)]
    return f"exec python3 -I {_FOLDER}/clone {WORK} {_REPORT} {' '.join(options)} < {_FOLDER}/{_ROWS}"


def container(
    spec: SessionSpec, work: V1VolumeMount, settings: PodSettings, env: list[V1EnvVar] | None = None
) -> V1Container:
    """*env* is what the script asks the hub with, where it does."""
    return V1Container(
        name=CLONE,
        image=settings.clone_image,
        command=["/bin/sh", "-c", literal(_command(spec, settings))],
        env=env,
        resources=requirements(spec, devices=False),
        security_context=of_container(spec.run, settings),
        volume_mounts=[work, V1VolumeMount(name=VOLUME, mount_path=_FOLDER, read_only=True)],
        working_dir="/",
        termination_message_policy="FallbackToLogsOnError",
    )


def report(log: str) -> list[dict[str, Any]]:
    """What came of each repository, from the container's log; empty if it says nothing of it."""
    for line in reversed(log.splitlines()):
        if line.startswith("["):
            try:
                rows = json.loads(line)
            except ValueError:
                continue
            return [row for row in rows if isinstance(row, dict)]
    return []
