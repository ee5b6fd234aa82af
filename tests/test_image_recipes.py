"""What `make images` tells docker, which no test has; and what is in the lock files of the images."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOCKS = [
    "helm/image/build.lock",
    "helm/image/requirements.lock",
    "helm/environments/jupyter-python/requirements.lock",
]
PINNED = re.compile(r"^([a-z0-9.-]+)==(\S+)", re.MULTILINE)


def pins(lock: str) -> set[tuple[str, str]]:
    return set(PINNED.findall((ROOT / lock).read_text()))


def names(lock: str) -> set[str]:
    return {name for name, _ in pins(lock)}


@pytest.mark.parametrize("lock", LOCKS)
def test_an_image_has_the_versions_that_the_tests_ran_with(lock: str) -> None:
    shared = names(lock) & names("requirements.lock")
    other = {pin for pin in pins(lock) if pin[0] in shared} - pins("requirements.lock")
    assert len(shared) >= 4
    assert not other, "please run: make lock UPGRADE="


def test_the_hubs_image_has_all_that_the_package_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {re.split(r"[^A-Za-z0-9-]", each)[0].lower() for each in project["dependencies"]}
    assert wanted <= names("helm/image/requirements.lock"), "please run: make lock UPGRADE="


def told(folder: Path, **variables: str) -> list[str]:
    """The command lines of a docker that does nothing."""
    docker = folder / "docker"
    docker.write_text(f'#!/bin/sh\necho "$@" >> {folder}/told\n')
    docker.chmod(0o755)
    words = [f"{name}={value}" for name, value in {"BUILDER": str(docker), **variables}.items()]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    subprocess.run(["make", "-s", "-C", str(ROOT), "images", *words], check=True, env=clean, stdout=subprocess.DEVNULL)
    return (folder / "told").read_text().splitlines()


def test_docker_pushes_them_with_a_list_of_what_is_in_them(tmp_path: Path) -> None:
    hub, environment = told(tmp_path, REGISTRY="registry.example.org/renku", PUSH="1", PIP_CONF="/a/pip.conf")
    for line in (hub, environment):
        assert line.startswith(
            "buildx build --sbom=true --push --platform linux/amd64 --tag registry.example.org/renku/"
        )
        assert "--secret id=pip,src=/a/pip.conf" in line
    assert re.search(r"/renku-hub:\d+\.\d+\.\d+ .* \.$", hub)
    assert re.search(r"/jupyter-python:\d{4}-\d\d-\d\d .* helm/environments/jupyter-python$", environment)


def test_another_tag_and_base_are_those_of_both(tmp_path: Path) -> None:
    base = "docker.io/library/python:3.13-slim@sha256:" + 64 * "a"
    for line in told(tmp_path, REGISTRY="localhost:5000", TAG="2026-12-24", BASE=base):
        assert ":2026-12-24 " in line
        assert f"--build-arg BASE={base}" in line
        assert "--load" in line
