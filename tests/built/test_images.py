"""The hub's image and our own environment, built as an admin builds them, run as a cluster runs them."""

import asyncio
import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest

from renku_spawner.config.images import JUPYTER_PYTHON_IMAGE_TAG
from tests.cluster.own import kubeconfig
from tests.fakes.kube import FakeCluster
from tests.fakes.process_kubelet import ProcessKubelet
from tests.faults.own_hub import until
from tests.fixtures.built_images import Root, said, storage
from tests.fixtures.proxy import SharedProxy
from tests.fixtures.registry import Registry, registry
from tests.fixtures.rooted import entering

from .hub import HubInImage
from .inside import run_cell, wheel

__all__ = ["registry"]

COMPILERS = ("cc", "gcc", "g++", "c++", "clang", "make", "ld", "as", "rustc", "cargo")
NEEDED = "jupyterhub_idle_culler, kubernetes_asyncio, oauthenticator, psycopg, pycurl, renku_spawner, yaml"
CELL = """
import os, pathlib, subprocess, sys
import matplotlib.pyplot, numpy, pandas, scipy.linalg, sklearn.linear_model
pathlib.Path("note.txt").write_text("kept")
print(os.getuid(), os.getgid(), os.getcwd())
wheel = "mine-1.0-py3-none-any.whl"
subprocess.run([sys.executable, "-m", "pip", "install", "--user", "--no-index", "-q", wheel], check=True)
print(subprocess.check_output([sys.executable, "-c", "import mine; print(mine.__file__)"], text=True))
print(subprocess.check_output("git init -q here && git lfs version", shell=True, text=True))
"""


@dataclass
class Built:
    """Both images, mounted, and where they have been pushed to."""

    place: str
    names: list[str]
    hub: Root
    environment: Root
    canary: str


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Iterator[Built]:
    place = f"{registry.host}/renku"
    with storage(tmp_path_factory.mktemp("images")) as store:
        store.base()
        names = store.make(place)
        hub, environment = (store.root(name) for name in names)
        yield Built(place, names, hub, environment, store.canary)


def run(root: Root, *command: str) -> str:
    """What a command prints in an image that cannot be written to, as user 1000."""
    entered = entering(root.folder, command, uid=1000, gid=1000, mounts={}, read_only=True)
    return said(entered, env=root.variables)


def test_they_are_named_after_release_and_day_and_say_what_they_are(built: Built) -> None:
    assert built.names == [
        f"{built.place}/renku-hub:0.1.0",
        f"{built.place}/jupyter-python:{JUPYTER_PYTHON_IMAGE_TAG}",
    ]
    for root, user, port in ((built.hub, "1000:1000", "8081/tcp"), (built.environment, "1000:100", "8888/tcp")):
        labels = {
            name.removeprefix("org.opencontainers.image."): value for name, value in root.config["Labels"].items()
        }
        assert (root.config["User"], list(root.config["ExposedPorts"])) == (user, [port])
        assert (
            labels["title"] and labels["description"] and labels["created"] and labels["base.name"] == "localhost/base"
        )


def test_the_hubs_has_what_z2jh_asks_for_and_no_compiler(built: Built) -> None:
    assert run(built.hub, "python3", "-c", f"import {NEEDED}") == ""
    assert "No broken requirements" in run(built.hub, "pip", "check")
    assert run(built.hub, "sh", "-c", "git --version && git lfs version").count("git") >= 2
    found = run(built.hub, "sh", "-c", f"for each in {' '.join(COMPILERS)}; do command -v $each || true; done")
    assert found == ""


def test_our_environment_has_our_extension_in_its_server_and_in_jupyterlab(built: Built) -> None:
    listed = "jupyter server extension list 2>&1 && jupyter labextension list 2>&1"
    found = re.sub(r"\x1b\[\d+m", "", run(built.environment, "sh", "-c", listed))
    assert re.search(r"renku_session \d\S+ *OK", found), found
    assert re.search(r"renku-session v\d\S+ *enabled *OK", found), found


