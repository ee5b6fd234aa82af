"""The hub ends at every step of a start and of an end, and comes back, with or without a cluster to ask."""

import asyncio
import os
import signal

import pytest

from tests.cluster.lives import meets
from tests.cluster.own import CONFIG, answering, own_hub
from tests.cluster.test_probe import programs
from tests.faults.own_hub import until as own_until
from tests.fixtures.renku import until

# What the hub had asked for when it was killed: title, verb and resource, and whether it was done before that.
HELD = {
    "claim asked for": ("create", "persistentvolumeclaims", False),
    "claim made": ("create", "persistentvolumeclaims", True),
    "pod asked for": ("create", "pods", False),
    "pod made": ("create", "pods", True),
    "secret asked for": ("create", "secrets", False),
    "secret made": ("create", "secrets", True),
    "pod asked to go": ("delete", "pods", False),
    "pod told to go": ("delete", "pods", True),
    "data asked to go": ("delete", "persistentvolumeclaims", False),
    "data told to go": ("delete", "persistentvolumeclaims", True),
}
# What a pod meets while no hub looks: the reason that its owner reads.
MEANWHILE = {
    "evicted-ephemeral-storage": "ephemeral_storage_full",
    "active-deadline": "deadline_exceeded",
    "taint-noexecute": "node_lost",
    "preempted": "preempted",
}
# Status before the kill, and where each comes to rest after it: status and reason. A start whose server
# has no token yet cannot go on, since nobody else knows it; it ends, and leaves nothing that runs.
TABLE = {
    "claim asked for": ("launching", "failed", "lost"),
    "claim made": ("launching", "failed", "lost"),
    "pod asked for": ("launching", "failed", "lost"),
    "pod made": ("launching", "failed", "lost"),
    "secret asked for": ("launching", "failed", "lost"),
    "secret made": ("launching", "running", None),
    "scheduled": ("launching", "launching", None),
    "pulling": ("launching", "running", None),
    "starting": ("launching", "running", None),
    "answered": ("launching", "running", None),
    "running": ("running", "running", None),
    **{case: ("running", "failed", reason) for case, reason in MEANWHILE.items()},
    "pod asked to go": ("stopping", "paused", None),
    "pod told to go": ("stopping", "paused", None),
    "paused": ("paused", "paused", None),
    "data asked to go": ("paused", "inactive", None),
    "data told to go": ("paused", "inactive", None),
}
DELETED = ("data asked to go", "data told to go")
LEAVING = ("pod asked to go", "pod told to go")
RAN = ("running", "paused", *MEANWHILE, *LEAVING, *DELETED)
LIVES = {"scheduled": "unschedulable-cpu", "pulling": "image-large-pull", "answered": "delete-graceful-term"}
ENDED = [title for title, (_, status, _) in TABLE.items() if status not in ("running", "launching")]


HOLDS = """
from renku_spawner.spawners.kubernetes import api

# A request that the cluster holds is not given up before the hub ends, however slow the machine is.
api.API_REQUEST_TIMEOUT_SECONDS = 600
"""


@pytest.fixture
async def own(tmp_path, monkeypatch):
    async with own_hub(tmp_path, monkeypatch, CONFIG + HOLDS) as it:
        yield it


def hold(own, *titles):
    """Let the hub wait for the answer to that request."""
    for title in titles:
        verb, resource, done = HELD[title]
        own.cluster.fault(own.asks(verb, resource, title), **{"hang_after" if done else "hang": True})


async def every(own, titles, action):
    await asyncio.gather(*(own.act(title, action) for title in titles))


async def look_at(own, title):
    """Load the page that deletes its data, which makes a pod look at them that never ends."""
    programs(own, own.hub.folder, "exec sleep 1000")
    assert "Look again" in await own.do(own.hub.page, f"renku/sessions/{own.ids[title]}/data")
    await until(lambda: any(map(is_look, everything(own))), why="its pod is there")


