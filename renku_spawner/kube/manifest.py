"""The pod of a session: KubeSpawner's pod in, a copy that runs the session out.

KubeSpawner has expanded its own settings by then; nothing is expanded here, and nothing
that a person typed stands in a command line of ours, a label or a template.
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

from ..domain import image
from ..domain.session import SessionSpec
from . import clone, environment, pull, security, storages
from .environment import literal
from .labels import NETWORK, notes, run_labels
from .resources import requirements
from .settings import WORK, PodSettings

_WORK_VOLUME = "renku-work"
_SHM_VOLUME = "renku-shm"
_SHM = "/dev/shm"
_OURS = {_WORK_VOLUME, _SHM_VOLUME, clone.VOLUME, pull.VOLUME}
# For images whose own PATH is not known; the command itself comes after it, as it is.
_EXTEND_PATH = ["/bin/sh", "-c", f'PATH="{environment.USER_BASE}/bin:$PATH" exec "$@"', "sh"]


def pinned(spec: SessionSpec) -> str:
    """What is run: exactly the content that the session is pinned to (decision 21); by
    its tag as long as nobody has looked up the digest."""
    return f"{image.parse(spec.image).repository}@{spec.digest}" if spec.digest else spec.image


def session_pod(
    pod: V1Pod,
    spec: SessionSpec,
    *,
    run: str,
    claim: str,
    secret: str,
    settings: PodSettings,
    image_path: str | None = None,
) -> V1Pod:
    """A copy of KubeSpawner's *pod* that runs the session.

    *run* is the launch's id, *claim* and *secret* name what holds `/work` and the values
    that the pod only refers to (`session_secret`), *image_path* is the PATH that the
    image sets, None if unknown.
    """
    pod = copy(pod)
    pod.metadata, pod.spec = copy(pod.metadata), copy(pod.spec)  # all below is replaced, never changed in place
    pod.metadata.labels = {**(pod.metadata.labels or {}), **NETWORK, **run_labels(spec, settings, run=run)}
    pod.metadata.annotations = {**(pod.metadata.annotations or {}), **notes(spec)}
    notebook, *beside = pod.spec.containers
    pod.spec.containers = [
        _notebook(notebook, spec, secret=secret, settings=settings, image_path=image_path),
        *(security.filled(container) for container in beside),
    ]
    hub = notebook.env or []
    pod.spec.init_containers = _init_containers(pod.spec, spec, hub, secret=secret, settings=settings)
    pod.spec.volumes = _volumes(pod.spec, spec, claim=claim, secret=secret, settings=settings)
    pod.spec.security_context = security.of_pod(spec.run, settings)
    pod.spec.automount_service_account_token = False
    pod.spec.enable_service_links = False  # services of the namespace are nobody's variables
    pod.spec.termination_grace_period_seconds = settings.stop_grace
    if spec.own_image and spec.unverified:  # nobody knows that it is public: no admin's login downloads it (decision 8)
        pod.spec.image_pull_secrets = []
    if spec.pull:
        own = V1LocalObjectReference(name=pull.name_of(secret))
        pod.spec.image_pull_secrets = [own, *(pod.spec.image_pull_secrets or [])]
    _place(pod.spec, spec)
    return pod


def _notebook(
    container: V1Container, spec: SessionSpec, *, secret: str, settings: PodSettings, image_path: str | None
) -> V1Container:
    new = copy(container)
    new.image, new.image_pull_policy = pinned(spec), _pull_policy(container, spec)
    new.env = environment.variables(container.env or [], spec, image=new.image, secret=secret, image_path=image_path)
    new.working_dir = spec.run.working_directory
    new.resources = requirements(spec)
    new.security_context = security.of_container(spec.run, settings)
    new.volume_mounts = [
        *_without(container.volume_mounts, _is_ours),
        _work_mount(),
        *storages.mounts(spec, settings),
        V1VolumeMount(name=_SHM_VOLUME, mount_path=_SHM),
        *([pull.mount()] if spec.pull else []),
    ]
    _set_command(new, spec, path_is_known=image_path is not None)
    return new


def _pull_policy(container: V1Container, spec: SessionSpec) -> str:
    """What a digest names never changes, what a tag names may; an admin may say that nothing is ever pulled.

    Who may have a private image is asked at each start: that a machine has it already says nothing (T12).
    """
    policy = container.image_pull_policy or "IfNotPresent"
    return policy if (spec.digest and not spec.pull) or policy == "Never" else "Always"


def _set_command(container: V1Container, spec: SessionSpec, *, path_is_known: bool) -> None:
    """The run configuration's command takes the place of the image's; arguments alone go
    to what would run anyway. With nothing to run but what the image says, its PATH stays."""
    arguments = [literal(argument) for argument in spec.run.arguments]
    if spec.run.command:
        container.command, container.args = [literal(part) for part in spec.run.command], arguments
    elif arguments:
        container.args = [*(container.args or []), *arguments]
    if path_is_known:
        return
    if container.command:
        container.command = [*_EXTEND_PATH, *container.command]
    elif container.args:
        container.args = [*_EXTEND_PATH, *container.args]


def _init_containers(
    pod: V1PodSpec, spec: SessionSpec, hub: Sequence[V1EnvVar], *, secret: str, settings: PodSettings
) -> list[V1Container]:
    """Ours first, so that an admin's own find the repositories."""
    theirs = [security.filled(c) for c in _without(pod.init_containers, lambda c: c.name == clone.CLONE)]
    for container in theirs:
        container.resources = container.resources or requirements(spec, devices=False)
    if not spec.repositories:
        return theirs
    asks = spec.git is not None and spec.git.credentials
    env = environment.to_ask_the_hub(hub, secret=secret) if asks else None
    return [clone.container(spec, _work_mount(), settings, env), *theirs]


