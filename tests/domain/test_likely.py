"""What well-known images are taken for, and how they would be run."""

import pytest

from renku_spawner.domain.environment import RunConfiguration
from renku_spawner.domain.facts import ImageFacts, as_json, from_json
from renku_spawner.domain.image import parse
from renku_spawner.domain.likely import Likely, gpu_libraries, hub_server, likely, suggested

from .known_images import CONFIGS, DIGEST, known

HUB = ("jupyterhub-singleuser",)

# image: (what it is, port, default URL, command, has the hub's server, has GPU libraries)
EXPECTED = {
    "quay.io/jupyter/scipy-notebook:2026-11-02": (Likely.DOCKER_STACKS, 8888, "/lab", (), True, False),
    "docker.io/alice/analysis:1.0": (Likely.DOCKER_STACKS, 8888, "/lab", (), True, False),
    "docker.io/renku/renkulab-py:3.11-0.25.0": (Likely.RENKU_BASE, 8888, "/lab", HUB, True, False),
    "docker.io/rocker/rstudio:4.4.2": (Likely.RSTUDIO, 8787, "/", (), False, False),
    "docker.io/codercom/code-server:4.96.2": (Likely.VSCODE, 8080, "/", (), False, False),
    "docker.io/library/nginx:1.27": (Likely.WEB_APP, 8888, "/", (), False, False),
    "docker.io/library/python:3.13-slim": (Likely.NONE, 8888, "/lab", (), False, False),
    "docker.io/library/hello-world:latest": (Likely.NONE, 8888, "/lab", (), False, False),
    "ghcr.io/bob/dashboard:2": (Likely.WEB_APP, 8888, "/", (), True, False),
    "nvcr.io/nvidia/pytorch:26.01-py3": (Likely.JUPYTER, 8888, "/lab", HUB, False, True),
}


def test_every_known_image_is_expected_to_be_something() -> None:
    assert set(EXPECTED) == set(CONFIGS)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_known_image_is_taken_for_what_it_is(name: str) -> None:
    facts, image = known(name)
    run = suggested(facts, image)
    found = (likely(facts, image), run.port, run.default_url, run.command)
    assert (*found, hub_server(facts, image), gpu_libraries(facts, image)) == EXPECTED[name]


@pytest.mark.parametrize("name", CONFIGS)
def test_what_is_stored_tells_as_much_as_what_was_read(name: str) -> None:
    facts, image = known(name)
    stored = from_json(as_json(facts))
    assert stored is not None
    assert (likely(stored, image), suggested(stored, image)) == (likely(facts, image), suggested(facts, image))
    assert hub_server(stored, image) == hub_server(facts, image)


@pytest.mark.parametrize("name", CONFIGS)
def test_only_port_url_and_command_are_suggested(name: str) -> None:
    run = suggested(*known(name))
    assert run == RunConfiguration(port=run.port, default_url=run.default_url, command=run.command)
    assert run.working_directory == "/work"


def test_every_kind_has_words() -> None:
    assert all(kind.words.startswith(("a", "an")) for kind in Likely)
    assert [kind for kind in Likely if kind.jupyter] == [Likely.DOCKER_STACKS, Likely.RENKU_BASE, Likely.JUPYTER]


@pytest.mark.parametrize(
    ("name", "command", "kind"),
    [
        ("ghcr.io/a/b", ("jupyter", "lab"), Likely.JUPYTER),
        ("ghcr.io/a/b", ("jupyterhub-singleuser", "--ip=0.0.0.0"), Likely.JUPYTER),
        ("ghcr.io/a/b", ("start-singleuser.sh",), Likely.DOCKER_STACKS),
        ("ghcr.io/a/b", ("shiny", "run", "app.py"), Likely.WEB_APP),
        ("ghcr.io/a/b", ("bash",), Likely.NONE),
        ("ghcr.io/a/jupyter-like", ("python",), Likely.JUPYTER),
        ("jupyter/base-notebook", (), Likely.DOCKER_STACKS),
        ("registry.renkulab.io/a/b/c:1234567", ("jupyter", "server"), Likely.RENKU_BASE),
        ("gitpod/openvscode-server", (), Likely.VSCODE),
        ("renku/renkulab-vscode-python-minimal", ("tini", "codium-server"), Likely.VSCODE),
    ],
)
def test_a_name_or_a_command_is_enough(name: str, command: tuple[str, ...], kind: Likely) -> None:
    assert likely(ImageFacts(digest=DIGEST, command=command), parse(name)) is kind


def test_a_command_that_is_already_the_hubs_server_is_left_alone() -> None:
    facts = ImageFacts(digest=DIGEST, entrypoint=("tini", "--"), command=("jupyterhub-singleuser",))
    assert suggested(facts, parse("ghcr.io/a/b")).command == ()


def test_a_given_command_counts_as_evidence_of_the_hubs_server() -> None:
    facts, image = known("docker.io/library/python:3.13-slim")
    assert hub_server(facts, image, ("jupyter", "standaloneproxy", "--", "app"))


def test_a_description_that_mentions_a_program_is_no_evidence() -> None:
    labels = {"org.opencontainers.image.description": "Works well beside JupyterHub, RStudio and code-server on cuda"}
    facts = ImageFacts(digest=DIGEST, labels=labels)
    assert likely(facts, parse("ghcr.io/a/b")) is Likely.NONE
    assert not gpu_libraries(facts, parse("ghcr.io/a/b"))
