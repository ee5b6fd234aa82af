"""A newer image is announced; nothing changes until a writer accepts it."""

from renku_spawner.context.app_context import write_transaction
from renku_spawner.domain.environments import NewRevision
from renku_spawner.domain.instances import InstanceStatus
from tests.fixtures.renku import xsrf

NEWER = NewRevision(image="quay.io/x/y:2", repository="quay.io/x/y", tag="2", digest="sha256:" + "b" * 64)


async def revised(hub):
    """A session whose environment has got a newer revision since."""
    session = await hub.session(await hub.project())
    await write_transaction(
        hub.parts, lambda tx: tx.environments.add_revision(session.environment.id, NEWER, by="x", now=hub.parts.now())
    )
    return session, f"projects/alice%2Fclimate/sessions/{session.id}"


async def test_a_newer_revision_waits_and_the_accepted_one_stays(renku_hub):
    hub = await renku_hub()
    session, address = await revised(hub)
    found = (await hub.client("carol").get(f"api/renku/{address}")).json()
    assert (found["environment"]["revision"], found["update"]["revision"]) == (1, 2)
    assert found["environment"]["image"] == session.revision.canonical_reference


async def test_a_writer_accepts_it_and_goes_back(renku_hub):
    hub = await renku_hub()
    _, address = await revised(hub)
    bob, carol = hub.client("bob"), hub.client("carol")
    assert (await carol.post(f"api/renku/{address}/revision", json={"revision": 2})).status_code == 403
    taken = (await bob.post(f"api/renku/{address}/revision", json={"revision": 2})).json()
    assert (taken["environment"]["image"], taken["update"]) == ("quay.io/x/y:2", None)
    history = (await carol.get(f"api/renku/{address}/revisions")).json()["items"]
    back = (await bob.post(f"api/renku/{address}/revision", json={"revision": history[-1]["id"]})).json()
    assert back["environment"]["revision"] == 1
    assert (await bob.post(f"api/renku/{address}/revision", json={"revision": 3})).status_code == 422


async def test_whoever_runs_it_is_told_before_the_next_start(renku_hub):
    hub = await renku_hub()
    session, _ = await revised(hub)
    alice = await hub.visitor("alice")
    page, form = f"renku/projects/alice/climate/-/sessions/{session.id}", {"_xsrf": xsrf(alice)}
    await alice.post(f"{page}/start", data=form)
    await hub.becomes(session, InstanceStatus.RUNNING)
    assert (await alice.post(f"{page}/revision", data=form | {"revision": "2", "version": "1"})).status_code == 303
    assert "This session was edited since you started it" in (await alice.get(page)).text
    await alice.post(f"{page}/pause", data=form)
    await hub.becomes(session, InstanceStatus.PAUSED)
    assert "revision 2 of the image" in (await alice.get(page)).text
