"""The pod that lists what is installed in an image, beside a session that runs it.

It is a pod of its own, not a container of the session's: a session waits for its init
containers, fails with them, and a shell is not in every image. It has no volume, runs
where the image is already, belongs to the session's pod and ends with it.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from kubernetes_asyncio.client import V1Container, V1ObjectMeta, V1Pod, V1ResourceRequirements

from ..domain.session import SessionSpec
from . import helper, security
from .environment import literal
from .manifest import pinned
from .objects import Raw
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
    name = f"renku-probe-{spec.digest.rpartition(':')[2][:20]}"
    metadata = V1ObjectMeta(name=name, labels=labels, owner_references=[helper.owner("Pod", session)])
    context = security.of_pod(spec.run, settings)
    return helper.pod(metadata, _container(spec, settings), helper.beside(session), context=context, seconds=SECONDS)


def _container(spec: SessionSpec, settings: PodSettings) -> V1Container:
    return V1Container(
        name=PROBE,
        image=pinned(spec),
        image_pull_policy="IfNotPresent",
        command=command(),
        working_dir="/",
        resources=V1ResourceRequirements(requests=_REQUESTS, limits=_LIMITS),
        security_context=security.of_container(spec.run, settings),
    )
