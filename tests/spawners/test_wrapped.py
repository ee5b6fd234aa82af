"""A program that knows nothing of hubs, wrapped as the guide to images says, is a session like any other."""

import re
import shlex
from pathlib import Path

import pytest

from renku_spawner.domain.instances import InstanceStatus
from tests.spawners import ways
from tests.spawners.test_idle import RULES, Time

GUIDE = (Path(__file__).parents[2] / "docs" / "images.md").read_text()


@pytest.fixture
def wrapped(tmp_path):
    """The guide's command for the files of a web site, below the guide's wrapper."""
    (tmp_path / "index.html").write_text("42 cm of snow")
    [command] = re.findall(r"`(python3 -m http\.server [^`]*)`", GUIDE)
    [wrapper] = re.findall(r'^CMD \[("jupyter", "standaloneproxy", .*?"--"), ', GUIDE, re.MULTILINE)
    command = " ".join([*shlex.split(wrapper.replace(",", "")), command.replace("/srv/site", str(tmp_path))])
    # What the local spawner adds for Jupyter is dropped by the shell: an image's command gets nothing added.
    return ["/bin/sh", "-c", f"exec {command}", "sh"]


async def test_a_wrapped_web_app_runs_below_its_prefix_and_lets_only_its_owner_in(renku_hub, wrapped):
    hub = await renku_hub(RenkuLocalSpawner={"cmd": wrapped})
    session = await hub.session(await hub.project())
    alice, bob = await hub.visitor("alice"), await hub.visitor("bob")
    await ways.start(hub, session)
    await hub.becomes(session, InstanceStatus.RUNNING, seconds=60)
    address = f"user/alice/{session.id}/"  # of the hub, which sends on to the session
    page = await alice.get(address, follow_redirects=True)
    assert (page.status_code, page.text) == (200, "42 cm of snow")
    assert page.url.path == f"{hub.app.base_url}{address}".replace("%20", " ")
    refused = await bob.get(page.url, follow_redirects=True)
    assert refused.status_code == 403
    assert "snow" not in refused.text
    await ways.pause(hub, session)
    await hub.becomes(session, InstanceStatus.PAUSED)


async def test_a_wrapped_web_app_that_is_not_used_is_paused_and_its_use_counts(renku_hub, wrapped):
    hub = await renku_hub(RenkuLocalSpawner={"cmd": wrapped}, Renku=RULES)
    session, time = await hub.session(await hub.project()), Time(hub)
    await ways.start(hub, session)
    instance = await hub.becomes(session, InstanceStatus.RUNNING, seconds=60)
    alice = await hub.visitor("alice")
    await hub.app.update_last_activity()
    before = hub.user("alice").spawners[session.id].orm_spawner.last_activity
    assert (await alice.get(f"user/alice/{session.id}/", follow_redirects=True)).text == "42 cm of snow"
    await hub.app.update_last_activity()
    assert hub.user("alice").spawners[session.id].orm_spawner.last_activity > before
    log = (hub.parts.workspace / instance.claim / "server.log").read_text()
    assert "Sending Activity Notification" not in log  # else it is used every five minutes, whoever looks
    await time.passes(58)
    assert await hub.status(session) is InstanceStatus.RUNNING
    await time.passes(6)
    assert (await hub.becomes(session, InstanceStatus.PAUSED)).ended_reason == "culled_idle"
