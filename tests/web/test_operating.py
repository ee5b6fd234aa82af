"""The operator's pages and their API, on a hub of one machine."""

import os
import re
from dataclasses import replace
from datetime import timedelta
from html import unescape

import httpx

from renku_spawner.context.app_context import write_transaction
from renku_spawner.domain.instances import Instance, InstanceStatus
from renku_spawner.domain.sessions import Session
from tests.fixtures.renku import RenkuHub, xsrf

PAGE, API = "renku/admin", "api/renku/admin"
LATE = timedelta(hours=1)
HOSTILE = [
    ("GET", "instances?status=dancing", None, 422),
    ("GET", "instances?limit=0", None, 422),
    ("GET", "instances?after=x", None, 422),
    ("GET", "instances?owner=a&owner=b", None, 400),
    ("GET", "instances?owner=%27+OR+1%3D1--&project=..%2F&reason=%00", None, 200),
    ("GET", "claims?after=WyJ4Il0", None, 422),
    ("GET", "launches?after=WyJ4Il0", None, 422),
    ("GET", "audit?after=WyIyMDI2IiwgMV0", None, 422),
    ("POST", "pause", {"username": "alice"}, 422),
    ("POST", "pause", {"username": "alice", "session": "../x"}, 422),
    ("POST", "pause", {"username": "../alice", "session": "a" * 12}, 404),
    ("POST", "pause-all", {}, 422),
    ("POST", "pause-all", {"node": "n1", "all": True}, 422),
    ("POST", "pause-all", {"all": "no", "force": True}, 422),
    ("POST", "pause-all", {"node": "../n1", "dry_run": True}, 200),
    ("DELETE", "orphans", {"kind": "secret", "names": ["x"]}, 422),
    ("DELETE", "orphans", {"kind": "folder", "names": []}, 422),
    ("DELETE", "orphans", {"kind": "folder", "names": ["x"] * 201}, 422),
    ("DELETE", "orphans", {"kind": "folder", "names": ["x"], "force": True}, 422),
    ("DELETE", "orphans", {"kind": "folder", "names": ["../../etc", ".", ""]}, 200),
]


def audit(hub: RenkuHub) -> list[tuple[str, str | None, str, str, str]]:
    """What is on record, the oldest first."""
    with hub.parts.db.read() as tx:
        events = tx.audit.list_recent(100)[::-1]
    return [(e.actor, e.username, e.action, e.subject, e.detail.get("detail", "")) for e in events]


def text(answer: httpx.Response) -> str:
    assert answer.status_code in (200, 422), answer.text
    main = answer.text.partition("<main")[2].replace("<wbr>", "")
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", main)).split())


async def test_an_admin_pauses_everything_which_owners_read_and_is_on_record(renku_hub):
    hub = await renku_hub()
    hub.curator("root")
    project = await hub.project()
    session = await hub.session(project)
    for name in ("alice", "carol"):
        await hub.client(name).post(f"api/renku/projects/{project.id}/sessions/{session.id}/start")
        await hub.becomes(session, InstanceStatus.RUNNING, name)
    api, root = hub.client("root"), await hub.visitor("root")
    shown = await root.get(f"{PAGE}/nodes")
    assert "Everywhere 2 0 Type all Pause 2" in text(shown)
    assert (await api.get(f"{API}/nodes")).json() == {
        "items": [{"node": "", "sessions": 2, "stopping": 0}], "unknown": None,
    }  # fmt: skip
    tried = await api.post(f"{API}/pause-all", json={"all": True, "dry_run": True})
    assert (tried.status_code, tried.json()) == (200, {"sessions": 2})
    wrong = await root.post(f"{PAGE}/nodes", data={"_xsrf": xsrf(root), "node": "", "confirm": "everything"})
    assert (wrong.status_code, "Type all, please." in text(wrong)) == (422, True)
    assert audit(hub) == []
    assert await hub.status(session, "carol") is InstanceStatus.RUNNING

    done = await root.post(f"{PAGE}/nodes", data={"_xsrf": xsrf(root), "node": "", "confirm": "all"})
    assert (done.status_code, done.headers["location"].endswith("admin/nodes?said=paused_all")) == (303, True)
    for name in ("alice", "carol"):
        paused = await hub.becomes(session, InstanceStatus.PAUSED, name)
        assert paused.ended_reason == "stopped_for_all"
    carol = await hub.visitor("carol")
    assert "Paused by an admin, with all sessions of this hub." in text(await carol.get("renku/sessions"))
    assert audit(hub) == [("root", None, "pause all", "all nodes", "2 sessions")]
    assert (await api.post(f"{API}/pause-all", json={"all": True})).json() == {"sessions": 0}


