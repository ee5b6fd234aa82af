"""The init container that clones a session's repositories.

It mounts a fixed script and the repositories as a JSON file from the Secret that the pod owns.
The script itself is in `renku_spawner/spawners/in_pod/clone`; local sessions run it, too.
"""

from __future__ import annotations

import json
import shlex
from typing import Any

from kubernetes_asyncio.client import V1Container, V1EnvVar, V1KeyToPath, V1SecretVolumeSource, V1Volume, V1VolumeMount

from ...domain.sessions import LaunchSpec
from .environment import escape_kubelet_expansion, load_clone_scripts
from .security import build_container_security_context, build_session_resources
from .settings import CLONE_CONTAINER_NAME, WORK_MOUNT_PATH, PodSettings

CLONE_VOLUME_NAME = "renku-clone"
_CLONE_MOUNT_PATH = "/opt/renku"
_CLONE_REPOSITORIES_FILENAME = "repositories.json"
_CLONE_REPORT_PATH = "/tmp/renku-clone.json"


def build_clone_secret_values(spec: LaunchSpec) -> dict[str, str]:
    """Return the values that the container needs in the Secret; empty without repositories."""
    if not spec.repositories:
        return {}
    rows = [vars(repository) for repository in spec.repositories]
    return {**load_clone_scripts(), _CLONE_REPOSITORIES_FILENAME: json.dumps(rows)}


def build_clone_volume(secret: str) -> V1Volume:
    """Mount the script and the repositories from the Secret, but none of its other keys.

    A pod waits for a Secret that it mounts, so the container never starts too early.
    """
    items = [V1KeyToPath(key=name, path=f"clone/{name}") for name in sorted(load_clone_scripts())]
    items.append(V1KeyToPath(key=_CLONE_REPOSITORIES_FILENAME, path=_CLONE_REPOSITORIES_FILENAME))
    return V1Volume(
        name=CLONE_VOLUME_NAME, secret=V1SecretVolumeSource(secret_name=secret, items=items, default_mode=0o444)
    )


def _build_clone_command(spec: LaunchSpec, settings: PodSettings) -> str:
    options = ["--timeout", f"{settings.clone_timeout:d}"]
    if spec.git and spec.git.credentials:
        options += ["--credentials", shlex.quote(spec.git.gitlab)]
    program = f"python3 -I {_CLONE_MOUNT_PATH}/clone {WORK_MOUNT_PATH} {_CLONE_REPORT_PATH}"
    return f"exec {program} {' '.join(options)} < {_CLONE_MOUNT_PATH}/{_CLONE_REPOSITORIES_FILENAME}"


def build_clone_container(
    spec: LaunchSpec, work: V1VolumeMount, settings: PodSettings, env: list[V1EnvVar] | None = None
) -> V1Container:
    """Build the init container; *env* has the hub's address and token if the script needs git credentials."""
    return V1Container(
        name=CLONE_CONTAINER_NAME,
        image=settings.clone_image,
        command=["/bin/sh", "-c", escape_kubelet_expansion(_build_clone_command(spec, settings))],
        env=env,
        resources=build_session_resources(spec, devices=False),
        security_context=build_container_security_context(spec.run, settings),
        volume_mounts=[work, V1VolumeMount(name=CLONE_VOLUME_NAME, mount_path=_CLONE_MOUNT_PATH, read_only=True)],
        working_dir="/",
        termination_message_policy="FallbackToLogsOnError",
    )


def parse_clone_log(log: str) -> list[dict[str, Any]]:
    """Return the script's report, one row per repository, from the container's log; empty if there is none."""
    for line in reversed(log.splitlines()):
        if line.startswith("["):
            try:
                rows = json.loads(line)
            except ValueError:
                continue
            return [row for row in rows if isinstance(row, dict)]
    return []