def _volumes(pod: V1PodSpec, spec: SessionSpec, *, claim: str, secret: str, settings: PodSettings) -> list[V1Volume]:
    work = V1PersistentVolumeClaimVolumeSource(claim_name=claim)
    memory = V1EmptyDirVolumeSource(medium="Memory", size_limit=settings.shm)
    return [
        *_without(pod.volumes, _is_ours),
        V1Volume(name=_WORK_VOLUME, persistent_volume_claim=work),
        V1Volume(name=_SHM_VOLUME, empty_dir=memory),
        *([clone.volume(secret)] if spec.repositories else []),
        *([pull.volume(secret)] if spec.pull else []),
        *storages.volumes(spec, settings, secret),
    ]


def _is_ours(each: V1Volume | V1VolumeMount) -> bool:
    """Whether a volume has a name of ours, or a mount a place of ours."""
    place = getattr(each, "mount_path", "")
    named = each.name in _OURS or each.name.startswith(f"{storages.VOLUME}-")
    return named or place in (WORK, _SHM)


def _work_mount() -> V1VolumeMount:
    return V1VolumeMount(name=_WORK_VOLUME, mount_path=WORK)


def _place(pod: V1PodSpec, spec: SessionSpec) -> None:
    """Where the class may run, beside what an admin has said for all."""
    size = spec.resource_class
    if size.node_selector:
        pod.node_selector = {**(pod.node_selector or {}), **size.node_selector}
    if size.tolerations:
        pod.tolerations = [*(pod.tolerations or []), *(_toleration(said) for said in size.tolerations)]


def _toleration(said: Mapping[str, Any]) -> V1Toleration:
    """From Kubernetes' own names to those of its Python client."""
    return V1Toleration(
        key=said.get("key"),
        operator=said.get("operator"),
        value=said.get("value"),
        effect=said.get("effect"),
        toleration_seconds=said.get("tolerationSeconds"),
    )


def _without(items: Iterable[Any] | None, unwanted: Callable[[Any], bool]) -> list[Any]:
    return [item for item in items or [] if not unwanted(item)]
