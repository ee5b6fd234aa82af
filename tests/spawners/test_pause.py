"""Every action is possible in every state, and may be repeated; only a confirmed delete takes data away."""

import asyncio
from datetime import UTC, datetime

import pytest
from jupyterhub import orm

from renku_spawner.context.app_context import write_transaction
from renku_spawner.domain.errors import NotFoundError
from renku_spawner.domain.ids import create_id
from renku_spawner.domain.instances import InstanceStatus
from renku_spawner.spawners.local.folders import InstanceFolders
from renku_spawner.usecases.instances import get_own_instance
from tests.fixtures.fair import Stopwatch
from tests.fixtures.renku import until
from tests.spawners import ways

MANY = {"one_active_per_environment": False, "stop_grace": 1.5}


async def paused_in_time(hub, session):
    """Pause is answered within a second, and nothing is left after three."""
    took = Stopwatch()
    answer = await ways.pause(hub, session)
    assert took() < 1, "answered late"
    assert answer.status_code == 202, answer.text
    await until(lambda: not ways.marked(hub.parts.workspace), seconds=3 - took(), why="all have ended")
    instance = await hub.becomes(session, InstanceStatus.PAUSED)
    assert (instance.ended_reason, instance.reason, instance.slot) == ("cancelled", None, None)
    with hub.parts.db.read() as tx:
        launch = tx.launches.list_for_session(session.id, "alice")[0]
    assert (launch.outcome, launch.reason) == ("cancelled", "cancelled")
    await until(lambda: not hub.user("alice").spawners[session.id].active, why="the hub knows it too")
    assert ways.failure_count(hub) == 0


async def test_a_start_that_clones_is_cancelled_at_once_and_git_ends(renku_hub):
    async with ways.hanging_host() as repository:
        hub = await renku_hub(Renku={"repository_hosts": {repository.host}})
        session = await hub.session(await hub.project(repositories=(repository(),)))
        assert (await ways.start(hub, session)).status_code == 202
        await until(lambda: len(ways.marked(hub.parts.workspace)) > 1, why="git runs")
        assert (await ways.shown(hub, session))["stage_text"] == "Preparing files"
        await paused_in_time(hub, session)


@pytest.mark.parametrize("stubborn", [{}, {"TINY_STUBBORN": "1"}])
async def test_a_start_that_waits_for_an_answer_is_cancelled_at_once(renku_hub, stubborn):
    hub = await renku_hub(Renku={"stop_grace": 1.5})
    session = await hub.session(await hub.project(), variables={"TINY_SILENT": "1", **stubborn})
    assert (await ways.start(hub, session)).status_code == 202
    await until(lambda: ways.servers(hub.parts.workspace), why="it runs")
    await asyncio.sleep(0.5)  # Python takes a moment until it hears no signal
    await paused_in_time(hub, session)
    assert (await ways.start(hub, session)).status_code == 202, "and may be started again"
    await hub.becomes(session, InstanceStatus.LAUNCHING)
    await paused_in_time(hub, session)


# How a session comes into each state, and what each action answers and leads to, done once and done again.
STATES = {
    "inactive": {},
    "launching": {"TINY_WAIT": "1"},
    "running": {},
    "paused": {},
    "failed": {"TINY_DIE": "1"},
    "stopping": {"TINY_STUBBORN": "1"},
}
TABLE = {
    ("inactive", "start"): ((202, "running"), (200, "running")),
    ("inactive", "pause"): ((202, "inactive"), (202, "inactive")),
    ("inactive", "delete"): ((204, "inactive"), (204, "inactive")),
    ("launching", "start"): ((202, "running"), (200, "running")),
    ("launching", "pause"): ((202, "paused"), (202, "paused")),
    ("launching", "delete"): ((204, "inactive"), (204, "inactive")),
    ("running", "start"): ((200, "running"), (200, "running")),
    ("running", "pause"): ((202, "paused"), (202, "paused")),
    ("running", "delete"): ((204, "inactive"), (204, "inactive")),
    ("paused", "start"): ((202, "running"), (200, "running")),
    ("paused", "pause"): ((202, "paused"), (202, "paused")),
    ("paused", "delete"): ((204, "inactive"), (204, "inactive")),
    ("failed", "start"): ((202, "running"), (200, "running")),
    ("failed", "pause"): ((202, "failed"), (202, "failed")),
    ("failed", "delete"): ((204, "inactive"), (204, "inactive")),
    ("stopping", "start"): ((202, "running"), (200, "running")),
    ("stopping", "pause"): ((202, "paused"), (202, "paused")),
    ("stopping", "delete"): ((204, "inactive"), (204, "inactive")),
}
ACTIONS = {"start": ways.start, "pause": ways.pause, "delete": ways.delete}


