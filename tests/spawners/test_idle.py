"""A session that nobody uses is paused on a live hub as by a click: it ends for real, and its files stay."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from renku_spawner.config.renku import Renku
from renku_spawner.domain.errors import UnavailableError
from renku_spawner.domain.instances import Instance, InstanceStatus
from renku_spawner.hub.adapter import IdleJobAdapter
from renku_spawner.jobs.idle import run_idle_check
from renku_spawner.spawners.local import spawner
from renku_spawner.spawners.local.process import CPUMeter
from tests.fixtures.renku import RenkuHub, until, xsrf
from tests.spawners import ways

# The hub's own rounds do not take part, and how fast this machine is says nothing.
RULES = {"idle_pause": 3600, "rounds_interval": 600, "idle_processor": 0}

# What the API is asked for, and whether it takes it; in the end nothing keeps it awake.
AWAKE: list[tuple[dict[str, Any], int]] = [
    ({}, 200),
    ({"seconds": 7 * 86400}, 200),
    ({"seconds": 8 * 86400}, 422),
    ({"seconds": -1}, 422),
    ({"seconds": "1"}, 422),
    ({"until": "2020-01-01T00:00:00Z"}, 422),
    ({"until": "2999-01-01T00:00:00Z"}, 422),
    ({"until": "2999-01-01T00:00:00"}, 422),
    ({"until": "tomorrow"}, 422),
    ({"until": 4}, 422),
    ({"hours": 1}, 422),
    ({"seconds": 0}, 200),
]


@dataclass
class Time:
    """The hub's clock, which goes faster when a test says so, with a round each two minutes."""

    hub: RenkuHub
    clock: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        vars(self.hub.parts)["now"] = lambda: self.clock  # the same parts: others wait for starts in them

    async def passes(self, minutes: int) -> None:
        for _ in range(minutes // 2):
            self.clock += timedelta(minutes=2)
            await self.hub.app.update_last_activity()
            await run_idle_check(self.hub.parts, self.clock, IdleJobAdapter(self.hub.app, Renku.instance()))


@pytest.fixture
async def hub(renku_hub: Any) -> RenkuHub:
    return await renku_hub(Renku=RULES)


async def test_what_nobody_uses_ends_and_keeps_its_files(hub: RenkuHub, monkeypatch: pytest.MonkeyPatch) -> None:
    session, time = await hub.session(await hub.project()), Time(hub)
    await ways.start(hub, session)
    instance = await hub.becomes(session, InstanceStatus.RUNNING)
    (hub.parts.workspace / instance.claim / "work" / "note").write_text("kept")
    await is_measured(hub, session, monkeypatch)
    await time.passes(58)
    assert (await ways.shown(hub, session))["status"] == "running"
    await time.passes(6)
    paused = await hub.becomes(session, InstanceStatus.PAUSED)
    assert paused.ended_reason == "culled_idle"
    assert paused.message and paused.message.startswith("Paused after 1 h")
    assert "(signals: traffic)" in paused.message
    await until(lambda: not ways.servers(hub.parts.workspace), why="its program has ended")
    assert (hub.parts.workspace / instance.claim / "work" / "note").read_text() == "kept"
    assert not hub.user("alice").spawners[session.id].active
    await ways.start(hub, session)
    assert (await hub.becomes(session, InstanceStatus.RUNNING)).message is None


async def test_a_pause_that_failed_is_repeated_by_the_reconciler(
    hub: RenkuHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, time = await hub.session(await hub.project()), Time(hub)
    await ways.start(hub, session)
    await hub.becomes(session, InstanceStatus.RUNNING)
    await time.passes(58)

    async def fail(self: object, instance: Instance, *, now: bool = False) -> None:
        raise UnavailableError("The machine does not answer.")

    with monkeypatch.context() as outage:
        outage.setattr(spawner.RenkuLocalSpawner, "stop_session", fail)
        await time.passes(6)
        assert await hub.status(session) is InstanceStatus.STOPPING
        assert ways.servers(hub.parts.workspace), "its program still runs"
    await Renku.instance().reconciler.reconcile_overlooked()
    paused = await hub.becomes(session, InstanceStatus.PAUSED)
    assert paused.ended_reason == "culled_idle"
    await until(lambda: not ways.servers(hub.parts.workspace), why="its program has ended")


async def is_measured(hub: RenkuHub, session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spawner, "_CPU_METER", CPUMeter(least=0.001))
    hand = IdleJobAdapter(hub.app, Renku.instance())
    assert await hand.load_processor_usage() == {}

    async def told() -> bool:
        return set(await hand.load_processor_usage() or {}) == {("alice", session.id)}

    await until(told, why="the second look tells what its program uses")


async def is_warned_of_on(hub: RenkuHub, alice: Any, page: str, session: Any) -> None:
    text = (await alice.get(page)).text
    assert "Pauses in 8 min because nothing has happened for 52 min." in text, page
    assert f'formaction="{hub.app.hub.base_url}renku/sessions/{session.id}/keep-awake"' in text, page


async def first_told(hub: RenkuHub) -> dict[str, Any]:
    """What a page hears that begins to listen."""
    async with hub.client("alice").stream("GET", "api/renku/sessions/events") as stream:
        told = await anext(line async for line in stream.aiter_lines() if line.startswith("data: {"))
    return dict(json.loads(told.removeprefix("data: ")))


async def test_its_owner_is_warned_everywhere_and_keeps_it_awake(hub: RenkuHub) -> None:
    project = await hub.project()
    session, time = await hub.session(project), Time(hub)
    await ways.start(hub, session)
    await hub.becomes(session, InstanceStatus.RUNNING)
    await time.passes(20)
    calm = await ways.shown(hub, session)
    assert datetime.fromisoformat(calm["pauses_at"]) > time.clock
    assert (calm["pauses_because"], calm["awake_until"]) == (None, None)
    await time.passes(32)
    because = (await ways.shown(hub, session))["pauses_because"]
    assert because == (await first_told(hub))["pauses_because"] == "nothing has happened for 52 min"
    alice, at = await hub.visitor("alice"), f"renku/projects/{project.path}"
    for page in ("renku/sessions", at, f"{at}/-/sessions/{session.id}"):
        await is_warned_of_on(hub, alice, page, session)
    form = {"_xsrf": xsrf(alice), "back": "sessions"}
    assert (await alice.post(f"renku/sessions/{session.id}/keep-awake", data=form)).status_code == 303
    kept = await ways.shown(hub, session)
    assert kept["pauses_because"] is None
    assert datetime.fromisoformat(kept["awake_until"]) == time.clock + timedelta(hours=1)
    assert "It is kept awake until" in (await alice.get(f"renku/sessions/{session.id}/keep-awake")).text
    await asks_to_keep_it_awake(hub, session)
    await time.passes(8)
    assert await hub.status(session) is InstanceStatus.RUNNING
    await time.passes(4)
    assert await hub.status(session) is InstanceStatus.PAUSED


async def asks_to_keep_it_awake(hub: RenkuHub, session: Any) -> None:
    for body, status in AWAKE:
        answer = await hub.client("alice").post(f"api/renku/sessions/{session.id}/keep-awake", json=body)
        assert answer.status_code == status, (body, answer.text)


WRONG_REPORTS = [{"kernels": -1}, {"busy": 2**40}, {"disk_used": "much"}, {"disk_used": 2**63}, {"awake": 1}]


async def test_a_session_says_of_itself_whether_it_works(hub: RenkuHub) -> None:
    session, time = await hub.session(await hub.project()), Time(hub)
    await ways.start(hub, session)
    await hub.becomes(session, InstanceStatus.RUNNING)
    token = hub.user("alice").spawners[session.id].api_token
    own = {"Authorization": f"token {token}"}
    alice = hub.client("alice")
    await time.passes(52)
    mine = (await alice.get("api/renku/me", headers=own)).json()
    assert (mine["title"], mine["project_path"], mine["pauses_in"]) == ("Explore", "alice/climate", 480)
    assert (mine["pauses_because"], mine["ask_again"]) == ("nothing has happened for 52 min", 30)
    said = {"kernels": 2, "terminals": 1, "busy": 1, "disk_used": 5}
    told = (await alice.post("api/renku/me", json=said, headers=own)).json()
    assert (told["pauses_in"], told["pauses_because"], told["ask_again"]) == (3600, None, 300)
    shown = await ways.shown(hub, session)
    assert (shown["disk_used"], datetime.fromisoformat(shown["disk_used_at"])) == (5, time.clock)
    for wrong in WRONG_REPORTS:
        assert (await alice.post("api/renku/me", json=wrong, headers=own)).status_code == 422, wrong
    await time.passes(18)
    assert (await ways.shown(hub, session))["pauses_at"] is None, "it falls silent, and nobody knows"
    kept = (await alice.post("api/renku/me", json={"keep_awake": 7200}, headers=own)).json()
    assert (kept["pauses_in"], (await ways.shown(hub, session))["disk_used"]) == (7200, 5)
    assert (await alice.get("api/renku/me")).json()["code"] == "no_session", "a token of a person's own"
    assert (await alice.get("api/renku/projects", headers=own)).json()["code"] == "scope_missing"
