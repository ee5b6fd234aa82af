"""A program that knows nothing of hubs, wrapped as the guide to images says, is a session like any other."""

import re
from pathlib import Path

from renku_spawner.domain.instance import Status
from tests.spawner import ways

GUIDE = (Path(__file__).parents[2] / "docs" / "images.md").read_text()


async def test_a_wrapped_web_app_runs_below_its_prefix_and_lets_only_its_owner_in(renku_hub, tmp_path):
    (tmp_path / "index.html").write_text("42 cm of snow")
    [command] = re.findall(r"`(python3 -m http\.server [^`]*)`", GUIDE)
    command = command.replace("/srv/site", str(tmp_path))
    # What the local spawner adds for Jupyter is dropped by the shell: an image's command gets nothing added.
    wrapped = ["/bin/sh", "-c", f"exec jupyter standaloneproxy --timeout=60 -- {command}", "sh"]
    hub = await renku_hub(RenkuLocalSpawner={"cmd": wrapped})
    session = await hub.session(await hub.project())
    alice, bob = await hub.visitor("alice"), await hub.visitor("bob")
    await ways.start(hub, session)
    await hub.becomes(session, Status.RUNNING, seconds=60)
    address = f"user/alice/{session.id}/"  # of the hub, which sends on to the session
    page = await alice.get(address, follow_redirects=True)
    assert (page.status_code, page.text) == (200, "42 cm of snow")
    assert page.url.path == f"{hub.app.base_url}{address}".replace("%20", " ")
    refused = await bob.get(page.url, follow_redirects=True)
    assert refused.status_code == 403
    assert "snow" not in refused.text
    await ways.pause(hub, session)
    await hub.becomes(session, Status.PAUSED)