def test_nothing_of_the_machine_that_built_them_is_in_them(built: Built) -> None:
    for root in (built.hub, built.environment):
        searched = ["grep", "--recursive", "--files-with-matches", "--fixed-strings", "--no-messages"]
        done = subprocess.run([*searched, built.canary, str(root.folder)], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert built.canary not in json.dumps(root.config)
        assert not (root.folder / "etc/pip.conf").exists()


async def test_the_hub_in_its_image_runs_a_session_of_our_own_environment(
    built: Built, shared_proxy: SharedProxy, tmp_path: Path
) -> None:
    settings = {
        "Renku": {"image_registry": built.place, "image_policy": {"plain_http": [built.place.partition("/")[0]]}},
        "RenkuSpawner": {"namespace": "sessions", "poll_interval": 1},
    }
    async with FakeCluster(speed=20) as cluster:
        kubelet = ProcessKubelet(cluster, tmp_path / "machine")
        kubelet.roots = {built.names[1].rpartition(":")[0]: built.environment}
        hub = HubInImage(tmp_path, built.hub, shared_proxy, kubeconfig(cluster), settings)
        try:
            await asyncio.to_thread(hub.start)
            await asyncio.to_thread(looked_at, hub, built.names[1])
            project, session = await asyncio.to_thread(started, hub)
            (pod,) = [pod for pod in cluster.objects("pods", "sessions") if session in str(pod["metadata"]["labels"])]
            await worked_in(f"{hub.base}user/alice/{session}/", hub.alice(), kubelet.claim_of(pod))
            await asyncio.to_thread(listed, hub, project, session)
            await asyncio.to_thread(paused, hub, session)
        finally:
            await asyncio.to_thread(hub.end)


def looked_at(hub: HubInImage, image: str) -> None:
    """What the registry says of it is what a session needs, and there is nothing to warn of."""
    said = hub.ask("POST", "renku/images/check", {"image": image}).json()
    assert (said["verdict"], said["usable"]) == ("ok", True), said
    assert (said["suggested"]["port"], said["suggested"]["working_directory"]) == (8888, "/work")
    assert (said["facts"]["user"], said["facts"]["command"]) == ("1000:100", ["jupyterhub-singleuser"])
    assert {hint["severity"] for hint in said["hints"]} <= {"hint"}


def started(hub: HubInImage) -> tuple[str, str]:
    """The ids of a project and of a session that runs."""
    project = hub.project()
    session = hub.session(project, "Explore")
    hub.act(project, session, "start")
    hub.become({"Explore": "running"}, seconds=120)
    return project, session


async def worked_in(server: str, token: str, work: Path) -> None:
    (work / "mine-1.0-py3-none-any.whl").write_bytes(wheel())
    printed = await run_cell(server, token, CELL)
    assert printed.splitlines()[0] == "1000 100 /work", printed
    assert "/work/.local/lib/python3" in printed
    assert "git-lfs/" in printed
    assert (work / "note.txt").read_text() == "kept"


def listed(hub: HubInImage, project: str, session: str) -> None:
    """What the hub finds in it by itself, since buildah lists nothing: also a JupyterHub that is the tests' own."""

    def found(name: str) -> set[tuple[str, str]]:
        answer = hub.ask("GET", f"renku/projects/{project}/sessions/{session}/packages?search={name}")
        packages = answer.json()["packages"] if answer.status_code == 200 else []
        return {(package["name"], package["version"]) for package in packages}

    until(lambda: found("scikit-learn"), why="its packages are known")
    assert ("jupyterhub", version("jupyterhub")) in found("jupyterhub")


def paused(hub: HubInImage, session: str) -> None:
    hub.ask("POST", f"renku/sessions/{session}/pause").raise_for_status()
    hub.become({"Explore": "paused"})