async def test_an_admin_sees_everybodys_instances_and_pauses_one_which_its_owner_reads(renku_hub):
    hub = await renku_hub()
    hub.curator("root")
    project = await hub.project()
    session = await hub.session(project)
    start = f"api/renku/projects/{project.id}/sessions/{session.id}/start"
    for name in ("alice", "carol"):
        assert (await hub.client(name).post(start)).status_code in (200, 202)
        await hub.becomes(session, InstanceStatus.RUNNING, name)
    root, carol = await hub.visitor("root"), await hub.visitor("carol")

    shown = text(await root.get(PAGE))
    assert [shown.count(word) for word in ("alice", "carol", "alice/climate", "Pause Explore of")] == [4, 2, 2, 2]
    assert "carol" not in text(await root.get(f"{PAGE}?owner=alice&status=running&project=alice/climate"))
    assert (await root.get(f"{PAGE}?status=dancing")).status_code == 422
    form = {"_xsrf": xsrf(root), "username": "carol", "session": session.id, "back": "owner=carol&next=//evil"}
    done = await root.post(f"{PAGE}/pause", data=form)
    assert (done.status_code, done.headers["location"].partition("/renku/")[2]) == (
        303,
        "admin?owner=carol&said=paused_for",
    )
    paused = await hub.becomes(session, InstanceStatus.PAUSED, "carol")
    assert paused.ended_reason == "stopped_by_admin"
    assert "Paused by an admin." in text(await carol.get("renku/sessions"))
    assert "Paused by an admin." in text(await root.get(f"{PAGE}?reason=stopped_by_admin"))

    await api_says_the_same(hub, session)
    looked = "looked at everybody's"
    assert audit(hub) == [
        ("root", None, looked, "instances", ""),
        ("root", "alice", looked, "instances", "status=running owner=alice project=alice/climate"),
        ("root", "carol", "pause for somebody", session.id, ""),
        ("root", None, looked, "instances", "reason=stopped_by_admin"),
        ("root", None, looked, "instances", ""),
        ("root", None, looked, "instances", ""),
    ]
    assert "pause for somebody" in text(await root.get(f"{PAGE}/audit?actor=root&action=pause+for+somebody"))
    found = (await hub.client("root").get(f"{API}/audit?action=pause+for+somebody")).json()["items"]
    assert [(each["actor"], each["username"]) for each in found] == [("root", "carol")]
    assert 'href="/@/space%20word/hub/renku/admin"' in (await root.get("renku/projects")).text
    assert "renku/admin" not in (await carol.get("renku/projects")).text


async def api_says_the_same(hub: RenkuHub, session: Session) -> None:
    listed = (await hub.client("root").get(f"{API}/instances?limit=1")).json()
    assert [(each["username"], each["status"]) for each in listed["items"]] == [("carol", "paused")]
    following = (await hub.client("root").get(listed["next"].partition("/hub/")[2])).json()
    assert [(each["username"], each["title"], each["disk"]) for each in following["items"]] == [
        ("alice", "Explore", "1Gi")
    ]
    answer = await hub.client("root").post(f"{API}/pause", json={"username": "nobody", "session": session.id})
    assert answer.status_code == 404


async def test_what_nobody_means_is_refused_and_nothing_is_looked_at_or_removed(renku_hub):
    hub = await renku_hub()
    hub.curator("root")
    wrong = []
    for method, address, body, status in HOSTILE:
        answer = await hub.client("root").request(method, f"{API}/{address}", **({"json": body} if body else {}))
        wrong += [] if answer.status_code == status else [(method, address, body, answer.status_code, answer.text)]
    assert not wrong
    assert {each[2] for each in audit(hub)} == {"looked at everybody's"}


async def test_starts_are_told_by_environment_and_failures_by_reason(renku_hub):
    hub = await renku_hub()
    hub.curator("root")
    project = await hub.project()
    good, bad = await hub.session(project), await hub.session(project, "Bad", key="r", variables={"TINY_EXIT": "3"})
    root, alice = await hub.visitor("root"), hub.client("alice")
    assert "No start failed" in text(await root.get(f"{PAGE}/failures"))
    assert "Nothing was started" in text(await root.get(f"{PAGE}/launches"))
    for session, status in ((good, InstanceStatus.RUNNING), (bad, InstanceStatus.FAILED)):
        await alice.post(f"api/renku/projects/{project.id}/sessions/{session.id}/start")
        await hub.becomes(session, status)
    told = text(await root.get(f"{PAGE}/failures"))
    assert "crash_exit The program ended with code … crash 1 1 " in told
    failed = (await hub.client("root").get(f"{API}/failures")).json()["items"]
    assert [(each["reason"], each["count"]) for each in failed] == [("crash_exit", 1)]
    text(await root.get(f"{PAGE}/launches"))
    starts = {each["name"]: each for each in (await hub.client("root").get(f"{API}/launches")).json()["items"]}
    python, r = starts["Jupyter Python"], starts["R"]
    assert (python["starts"], python["failed"], r["starts"], r["failed"], r["whole"]) == (1, 0, 1, 1, None)
    assert list(python["stages"]) == ["creating", "preparing", "starting", "waiting"]
    parts = sum(stage["median"] for stage in python["stages"].values())
    assert abs(parts - python["whole"]["median"]) < 0.01
    with hub.parts.db.read() as tx:
        [launch] = tx.launches.list_for_session(bad.id, "alice")
    assert launch.stages is not None
    assert "creating" in launch.stages


