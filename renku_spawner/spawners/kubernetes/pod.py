"""Build the pod of a session and the Secrets, volumes and PVCs that belong to it.

All functions are pure: they make no API calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from typing import Any

from kubernetes_asyncio.client import (
    V1Container,
    V1EmptyDirVolumeSource,
    V1EnvVar,
    V1LocalObjectReference,
    V1PersistentVolumeClaimVolumeSource,
    V1Pod,
    V1PodSpec,
    V1Toleration,
    V1Volume,
    V1VolumeMount,
)

from ...domain.images import parse_image_reference
from ...domain.sessions import LaunchSpec
from .clone import CLONE_VOLUME_NAME, build_clone_container, build_clone_volume
from .environment import PYTHON_USER_BASE_PATH, build_hub_api_env_vars, build_session_env_vars, escape_kubelet_expansion
from .secrets import PULL_READY_VOLUME_NAME, build_pull_ready_mount, build_pull_ready_volume, get_pull_secret_name
from .security import (
    apply_restricted_security_context,
    build_container_security_context,
    build_pod_security_context,
    build_session_resources,
)
from .settings import (
    CLONE_CONTAINER_NAME,
    HUB_NETWORK_LABELS,
    WORK_MOUNT_PATH,
    PodSettings,
    build_launch_labels,
    build_session_annotations,
)
from .storages import STORAGE_VOLUME_PREFIX, build_storage_mounts, build_storage_volumes

_WORK_VOLUME_NAME = "renku-work"
_SHM_VOLUME_NAME = "renku-shm"
_SHM_MOUNT_PATH = "/dev/shm"
_RESERVED_VOLUME_NAMES = {_WORK_VOLUME_NAME, _SHM_VOLUME_NAME, CLONE_VOLUME_NAME, PULL_READY_VOLUME_NAME}
# Extends PATH in images whose own PATH is not known; the command follows unchanged as arguments.
_EXTEND_PATH_COMMAND = ["/bin/sh", "-c", f'PATH="{PYTHON_USER_BASE_PATH}/bin:$PATH" exec "$@"', "sh"]


def get_pinned_image(spec: LaunchSpec) -> str:
    """Return the image by the digest that the session is pinned to, or by its tag if the digest is not known."""
    return f"{parse_image_reference(spec.image).repository}@{spec.digest}" if spec.digest else spec.image


def build_session_pod(
    pod: V1Pod,
    spec: LaunchSpec,
    *,
    run: str,
    claim: str,
    secret: str,
    settings: PodSettings,
    image_path: str | None = None,
) -> V1Pod:
    """Return a copy of KubeSpawner's *pod* that runs the session.

    *run* is the launch's id, *claim* the name of the PVC for `/work`, *secret* the name of the session's Secret (see
    `build_session_secret`), and *image_path* the PATH that the image sets, None if unknown.
    """
    pod = copy(pod)
    pod.metadata, pod.spec = copy(pod.metadata), copy(pod.spec)  # fields are replaced below, never changed in place
    pod.metadata.labels = {
        **(pod.metadata.labels or {}),
        **HUB_NETWORK_LABELS,
        **build_launch_labels(spec, settings, run=run),
    }
    pod.metadata.annotations = {**(pod.metadata.annotations or {}), **build_session_annotations(spec)}
    notebook, *sidecars = pod.spec.containers
    pod.spec.containers = [
        _build_notebook_container(notebook, spec, secret=secret, settings=settings, image_path=image_path),
        *(apply_restricted_security_context(container) for container in sidecars),
    ]
    hub = notebook.env or []
    pod.spec.init_containers = _build_init_containers(pod.spec, spec, hub, secret=secret, settings=settings)
    pod.spec.volumes = _build_pod_volumes(pod.spec, spec, claim=claim, secret=secret, settings=settings)
    pod.spec.security_context = build_pod_security_context(spec.run, settings)
    pod.spec.automount_service_account_token = False
    pod.spec.enable_service_links = False  # do not set variables for the namespace's services
    pod.spec.termination_grace_period_seconds = settings.stop_grace
    # The image may be private, and a user must not pull it with the admin's credentials.
    if spec.own_image and spec.unverified:
        pod.spec.image_pull_secrets = []
    if spec.pull:
        pull_secret = V1LocalObjectReference(name=get_pull_secret_name(secret))
        pod.spec.image_pull_secrets = [pull_secret, *(pod.spec.image_pull_secrets or [])]
    _apply_class_placement(pod.spec, spec)
    return pod


def _build_notebook_container(
    container: V1Container, spec: LaunchSpec, *, secret: str, settings: PodSettings, image_path: str | None
) -> V1Container:
    new = copy(container)
    new.image, new.image_pull_policy = get_pinned_image(spec), _get_image_pull_policy(container, spec)
    new.env = build_session_env_vars(container.env or [], spec, image=new.image, secret=secret, image_path=image_path)
    new.working_dir = spec.run.working_directory
    new.resources = build_session_resources(spec)
    new.security_context = build_container_security_context(spec.run, settings)
    new.volume_mounts = [
        *_exclude_items(container.volume_mounts, _is_reserved_volume),
        _build_work_mount(),
        *build_storage_mounts(spec, settings),
        V1VolumeMount(name=_SHM_VOLUME_NAME, mount_path=_SHM_MOUNT_PATH),
        *([build_pull_ready_mount()] if spec.pull else []),
    ]
    _set_container_command(new, spec, path_is_known=image_path is not None)
    return new


def _get_image_pull_policy(container: V1Container, spec: LaunchSpec) -> str:
    """Return the admin's policy for a public image with a digest, or if it is Never; otherwise Always.

    The content of a tag may change. A private image is pulled at each start, so that the registry checks the user's
    access even if the node already has the image.
    """
    policy = container.image_pull_policy or "IfNotPresent"
    return policy if (spec.digest and not spec.pull) or policy == "Never" else "Always"


def _set_container_command(container: V1Container, spec: LaunchSpec, *, path_is_known: bool) -> None:
    """Set the run configuration's command in place of the image's, or append its arguments to what would run anyway.

    Without a command or arguments, the image's own PATH remains.
    """
    arguments = [escape_kubelet_expansion(argument) for argument in spec.run.arguments]
    if spec.run.command:
        container.command, container.args = [escape_kubelet_expansion(part) for part in spec.run.command], arguments
    elif arguments:
        container.args = [*(container.args or []), *arguments]
    if path_is_known:
        return
    if container.command:
        container.command = [*_EXTEND_PATH_COMMAND, *container.command]
    elif container.args:
        container.args = [*_EXTEND_PATH_COMMAND, *container.args]


def _build_init_containers(
    pod: V1PodSpec, spec: LaunchSpec, hub: Sequence[V1EnvVar], *, secret: str, settings: PodSettings
) -> list[V1Container]:
    """Put the clone container first, so that an admin's init containers find the repositories."""
    admin_containers = [
        apply_restricted_security_context(c)
        for c in _exclude_items(pod.init_containers, lambda c: c.name == CLONE_CONTAINER_NAME)
    ]
    for container in admin_containers:
        container.resources = container.resources or build_session_resources(spec, devices=False)
    if not spec.repositories:
        return admin_containers
    needs_credentials = spec.git is not None and spec.git.credentials
    env = build_hub_api_env_vars(hub, secret=secret) if needs_credentials else None
    return [build_clone_container(spec, _build_work_mount(), settings, env), *admin_containers]


