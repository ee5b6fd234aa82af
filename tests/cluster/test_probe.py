"""What is installed in an image is found out beside a session of it, which never notices."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from renku_spawner.domain.instances import InstanceStatus
from renku_spawner.domain.software import ImageSoftware, PackageKind, SoftwareOrigin
from renku_spawner.spawners.kubernetes import image_probe
from renku_spawner.usecases.software import get_image_software
from tests.fixtures.fair import Stopwatch
from tests.fixtures.renku import until

from .own import CONFIG, own_hub
from .test_rights import asked, refused, rights, with_the_role

DIGEST = "sha256:" + "d" * 64
# What the first python3 of an image may do instead of what it is asked for.
BROKEN = {
    "hangs": "exec sleep 1000",
    "fails": "echo no >&2; exit 3",
    "prints garbage": "head -c 100000 /dev/urandom",
    "prints for ever": "yes renku-probe",
    "lies about its end": "printf 'renku-probe 1\\npython\\tnumpy\\t2\\n'",
    "is killed": "kill -9 $$",
}


ENVIRONMENTS = [
    {"key": "pinned", "name": "Pinned", "image": f"quay.io/renku/pinned:1@{DIGEST}"},
    {"key": "loose", "name": "Loose", "image": "quay.io/renku/loose:1"},
    *(
        {"key": f"broken-{number}", "name": name, "image": f"quay.io/renku/broken@sha256:{number:064}"}
        for number, name in enumerate(BROKEN)
    ),
]


@pytest.fixture
async def pinned(on_cluster):
    """A function that starts a hub with a pinned and a loose environment."""

    async def make(**changes: Any):
        return await on_cluster(Renku={"environments": ENVIRONMENTS}, **changes)

    return make


def programs(it, tmp_path: Path, python: str) -> None:
    """Let images have a python3 of their own."""
    file = tmp_path / "programs" / "python3"
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/sh\n{python}\n")
    file.chmod(0o755)
    it.kubelet.programs[:] = [str(file.parent)]


async def started(it, session) -> float:
    """Start it; how long it took until it ran, in fair seconds."""
    took = Stopwatch()
    answer = await it.hub.client("alice").post(f"api/renku/projects/{session.project}/sessions/{session.id}/start")
    assert answer.status_code in (200, 202), answer.text
    await it.hub.becomes(session, InstanceStatus.RUNNING)
    return took()


async def looked(it, session) -> ImageSoftware | None:
    """What is known when the look has ended."""
    await asyncio.wait_for(asyncio.shield(it.hub.user("alice").spawners[session.id].image_probe_task), 60)
    return await get_image_software(it.hub.parts, session.revision.digest)


async def test_the_image_of_a_running_session_is_looked_into_once(pinned):
    it = await pinned()
    with_the_role(it.cluster)
    project = await it.hub.project()
    session, again = [await it.hub.session(project, title, key="pinned") for title in ("First", "Second")]
    await started(it, session)
    found = await looked(it, session)
    assert found is not None
    assert found.origin is SoftwareOrigin.IMAGE
    assert "jupyterhub" in {one.name for one in found.list_packages(PackageKind.PYTHON)}
    assert found.interpreters["Python"]
    assert (len(it.pods()), it.probes()) == (1, [])
    await it.hub.client("alice").post(f"api/renku/sessions/{session.id}/pause")
    await it.hub.becomes(session, InstanceStatus.PAUSED)
    await started(it, again)
    await looked(it, again)
    made = [request for request in it.cluster.requests if (request.verb, request.resource) == ("create", "pods")]
    assert len(made) == 3  # two sessions and one look
    assert refused(it.cluster) == set()
    assert asked(it.cluster) <= {(verb, resource) for resource, verbs in rights().items() for verb in verbs}


async def test_a_look_may_run_where_its_session_runs(pinned):
    where = [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}]
    it = await pinned(RenkuSpawner={"tolerations": where, "image_pull_secrets": ["pull"]})
    session = await it.hub.session(await it.hub.project(), key="pinned")
    await started(it, session)
    assert await looked(it, session) is not None
    (look,) = [r.body for r in it.cluster.requests if r.verb == "create" and "renku-probe" in str(r.body)]
    assert set(where[0].items()) <= set(look["spec"]["tolerations"][0].items())
    assert look["spec"]["imagePullSecrets"] == [{"name": "pull"}]


async def test_an_image_that_cannot_be_looked_into_runs_as_soon_as_others(pinned, tmp_path, monkeypatch):
    monkeypatch.setattr(image_probe, "PROBE_TIMEOUT_SECONDS", 2)
    it = await pinned()
    project = await it.hub.project()
    usual = await started(it, await it.hub.session(project, "Loose", key="loose"))
    for number, name in enumerate(BROKEN):
        programs(it, tmp_path, BROKEN[name])
        session = await it.hub.session(project, name, key=f"broken-{number}")
        assert await started(it, session) < usual + 2, name
        found = await looked(it, session)
        assert found is None or found.list_packages(PackageKind.DEBIAN), "the shell has looked instead"
        assert (it.probes(), await it.hub.status(session)) == ([], InstanceStatus.RUNNING), name
        instance = await it.hub.instance(session)
        assert instance is not None
        assert instance.notices == ()


async def test_a_cluster_that_takes_no_further_pod_changes_nothing_for_the_session(pinned):
    it = await pinned()
    it.cluster.fault(lambda r: r.verb == "create" and "renku-probe" in str(r.body), times=99, status=403)
    session = await it.hub.session(await it.hub.project(), key="pinned")
    await started(it, session)
    assert await looked(it, session) is None
    assert await it.hub.status(session) is InstanceStatus.RUNNING


async def test_what_was_found_is_kept_also_if_the_pod_that_found_it_cannot_be_deleted(pinned):
    it = await pinned()
    it.cluster.fault(lambda r: r.verb == "delete" and r.name.startswith("renku-probe"), times=99, status=403)
    session = await it.hub.session(await it.hub.project(), key="pinned")
    await started(it, session)
    assert await looked(it, session) is not None
    assert len(it.probes()) == 1


async def test_a_look_ends_with_its_session(pinned, tmp_path):
    it = await pinned()
    programs(it, tmp_path, BROKEN["hangs"])
    session = await it.hub.session(await it.hub.project(), key="pinned")
    await started(it, session)
    await until(it.probes, why="the look is under way")
    look = it.hub.user("alice").spawners[session.id].image_probe_task
    await it.hub.client("alice").post(f"api/renku/sessions/{session.id}/pause")
    await it.hub.becomes(session, InstanceStatus.PAUSED)
    await until(lambda: it.pods() == [], why="no pod is left")
    await asyncio.wait_for(look, 60)
    assert await get_image_software(it.hub.parts, DIGEST) is None


async def test_an_admin_may_have_no_image_looked_into(pinned):
    it = await pinned(RenkuSpawner={"probe_images": False})
    session = await it.hub.session(await it.hub.project(), key="pinned")
    await started(it, session)
    assert it.hub.user("alice").spawners[session.id].image_probe_task is None
    assert len(it.pods()) == 1


async def test_a_hub_that_is_stopped_while_it_looks_goes_without_a_word_of_it(tmp_path, monkeypatch):
    pinned = f'c.Renku.environments = [dict(key="python", name="Python", image="{ENVIRONMENTS[0]["image"]}")]\n'
    async with own_hub(tmp_path, monkeypatch, CONFIG + pinned) as own:
        programs(own, tmp_path, BROKEN["hangs"])
        await own.started()
        await own.become({"Explore": "running"})
        await until(
            lambda: own.cluster.find("pods", f"renku-probe-{20 * 'd'}"), seconds=30, why="the look is under way"
        )
        await own.do(own.hub.interrupt)
        assert "Traceback" not in own.hub.log(), own.hub.log()[-3000:]
