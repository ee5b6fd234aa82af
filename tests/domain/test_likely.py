"""What well-known images are taken for, and how they would be run."""

import pytest

from renku_spawner.domain.environments import RunConfiguration
from renku_spawner.domain.image_metadata import (
    ImageKind,
    ImageMetadata,
    detect_image_kind,
    detect_run_configuration,
    has_gpu_libraries,
    has_hub_server,
    parse_image_metadata_json,
    to_image_metadata_json,
)
from renku_spawner.domain.images import parse_image_reference

from .known_images import CONFIGS, DIGEST, known

HUB = ("jupyterhub-singleuser",)

# image: (what it is, port, default URL, command, has the hub's server, has GPU libraries)
EXPECTED = {
    "quay.io/jupyter/scipy-notebook:2026-11-02": (ImageKind.DOCKER_STACKS, 8888, "/lab", (), True, False),
    "docker.io/alice/analysis:1.0": (ImageKind.DOCKER_STACKS, 8888, "/lab", (), True, False),
    "docker.io/renku/renkulab-py:3.11-0.25.0": (ImageKind.RENKU_BASE, 8888, "/lab", HUB, True, False),
    "docker.io/rocker/rstudio:4.4.2": (ImageKind.RSTUDIO, 8787, "/", (), False, False),
    "docker.io/codercom/code-server:4.96.2": (ImageKind.VSCODE, 8080, "/", (), False, False),
    "docker.io/library/nginx:1.27": (ImageKind.WEB_APP, 8888, "/", (), False, False),
    "docker.io/library/python:3.13-slim": (ImageKind.NONE, 8888, "/lab", (), False, False),
    "docker.io/library/hello-world:latest": (ImageKind.NONE, 8888, "/lab", (), False, False),
    "ghcr.io/bob/dashboard:2": (ImageKind.WEB_APP, 8888, "/", (), True, False),
    "nvcr.io/nvidia/pytorch:26.01-py3": (ImageKind.JUPYTER, 8888, "/lab", HUB, False, True),
}


def test_every_known_image_is_expected_to_be_something() -> None:
    assert set(EXPECTED) == set(CONFIGS)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_known_image_is_taken_for_what_it_is(name: str) -> None:
    facts, image = known(name)
    run = detect_run_configuration(facts, image)
    found = (detect_image_kind(facts, image), run.port, run.default_url, run.command)
    assert (*found, has_hub_server(facts, image), has_gpu_libraries(facts, image)) == EXPECTED[name]


@pytest.mark.parametrize("name", CONFIGS)
def test_what_is_stored_tells_as_much_as_what_was_read(name: str) -> None:
    facts, image = known(name)
    stored = parse_image_metadata_json(to_image_metadata_json(facts))
    assert stored is not None
    assert (detect_image_kind(stored, image), detect_run_configuration(stored, image)) == (
        detect_image_kind(facts, image),
        detect_run_configuration(facts, image),
    )
    assert has_hub_server(stored, image) == has_hub_server(facts, image)


@pytest.mark.parametrize("name", CONFIGS)
def test_only_port_url_and_command_are_suggested(name: str) -> None:
    run = detect_run_configuration(*known(name))
    assert run == RunConfiguration(port=run.port, default_url=run.default_url, command=run.command)
    assert run.working_directory == "/work"


def test_every_kind_has_words() -> None:
    assert all(kind.description.startswith(("a", "an")) for kind in ImageKind)
    assert [kind for kind in ImageKind if kind.is_jupyter] == [
        ImageKind.DOCKER_STACKS,
        ImageKind.RENKU_BASE,
        ImageKind.JUPYTER,
    ]


@pytest.mark.parametrize(
    ("name", "command", "kind"),
    [
        ("ghcr.io/a/b", ("jupyter", "lab"), ImageKind.JUPYTER),
        ("ghcr.io/a/b", ("jupyterhub-singleuser", "--ip=0.0.0.0"), ImageKind.JUPYTER),
        ("ghcr.io/a/b", ("start-singleuser.sh",), ImageKind.DOCKER_STACKS),
        ("ghcr.io/a/b", ("shiny", "run", "app.py"), ImageKind.WEB_APP),
        ("ghcr.io/a/b", ("bash",), ImageKind.NONE),
        ("ghcr.io/a/jupyter-like", ("python",), ImageKind.JUPYTER),
        ("jupyter/base-notebook", (), ImageKind.DOCKER_STACKS),
        ("registry.renkulab.io/a/b/c:1234567", ("jupyter", "server"), ImageKind.RENKU_BASE),
        ("gitpod/openvscode-server", (), ImageKind.VSCODE),
        ("renku/renkulab-vscode-python-minimal", ("tini", "codium-server"), ImageKind.VSCODE),
    ],
)
def test_a_name_or_a_command_is_enough(name: str, command: tuple[str, ...], kind: ImageKind) -> None:
    assert detect_image_kind(ImageMetadata(digest=DIGEST, command=command), parse_image_reference(name)) is kind


def test_a_command_that_is_already_the_hubs_server_is_left_alone() -> None:
    facts = ImageMetadata(digest=DIGEST, entrypoint=("tini", "--"), command=("jupyterhub-singleuser",))
    assert detect_run_configuration(facts, parse_image_reference("ghcr.io/a/b")).command == ()


def test_a_given_command_counts_as_evidence_of_the_hubs_server() -> None:
    facts, image = known("docker.io/library/python:3.13-slim")
    assert has_hub_server(facts, image, ("jupyter", "standaloneproxy", "--", "app"))


def test_a_description_that_mentions_a_program_is_no_evidence() -> None:
    labels = {"org.opencontainers.image.description": "Works well beside JupyterHub, RStudio and code-server on cuda"}
    facts = ImageMetadata(digest=DIGEST, labels=labels)
    assert detect_image_kind(facts, parse_image_reference("ghcr.io/a/b")) is ImageKind.NONE
    assert not has_gpu_libraries(facts, parse_image_reference("ghcr.io/a/b"))
