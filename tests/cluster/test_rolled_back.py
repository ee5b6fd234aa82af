"""A hub on a cluster goes back to older tables, and forward again: the pods of its sessions notice nothing."""

import pytest

from renku_spawner.cli.main import command_line
from renku_spawner.persistence.migrate import get_schema_revision
from tests.cluster.own import CONFIG, own_hub
from tests.faults.test_kill import recorded

OLD = "0001"  # the revision of 0.1.0
STATUSES = {"running": "running", "paused": "paused"}


@pytest.fixture
async def own(tmp_path, monkeypatch):
    leaves_sessions = f"{CONFIG}c.JupyterHub.cleanup_servers = False\n"
    async with own_hub(tmp_path, monkeypatch, leaves_sessions) as it:
        yield it


def uids(own):
    """Those of each session's pods and claims."""
    return {title: [each["metadata"]["uid"] for each in (*own.pods(title), *own.claims(title))] for title in STATUSES}


async def test_pods_claims_and_runs_are_the_same_after_the_tables_went_back_and_forth(own):
    for title in STATUSES:
        await own.started(title)
    await own.become(dict.fromkeys(STATUSES, "running"))
    await own.act("paused", "pause")
    await own.become(STATUSES)
    before, runs = uids(own), await own.do(recorded, own.hub)
    assert [len(found) for found in before.values()] == [2, 1]
    await own.do(own.hub.interrupt)
    url = f"sqlite:///{own.hub.folder}/hub.sqlite"
    command_line.main(["db", "downgrade", OLD, "--yes", "--url", url], standalone_mode=False)
    assert get_schema_revision(url) == OLD
    command_line.main(["db", "upgrade", "--url", url], standalone_mode=False)
    await own.do(own.hub.start)
    await own.become(STATUSES)
    assert (uids(own), await own.do(recorded, own.hub)) == (before, runs)
    assert len(own.creates("running")) == 1
    await own.act("paused", "start")
    await own.become(dict.fromkeys(STATUSES, "running"))
