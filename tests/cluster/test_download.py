"""On a cluster a pod that can only read a session's files hands them over, to the hub alone and once."""

import json
import secrets
from hashlib import sha256

import httpx
import pytest

from renku_spawner.domain.instances import InstanceStatus
from renku_spawner.spawners.kubernetes import pvc_reader
from tests.fixtures.archives import read_files
from tests.fixtures.renku import until
from tests.spawners.test_download import MB, address, begun

from .test_probe import programs
from .test_rights import asked, become, refused, rights, with_the_role


@pytest.fixture
async def resting(on_cluster):
    """A function that starts a session, puts a file into it, and pauses it; its answers are the cluster and it."""

    async def make(size=0, **changes):
        it = await on_cluster(**changes)
        with_the_role(it.cluster)
        session = await it.hub.session(await it.hub.project())
        await become(it, session, "start", InstanceStatus.RUNNING)
        work = it.kubelet.claim_of(it.pods()[0])
        (work / "note.txt").write_text("mine")
        (work / "large").write_bytes(secrets.token_bytes(size))
        await become(it, session, "pause", InstanceStatus.PAUSED)
        return it, session

    return make


def made(it):
    """What the hub has asked the cluster to make of such pods."""
    return [r.body for r in it.cluster.requests if r.verb == "create" and "renku-download" in str(r.body)[:2000]]


async def test_all_of_it_comes_from_a_pod_that_can_only_read_and_goes_again(resting):
    it, session = await resting()
    for _ in ("once", "and again"):
        answer = await it.hub.client("alice").get(address(session))
        assert answer.status_code == 200, answer.text
        assert read_files(answer.content)["work/note.txt"] == b"mine"
    await until(lambda: (it.downloads(), it.hub.parts.pvc_readers.list_tasks()) == ([], []), why="it has gone")
    first, second = made(it)
    (container,) = first["spec"]["containers"]
    assert [mount["readOnly"] for mount in container["volumeMounts"]] == [True]
    assert [list(volume) for volume in first["spec"]["volumes"]] == [["name", "persistentVolumeClaim"]]
    assert first["spec"]["automountServiceAccountToken"] is False
    given = [json.loads(pod["spec"]["containers"][0]["command"][4]) for pod in (first, second)]
    assert given[0]["secret"] != given[1]["secret"]
    assert len(given[0]["secret"]) == len(sha256().hexdigest())
    assert refused(it.cluster) == set()
    assert asked(it.cluster) <= {(verb, resource) for resource, verbs in rights().items() for verb in verbs}


async def test_a_start_or_a_deletion_that_needs_the_claim_ends_it_and_no_part_looks_whole(resting):
    it, session = await resting(size=40 * MB)
    direct = httpx.AsyncClient(
        base_url=it.hub.app.hub.url, headers=it.hub.client("alice").headers, trust_env=False, timeout=60
    )
    async with direct, direct.stream("GET", address(session)) as answer:
        taking = answer.aiter_raw()
        await anext(taking)
        assert len(it.downloads()) == 1
        await become(it, session, "start", InstanceStatus.RUNNING)
        assert it.downloads() == []
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
            async for _ in taking:
                pass
    answer = await it.hub.client("alice").get(address(session))
    assert answer.json()["code"] == "download_running"
    await become(it, session, "pause", InstanceStatus.PAUSED)
    async with begun(it.hub, session):
        await it.hub.client("alice").delete(f"api/renku/sessions/{session.id}/instance")
        await until(lambda: (it.downloads(), it.claims()) == ([], []), why="nothing holds the claim")


async def test_what_takes_long_is_made_ready_beside_and_what_cannot_be_is_said(resting, tmp_path, monkeypatch):
    monkeypatch.setattr(pvc_reader, "DOWNLOAD_WAIT_SECONDS", 0)
    monkeypatch.setattr(pvc_reader, "DOWNLOAD_PICKUP_TIMEOUT_SECONDS", 0.5)
    it, session = await resting()
    alice = it.hub.client("alice")
    answer = await alice.get(address(session))
    assert (answer.status_code, answer.json()["code"]) == (503, "download_waits")
    assert answer.headers["retry-after"] == "10"
    await until(it.downloads, why="it is made all the same")
    await until(
        lambda: (it.downloads(), it.hub.parts.pvc_readers.list_tasks()) == ([], []), why="nobody has come for it"
    )
    monkeypatch.setattr(pvc_reader, "DOWNLOAD_WAIT_SECONDS", 30)
    programs(it, tmp_path, "echo no python >&2; exit 1")
    monkeypatch.setattr(pvc_reader, "_DOWNLOAD_CONNECT_TIMEOUT_SECONDS", 1)
    answer = await alice.get(address(session))
    assert (answer.status_code, answer.json()["code"]) == (503, "download_failed")
    it.kubelet.programs.clear()
    fault = it.cluster.fault(lambda r: r.verb == "create" and "renku-download" in str(r.body), times=1, status=403)
    assert (await alice.get(address(session))).status_code == 503
    assert fault.seen
    assert (await alice.get(address(session))).status_code == 200