def is_look(pod):
    return pod["metadata"]["name"].startswith("renku-look-")


def everything(own):
    return own.cluster.objects("pods", "sessions")


def hands_over(pod):
    return pod["metadata"]["name"].startswith("renku-download-")


async def before_the_kill(own):
    """Every session of the table at its step; the pod of "answered", which waits for a first request."""
    for title in TABLE:
        await own.session(title, **({"TINY_WAIT": "1"} if title == "starting" else {}))
    own.downloaded = asyncio.Event()
    for title, case in LIVES.items():
        held = {"Pulled": own.downloaded} if title == "pulling" else {}
        own.kubelet.plan(case, lambda pod, title=title: own.ids[title] in str(pod["metadata"]["labels"]), held=held)
    await every(own, RAN, "start")
    await own.become(dict.fromkeys(RAN, "running"))
    await look_at(own, "running")
    hold(own, *HELD)
    await every(own, ("paused", *DELETED), "pause")
    await every(own, [title for title in TABLE if title not in (*RAN, "pulling", "answered")], "start")
    await own.become(dict.fromkeys(("paused", *DELETED), "paused"))
    asked = [asyncio.ensure_future(own.act(title, "pause")) for title in LEAVING]
    download = own.do(own.hub.ask, "GET", f"renku/sessions/{own.ids['paused']}/data")  # whose pod never listens
    asked.append(asyncio.ensure_future(download))
    await until(lambda: any(map(hands_over, everything(own))), why="its pod is there")
    for title in DELETED:
        path = f"renku/sessions/{own.ids[title]}/instance"
        asked.append(asyncio.ensure_future(own.do(own.hub.ask, "DELETE", path)))
    await until(lambda: all(fault.seen for fault in own.cluster.faults.requests), why="all requests are held")
    await until(lambda: own.pods("starting") and own.pods("scheduled"))
    await own.act("pulling", "start")
    await until(lambda: own.pods("pulling"))
    return asked


@pytest.mark.parametrize("ways", [["kill"], ["stop", "stop"], ["kill", "stop"], ["stop", "kill"]], ids=" then ".join)
async def test_a_hub_that_ends_at_any_step_leaves_all_as_it_should_be(own, ways):
    """No second pod, no pod without an owner, no claim lost, nothing forgotten, and no start that a later hub ends.

    The first end meets each session at its step of the table, the later ones what goes on after that.
    """
    asked = await before_the_kill(own)
    await own.become({title: row[0] for title, row in TABLE.items() if title != "answered"})
    uids = {title: uids_of(own.pods(title)) for title in ("running", "secret made", "pulling", "starting")}
    await own.act("answered", "start")
    pod = await until(lambda: next((pod for pod in own.pods("answered") if pod["status"].get("podIP")), None))
    async with answering(pod, lambda: own.signal(ways[0])):
        await until(lambda: own.hub.process.poll() is not None, why="the first answer ends the hub")
    claims = {title: [] if title in DELETED else uids_of(own.claims(title)) for title in TABLE}
    await asyncio.gather(*asked, return_exceptions=True)
    own.cluster.faults.clear()
    own.cluster.speed = 400
    await asyncio.gather(*(meets(own.cluster, own.pods(case)[0], case) for case in MEANWHILE))
    own.cluster.speed = 20
    async with answering(pod):
        await own.do(own.hub.start)
        assert (await own.do(own.hub.statuses))["pulling"] == "launching"
        for way in ways[1:]:
            await own.become({title: row[1] for title, row in TABLE.items() if row[1] in ("paused", "failed")})
            await own.become(dict.fromkeys(("scheduled", "pulling", "starting"), "launching"))
            await own.end_hub(way)
            await own.do(own.hub.start)
        own.downloaded.set()
        (own.kubelet.claim_of(own.pods("starting")[0]) / "go").touch()
        pulled = await until(lambda: next((pod for pod in own.pods("pulling") if pod["status"].get("podIP")), None))
        async with answering(pulled):
            await own.become({title: row[1] for title, row in TABLE.items() if row[1] != "inactive"})
            await until(lambda: not any(own.pods(title) for title in ENDED), why="nothing is left of what has ended")
            await until(lambda: not any(is_look(pod) or hands_over(pod) for pod in everything(own)), why="nor of those")
            await in_order(own, uids, claims)