async def brought(hub, session, state):
    """Bring alice's instance into *state*; return its working directory, if it has one."""
    if state == "inactive":
        return None
    await ways.start(hub, session)
    instance = await hub.becomes(session, InstanceStatus.LAUNCHING if state == "launching" else InstanceStatus.RUNNING)
    work = hub.parts.workspace / instance.claim / "work"
    if state in ("paused", "stopping"):
        await ways.pause(hub, session)
    await until(work.is_dir)
    if state == "failed":
        (work / "die").touch()
    await hub.becomes(session, InstanceStatus(state))
    (work / "die").unlink(missing_ok=True)
    (work / "note").write_text("kept")
    return work


async def stands(hub, session, status):
    return (await ways.shown(hub, session))["status"] == status


async def answered(hub, session, action):
    """The answer; None if it is to be asked for again, since a busy machine has not stopped it in two seconds."""
    answer = await ACTIONS[action](hub, session)
    return None if answer.status_code == 409 and answer.json()["code"] == "stopping" else answer


async def acted(hub, project, state, action):
    session = await hub.session(project, f"{action} when {state}", variables=STATES[state])
    work = await brought(hub, session, state)
    for expected_status, end in TABLE[state, action]:
        answer = await until(lambda: answered(hub, session, action), why=f"{action} when {state} is let through")
        # A start that is done within the handler's patience is a running one already.
        allowed = {expected_status, 200} if action == "start" else {expected_status}
        assert answer.status_code in allowed, (state, action, answer.text)
        if action == "start" and state == "launching":
            (work / "go").touch()
        await until(lambda end=end: stands(hub, session, end), why=f"{action} when {state} ends {end}")
    if work is not None:
        assert work.exists() == (action != "delete"), (state, action)
        assert action == "delete" or (work / "note").read_text() == "kept"
    if action == "delete":
        assert ("alice", session.id) not in ways.rows(hub)
    return session


@pytest.mark.parametrize("action", ACTIONS)
async def test_every_action_is_possible_in_every_state_and_may_be_repeated(renku_hub, action):
    assert {(state, one) for state in STATES for one in ACTIONS} == set(TABLE)
    hub = await renku_hub(Renku=MANY, RenkuLocalSpawner={"poll_interval": 1})
    project = await hub.project()
    await asyncio.gather(*[acted(hub, project, state, action) for state in STATES])
    assert ways.failure_count(hub) == 0
    running = len(ways.servers(hub.parts.workspace))
    assert running == (len(STATES) if action == "start" else 0)


async def test_different_actions_at_once_end_in_one_state(renku_hub):
    hub = await renku_hub(Renku={"stop_grace": 1})
    session = await hub.session(await hub.project(), variables={"TINY_DELAY": "0.3"})
    await ran(hub, session)  # a start that is paused before anything was done leaves no trace
    await ways.pause(hub, session)
    await hub.becomes(session, InstanceStatus.PAUSED)
    for _ in range(3):
        answers = await asyncio.gather(
            *[act(hub, session) for act in (ways.start, ways.pause, ways.start, ways.pause, ways.start, ways.pause)]
        )
        assert max(answer.status_code for answer in answers) < 500, [answer.text for answer in answers]

        async def settled():
            return await hub.status(session) not in (InstanceStatus.LAUNCHING, InstanceStatus.STOPPING)

        await until(settled, why="it comes to rest")
        running = await hub.status(session) is InstanceStatus.RUNNING
        assert len(ways.servers(hub.parts.workspace)) == int(running)
        await ways.pause(hub, session)
        await hub.becomes(session, InstanceStatus.PAUSED)
        assert ways.marked(hub.parts.workspace) == {}
    assert ways.failure_count(hub) == 0


async def test_many_folders_are_removed_at_once(tmp_path):
    folders = InstanceFolders(tmp_path / "sessions")
    claims = [create_id() for _ in range(6)]
    for claim in claims:
        work = folders.create_folder(claim).work_dir
        for n in range(300):
            (work / f"d{n}").mkdir()
            (work / f"d{n}" / "file").touch()
    await asyncio.gather(*[asyncio.to_thread(folders.delete_folder, claim) for claim in claims])
    assert list(folders.root.iterdir()) == []


