"""What `make images` tells docker, which no test has; and what is in the lock files of the images."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.chart import rendered
from tests.chart.rendered import HELMS, run

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


PUSHED = {"docker": "sha256:" + 64 * "a", "buildah": "sha256:" + 64 * "b"}
BUILDERS = {
    "docker": """
for word; do
    if [ "$last" = --metadata-file ]; then printf '{\n  "containerimage.digest": "%s"\n}\n' DIGEST > "$word"; fi
    last=$word
done
""",
    "buildah": """
if [ "$1" = push ]; then printf %s DIGEST > "$3"; fi
""",
}


@pytest.mark.parametrize("name", BUILDERS)
def test_what_is_pushed_is_pinned_in_values_of_the_chart(name: str, tmp_path: Path) -> None:
    builder = tmp_path / name
    builder.write_text("#!/bin/sh\n" + BUILDERS[name].replace("DIGEST", PUSHED[name]))
    builder.chmod(0o755)
    shutil.copytree(ROOT / "helm", tmp_path / "helm", ignore=shutil.ignore_patterns("renku-hub"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    variables = {"PATH": os.environ["PATH"], "BUILDER": str(builder), "REGISTRY": "localhost:5000/renku", "TAG": "7"}
    done = subprocess.run(
        ["sh", "helm/images.sh"],
        cwd=tmp_path,
        env=variables | {"PUSH": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    said = [f"localhost:5000/renku/{image}:7@{PUSHED[name]}" for image in ("renku-hub", "jupyter-python")]
    assert done.stdout.splitlines() == said
    values = yaml.safe_load((tmp_path / "build" / "images.yaml").read_text())
    hub = values["jupyterhub"]["hub"]["image"]
    assert f"{hub['name']}:{hub['tag']}" == said[0]
    assert [each["image"] for each in values["renku"]["environments"]] == said[1:]
    chart = run(HELMS[0], "template", "try", str(rendered.chart()), "-f", str(tmp_path / "build" / "images.yaml"))
    assert chart.ok, chart.err
    assert chart.settings()["RenkuSpawner"]["clone_image"] == said[0], "the hub's own image clones, pinned likewise"
    subprocess.run(["sh", "helm/images.sh"], cwd=tmp_path, env=variables, check=True, stdout=subprocess.DEVNULL)
    assert not (tmp_path / "build" / "images.yaml").exists(), "nothing was pushed"
