"""The pod that looks at what lies in a session's claim, and can only read it.

It runs the image that clones repositories, with nothing of the session but its files, as
the session's user and group: a claim that is mounted with another group would be given to
that. Beside a session that runs it is on the same machine, where the claim is.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib.resources import files

from kubernetes_asyncio.client import (
    V1Container,
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

LOOK = "look"
LABEL = f"{PREFIX}look"
LOG_BYTES = 256 * 1024
SECONDS = 120  # that it may run; its claim may have to be brought to its machine first, and the image
_VOLUME = "renku-work"
_MODULES = ("walk", "git_view", "unsaved", "contents")  # each imports only from those before it


@cache
def command() -> tuple[str, ...]:
    """The same for everybody: what is looked at is where it is mounted."""
    folder = files(__package__.partition(".")[0]) / "runtime"
    texts = {name: literal((folder / f"{name}.py").read_text(encoding="utf-8")) for name in ("alone", *_MODULES)}
    modules = [word for name in _MODULES for word in (name, texts[name])]
    return ("python3", "-I", "-c", texts["alone"], WORK, *modules)


def labels(settings: PodSettings, claim: str) -> dict[str, str]:
    hub = {f"{PREFIX}hub": settings.hub} if settings.hub else {}
    return {**hub, LABEL: claim}


def selector(hub: str, claim: str = "") -> str:
    """Finds the pods of this hub that look at that claim, or at any."""
    return f"{LABEL}={claim}" if claim else f"{LABEL},{PREFIX}hub={hub}" if hub else f"{LABEL},!{PREFIX}hub"


def readable(claim: Raw, session: str) -> bool:
    """Whether that claim is there for its session: one that has never been bound to a volume holds nothing."""
    ours = dig(claim, "metadata", "labels", f"{PREFIX}session") == session
    leaving, phase = dig(claim, "metadata", "deletionTimestamp"), dig(claim, "status", "phase")
    return ours and not leaving and phase == "Bound"


def as_in(session: Raw, run: RunConfiguration) -> RunConfiguration:
    """*run* with the user and group that the session's pod has, whoever has set them."""
    context = dig(session, "spec", "securityContext")
    uid, gid = dig(context, "runAsUser"), dig(context, "fsGroup")
    return replace(run, uid=uid if isinstance(uid, int) else run.uid, gid=gid if isinstance(gid, int) else run.gid)


def pod(name: str, claim: Raw, run: RunConfiguration, place: Place, settings: PodSettings) -> V1Pod:
    """A pod that looks at what is in *claim*, as the API gives it."""
    called = text(dig(claim, "metadata", "name"))
    metadata = V1ObjectMeta(
        name=name,
        labels=labels(settings, called),
        owner_references=[helper.owner("PersistentVolumeClaim", claim)],
    )
    work = V1PersistentVolumeClaimVolumeSource(claim_name=called)
    return helper.pod(
        metadata,
        _container(run, settings),
        place,
        context=security.of_pod(run, settings),
        seconds=SECONDS,
        volumes=[V1Volume(name=_VOLUME, persistent_volume_claim=work)],
    )


def _container(run: RunConfiguration, settings: PodSettings) -> V1Container:
    return V1Container(
        name=LOOK,
        image=settings.clone_image,
        image_pull_policy="IfNotPresent",
        command=list(command()),
        working_dir="/",
        resources=resources.of_helper("500m", "512Mi"),
        security_context=security.of_container(run, settings),
        volume_mounts=[V1VolumeMount(name=_VOLUME, mount_path=WORK, read_only=True)],
    )