def uids_of(objects):
    return [each["metadata"]["uid"] for each in objects]


async def in_order(own, uids, claims):
    reasons = await own.do(own.hub.reasons)
    failed = {title: reason for title, (_, status, reason) in TABLE.items() if status == "failed"}
    assert {title: reasons[title] for title in failed} == failed
    assert {title: uids_of(own.pods(title)) for title in uids} == uids
    assert {title for title in TABLE if len(own.creates(title)) > 1} == set(), "no pod was made twice"
    for title, kept in claims.items():
        await until(lambda title=title, kept=kept: uids_of(own.claims(title)) == kept, why=f"the files of: {title}")


async def test_a_deletion_that_was_accepted_while_its_pod_stops_outlives_the_hub(own):
    await own.started()
    await own.become({"Explore": "running"})
    own.cluster.fault(own.asks("delete", "pods", "Explore"), hang_after=True)
    answer = await own.do(own.hub.ask, "DELETE", f"renku/sessions/{own.ids['Explore']}/instance")
    assert answer.status_code == 202, answer.text
    assert [each["code"] for each in answer.json()["notices"]] == ["deleting"]
    assert own.claims()
    await own.do(own.hub.kill)
    own.cluster.faults.clear()
    await own.do(own.hub.start)
    await until(lambda: not own.claims() and not own.pods(), why="the new hub sees it through")

    async def gone():
        return await own.do(own.hub.instances) == {}

    await until(gone, why="nothing of it is left")


@pytest.mark.parametrize("way", ["kill", "stop"])
async def test_a_hub_that_ends_before_the_pod_of_an_ended_session_is_deleted_leaves_none(own, way):
    await own.started()
    await own.started("Other")
    await own.become({"Explore": "running", "Other": "running"})
    (other,) = own.pods("Other")
    own.cluster.fault(own.asks("delete", "pods", "Explore"), times=99, hang=True)
    await meets(own.cluster, own.pods()[0], "evicted-ephemeral-storage")
    await own.become({"Explore": "failed"})
    await own.end_hub(way)
    assert own.pods(), "its deletion is lost"
    own.cluster.faults.clear()
    await own.do(own.hub.start)
    await until(lambda: not own.pods(), seconds=45, why="the next hub deletes it")
    assert (await own.do(own.hub.reasons))["Explore"] == "ephemeral_storage_full"
    assert await own.do(own.hub.statuses) == {"Explore": "failed", "Other": "running"}
    assert uids_of(own.pods("Other")) == uids_of([other])


async def test_a_hub_that_finds_no_cluster_says_so_and_takes_up_what_ran(own):
    """Unknown meanwhile, adopted on return, no orphan; its token is revoked in the end."""
    await own.started()
    await own.become({"Explore": "running"})
    (pod,) = own.pods()
    token = own.token()
    await own.do(own.hub.kill)
    async with own.cluster.outage():
        await own.do(own.hub.start)
        await own.become({"Explore": "unknown"})
    await own.become({"Explore": "running"}, seconds=10)
    assert [each["metadata"]["uid"] for each in own.pods()] == [pod["metadata"]["uid"]]
    assert await own.knows(token)
    await own.do(own.hub.ask, "POST", f"renku/sessions/{own.ids['Explore']}/pause")
    await own.become({"Explore": "paused"})
    assert own.pods() == []
    assert not await own.knows(token)


