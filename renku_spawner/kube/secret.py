"""The Secret of one run: it belongs to the pod and goes with it."""

from __future__ import annotations

import base64
from copy import deepcopy
from typing import TypeVar

from kubernetes_asyncio.client import V1ObjectMeta, V1OwnerReference, V1PersistentVolumeClaim, V1Pod, V1Secret

from ..domain.session import SessionSpec
from . import clone, environment, pull
from .labels import run_labels
from .objects import Raw, dig
from .settings import PodSettings

TOKEN = "JUPYTERHUB_API_TOKEN"
Owned = TypeVar("Owned", V1Secret, V1PersistentVolumeClaim)


def session_secret(pod: V1Pod, spec: SessionSpec, *, run: str, name: str, settings: PodSettings) -> V1Secret:
    """Everything that the session's pod only refers to, read from KubeSpawner's *pod*.

    It has no owner yet: that is the pod, which must exist first (`owned`).
    """
    return V1Secret(
        api_version="v1",
        kind="Secret",
        type="Opaque",
        immutable=True,
        metadata=V1ObjectMeta(name=name, labels=run_labels(spec, settings, run=run)),
        string_data={
            **environment.secret_values(pod.spec.containers[0].env or [], spec),
            **clone.secret_values(spec),
            **({pull.READY: ""} if spec.pull else {}),
        },
    )


def owned(thing: Owned, pod: Raw) -> Owned:
    """A copy of *thing* that is deleted together with *pod*, as the API server answered it."""
    thing = deepcopy(thing)
    owner = V1OwnerReference(api_version="v1", kind="Pod", name=pod["metadata"]["name"], uid=pod["metadata"]["uid"])
    thing.metadata.owner_references = [owner]
    return thing


def token(secret: Raw | None) -> str:
    """The server's token in a Secret that the API gave; empty if it has none."""
    kept = dig(secret, "data", TOKEN)
    return base64.b64decode(kept).decode("ascii") if kept else ""