async def left(hub: RenkuHub, session: Session) -> None:
    """A folder alone, one with its record, one that is young; a record alone, and one that is young."""
    folders = hub.parts.workspace
    now = hub.parts.now()

    async def on_record(name: str, claim: str, age: timedelta) -> None:
        def work(tx):
            made = tx.instances.get_or_create(session, name, now=now)
            tx.instances.save(made, replace(made, claim=claim, requested_at=now - age, paused_at=now - age))

        await write_transaction(hub.parts, work)

    for claim, age in (("a2a2a2a2a2a2", LATE), ("b2b2b2b2b2b2", LATE), ("c2c2c2c2c2c2", timedelta())):
        (folders / claim / "work").mkdir(parents=True)
        (folders / claim / "work" / "note.txt").write_text("kept")
        then = (now - age).timestamp()
        os.utime(folders / claim, (then, then))
    await on_record("alice", "b2b2b2b2b2b2", LATE)
    await on_record("bob", "d2d2d2d2d2d2", LATE)
    await on_record("carol", "e2e2e2e2e2e2", timedelta())


async def test_folders_and_records_without_each_other_are_found_and_removed_only_when_confirmed(renku_hub):
    hub = await renku_hub()
    hub.curator("root")
    session = await hub.session(await hub.project())
    folders = hub.parts.workspace
    await left(hub, session)
    root = await hub.visitor("root")

    page = (await root.get(f"{PAGE}/orphans")).text
    assert set(re.findall(r'name="names" value="(\w+)"', page)) == {"a2a2a2a2a2a2", instance(hub, session, "bob").id}
    assert page.count("Too young") == 2
    ticked = {"_xsrf": xsrf(root), "kind": "folder", "names": ["a2a2a2a2a2a2", "b2b2b2b2b2b2", "c2c2c2c2c2c2"]}
    for wrong, said in (
        ({"confirm": "yes"}, "Type the word folders"),
        ({"confirm": "folders", "names": []}, "Tick the folders"),
    ):
        answer = await root.post(f"{PAGE}/orphans", data=ticked | wrong)
        assert (answer.status_code, said in answer.text) == (422, True)
    assert {path.name for path in folders.iterdir()} == {"a2a2a2a2a2a2", "b2b2b2b2b2b2", "c2c2c2c2c2c2"}
    done = await root.post(f"{PAGE}/orphans", data=ticked | {"confirm": "Folders "})
    assert done.headers["location"].endswith("admin/orphans?said=cleaned_some")
    assert {path.name for path in folders.iterdir()} == {"b2b2b2b2b2b2", "c2c2c2c2c2c2"}
    await records_are_removed_too(hub, session, root)


async def records_are_removed_too(hub: RenkuHub, session: Session, root: httpx.AsyncClient) -> None:
    claims = (await hub.client("root").get(f"{API}/claims")).json()
    assert [(each["name"], each["username"], each["record"]) for each in claims["items"]] == [
        ("b2b2b2b2b2b2", "alice", True),
        ("c2c2c2c2c2c2", "", False),
    ]
    assert "b2b2b2b2b2b2" in text(await root.get(f"{PAGE}/claims"))
    names = [instance(hub, session, name).id for name in ("bob", "carol")]
    removed = await hub.client("root").request("DELETE", f"{API}/orphans", json={"kind": "record", "names": names})
    assert removed.json() == {"removed": 1}
    assert [instance(hub, session, name).status for name in ("bob", "carol")] == [
        InstanceStatus.INACTIVE,
        InstanceStatus.PAUSED,
    ]
    found = (await hub.client("root").get(f"{API}/orphans")).json()
    assert (found["counts"], found["unknown"]) == ({"folder": 1, "record": 1}, None)
    assert [each for each in audit(hub) if "removed" in each[2]] == [
        ("root", None, "folder removed", "a2a2a2a2a2a2", ""),
        ("root", "bob", "record removed", names[0], ""),
    ]


def instance(hub: RenkuHub, session: Session, name: str) -> Instance:
    with hub.parts.db.read() as tx:
        found = tx.instances.get(session.id, name)
    assert found is not None
    return found