async def ran(hub, session, name="alice"):
    """A session of somebody that has run and left a note."""
    await ways.start(hub, session, name)
    instance = await hub.becomes(session, InstanceStatus.RUNNING, name)
    note = hub.parts.workspace / instance.claim / "work" / "note.txt"
    note.write_text("kept")
    return note


@pytest.mark.parametrize("running", [True, False])
async def test_the_hubs_own_removal_of_a_server_with_data_is_refused_with_words(renku_hub, running):
    """*Delete Server* on the hub's admin page."""
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    note = await ran(hub, session)
    if not running:
        await ways.pause(hub, session)
        await hub.becomes(session, InstanceStatus.PAUSED)
    before = await hub.status(session)
    hub.user("boss", admin=True)
    server = f"api/users/alice/servers/{session.id}"
    for name in ("boss", "alice"):
        answer = await hub.client(name).request("DELETE", server, json={"remove": True})
        assert answer.status_code == 409, answer.text
        assert "alice can delete them under My sessions with Delete data" in answer.json()["message"]
    assert (await hub.client("carol").request("DELETE", server, json={"remove": True})).status_code == 404
    assert await hub.status(session) is before
    assert list(ways.rows(hub)) == [("alice", session.id)]
    assert note.read_text() == "kept"
    if running:
        assert (await hub.client("boss").delete(server)).status_code in (202, 204), "the hub's own stop is a pause"
        await hub.becomes(session, InstanceStatus.PAUSED)
    await ways.start(hub, session)
    again = await hub.becomes(session, InstanceStatus.RUNNING)
    assert (hub.parts.workspace / again.claim / "work" / "note.txt") == note
    assert (await ways.delete(hub, session)).status_code == 204
    assert not note.parent.parent.exists()
    await hub.client("alice").put(server)  # a row without data goes, as the button says
    assert (await hub.client("boss").request("DELETE", server, json={"remove": True})).status_code == 204
    assert ways.rows(hub) == {}


async def test_a_deleted_user_leaves_the_data_and_the_next_of_that_name_gets_none(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    note = await ran(hub, session, "carol")
    await ways.pause(hub, session, "carol")  # the hub itself deletes nobody whose servers run
    await hub.becomes(session, InstanceStatus.PAUSED, "carol")
    hub.user("boss", admin=True)

    async def deleted():
        return (await hub.client("boss").delete("api/users/carol")).status_code == 204

    await until(deleted, why="the hub has noticed that nothing runs")
    assert note.read_text() == "kept"
    assert orm.User.find(hub.app.db, "carol") is None
    await asyncio.sleep(max(0, 1 - datetime.now(UTC).microsecond / 1e6))  # the hub's clock of users counts seconds
    await hub.clients.pop("carol None").aclose()
    hub.user("carol")
    newcomer = hub.client("carol")
    assert (await newcomer.post(f"{ways.address(session)}/start")).status_code == 404
    assert (await newcomer.post(f"api/users/carol/servers/{session.id}")).status_code == 404
    assert (await newcomer.get("api/renku/sessions")).json()["items"] == []
    with pytest.raises(NotFoundError):
        await get_own_instance(hub.parts, hub.person("carol"), session.id)
    assert note.read_text() == "kept"


async def test_a_start_that_is_paused_before_it_is_on_record_is_refused_to_each_click(renku_hub):
    """Else both were told of success, and what was there before was there still."""
    waits = asyncio.Event()

    async def wait(spawner):
        if not waits.is_set():
            waits.set()
            await asyncio.Event().wait()

    hub = await renku_hub(RenkuLocalSpawner={"pre_spawn_hook": wait})
    session = await hub.session(await hub.project())
    now = hub.parts.now()
    await write_transaction(hub.parts, lambda tx: tx.instances.get_or_create(session, "alice", now=now))
    clicks = [asyncio.ensure_future(ways.start(hub, session))]
    await waits.wait()
    clicks.append(asyncio.ensure_future(ways.start(hub, session)))
    done, _ = await asyncio.wait(clicks, timeout=1)
    assert not done, "each click waits for what comes of the start"
    assert (await ways.pause(hub, session)).status_code == 202
    for answer in await asyncio.gather(*clicks):
        assert (answer.status_code, answer.json()["code"]) == (409, "cancelled"), answer.text
    assert await hub.status(session) is InstanceStatus.INACTIVE
    with hub.parts.db.read() as tx:
        assert tx.launches.list_for_session(session.id, "alice") == []
    await ways.start(hub, session)
    await hub.becomes(session, InstanceStatus.RUNNING)
    assert ways.failure_count(hub) == 0
