"""The API server goes and comes back; nobody's session is lost by that."""

import asyncio

import pytest
from traitlets.config import Config

from renku_spawner import install
from renku_spawner.domain.instances import InstanceStatus
from renku_spawner.spawners.kubernetes import watch as kube_watch
from renku_spawner.usecases.environments import apply_configured_environments
from tests.cluster.watching import fill, watching
from tests.fixtures.fair import Stopwatch
from tests.fixtures.renku import until
from tests.monitoring.scraping import scraped

ANSWER = 3  # fair seconds within which every action is answered, also without a cluster
MANY = {"Renku": {"one_active_per_environment": False}}


async def asked(it, method, path, within=ANSWER):
    """The answer to alice, which comes in time."""
    took = Stopwatch()
    answer = await it.hub.client("alice").request(method, path)
    assert took() < within, f"{method} {path}"
    return answer


async def start(it, session):
    return await asked(it, "POST", f"api/renku/projects/{session.project}/sessions/{session.id}/start")


async def pause(it, session):
    return await asked(it, "POST", f"api/renku/sessions/{session.id}/pause")


async def test_while_the_cluster_is_away_a_session_is_unknown_and_then_runs_as_before(on_cluster):
    """Pages and actions go on, nothing is stopped, and all is right ten seconds after it."""
    it = await on_cluster()
    session = await it.hub.session(await it.hub.project())
    await start(it, session)
    before = await it.hub.becomes(session, InstanceStatus.RUNNING)
    pod = it.pods()[0]["metadata"]["uid"]
    async with it.cluster.outage():
        await it.hub.becomes(session, InstanceStatus.UNKNOWN)
        assert (await asked(it, "GET", "api/renku/health")).json()["status"] == "degraded"
        series = await scraped(it.hub)
        assert (series["renku_neighbour_away", "kubernetes"], series["renku_instances", "running"]) == (1, 0)
        assert series["renku_watch_reconnects_total", "failed"] > 0
        for page in (
            "projects",
            "sessions",
            f"projects/{session.project}",
            f"projects/{session.project}/sessions/{session.id}",
        ):
            assert (await asked(it, "GET", f"renku/{page}")).status_code in (200, 302), page
        for path in ("sessions", f"sessions/{session.id}/logs"):
            assert (await asked(it, "GET", f"api/renku/{path}")).status_code == 200, path
        assert (await start(it, session)).status_code in (200, 202), "it has not stopped"
        assert it.hub.user("alice").spawners[session.id].ready
    after = await it.hub.becomes(session, InstanceStatus.RUNNING, seconds=10)
    assert (after.run, it.pods()[0]["metadata"]["uid"]) == (before.run, pod)


async def test_after_a_restart_a_session_is_not_called_unknown_while_the_pods_are_still_listed(on_cluster, monkeypatch):
    """Nothing is written for thousands that run and are soon seen; what nobody sees is said."""
    monkeypatch.setattr(kube_watch, "_SYNC_CHECK_INTERVAL_SECONDS", 0.1)
    monkeypatch.setattr(kube_watch, "LIST_PAGE_SIZE", 1)
    it = await on_cluster()
    session = await it.hub.session(await it.hub.project())
    await start(it, session)
    before = await it.hub.becomes(session, InstanceStatus.RUNNING)
    wait = it.hub.user("alice").spawners[session.id]._wait_until_synced
    with monkeypatch.context() as nobody_runs_them:
        nobody_runs_them.setattr(it.cluster, "kubelet", None)
        fill(it.cluster)
    it.cluster.fault(lambda request: (request.verb, request.resource) == ("list", "pods"), times=None, delay=0.3)
    async with watching(it.cluster) as watch:
        await wait(watch, before)
        assert watch.is_synced
    assert await it.hub.instance(session) == before
    it.cluster.faults.clear()
    it.cluster.fault(lambda request: (request.verb, request.resource) == ("list", "pods"), times=None, hang=True)
    async with watching(it.cluster) as watch:
        waiting = asyncio.ensure_future(wait(watch, before))
        await it.hub.becomes(session, InstanceStatus.UNKNOWN)
        waiting.cancel()


async def test_without_a_cluster_every_action_is_answered_and_seen_through_when_it_is_back(on_cluster):
    """What was asked of it in an outage has happened ten seconds after it, to the right claims."""
    it = await on_cluster(**MANY)
    project = await it.hub.project()
    running, doomed, paused, idle = [await it.hub.session(project, title) for title in ("A", "B", "C", "D")]
    for session in (running, doomed, paused, idle):
        await start(it, session)
    for session in (running, doomed, paused, idle):
        await it.hub.becomes(session, InstanceStatus.RUNNING)
    for session in (paused, idle):
        await pause(it, session)
        await it.hub.becomes(session, InstanceStatus.PAUSED)
    async with it.cluster.outage():
        await it.hub.becomes(running, InstanceStatus.UNKNOWN)
        assert (await pause(it, running)).status_code in (200, 202)
        for session in (doomed, paused):
            answer = await asked(it, "DELETE", f"api/renku/sessions/{session.id}/instance")
            assert (answer.status_code, answer.json()["code"]) == (503, "cluster_unavailable")
        assert (await start(it, idle)).status_code == 202
        await it.hub.becomes(idle, InstanceStatus.LAUNCHING)
        assert await it.hub.status(running) is InstanceStatus.STOPPING
    await it.hub.becomes(running, InstanceStatus.PAUSED, seconds=10)
    await it.hub.becomes(paused, InstanceStatus.INACTIVE, seconds=10)
    await it.hub.becomes(idle, InstanceStatus.RUNNING, seconds=15)
    await it.hub.becomes(doomed, InstanceStatus.INACTIVE, seconds=10)
    await until(
        lambda: {claim["metadata"]["labels"]["renku.io/session"] for claim in it.claims()} == {running.id, idle.id},
        why="the cluster removes a claim a moment after its deletion",
    )
    assert len(it.pods()) == 1


