"""Security contexts after the Pod Security Standard *restricted*.

https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
"""

from __future__ import annotations

from copy import copy
from typing import Any

from kubernetes_asyncio.client import (
    V1Capabilities,
    V1Container,
    V1PodSecurityContext,
    V1SeccompProfile,
    V1SecurityContext,
)

from ..domain.environment import RunConfiguration
from .settings import PodSettings

_FILLED = {
    "allowPrivilegeEscalation": False,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def uid(run: RunConfiguration, settings: PodSettings) -> int:
    """Never 0, and always a number: for a user's name the kubelet cannot tell that it is not root."""
    return run.uid or settings.uid


def gid(run: RunConfiguration, settings: PodSettings) -> int:
    return settings.gid if run.gid is None else run.gid


def group(run: RunConfiguration, settings: PodSettings) -> int:
    """Of the processes. One that somebody has chosen is that of the files in `/work`, too."""
    return run.group if run.group is not None and run.gid is None else gid(run, settings)


def of_pod(run: RunConfiguration, settings: PodSettings) -> V1PodSecurityContext:
    """The volume belongs to the session's group; a large one is not walked at each start."""
    return V1PodSecurityContext(
        run_as_non_root=True,
        run_as_user=uid(run, settings),
        run_as_group=group(run, settings),
        fs_group=gid(run, settings),
        fs_group_change_policy="OnRootMismatch",
        seccomp_profile=V1SeccompProfile(type="RuntimeDefault"),
    )


def of_container(run: RunConfiguration, settings: PodSettings) -> V1SecurityContext:
    """For the containers that run a person's image or data: nothing of it is left to other settings."""
    return V1SecurityContext(
        allow_privilege_escalation=False,
        capabilities=V1Capabilities(drop=["ALL"]),
        run_as_non_root=True,
        run_as_user=uid(run, settings),
        run_as_group=group(run, settings),
        seccomp_profile=V1SeccompProfile(type="RuntimeDefault"),
    )


def filled(container: V1Container) -> V1Container:
    """An admin's own container: restricted where the admin has said nothing.

    KubeSpawner hands on what an admin has said as a dictionary in some places and as a
    model in others.
    """
    said: Any = container.security_context or {}
    if isinstance(said, V1SecurityContext):
        said = {name: value for name, value in said.to_dict(serialize=True).items() if value is not None}
    new: Any = copy(container)
    new.security_context = {**_FILLED, **said}
    return new
