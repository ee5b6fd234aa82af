"""A hub of version 0.1.0 is upgraded, used and rolled back while sessions run: nothing is lost, nothing restarted."""

import pytest

from renku_spawner.cli.main import command_line
from renku_spawner.demo.run import build_demo_config
from renku_spawner.persistence.migrate import get_schema_revision
from tests.data import make_demo_fixture
from tests.faults.own_hub import OwnHub, until
from tests.faults.test_kill import processes, recorded, routed
from tests.persistence.test_migrations import rows
from tests.test_upgrade import load

OLD = "0001"  # the revision of 0.1.0
# What a roll back to 0.1.0 loses, and the next upgrade begins anew: the hub looks at all that runs when it starts.
LOST = {
    "renku_launches": {"stages"},
    "renku_instances": {"spent", "due_at", "failed_storages", "without_storages"},
}
MORE = """
c.JupyterHub.cleanup_servers = False
c.Renku.environments = {environments}
"""


@pytest.fixture
def hub(tmp_path):
    """A hub on the kept database of 0.1.0, not started yet, which leaves sessions alone when it ends."""
    load(make_demo_fixture.file("0.1.0-at-0001").read_text(), tmp_path / "hub.sqlite")
    it = OwnHub(tmp_path)
    with it.config.open("a") as config:
        config.write(MORE.format(environments=build_demo_config(tmp_path, port=8000).Renku.environments))
    it.database, it.sessions = f"sqlite:///{tmp_path}/hub.sqlite", {}
    yield it
    it.end()


def upgraded(hub):
    command_line.main(["db", "upgrade", "--url", hub.database], standalone_mode=False)
    hub.start()


def rolled_back(hub):
    command_line.main(["db", "downgrade", OLD, "--yes", "--url", hub.database], standalone_mode=False)
    assert get_schema_revision(hub.database) == OLD


def started(hub, title):
    hub.sessions[title] = hub.session(hub.own_project, title)
    hub.act(hub.own_project, hub.sessions[title], "start")
    hub.become({title: "running"})


def kept_of(hub, title):
    """Its run, its folder and its processes; it answers through the proxy."""
    until(lambda: routed(hub, title), why=f"the proxy leads to {title}")
    return recorded(hub)[title], processes(hub)[title]


def durable(hub):
    """All rows, without the columns that are lost."""
    return {
        name: [tuple((key, value) for key, value in row if key not in LOST.get(name, ())) for row in found]
        for name, found in rows(hub.database).items()
        if name not in ("renku_software", "renku_images", "renku_builds")  # looked up again
    }


def test_upgrade_use_and_roll_back_lose_nothing_and_restart_nothing(hub):
    upgraded(hub)
    hub.own_project = hub.project()
    started(hub, "from 0.1.0")
    begun = kept_of(hub, "from 0.1.0")
    hub.interrupt()
    rolled_back(hub)  # now it is what 0.1.0 leaves behind with a session that runs
    assert processes(hub)["from 0.1.0"] == begun[1]

    upgraded(hub)
    hub.become({"from 0.1.0": "running", "Snow, interactively": "paused"})
    assert kept_of(hub, "from 0.1.0") == begun
    for title in ("running", "paused"):
        started(hub, title)
    later = kept_of(hub, "running")
    hub.act(hub.own_project, hub.sessions["paused"], "pause")
    statuses = {"from 0.1.0": "running", "running": "running", "paused": "paused", "Snow, interactively": "paused"}
    hub.become(statuses)
    assert all(title in hub.page("renku/sessions") for title in statuses)

    hub.interrupt()
    before = durable(hub)
    rolled_back(hub)
    command_line.main(["db", "upgrade", "--url", hub.database], standalone_mode=False)
    assert durable(hub) == before
    hub.start()
    hub.become(statuses)
    assert (kept_of(hub, "from 0.1.0"), kept_of(hub, "running")) == (begun, later)
    assert all(title in hub.page("renku/sessions") for title in statuses)
