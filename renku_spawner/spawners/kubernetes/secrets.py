"""Build the two Secrets of a session's pod, its own and the login for a private image, and keep that login valid.

Both are owned by the pod, so the cluster deletes them with it.
"""

from __future__ import annotations

import asyncio
import base64
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, TypeVar

from kubernetes_asyncio.client import (
    V1KeyToPath,
    V1ObjectMeta,
    V1OwnerReference,
    V1PersistentVolumeClaim,
    V1Pod,
    V1Secret,
    V1SecretVolumeSource,
    V1Volume,
    V1VolumeMount,
)

from ...context.app_context import AppContext
from ...domain.sessions import LaunchSpec
from ...integrations.gitlab.client import GitLabLoginRequired, GitLabUnavailable
from ...usecases.image_pull_credentials import (
    PULL_TOKEN_MIN_SECONDS,
    PULL_TOKEN_MIN_SECONDS_AT_LAUNCH,
    get_image_pull_login,
)
from ..errors import LaunchFailed
from .api import KubernetesAPI, KubernetesAPIError
from .clone import build_clone_secret_values
from .environment import select_secret_variables
from .objects import KubernetesObject, get_nested
from .settings import PodSettings, build_launch_labels

PULL_READY_VOLUME_NAME = "renku-ready"
PULL_READY_KEY = "ready"  # key of the session's own Secret; mounting it makes the pod wait for that Secret
_DOCKER_CONFIG_KEY = ".dockerconfigjson"


def get_pull_secret_name(secret: str) -> str:
    """Return the name of the pull Secret for the name of the session's own Secret."""
    return f"{secret}-pull"


def format_docker_config(*, host: str, username: str, password: str) -> str:
    """Format a registry login as the kubelet reads it.

    See https://kubernetes.io/docs/concepts/configuration/secret/#docker-config-secrets.
    """
    auth = b64encode(f"{username}:{password}".encode()).decode()
    return json.dumps({"auths": {host: {"username": username, "password": password, "auth": auth}}})


def build_pull_secret(docker_config: str, spec: LaunchSpec, *, run: str, name: str, settings: PodSettings) -> V1Secret:
    """Build the Secret with the docker config, without an owner; it is mutable, because logins are refreshed."""
    return V1Secret(
        api_version="v1",
        kind="Secret",
        type="kubernetes.io/dockerconfigjson",
        metadata=V1ObjectMeta(name=name, labels=build_launch_labels(spec, settings, run=run)),
        string_data={_DOCKER_CONFIG_KEY: docker_config},
    )


def build_pull_secret_patch(docker_config: str) -> dict[str, Any]:
    """Build the patch that replaces the login."""
    return {"data": {_DOCKER_CONFIG_KEY: b64encode(docker_config.encode()).decode()}}


def build_pull_ready_volume(secret: str) -> V1Volume:
    """Build a volume with an empty file from the session's own Secret, which is created last.

    The kubelet pulls an image only after the pod's volumes are mounted, so it never pulls before the login exists.
    """
    items = [V1KeyToPath(key=PULL_READY_KEY, path=PULL_READY_KEY)]
    return V1Volume(
        name=PULL_READY_VOLUME_NAME, secret=V1SecretVolumeSource(secret_name=secret, items=items, default_mode=0o444)
    )


def build_pull_ready_mount() -> V1VolumeMount:
    return V1VolumeMount(name=PULL_READY_VOLUME_NAME, mount_path="/run/renku", read_only=True)


API_TOKEN_KEY = "JUPYTERHUB_API_TOKEN"
Owned = TypeVar("Owned", V1Secret, V1PersistentVolumeClaim)


