"""Starts above the hub's limit wait in line, fairly, and begin by themselves (R39)."""

from renku_spawner.domain.instance import Instance, Status
from renku_spawner.domain.session import Session
from renku_spawner.runtime.folders import Folders
from tests.fixtures.renku import RenkuHub, until
from tests.spawner import ways


async def let_answer(hub: RenkuHub, session: Session, name: str) -> Instance:
    """Whoever comes up waits for a word of the test's; this one gets it."""
    instance = await hub.instance(session, name)
    work = Folders(hub.parts.workspace).of(instance.claim).work
    await until(work.is_dir)
    (work / "go").touch()
    return await hub.becomes(session, Status.RUNNING, name)


def line(hub: RenkuHub, *who):
    """Where they stand, as the hub has it in memory."""
    return [hub.parts.line.place(name, session.id) for session, name in who]


async def comes_up(hub, session, name):
    async def begun():
        instance = await hub.instance(session, name)
        assert instance is None or instance.reason is None, instance.message
        return instance is not None and instance.status is Status.LAUNCHING and instance.turn is None

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
