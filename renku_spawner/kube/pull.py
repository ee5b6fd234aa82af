"""The Secret with which a private image is downloaded: it belongs to the pod, as the other one does."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from kubernetes_asyncio.client import V1KeyToPath, V1ObjectMeta, V1Secret, V1SecretVolumeSource, V1Volume, V1VolumeMount

from ..domain.session import SessionSpec
from .labels import run_labels
from .settings import PodSettings

VOLUME = "renku-ready"
READY = "ready"  # a key of the session's own Secret, for pods that would not wait for it otherwise
_KEY = ".dockerconfigjson"


def name_of(secret: str) -> str:
    """The name of the Secret, by that of the session's own."""
    return f"{secret}-pull"


def config(*, host: str, username: str, password: str) -> str:
    """A login for that registry, as the kubelet reads it
    (https://kubernetes.io/docs/concepts/configuration/secret/#docker-config-secrets)."""
    auth = b64encode(f"{username}:{password}".encode()).decode()
    return json.dumps({"auths": {host: {"username": username, "password": password, "auth": auth}}})


def secret(said: str, spec: SessionSpec, *, run: str, name: str, settings: PodSettings) -> V1Secret:
    """The Secret with the login *said*, without an owner yet; it may be rewritten while the image comes."""
    return V1Secret(
        api_version="v1",
        kind="Secret",
        type="kubernetes.io/dockerconfigjson",
        metadata=V1ObjectMeta(name=name, labels=run_labels(spec, settings, run=run)),
        string_data={_KEY: said},
    )


def patch(said: str) -> dict[str, Any]:
    """What puts another login in its place."""
    return {"data": {_KEY: b64encode(said.encode()).decode()}}


def volume(secret: str) -> V1Volume:
    """An empty file out of the session's own Secret, which is made last: no kubelet downloads an image before a pod's
    volumes are there, and so none does before its login is."""
    items = [V1KeyToPath(key=READY, path=READY)]
    return V1Volume(name=VOLUME, secret=V1SecretVolumeSource(secret_name=secret, items=items, default_mode=0o444))


def mount() -> V1VolumeMount:
    return V1VolumeMount(name=VOLUME, mount_path="/run/renku", read_only=True)