def _build_pod_volumes(
    pod: V1PodSpec, spec: LaunchSpec, *, claim: str, secret: str, settings: PodSettings
) -> list[V1Volume]:
    work = V1PersistentVolumeClaimVolumeSource(claim_name=claim)
    memory = V1EmptyDirVolumeSource(medium="Memory", size_limit=settings.shm)
    return [
        *_exclude_items(pod.volumes, _is_reserved_volume),
        V1Volume(name=_WORK_VOLUME_NAME, persistent_volume_claim=work),
        V1Volume(name=_SHM_VOLUME_NAME, empty_dir=memory),
        *([build_clone_volume(secret)] if spec.repositories else []),
        *([build_pull_ready_volume(secret)] if spec.pull else []),
        *build_storage_volumes(spec, settings, secret),
    ]


def _is_reserved_volume(each: V1Volume | V1VolumeMount) -> bool:
    """Return True for a volume or mount that uses a name or path reserved by Renku."""
    place = getattr(each, "mount_path", "")
    named = each.name in _RESERVED_VOLUME_NAMES or each.name.startswith(f"{STORAGE_VOLUME_PREFIX}-")
    return named or place in (WORK_MOUNT_PATH, _SHM_MOUNT_PATH)


def _build_work_mount() -> V1VolumeMount:
    return V1VolumeMount(name=_WORK_VOLUME_NAME, mount_path=WORK_MOUNT_PATH)


def _apply_class_placement(pod: V1PodSpec, spec: LaunchSpec) -> None:
    """Add the resource class's node selector and tolerations to those that an admin has set for all pods."""
    size = spec.resource_class
    if size.node_selector:
        pod.node_selector = {**(pod.node_selector or {}), **size.node_selector}
    if size.tolerations:
        pod.tolerations = [*(pod.tolerations or []), *(_to_toleration(fields) for fields in size.tolerations)]


def _to_toleration(fields: Mapping[str, Any]) -> V1Toleration:
    """Convert Kubernetes' field names to those of its Python client."""
    return V1Toleration(
        key=fields.get("key"),
        operator=fields.get("operator"),
        value=fields.get("value"),
        effect=fields.get("effect"),
        toleration_seconds=fields.get("tolerationSeconds"),
    )


def _exclude_items(items: Iterable[Any] | None, unwanted: Callable[[Any], bool]) -> list[Any]:
    return [item for item in items or [] if not unwanted(item)]
