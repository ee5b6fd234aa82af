"""An admin has a pod look into a ready-made image before anybody starts it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from renku_spawner.domain.software import SoftwareOrigin
from tests.cli.test_cli import Done, run
from tests.cli.test_cli_images import known
from tests.fakes.kube import FakeCluster
from tests.fakes.process_kubelet import ProcessKubelet
from tests.fakes.spawning import use
from tests.fixtures import images
from tests.fixtures.registry import Registry, registry

from .test_rights import asked, refused, rights, with_the_role

__all__ = ["registry"]

CONFIG = """
from renku_spawner import RenkuSpawner, install
c.JupyterHub.spawner_class = RenkuSpawner
c.RenkuSpawner.namespace = "sessions"
c.KubeSpawner.image_pull_secrets = ["pull"]
c.KubeSpawner.tolerations = [{{"key": "user", "operator": "Exists"}}]
c.Renku.environments = [{{"key": "silent", "name": "Silent", "image": "{host}/ahead/silent", "uid": 2000}}]
c.Renku.image_policy = {{"plain_http": ["{host}"]}}
install(c)
"""


@pytest.fixture
async def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry: Registry) -> AsyncIterator[FakeCluster]:
    """One with the rights that a hub has there; the configuration of that hub is in the test's folder."""
    (tmp_path / "jupyterhub_config.py").write_text(CONFIG.format(host=registry.host))
    async with FakeCluster(speed=20) as made:
        use(made, monkeypatch)
        with_the_role(made)
        yield made


def probe(folder: Path) -> Done:
    return run("images", "probe", "--pod", folder=folder)


async def test_a_pod_looks_into_it_and_what_it_finds_is_an_admins_finding(
    cluster: FakeCluster, registry: Registry, tmp_path: Path
) -> None:
    digest = registry.push("ahead/silent")
    ProcessKubelet(cluster, tmp_path / "machine")
    done = await asyncio.to_thread(probe, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("silent: ")
    assert done.stdout.endswith(" packages known from a probe of the image\n")
    found = known(tmp_path, digest)
    assert found
    assert found.origin is SoftwareOrigin.PROBE
    assert "libc6" in {one.name for one in found.packages}
    (made,) = [r.body for r in cluster.requests if (r.verb, r.resource) == ("create", "pods")]
    spec = made["spec"]
    assert spec["containers"][0]["image"] == f"{registry.host}/ahead/silent@{digest}"
    assert (spec["securityContext"]["runAsUser"], spec["imagePullSecrets"]) == (2000, [{"name": "pull"}])
    assert spec["tolerations"][0]["key"] == "user"
    assert cluster.objects("pods", "sessions") == []
    assert refused(cluster) == set()
    assert asked(cluster) <= {(verb, resource) for resource, verbs in rights().items() for verb in verbs}


async def test_a_cluster_that_takes_no_pod_is_told(cluster: FakeCluster, registry: Registry, tmp_path: Path) -> None:
    registry.push("ahead/silent")
    cluster.fault(lambda r: r.verb == "create", times=99, status=403)
    done = await asyncio.to_thread(probe, tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("silent: ")


async def test_an_image_with_its_own_list_needs_no_pod(
    cluster: FakeCluster, registry: Registry, tmp_path: Path
) -> None:
    registry.push("ahead/silent", sbom=images.spdx({"numpy": "2.1.0"}))
    done = await asyncio.to_thread(probe, tmp_path)
    assert done.stdout == "silent: 1 package known from the image's own list\n"
    assert cluster.requests == []