async def test_a_session_that_is_stopped_before_its_token_is_read_again_leaves_none_that_is_good(own):
    """Also if its Secret cannot be read at all after the hub's restart."""
    await own.started()
    await own.become({"Explore": "running"})
    token = own.token()
    await own.do(own.hub.kill)
    own.cluster.fault(lambda r: (r.verb, r.resource) == ("get", "secrets"), times=99, status=403)
    await own.do(own.hub.start)
    await own.become({"Explore": "running"})
    assert await own.knows(token)
    await own.do(own.hub.ask, "POST", f"renku/sessions/{own.ids['Explore']}/pause")
    await own.become({"Explore": "paused"})
    assert not await own.knows(token)


async def test_a_session_that_was_unknown_when_the_hub_went_is_one_that_runs_and_no_start(own):
    """A start would be refused by now; what runs is never ended by a change of its project."""
    await own.started()
    await own.become({"Explore": "running"})
    (pod,) = own.pods()
    async with own.cluster.outage():
        await own.become({"Explore": "unknown"})
        path = f"renku/projects/{own.project}/sessions/{own.ids['Explore']}"
        assert (await own.do(own.hub.ask, "DELETE", path, {})).status_code == 204
        await own.do(own.hub.kill)
        await own.do(own.hub.start)
        await own.become({"Explore": "unknown"})
    await own.become({"Explore": "running"}, seconds=25)
    assert uids_of(own.pods()) == uids_of([pod])


# ---- another address -------------------------------------------------------------------------------------


def opened(own, title="Explore"):
    """Return what answers for a session through the proxy; empty if that is nothing of ours."""
    answer = own.hub.client.get(f"{own.hub.url.removesuffix('hub/')}user/alice/{own.ids[title]}/")
    return answer.text if answer.status_code == 200 and answer.text.startswith("hello from") else ""


def name_of(pod):
    return pod["metadata"]["name"]


async def lose_sandbox(own, held=None):
    """Let the pod of the session have another address, as after a reboot of its node; return it as it was before."""
    (pod,) = own.pods()
    own.kubelet.lose_sandbox(name_of(pod), held)
    return pod


def has_moved(own, before):
    (pod,) = own.pods()
    assert pod["metadata"]["uid"] == before["metadata"]["uid"]
    return pod["status"]["podIP"] != before["status"]["podIP"]


async def test_a_session_that_gets_another_address_is_reached_there(own):
    own.cluster.speed = 5
    await own.started()
    await own.become({"Explore": "running"})
    assert await own.do(opened, own)
    before = await lose_sandbox(own)
    await until(lambda: has_moved(own, before), why="the sandbox is made again")
    await own.do(own_until, lambda: opened(own), seconds=10, why="the route follows")
    await own.become({"Explore": "running"})
    (recorded,) = (await own.do(own.hub.instances)).values()
    assert recorded["reason"] is None


@pytest.mark.parametrize("when", ["while no hub looks", "while the hub starts"])
@pytest.mark.parametrize("way", ["kill", "stop"])
async def test_a_hub_that_starts_looks_for_a_session_that_is_elsewhere_before_it_judges(own, way, when):
    """It does not stop it, also not while its pod says that it is ready at an address that is gone."""
    await own.started()
    await own.become({"Explore": "running"})
    before = own.pods()[0]
    await own.end_hub(way)
    if when == "while no hub looks":
        await lose_sandbox(own)
        await until(lambda: has_moved(own, before), why="the sandbox is made again")
        await own.do(own.hub.start)
    else:
        held = asyncio.Event()
        await lose_sandbox(own, held)
        await own.do(own.hub.start)
        await asyncio.sleep(3)  # in which the old address is asked again and again
        assert await own.do(own.hub.statuses) == {"Explore": "running"}
        held.set()
        await until(lambda: has_moved(own, before), seconds=60, why="the sandbox is made again")
    await own.do(own_until, lambda: opened(own), seconds=30, why="the route follows")
    assert await own.do(own.hub.statuses) == {"Explore": "running"}
    assert len(own.creates("Explore")) == 1


