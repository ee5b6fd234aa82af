"""A look into an image by a pod of the hub's cluster, for an admin who does not wait for a session."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from jupyterhub.app import JupyterHub
from kubernetes_asyncio.config import ConfigException
from traitlets.config import Config

from . import pod_errand
from .domain import probed
from .domain.environment import RunConfiguration
from .domain.image import Image
from .domain.reasons import sentence
from .domain.software import Origin, Software
from .kube import probe
from .kube.calls import Denied
from .kube.helper import Place
from .services import software
from .services.parts import Parts
from .spawner import RenkuSpawner

SECONDS = 900  # for a large image that no machine has yet


class NotLooked(Exception):
    """The argument says why, after the image's name and a colon."""


def spawner(config: Config) -> RenkuSpawner:
    """One that starts no session: it knows the cluster, and what the hub's configuration says of pods.

    It needs a running loop, with which its connections end.

    Raises:
        ValueError: the hub has no cluster, or it cannot be found from here.
    """
    said = {name: value for name, value in config.JupyterHub.items() if name == "spawner_class"}
    kind = JupyterHub(config=Config(JupyterHub=said)).spawner_class  # it may be a name, too
    if not issubclass(kind, RenkuSpawner):
        raise ValueError(f"Sessions of this hub are no pods (c.JupyterHub.spawner_class is {kind.__name__}).")
    return spawner_of(kind, config)


def spawner_of(kind: type[RenkuSpawner], config: Config) -> RenkuSpawner:
    """One of that class, as `spawner`. Raises ValueError: the cluster cannot be found from here."""
    nobody: Any = SimpleNamespace(name="renku-probe", id=0, url="/")
    hub: Any = SimpleNamespace(public_host="", url="", base_url="/", api_url="")
    try:
        return kind(config=config, user=nobody, hub=hub)
    except ConfigException as problem:
        raise ValueError(f"The cluster is not known here: {problem}") from None


async def look(parts: Parts, by: RenkuSpawner, image: Image, digest: str, run: RunConfiguration) -> Software:
    """What is installed in *image*, kept as an admin's finding. Raises NotLooked."""
    pod = probe.alone(f"{image.repository}@{digest}", run, by.pod_settings, _place(by), seconds=SECONDS)
    try:
        report = await pod_errand.printed(by.calls, pod, patience=SECONDS, lines=probe.LINES, limit=probed.LIMIT)
    except Denied as denied:
        raise NotLooked(sentence(denied.refusal.code, **denied.refusal.values)) from None
    found = await asyncio.to_thread(probed.read, report, origin=Origin.PROBE, found_at=parts.now())
    if found is None:
        raise NotLooked(f"no look into it: it has no shell, does not start, or took more than {SECONDS // 60} minutes")
    await software.keep(parts, digest, found)
    return found


def _place(by: RenkuSpawner) -> Place:
    """Where sessions may run, and by which logins their images are pulled."""
    secrets = [{"name": each} if isinstance(each, str) else each for each in by.image_pull_secrets or []]
    return Place(
        selector=by.node_selector, tolerations=by.tolerations, pull_secrets=secrets, scheduler=by.scheduler_name or None
    )
