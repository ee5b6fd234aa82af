"""The pod that hands the files in a session's claim over to the hub, and can only read them.

Like the pod that looks at them (see `look`): the image that clones repositories, the session's user and group, and
nothing else of the session: no storage, no Secret, no service account. Its description has the digest of a secret that
the hub keeps to itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from kubernetes_asyncio.client import (
    V1Container,
    V1ContainerPort,
    V1EnvVar,
    V1EnvVarSource,
    V1ObjectFieldSelector,
    V1ObjectMeta,
    V1PersistentVolumeClaimVolumeSource,
    V1Pod,
    V1Volume,
    V1VolumeMount,
)

from ..domain.environment import RunConfiguration
from . import helper, resources, security
from .environment import literal
from .helper import Place
from .objects import Raw, dig, text
from .settings import PREFIX, WORK, PodSettings

Program = Callable[[str], Sequence[str]]
DOWNLOAD = "download"
LABEL = f"{PREFIX}download"
PORT = 8080
_ADDRESS = "RENKU_ADDRESS"  # the pod's own
_VOLUME = "renku-work"


def labels(settings: PodSettings, claim: str) -> dict[str, str]:
    hub = {f"{PREFIX}hub": settings.hub} if settings.hub else {}
    return {**hub, LABEL: claim}


def selector(hub: str, claim: str = "") -> str:
    """Finds the pods of this hub that hand over what is in that claim, or in any."""
    return f"{LABEL}={claim}" if claim else f"{LABEL},{PREFIX}hub={hub}" if hub else f"{LABEL},!{PREFIX}hub"


def _command(program: Program, secret: str) -> list[str]:
    given = json.dumps({"work": WORK, "address": f"$({_ADDRESS})", "port": PORT, "secret": secret})
    return [word if word == given else literal(word) for word in program(given)]


def pod(
    name: str, claim: Raw, run: RunConfiguration, place: Place, settings: PodSettings, *, program: Program, secret: str
) -> V1Pod:
    """A pod that hands over what is in *claim*, as the API gives it; it ends by itself, however long that takes.

    *program* gives the command for an argument; *secret* is the SHA-256 of what whoever asks has to know.
    """
    called = text(dig(claim, "metadata", "name"))
    metadata = V1ObjectMeta(
        name=name,
        labels=labels(settings, called),
        owner_references=[helper.owner("PersistentVolumeClaim", claim)],
    )
    work = V1PersistentVolumeClaimVolumeSource(claim_name=called)
    return helper.pod(
        metadata,
        _container(run, settings, _command(program, secret)),
        place,
        context=security.of_pod(run, settings),
        seconds=None,
        volumes=[V1Volume(name=_VOLUME, persistent_volume_claim=work)],
    )


def _container(run: RunConfiguration, settings: PodSettings, command: list[str]) -> V1Container:
    own = V1EnvVarSource(field_ref=V1ObjectFieldSelector(field_path="status.podIP"))
    return V1Container(
        name=DOWNLOAD,
        image=settings.clone_image,
        image_pull_policy="IfNotPresent",
        command=command,
        working_dir="/",
        env=[V1EnvVar(name=_ADDRESS, value_from=own)],
        ports=[V1ContainerPort(name=DOWNLOAD, container_port=PORT)],
        resources=resources.of_helper("1", "512Mi", cpu_requested="100m"),
        security_context=security.of_container(run, settings),
        volume_mounts=[V1VolumeMount(name=_VOLUME, mount_path=WORK, read_only=True)],
    )
