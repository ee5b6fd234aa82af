"""Starts above the hub's limit wait in line, fairly, and begin by themselves."""

import contextlib
import json

from renku_spawner.domain.access import Role
from renku_spawner.domain.instances import Instance, InstanceStatus
from renku_spawner.domain.projects import ProjectChange, ProjectMember
from renku_spawner.domain.reasons import format_reason_sentence
from renku_spawner.domain.sessions import Session
from renku_spawner.spawners.local.folders import InstanceFolders
from renku_spawner.usecases.projects import change_project, get_project
from tests.fixtures.renku import RenkuHub, until
from tests.spawners import ways


async def let_answer(hub: RenkuHub, session: Session, name: str) -> Instance:
    """Whoever comes up waits for a word of the test's; this one gets it."""
    instance = await hub.instance(session, name)
    work = InstanceFolders(hub.parts.workspace).get_folder(instance.claim).work_dir
    await until(work.is_dir)
    (work / "go").touch()
    return await hub.becomes(session, InstanceStatus.RUNNING, name)


def line(hub: RenkuHub, *who):
    """Where they stand, as the hub has it in memory."""
    return [hub.parts.start_queue.get_position(name, session.id) for session, name in who]


@contextlib.asynccontextmanager
async def told(hub, name):
    """A function that waits until the event stream of somebody's instances says what is asked for."""
    async with hub.client(name).stream("GET", "api/renku/sessions/events") as stream:
        lines = stream.aiter_lines()

        async def says(what):
            async for each in lines:
                if each.startswith("data: {") and what(json.loads(each.removeprefix("data: "))):
                    return True
            return False

        yield says


async def comes_up(hub, session, name):
    async def begun():
        instance = await hub.instance(session, name)
        assert instance is None or instance.reason is None, instance.message
        return instance is not None and instance.status is InstanceStatus.LAUNCHING and instance.turn is None

    await until(begun, why=f"{name}'s start leaves the line")


async def test_what_the_hub_has_no_room_for_waits_in_line_and_begins_by_itself(renku_hub):
    hub = await renku_hub(JupyterHub={"concurrent_spawn_limit": 1})
    session = await hub.session(await hub.project(), variables={"TINY_WAIT": "yes"})
    first = await ways.start(hub, session, "alice")
    assert (first.status_code, first.json()["queue_position"]) == (202, None)
    for place, name in enumerate(("bob", "carol"), 1):
        answer = await ways.start(hub, session, name)
        assert answer.status_code == 202, answer.text
        told = answer.json()
        assert (told["status"], told["stage"], told["queue_position"]) == ("launching", "queued", place)
    assert told["stage_text"] == "2nd in line; the hub starts 1 at a time"
    await let_answer(hub, session, "alice")
    await comes_up(hub, session, "bob")
    assert (await ways.shown(hub, session, "carol"))["stage_text"].startswith("1st in line")
    await let_answer(hub, session, "bob")
    await comes_up(hub, session, "carol")
    await let_answer(hub, session, "carol")


async def test_who_asks_for_much_keeps_nobody_waiting_and_who_may_no_longer_start_reads_why(renku_hub, caplog):
    hub = await renku_hub(
        JupyterHub={"concurrent_spawn_limit": 1},
        Renku={"one_active_per_environment": False, "session_limits": {"running": 3}, "queue_limit": 4},
    )
    project = await hub.project()
    gate = await hub.session(project, "Gate", variables={"TINY_WAIT": "yes"})
    more = [await hub.session(project, title) for title in ("More", "Most", "Too much")]
    for session, name in ((gate, "alice"), (more[0], "alice"), (more[1], "alice"), (gate, "bob"), (gate, "carol")):
        assert (await ways.start(hub, session, name)).status_code == 202
    assert line(hub, (more[0], "alice"), (gate, "bob"), (gate, "carol"), (more[1], "alice")) == [1, 2, 3, 4]
    assert (await ways.start(hub, more[2])).json()["code"] == "limit_user", "what waits counts"
    full = await ways.start(hub, more[0], "bob")
    assert (full.status_code, full.json()["code"], "Retry-After" in full.headers) == (503, "hub_busy", True)
    assert (await ways.start(hub, gate, "bob")).json()["queue_position"] == 2, "a second click changes nothing"
    async with told(hub, "carol") as news:
        assert (await ways.pause(hub, gate, "bob")).json()["status"] == "inactive", "nothing is kept of what never was"
        assert await news(lambda each: each["queue_position"] == 2)
    now = await get_project(hub.parts, hub.person("alice"), project.id)
    alone = ProjectChange(version=now.version, members=(ProjectMember(kind="user", name="alice", role=Role.OWNER),))
    await change_project(hub.parts, hub.person("alice"), project.id, alone)
    await let_answer(hub, gate, "alice")
    await hub.becomes(more[0], InstanceStatus.RUNNING)
    failed = await hub.becomes(gate, InstanceStatus.FAILED, "carol")
    assert (failed.reason, failed.message) == ("not_found", format_reason_sentence("not_found"))
    await hub.becomes(more[1], InstanceStatus.RUNNING)
    assert ways.failure_count(hub) == 0
    assert hub.parts.start_queue.length == 0
    assert "Failed to cleanup" not in caplog.text
