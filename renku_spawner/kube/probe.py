"""The pod that lists what is installed in an image, beside a session that runs it.

It is a pod of its own, not a container of the session's: a session waits for its init
containers, fails with them, and a shell is not in every image. It has no volume, no
Secret and no service account, runs where the image is already, belongs to the
session's pod and ends with it. Nobody but the cluster says what stands in its log.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from kubernetes_asyncio.client import (
    V1Affinity,
    V1Container,
    V1NodeAffinity,
    V1NodeSelector,
    V1NodeSelectorRequirement,
    V1NodeSelectorTerm,
    V1ObjectMeta,
    V1OwnerReference,
    V1Pod,
    V1PodSpec,
    V1ResourceRequirements,
)

from ..domain.session import SessionSpec
from . import security
from .environment import literal
from .manifest import pinned
from .objects import Raw, dig, text
from .settings import PREFIX, PodSettings

PROBE = "probe"
LINES = 20_000  # of its log; the longest report has a few thousand
SECONDS = 15  # that it may run, the start of its container included
_REQUESTS = {"cpu": "50m", "memory": "64Mi"}
_LIMITS = {"cpu": "500m", "memory": "256Mi"}


@cache
def scripts() -> tuple[str, str]:
    """The one for a shell, and the one for Python that it takes as its argument and hands over to."""
    folder = files(__package__.partition(".")[0]) / "runtime" / "probe"
    return (folder / "find.sh").read_text(encoding="utf-8"), (folder / "find.py").read_text(encoding="utf-8")


def command() -> list[str]:
    """The same for every image."""
    shell, python = map(literal, scripts())
    return ["/bin/sh", "-c", shell, "sh", python, "/"]


def pod(session: Raw, spec: SessionSpec, settings: PodSettings) -> V1Pod:
    """A pod that looks into the image of *session*, its pod as the API gives it while it runs.

    Raises:
        ValueError: the session is not pinned to a digest.
    """
    if not spec.digest:
        raise ValueError("What is found in an image is kept by its digest.")
    hub = {f"{PREFIX}hub": settings.hub} if settings.hub else {}
    labels = {**hub, f"{PREFIX}probe": spec.digest.rpartition(":")[2][:40]}
    return V1Pod(
        api_version="v1",
        kind="Pod",
        metadata=V1ObjectMeta(
            name=f"renku-probe-{spec.digest.rpartition(':')[2][:20]}", labels=labels, owner_references=[_owner(session)]
        ),
        spec=V1PodSpec(
            containers=[_container(spec, settings)],
            restart_policy="Never",
            active_deadline_seconds=SECONDS,
            termination_grace_period_seconds=0,
            automount_service_account_token=False,
            enable_service_links=False,
            security_context=security.of_pod(spec, settings),
            affinity=_where(text(dig(session, "spec", "nodeName"))),
            tolerations=dig(session, "spec", "tolerations"),
            image_pull_secrets=dig(session, "spec", "imagePullSecrets"),
            runtime_class_name=dig(session, "spec", "runtimeClassName"),
            scheduler_name=dig(session, "spec", "schedulerName"),
        ),
    )


def _container(spec: SessionSpec, settings: PodSettings) -> V1Container:
    return V1Container(
        name=PROBE,
        image=pinned(spec),
        image_pull_policy="IfNotPresent",
        command=command(),
        working_dir="/",
        resources=V1ResourceRequirements(requests=_REQUESTS, limits=_LIMITS),
        security_context=security.of_container(spec, settings),
    )


def _owner(session: Raw) -> V1OwnerReference:
    name, uid = text(dig(session, "metadata", "name")), text(dig(session, "metadata", "uid"))
    return V1OwnerReference(api_version="v1", kind="Pod", name=name, uid=uid)


def _where(node: str) -> V1Affinity:
    """The machine that has the image, by way of the scheduler, which knows whether there is room."""
    field = V1NodeSelectorRequirement(key="metadata.name", operator="In", values=[node])
    term = V1NodeSelectorTerm(match_fields=[field])
    return V1Affinity(
        node_affinity=V1NodeAffinity(
            required_during_scheduling_ignored_during_execution=V1NodeSelector(node_selector_terms=[term])
        )
    )


def ended(found: Raw | None) -> bool:
    """Whether nothing more will come of the pod; None is one that has gone."""
    return found is None or text(dig(found, "status", "phase")) in ("Succeeded", "Failed")
