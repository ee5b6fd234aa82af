"""A session that nobody uses is paused on a live hub as by a click: it ends for real, and its files stay."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from renku_spawner.app import Renku
from renku_spawner.domain.instance import Status
from renku_spawner.hub_door import Hand
from renku_spawner.services import rounds
from tests.fixtures.renku import RenkuHub, until
from tests.spawner import ways

RULES = {"idle_pause": 3600, "rounds_interval": 600}  # the hub's own rounds do not take part


@dataclass
class Time:
    """The hub's clock, which goes faster when a test says so, with a round each two minutes."""

    hub: RenkuHub
    clock: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        Renku.instance().parts = replace(self.hub.parts, now=lambda: self.clock)

    async def passes(self, minutes: int) -> None:
        for _ in range(minutes // 2):
            self.clock += timedelta(minutes=2)
            await self.hub.app.update_last_activity()
            await rounds.once(self.hub.parts, self.clock, Hand(self.hub.app, Renku.instance()))


@pytest.fixture
async def hub(renku_hub: Any) -> RenkuHub:
    return await renku_hub(Renku=RULES)


async def test_what_nobody_uses_ends_and_keeps_its_files(hub: RenkuHub) -> None:
    session, time = await hub.session(await hub.project()), Time(hub)
    await ways.start(hub, session)
    instance = await hub.becomes(session, Status.RUNNING)
    (hub.parts.workspace / instance.claim / "work" / "note").write_text("kept")
    await time.passes(58)
    assert (await ways.shown(hub, session))["status"] == "running"
    await time.passes(6)
    paused = await hub.becomes(session, Status.PAUSED)
    assert paused.ended_reason == "culled_idle"
    assert paused.message and paused.message.startswith("Paused after 1 h")
    assert "(signals: traffic)" in paused.message
    await until(lambda: not ways.servers(hub.parts.workspace), why="its program has ended")
    assert (hub.parts.workspace / instance.claim / "work" / "note").read_text() == "kept"
    assert not hub.user("alice").spawners[session.id].active
    await ways.start(hub, session)
    assert (await hub.becomes(session, Status.RUNNING)).message is None
