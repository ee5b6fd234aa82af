"""What goes on record for admins, and what the owner reads of it."""

from renku_spawner.domain.instances import InstanceStatus
from renku_spawner.usecases.audit import MAX_REPEATED_AUDIT_ROWS, flush_repeated_audit_events


def events(hub):
    with hub.parts.db.read() as tx:
        return [(e.actor, e.username, e.action, e.subject) for e in tx.audit.list_recent(10)]


async def test_a_start_by_an_admin_is_on_record_and_the_owner_reads_it_t24(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    hub.user("alice")
    hub.user("root", admin=True)
    answer = await hub.client("root").post(f"api/users/alice/servers/{session.id}")
    assert answer.status_code in (201, 202), answer.text
    instance = await hub.becomes(session, InstanceStatus.RUNNING)
    assert [notice["title"] for notice in instance.notices] == ["Started by root, an admin of the hub, for you."]
    assert events(hub) == [("root", "alice", "start for somebody", session.id)]
    page = await (await hub.visitor("alice")).get(f"renku/projects/alice/climate/-/sessions/{session.id}")
    assert "Started by root" in page.text


async def test_ones_own_start_is_nobodys_business(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    await hub.client("alice").post(f"api/users/alice/servers/{session.id}")
    assert (await hub.becomes(session, InstanceStatus.RUNNING)).notices == ()
    assert events(hub) == []


async def test_options_that_deceive_are_on_record(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    path = f"api/users/alice/servers/{session.id}"
    alice = hub.client("alice")
    await alice.put(path)
    await alice.patch(path, json={"user_options": {"image": "evil"}})
    assert (await alice.post(path)).status_code == 400
    assert events(hub) == [("alice", "alice", "start refused", session.id)]


async def test_of_many_refused_starts_a_few_have_rows_and_one_row_has_the_number_of_the_others(renku_hub, caplog):
    hub = await renku_hub(JupyterHub={"allow_named_servers": True})
    alice = hub.client("alice")
    for _ in range(40):
        assert (await alice.post("api/users/alice/server", json={"image": "evil"})).status_code == 400
    with hub.parts.db.read() as tx:
        rows = [event for event in tx.audit.list_recent(50) if event.action == "start refused"]
    assert len(rows) == MAX_REPEATED_AUDIT_ROWS
    assert {event.actor for event in rows} == {"alice"}
    hub.user("bob")
    assert (await hub.client("bob").post("api/users/bob/server", json={"image": "evil"})).status_code == 400
    await flush_repeated_audit_events(hub.parts)  # as at the end of the minute, and of the hub
    with hub.parts.db.read() as tx:
        told = [(event.actor, event.detail) for event in tx.audit.list_recent(50) if event.action == "start refused"]
    assert len(told) == MAX_REPEATED_AUDIT_ROWS + 2
    assert told[0] == ("alice", {"detail": "35 more within a minute"})
    assert sum(each == ("bob", {}) for each in told) == 1
    lines = [each for each in caplog.records if each.getMessage().startswith("alice: start refused")]
    assert len(lines) >= 40, "each has a line in the log"