def build_session_secret(pod: V1Pod, spec: LaunchSpec, *, run: str, name: str, settings: PodSettings) -> V1Secret:
    """Build the Secret that the session's pod refers to, from KubeSpawner's *pod*.

    It has no owner yet: the pod must exist first (see `copy_with_owner_pod`).
    """
    return V1Secret(
        api_version="v1",
        kind="Secret",
        type="Opaque",
        immutable=True,
        metadata=V1ObjectMeta(name=name, labels=build_launch_labels(spec, settings, run=run)),
        string_data={
            **select_secret_variables(pod.spec.containers[0].env or [], spec),
            **build_clone_secret_values(spec),
            **({PULL_READY_KEY: ""} if spec.pull else {}),
        },
    )


def copy_with_owner_pod(thing: Owned, pod: KubernetesObject) -> Owned:
    """Return a copy of *thing* that is owned by the created *pod*, so that it is deleted with it."""
    thing = deepcopy(thing)
    owner = V1OwnerReference(api_version="v1", kind="Pod", name=pod["metadata"]["name"], uid=pod["metadata"]["uid"])
    thing.metadata.owner_references = [owner]
    return thing


def read_api_token(secret: KubernetesObject | None) -> str:
    """Return the server's API token from its Secret; empty if there is none."""
    encoded = get_nested(secret, "data", API_TOKEN_KEY)
    return base64.b64decode(encoded).decode("ascii") if encoded else ""


_PULL_LOGIN_REFRESH_SECONDS = 2.0  # well below the ten seconds after which the kubelet retries a pull


@dataclass(kw_only=True)
class PodPullSecret:
    """The pull Secret of one launch.

    *secret* is the name of the session's own Secret, *given* the docker config that the pod has as far as known.
    """

    context: AppContext
    calls: KubernetesAPI
    spec: LaunchSpec
    secret: str
    given: str | None = None

    async def fetch_login(self) -> None:
        """Get a login that is valid long enough, before the pod is created. Raises LaunchFailed."""
        try:
            self.given = await self._get_docker_config(left=PULL_TOKEN_MIN_SECONDS_AT_LAUNCH)
        except GitLabLoginRequired:
            raise LaunchFailed("image_denied", image=self.spec.image) from None
        except GitLabUnavailable:
            raise LaunchFailed("access_unverified") from None

    async def create_for_pod(self, pod: KubernetesObject, *, run: str, settings: PodSettings) -> None:
        """Create the pull Secret of the created *pod*, if its image needs a login."""
        if self.given is not None:
            name = get_pull_secret_name(self.secret)
            secret = build_pull_secret(self.given, self.spec, run=run, name=name, settings=settings)
            await self.calls.create_secret(copy_with_owner_pod(secret, pod))

    @asynccontextmanager
    async def keep_refreshed(self) -> AsyncIterator[None]:
        """Refresh the login during the block: a new token for the same user invalidates the one that the pod has."""
        refresh_task = asyncio.ensure_future(self._run_refresh_job()) if self.spec.pull else None
        try:
            yield
        finally:
            if refresh_task is not None:
                refresh_task.cancel()
                await asyncio.wait({refresh_task})  # `await keeping` would raise its cancellation as if it were ours
                if not refresh_task.cancelled():
                    refresh_task.result()

    async def _run_refresh_job(self) -> None:
        while True:
            with suppress(
                GitLabLoginRequired, GitLabUnavailable, KubernetesAPIError
            ):  # the failed pull itself will report the problem
                await self._refresh_login()
            await asyncio.sleep(_PULL_LOGIN_REFRESH_SECONDS)

    async def _refresh_login(self) -> None:
        docker_config = await self._get_docker_config(left=PULL_TOKEN_MIN_SECONDS)
        if docker_config is not None and docker_config != self.given:
            await self.calls.patch_secret(get_pull_secret_name(self.secret), build_pull_secret_patch(docker_config))
            self.given = docker_config

    async def _get_docker_config(self, *, left: float) -> str | None:
        login = await get_image_pull_login(self.context, self.spec, left=left)
        return (
            format_docker_config(host=login.host, username=login.username, password=login.password) if login else None
        )