async def test_routes_that_the_proxy_has_lost_come_back(on_cluster):
    """By the hub's own look at activity, for which our configuration leaves less than a minute."""
    c = Config()
    install(c)
    assert c.JupyterHub.last_activity_interval < 60
    it = await on_cluster()
    session = await it.hub.session(await it.hub.project())
    await start(it, session)
    await it.hub.becomes(session, InstanceStatus.RUNNING)
    spawner, proxy = it.hub.user("alice").spawners[session.id], it.hub.app.proxy

    async def routed():
        return spawner.proxy_spec in await proxy.get_all_routes()

    await until(routed)
    await proxy.delete_route(spawner.proxy_spec)
    assert await it.hub.status(session) is InstanceStatus.RUNNING
    assert not await routed()
    await it.hub.app.update_last_activity()
    assert await routed()


async def test_a_session_goes_on_with_what_it_began_when_its_environment_is_retired(on_cluster):
    """And its owner can pause it, resume it for a while, and delete its data, but nothing new starts."""
    it = await on_cluster()
    session = await it.hub.session(await it.hub.project())
    await start(it, session)
    before = await it.hub.becomes(session, InstanceStatus.RUNNING)
    await apply_configured_environments(it.hub.parts, [])
    pod = it.pods()[0]["metadata"]
    page = await asked(it, "GET", f"api/renku/projects/{session.project}/sessions/{session.id}")
    assert page.json()["instance"]["status"] == "running"
    assert (await it.hub.instance(session)).revision == before.revision == pod["labels"]["renku.io/revision"]
    await pause(it, session)
    await it.hub.becomes(session, InstanceStatus.PAUSED)
    assert (await start(it, session)).status_code < 300
    await it.hub.becomes(session, InstanceStatus.RUNNING)
    await pause(it, session)
    await it.hub.becomes(session, InstanceStatus.PAUSED)
    assert (await asked(it, "DELETE", f"api/renku/sessions/{session.id}/instance")).status_code < 300
    assert it.claims() == []
    refused = await start(it, session)
    assert (refused.status_code, refused.json()["code"]) == (409, "env_archived")


async def test_a_pod_that_vanished_during_an_outage_is_told_after_it(on_cluster):
    it = await on_cluster()
    session = await it.hub.session(await it.hub.project())
    await start(it, session)
    await it.hub.becomes(session, InstanceStatus.RUNNING)
    async with it.cluster.outage():
        await it.hub.becomes(session, InstanceStatus.UNKNOWN)
        it.cluster.api.delete_pod(it.pods()[0], 0)
    failed = await it.hub.becomes(session, InstanceStatus.FAILED, seconds=10)
    assert failed.reason == "pod_removed"
    assert len(it.claims()) == 1


@pytest.mark.parametrize("trouble", [{"status": 429}, {"status": 503}, {"reset": True}], ids=["429", "503", "lost"])
async def test_a_start_goes_on_when_making_the_pod_meets_trouble_once(on_cluster, trouble):
    it = await on_cluster()
    session = await it.hub.session(await it.hub.project())
    it.cluster.fault(lambda request: request.verb == "create" and request.resource == "pods", times=1, **trouble)
    await start(it, session)
    await it.hub.becomes(session, InstanceStatus.RUNNING)
    assert len(it.pods()) == 1
    made = [r.status for r in it.cluster.requests if r.verb == "create" and r.resource == "pods"]
    assert len(made) == 2, "the trouble was met, and the pod made or found after it"


async def test_the_watch_lists_again_after_410_and_misses_nothing(on_cluster):
    it = await on_cluster()
    session = await it.hub.session(await it.hub.project())
    await start(it, session)
    await it.hub.becomes(session, InstanceStatus.RUNNING)
    it.cluster.expire_watches()
    it.cluster.api.delete_pod(it.pods()[0], 0)
    await it.hub.becomes(session, InstanceStatus.FAILED, seconds=10)


async def test_a_pause_of_what_the_hub_has_forgotten_is_answered_without_a_cluster_and_seen_through(on_cluster):
    """A hub that was killed while it stopped a session knows nothing of it, and may find no cluster."""
    it = await on_cluster()
    session = await it.hub.session(await it.hub.project())
    await start(it, session)
    await it.hub.becomes(session, InstanceStatus.RUNNING)
    user = it.hub.user("alice")
    async with it.cluster.outage():
        user.spawners.pop(session.id).orm_spawner.server = None
        user.db.commit()
        for _ in range(2):
            assert (await pause(it, session)).status_code in (200, 202)
        assert await it.hub.status(session) is InstanceStatus.STOPPING
    await it.hub.becomes(session, InstanceStatus.PAUSED, seconds=15)
    assert it.pods() == []
