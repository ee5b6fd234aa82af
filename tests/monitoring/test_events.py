"""Launches and what goes on record are told to the hub's event log, as its schemas have it."""

import io
import json
import logging
from typing import Any

from renku_spawner.domain.environments import NewManagedEnvironment
from renku_spawner.domain.instances import InstanceStatus
from renku_spawner.observability.events import EVENT_SCHEMA_BASE_URL, EVENT_SCHEMAS_DIR, create_event_emitter
from renku_spawner.usecases.environments import add_managed_environment
from tests.fixtures.renku import RenkuHub

KINDS = {"audit", "launch"}


def heard(hub: RenkuHub) -> io.StringIO:
    """What the hub's event log writes from now on."""
    written = io.StringIO()
    hub.app.eventlog.handlers = []
    hub.app.eventlog.register_handler(logging.StreamHandler(written))
    return written


async def test_launches_and_the_audit_are_told_as_their_schemas_say(renku_hub):
    """The hub validates each event before it writes it; an event that does not fit would be missing here."""
    hub = await renku_hub()
    assert {file.stem for file in EVENT_SCHEMAS_DIR.iterdir()} == KINDS
    assert {EVENT_SCHEMA_BASE_URL + kind for kind in KINDS} <= set(hub.app.eventlog.schemas.schema_ids)
    create_event_emitter(hub.app.eventlog)  # A second registration of the same would be an error
    written = heard(hub)
    session = await hub.session(await hub.project())
    alice, address = hub.client("alice"), f"api/users/alice/servers/{session.id}"
    assert (await alice.post(address, json={"cmd": "sh"})).status_code == 400
    hub.user("root", admin=True)
    await hub.client("root").post(address)
    mine = NewManagedEnvironment(name="Mine", image="quay.io/jupyter/minimal-notebook:2026-11-02")
    await add_managed_environment(hub.parts, hub.person("root"), mine)
    run = (await hub.becomes(session, InstanceStatus.RUNNING)).run
    await alice.delete(address)
    await hub.becomes(session, InstanceStatus.PAUSED)
    told = [json.loads(line) for line in written.getvalue().splitlines()]
    ours = [event for event in told if event["__schema__"].startswith(EVENT_SCHEMA_BASE_URL)]
    launches = [event for event in ours if event["__schema__"].endswith("launch")]
    assert [event["action"] for event in launches] == ["started", "ready", "ended"]
    assert {(event["launch"], event["username"], event["session"]) for event in launches} == {
        (run, "alice", session.id)
    }
    assert launches[1]["seconds"] >= sum(launches[1]["stages"].values()) - 0.1
    assert (launches[2]["outcome"], launches[2]["group"]) == ("ended", "ended")
    audit: list[dict[str, Any]] = [event for event in ours if event["__schema__"].endswith("audit")]
    with hub.parts.db.read() as tx:
        rows = tx.audit.list_recent(10)
    assert [(event["actor"], event["action"], event["subject"]) for event in audit] == [
        (row.actor, row.action, row.subject) for row in reversed(rows)
    ]
    assert [event["action"] for event in audit] == ["start for somebody", "environment added"]


async def test_an_event_log_that_fails_ends_no_start(renku_hub):
    class Full(logging.StreamHandler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError("No space left on device")

    hub = await renku_hub()
    hub.app.eventlog.handlers = []
    hub.app.eventlog.register_handler(Full())
    session = await hub.session(await hub.project())
    await hub.client("alice").post(f"api/users/alice/servers/{session.id}")
    await hub.becomes(session, InstanceStatus.RUNNING)
