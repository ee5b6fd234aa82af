"""My sessions: all of one's own in any order, and several paused at once, without a script."""

import re

from renku_spawner.domain.instances import InstanceStatus
from renku_spawner.persistence.database import Transaction
from tests.fixtures.renku import RenkuHub, xsrf


async def runs(hub: RenkuHub, session) -> None:
    api = f"api/renku/projects/{session.project}/sessions/{session.id}/start"
    assert (await hub.client("alice").post(api, json={})).is_success
    await hub.becomes(session, InstanceStatus.RUNNING)


def reports(tx: Transaction, session_id: str, size: int) -> None:
    found = tx.instances.get(session_id, "alice")
    assert found is not None
    tx.instances.save(found, found.__class__(**{**vars(found), "disk_used": size}))


async def test_several_are_paused_by_one_click_and_each_result_is_told(renku_hub) -> None:
    price = {"per_gib_month": 0.5, "currency": "CHF"}
    hub = await renku_hub(Renku={"session_limits": {"running": 3, "kept": 20}, "price": price})
    project = await hub.project()
    one, other = await hub.session(project, "One <b>"), await hub.session(project, "Other", key="r")
    await runs(hub, one)
    await runs(hub, other)
    with hub.parts.db.write() as tx:
        reports(tx, one.id, 3 << 30)
    alice = await hub.visitor("alice")
    page = (await alice.get("renku/sessions?sort=name")).text
    assert "2 of your 3 sessions run, and you keep data in 2 of 20, at least 3 GiB, at least 1.50 CHF a month." in page
    assert re.findall(r'name="sessions" value="(\w+)"', page) == [one.id, other.id]

    form = {
        "_xsrf": xsrf(alice),
        "which": "selected",
        "sessions": [one.id, "a2a2a2a2a2a2"],
        "back": "sessions?sort=name",
    }
    answer = await alice.post("renku/sessions/pause", data=form)
    assert answer.status_code == 303
    told = await alice.get(answer.headers["Location"].partition("/hub/")[2])
    assert "One &lt;b&gt;: pausing, its data is kept." in told.text
    assert "a2a2a2a2a2a2" not in told.text  # nothing is told of what is not one's own
    assert 'aria-current="true">title' in told.text
    await hub.becomes(one, InstanceStatus.PAUSED)
    assert await hub.status(other) is InstanceStatus.RUNNING
    none = await alice.post("renku/sessions/pause", data={"_xsrf": xsrf(alice), "which": "selected"})
    assert (none.status_code, "Select the sessions to pause first." in none.text) == (422, True)

    await alice.post("renku/sessions/pause", data={"_xsrf": xsrf(alice), "which": "all"})
    await hub.becomes(other, InstanceStatus.PAUSED)

    client = hub.client("alice")
    for sort, expected in {"name": "One <b>", "size": "One <b>", "started": "Other"}.items():
        first = (await client.get(f"api/renku/sessions?sort={sort}&limit=1")).json()
        following = (await client.get(first["next"].partition("/hub/")[2])).json()
        assert [first["items"][0]["title"], following["next"]] == [expected, None]
    assert (await client.get("api/renku/sessions?sort=size")).json()["items"][0]["instance"]["cost_per_month"] == 1.5
    assert (await client.get("api/renku/sessions?sort=color")).status_code == 422


async def test_what_could_not_be_paused_is_told_with_its_reason(renku_hub) -> None:
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    await runs(hub, session)
    alice = await hub.visitor("alice")
    page = await alice.get(f"renku/sessions?unpaused={session.id}-cluster_unavailable.{session.id}<script>")
    assert "Explore: could not be paused: The cluster does not answer." in page.text
    assert "<script>.." not in page.text