async def test_a_session_that_moves_while_its_first_answer_is_awaited_comes_up(own):
    await own.started("Explore", TINY_WAIT="1")
    await until(lambda: [pod for pod in own.pods() if pod["status"].get("podIP")], why="its program runs")
    before = await lose_sandbox(own)
    await until(lambda: has_moved(own, before), why="the sandbox is made again")
    (own.kubelet.claim_of(before) / "go").touch()
    await own.become({"Explore": "running"})
    await own.do(own_until, lambda: opened(own), seconds=30, why="the route leads to it")


# ---- no hub to ask ---------------------------------------------------------------------------------------


def restarts(own):
    (pod,) = own.pods()
    return pod["status"]["containerStatuses"][0]["restartCount"]


async def test_a_program_that_found_no_hub_is_tried_again_when_there_is_one(own):
    """`jupyterhub-singleuser` ends with code 1 where no hub answers, and the cluster starts it again and again."""
    own.cluster.speed = 10
    await own.started("Explore", TINY_HUB="1")
    await own.become({"Explore": "running"})
    (pod,) = own.pods()
    await own.end_hub("stop")
    own.kubelet.pod(name_of(pod)).mains[0].kill_rest()
    await until(lambda: restarts(own) >= 3, why="it has ended again and again")
    await own.do(own.hub.start)
    await own.do(own_until, lambda: opened(own), seconds=60, why="it is there again")
    assert await own.do(own.hub.statuses) == {"Explore": "running"}
    assert uids_of(own.pods()) == uids_of([pod])


GRACEFUL = f"{CONFIG}\nc.JupyterHub.cleanup_servers = False\n"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "ended"])
async def test_notices_of_an_earlier_hub_do_not_outlive_what_they_tell(tmp_path, monkeypatch, how):
    async with own_hub(tmp_path, monkeypatch, GRACEFUL) as own:
        downloaded = asyncio.Event()
        for title, case in (("pulling", "image-large-pull"), ("unplaced", "unschedulable-cpu")):
            await own.session(title)
            own.kubelet.plan(
                case, lambda pod, title=title: own.ids[title] in str(pod["metadata"]["labels"]),
                held={"Pulled": downloaded} if title == "pulling" else {},
            )  # fmt: skip
            await own.act(title, "start")
        waiting = {"pulling": ["pulling"], "unplaced": ["unschedulable_resources"]}
        await notices_become(own, waiting)
        os.kill(own.hub.process.pid, how)
        await own.do(own.hub.process.wait, 60)
        await own.do(own.hub.start)
        assert await own.do(own.hub.statuses) == {"pulling": "launching", "unplaced": "launching"}
        (pod,) = own.pods("unplaced")
        (placed,) = pod["status"]["conditions"]
        own.cluster.put_status(
            pod, conditions=[placed | {"message": "0/1 nodes are available: 1 Insufficient memory."}]
        )
        await until(lambda: told(own, "unplaced"), why="the other words of the scheduler")
        await notices_become(own, waiting)
        downloaded.set()
        pod = await until(lambda: next((pod for pod in own.pods("pulling") if pod["status"].get("podIP")), None))
        async with answering(pod):
            await own.become({"pulling": "running"})
            await own.do(own.hub.ask, "POST", f"renku/sessions/{own.ids['unplaced']}/pause")
            await own.become({"unplaced": "paused"})
            await notices_become(own, {"pulling": [], "unplaced": []})


async def told(own, title):
    found = (await own.do(own.hub.instances))[title]["notices"]
    return any("Insufficient memory" in notice["title"] for notice in found)


async def notices_become(own, expected):
    async def there():
        found = await own.do(own.hub.instances)
        codes = {title: [notice["code"] for notice in found[title]["notices"]] for title in expected}
        return codes == expected

    await until(there, why=str(expected))
