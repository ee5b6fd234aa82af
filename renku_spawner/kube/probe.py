"""The pod that lists what is installed in an image, beside a session that runs it.

It is a pod of its own, not a container of the session's: a session waits for its init
containers, fails with them, and a shell is not in every image. It has no volume, runs
where the image is already, belongs to the session's pod and ends with it. An admin
has it run alone, before there is any session.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from kubernetes_asyncio.client import V1Container, V1ObjectMeta, V1Pod

from ..domain.environment import RunConfiguration
from ..domain.session import SessionSpec
from . import helper, resources, security
from .environment import literal
from .helper import Place
from .manifest import pinned
from .objects import Raw
from .settings import PREFIX, PodSettings

PROBE = "probe"
LINES = 20_000  # of its log; the longest report has a few thousand
SECONDS = 15  # that it may run, the start of its container included


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
    made = alone(pinned(spec), spec.run, settings, helper.beside(session), seconds=SECONDS)
    made.metadata.owner_references = [helper.owner("Pod", session)]
    return made


def alone(image: str, run: RunConfiguration, settings: PodSettings, place: Place, *, seconds: int) -> V1Pod:
    """A pod that looks into an *image*, named by its digest, at *place*, and belongs to nothing."""
    digits = image.rpartition(":")[2]
    hub = {f"{PREFIX}hub": settings.hub} if settings.hub else {}
    metadata = V1ObjectMeta(name=f"renku-probe-{digits[:20]}", labels={**hub, f"{PREFIX}probe": digits[:40]})
    context = security.of_pod(run, settings)
    return helper.pod(metadata, _container(image, run, settings), place, context=context, seconds=seconds)


def _container(image: str, run: RunConfiguration, settings: PodSettings) -> V1Container:
    return V1Container(
        name=PROBE,
        image=image,
        image_pull_policy="IfNotPresent",
        command=command(),
        working_dir="/",
        resources=resources.of_helper("500m", "256Mi"),
        security_context=security.of_container(run, settings),
    )
