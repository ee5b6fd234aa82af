"""A session of the local spawner from its first start to the end of its data, on a live hub."""

from renku_spawner.domain.instances import InstanceStatus


async def test_a_session_starts_by_the_hubs_own_api_and_its_folder_plays_work(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    answer = await hub.client("alice").post(f"api/users/alice/servers/{session.id}")
    assert answer.status_code in (201, 202), answer.text
    instance = await hub.becomes(session, InstanceStatus.RUNNING)
    assert (hub.parts.workspace / instance.claim / "work").is_dir()


async def test_pause_keeps_the_files_and_resume_finds_them(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    alice = hub.client("alice")
    await alice.post(f"api/users/alice/servers/{session.id}")
    first = await hub.becomes(session, InstanceStatus.RUNNING)
    note = hub.parts.workspace / first.claim / "work" / "note.txt"
    note.write_text("kept")
    await alice.delete(f"api/users/alice/servers/{session.id}")
    await hub.becomes(session, InstanceStatus.PAUSED)
    await alice.post(f"api/users/alice/servers/{session.id}")
    second = await hub.becomes(session, InstanceStatus.RUNNING)
    assert (second.claim, note.read_text()) == (first.claim, "kept")
    assert second.run != first.run
