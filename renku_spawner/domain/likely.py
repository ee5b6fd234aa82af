"""What an image probably is, from its configuration, and how it would then be run."""

from __future__ import annotations

import re
from enum import StrEnum

from .environment import RunConfiguration
from .facts import ImageFacts, marks
from .image import Image

LOWEST_PORT = 1024  # what is below needs root
_STACKS = re.compile(r"(quay\.io|docker\.io)/jupyter/[a-z0-9-]+-notebook\b")
_STACKS_COMMAND = re.compile(r"\bstart-(notebook|singleuser)(\.sh|\.py)?\b")
_RENKU = re.compile(r"\brenku/(renkulab|singleuser)|registry\.renkulab\.io/|renku-frontend-buildpacks|/\.renku/")
_WRAPPED = re.compile(r"\b(jupyter-standaloneproxy|standaloneproxy|jhsingle-native-proxy)\b")
_HUB = re.compile(r"\bjupyterhub\b")
_JUPYTER = re.compile(r"\bjupyter(lab|hub)?\b")
_RSTUDIO = re.compile(r"\brstudio\b|\brserver\b|\brstudio_version\b")
_VSCODE = re.compile(r"\bcode-server\b|\bopenvscode|\bvscod(e|ium)\b|\bcodium-server\b")
_WEB = re.compile(
    r"\b(streamlit|gunicorn|uvicorn|flask|dash|gradio|panel|voila|bokeh|shiny|rstudio-connect|nginx|httpd|caddy|"
    r"http\.server|httpuv|plumber|marimo|pluto)\b"
)
_GPU = re.compile(r"\bcuda|\bnvidia|\brocm|\bcudnn|\bhip_|\bamdgpu")


class Likely(StrEnum):
    """`none` shows no sign of a web app; `words` says each to a person."""

    DOCKER_STACKS = "docker_stacks"
    RENKU_BASE = "renku_base"
    JUPYTER = "jupyter"
    RSTUDIO = "rstudio"
    VSCODE = "vscode"
    WEB_APP = "web_app"
    NONE = "none"

    @property
    def words(self) -> str:
        return _WORDS[self]

    @property
    def jupyter(self) -> bool:
        """Whether JupyterHub's server runs it without a wrapper."""
        return self in (Likely.DOCKER_STACKS, Likely.RENKU_BASE, Likely.JUPYTER)


_WORDS = {
    Likely.DOCKER_STACKS: "an image of the Jupyter Docker Stacks, or made from one",
    Likely.RENKU_BASE: "a Renku image, or made from one",
    Likely.JUPYTER: "an image with Jupyter",
    Likely.RSTUDIO: "an image with RStudio",
    Likely.VSCODE: "an image with VS Code",
    Likely.WEB_APP: "a web app of another kind",
    Likely.NONE: "an image without a web app",
}


def likely(facts: ImageFacts, image: Image) -> Likely:
    """The first kind that the image's name, base, command, variables or labels speak for."""
    base, runs, told = _base(facts, image), _runs(facts), _told(facts, image)
    for kind, found in (
        (Likely.RENKU_BASE, _RENKU.search(told) and (_JUPYTER.search(told) or _VSCODE.search(told) is None)),
        (Likely.DOCKER_STACKS, _STACKS.search(base) or _STACKS_COMMAND.search(runs)),
        (Likely.JUPYTER, _JUPYTER.search(runs) and not _WRAPPED.search(runs)),
        (Likely.RSTUDIO, _RSTUDIO.search(told)),
        (Likely.VSCODE, _VSCODE.search(told)),
        (Likely.JUPYTER, _JUPYTER.search(told) and not _WRAPPED.search(runs)),
        (Likely.WEB_APP, facts.ports or _WEB.search(runs) or _WRAPPED.search(runs)),
    ):
        if found:
            return kind
    return Likely.NONE


def suggested(facts: ImageFacts, image: Image) -> RunConfiguration:
    """Port, default URL and command as found; the working directory stays `/work` (decision 3).

    The command stays empty where the image's own one works: the start script of the
    Docker Stacks becomes the hub's server by itself, and a wrapped app is started by its
    wrapper, which takes its port from the hub.
    """
    kind, wrapped = likely(facts, image), bool(_WRAPPED.search(_runs(facts)))
    usual = RunConfiguration()
    if kind.jupyter:
        runs_hub = kind is Likely.DOCKER_STACKS or "jupyterhub-singleuser" in _runs(facts)
        return RunConfiguration(port=usual.port, command=() if runs_hub else ("jupyterhub-singleuser",))
    port = usual.port if wrapped else next((port for port in facts.ports if port >= LOWEST_PORT), usual.port)
    return RunConfiguration(port=port, default_url="/" if kind is not Likely.NONE else usual.default_url)


def hub_server(facts: ImageFacts, image: Image, command: tuple[str, ...] = ()) -> bool:
    """Whether anything speaks for JupyterHub's server, or a wrapper that does its work, being in the image."""
    runs = f"{_runs(facts)} {' '.join(command).lower()}"
    known = _STACKS.search(_base(facts, image)) or _STACKS_COMMAND.search(runs) or _WRAPPED.search(runs)
    return bool(known or _HUB.search(_told(facts, image)) or "jupyter-server-proxy" in marks(facts))


def gpu_libraries(facts: ImageFacts, image: Image) -> bool:
    """Whether the variables, labels, name or history name libraries for GPUs."""
    return bool(_GPU.search(_told(facts, image)))


def _base(facts: ImageFacts, image: Image) -> str:
    return f"{image.repository} {facts.label('base.name')}".lower()


def _runs(facts: ImageFacts) -> str:
    return " ".join((*facts.entrypoint, *facts.command)).lower()


def _told(facts: ImageFacts, image: Image) -> str:
    """All in which a kind may show itself, without documentation that may speak of anything."""
    labels = [value for key, value in facts.labels.items() if not key.endswith((".description", ".documentation"))]
    said = [*facts.environment, *facts.environment.values(), *facts.labels, *labels, *marks(facts)]
    return f"{image.canonical} {_base(facts, image)} {_runs(facts)} {' '.join(said)}".lower()
