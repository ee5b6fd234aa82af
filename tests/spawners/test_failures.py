"""Whatever a session's program does, the hub lives on, and its owner reads why it ended and what to do."""

import asyncio
import os
import signal
import sys

import pytest

from renku_spawner.domain.instances import InstanceStatus
from renku_spawner.domain.sessions import SessionChange, SessionConfiguration
from renku_spawner.usecases.sessions import change_session
from tests.fixtures.fair import Stopwatch
from tests.fixtures.renku import until
from tests.spawners import ways

SEE_LOG = "See the last lines of its log."
ENDS = {
    "0": ("exited_clean", "The program ended at once without an error.", SEE_LOG),
    "1": ("crash_exit", "The program ended with code 1.", SEE_LOG),
    "126": (
        "command_not_executable",
        "The program python cannot be executed.",
        "The environment lacks what a session needs; tell an admin.",
    ),
    "127": (
        "command_not_found",
        "The program python does not exist.",
        "The environment lacks what a session needs; tell an admin.",
    ),
    "137": (
        "crash_killed",
        "The program was killed (SIGKILL).",
        "See the last lines of its log; if it used much memory, try a larger class.",
    ),
}
STRICT = {"consecutive_failure_limit": 2, "poll_interval": 1}


def launches(hub, session, name="alice"):
    with hub.parts.db.read() as tx:
        return tx.launches.list_for_session(session.id, name)


async def variables(hub, session, **values):
    """Edit the session, as an editor who mends it."""
    with hub.parts.db.read() as tx:
        version = tx.sessions.get(session.id).version
    change = SessionChange(version=version, configuration=SessionConfiguration(variables=values))
    return await change_session(hub.parts, hub.person("alice"), session.project, session.id, change)


async def test_a_program_that_exits_at_once_is_told_with_reason_advice_and_log(renku_hub):
    hub = await renku_hub(RenkuLocalSpawner=STRICT)
    project = await hub.project()
    for code, expected in ENDS.items():
        session = await hub.session(project, f"Exit {code}", variables={"TINY_EXIT": code})
        answer = await ways.start(hub, session)
        assert answer.status_code == 202, answer.text
        instance = await hub.becomes(session, InstanceStatus.FAILED)
        told = instance.message.replace(sys.executable, "python")
        assert (instance.reason, told, instance.advice) == expected
        await recorded_as_failed(hub, session, instance)
    assert ways.marked(hub.parts.workspace) == {}
    assert ways.failure_count(hub) == 0


async def recorded_as_failed(hub, session, instance):
    """The launch, the API and the log tell the same, without the token that the program printed."""
    (launch,) = launches(hub, session)
    assert (launch.outcome, launch.reason, launch.message) == ("failed", instance.reason, instance.message)
    assert launch.ended_at is not None
    assert launch.ready_at is None
    assert launch.log.splitlines() == ["tiny server starts with token [hidden]", "a last word"]
    seen = await ways.shown(hub, session)
    assert (seen["status"], seen["reason"], seen["message"]) == ("failed", instance.reason, instance.message)
    log = (await hub.client("alice").get(f"{ways.address(session)}/logs")).json()["lines"]
    assert log == launch.log.splitlines()


async def test_a_program_that_cannot_be_run_at_all_is_told(renku_hub):
    hub = await renku_hub(RenkuLocalSpawner={**STRICT, "cmd": ["/nonexistent/jupyter"]})
    session = await hub.session(await hub.project())
    await ways.start(hub, session)
    instance = await hub.becomes(session, InstanceStatus.FAILED)
    assert instance.message == "The program /nonexistent/jupyter does not exist."
    assert launches(hub, session)[0].log == "Cannot run /nonexistent/jupyter: No such file or directory"


@pytest.mark.parametrize(
    ("how", "reason", "message"),
    [
        ({"TINY_SILENT": "1"}, "port_not_open", "Nothing answered on port "),
        ({"TINY_STATUS": "500"}, "app_error", "The program answers with errors."),
        ({"TINY_STATUS": "404"}, "base_url_wrong", "The program does not answer below its address /"),
        ({"TINY_STATUS": "302", "TINY_LOCATION": "/login"}, "base_url_wrong", "The program does not answer below"),
    ],
)
async def test_a_program_that_never_answers_well_is_given_up_with_its_log(renku_hub, how, reason, message):
    hub = await renku_hub(Renku={"start_timeout": 2}, RenkuLocalSpawner=STRICT)
    session = await hub.session(await hub.project(), variables=how)
    await ways.start(hub, session)
    instance = await hub.becomes(session, InstanceStatus.FAILED)
    assert (instance.reason, instance.message[: len(message)]) == (reason, message)
    (launch,) = launches(hub, session)
    assert launch.log == "tiny server starts with token [hidden]"
    assert ways.marked(hub.parts.workspace) == {}
    assert ways.failure_count(hub) == 0


@pytest.mark.parametrize("stage", ["Waiting until it answers", "Preparing files"])
async def test_the_longest_time_for_a_start_is_told_with_its_step(renku_hub, stage):
    async with ways.hanging_host() as repository:
        limits = {"start_timeout": 2, "start_timeout_max": 2, "repository_hosts": {repository.host}}
        hub = await renku_hub(Renku=limits, RenkuLocalSpawner=STRICT)
        slow = (repository(),) if stage == "Preparing files" else ()
        session = await hub.session(await hub.project(repositories=slow), variables={"TINY_DELAY": "60"})
        await ways.start(hub, session)
        instance = await hub.becomes(session, InstanceStatus.FAILED)
        assert (instance.reason, instance.message) == (
            "start_timeout",
            f"Starting took longer than 2 s at the step “{stage}”.",
        )
    assert ways.marked(hub.parts.workspace) == {}
    assert ways.failure_count(hub) == 0


async def test_a_program_that_dies_while_it_runs_is_told_within_ten_seconds(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project(), variables={"TINY_DIE": "1"})
    await ways.start(hub, session)
    running = await hub.becomes(session, InstanceStatus.RUNNING)
    (pid,) = ways.servers(hub.parts.workspace)
    token = ways.environ(pid)["JUPYTERHUB_API_TOKEN"]
    (hub.parts.workspace / running.claim / "work" / "die").touch()
    await until(lambda: not ways.servers(hub.parts.workspace), why="it has died")
    took = Stopwatch()
    instance = await hub.becomes(session, InstanceStatus.FAILED)
    assert took() < 10
    assert (instance.reason, instance.message) == ("crash_exit", "The program ended with code 3.")
    (launch,) = launches(hub, session)
    assert (launch.outcome, launch.log) == ("failed", "tiny server starts with token [hidden]")
    assert token not in launch.log
    assert launch.ready_at is not None
    log = (await hub.client("alice").get(f"{ways.address(session)}/logs")).text
    assert token not in log
    assert "tiny server starts" in log


async def test_a_shutdown_from_inside_is_a_pause_and_no_failure(renku_hub):
    """File → Shut Down in JupyterLab ends the server with code 0."""
    hub = await renku_hub(RenkuLocalSpawner=STRICT)
    session = await hub.session(await hub.project(), variables={"TINY_DIE": "1"})
    await ways.start(hub, session)
    running = await hub.becomes(session, InstanceStatus.RUNNING)
    code = hub.parts.workspace / running.claim / "work" / "code"
    code.write_text("0")
    code.rename(code.with_name("die"))
    paused = await hub.becomes(session, InstanceStatus.PAUSED)
    assert (paused.reason, paused.message, paused.ended_reason) == (None, None, "server_exited")
    (launch,) = launches(hub, session)
    assert (launch.outcome, launch.reason) == ("ended", "server_exited")
    assert ways.failure_count(hub) == 0
    page = await (await hub.visitor("alice")).get("renku/sessions")
    assert "The session was shut down from inside." in page.text
    admin = hub.user("admin", admin=True) and hub.curator("admin") and hub.client("admin")
    failures = await admin.get("api/renku/admin/failures")
    assert (failures.status_code, "server_exited" in failures.text) == (200, False)
    code.with_name("die").unlink()
    await until(lambda: not hub.user("alice").spawners[session.id].active, why="the hub has let go")
    await ways.start(hub, session)
    await hub.becomes(session, InstanceStatus.RUNNING)


async def test_a_program_that_is_killed_is_not_said_to_lack_memory(renku_hub):
    hub = await renku_hub(RenkuLocalSpawner=STRICT)
    session = await hub.session(await hub.project())
    await ways.start(hub, session)
    await hub.becomes(session, InstanceStatus.RUNNING)
    (pid,) = ways.servers(hub.parts.workspace)
    os.kill(pid, signal.SIGKILL)
    failed = await hub.becomes(session, InstanceStatus.FAILED)
    assert (failed.reason, failed.message) == ("crash_killed", "The program was killed (SIGKILL).")


async def test_a_program_that_dies_after_its_first_answer_keeps_neither_the_hub_nor_the_next_start_waiting(renku_hub):
    """The hub asks once more, for half a minute, whether it answers, and would count that as a failure of its own."""
    hub = await renku_hub(RenkuLocalSpawner=STRICT)
    session = await hub.session(await hub.project(), variables={"TINY_ONCE": "1"})
    await ways.start(hub, session)
    took = Stopwatch()
    failed = await hub.becomes(session, InstanceStatus.FAILED)
    assert failed.reason == "crash_exit"
    await variables(hub, session)
    assert (await ways.start(hub, session)).status_code in (200, 202)
    await hub.becomes(session, InstanceStatus.RUNNING)
    assert took() < 10
    assert [launch.outcome for launch in launches(hub, session)] == ["running", "failed"]
    assert ways.failure_count(hub) == 0


async def test_a_start_just_after_the_end_is_no_start_of_what_has_ended(renku_hub, monkeypatch):
    """Failed is on record before the hub has let go of the server."""
    hub = await renku_hub(RenkuLocalSpawner=STRICT)
    session = await hub.session(await hub.project(), variables={"TINY_DIE": "1"})
    await ways.start(hub, session)
    running = await hub.becomes(session, InstanceStatus.RUNNING)
    let_go, delete_route = asyncio.Event(), hub.app.proxy.delete_route

    async def later(route):
        await let_go.wait()
        await delete_route(route)

    monkeypatch.setattr(hub.app.proxy, "delete_route", later)
    (hub.parts.workspace / running.claim / "work" / "die").touch()
    await hub.becomes(session, InstanceStatus.FAILED)
    (hub.parts.workspace / running.claim / "work" / "die").unlink()
    answer = await ways.start(hub, session)
    assert (answer.status_code, answer.json()["code"]) == (409, "stopping")
    asked = asyncio.ensure_future(ways.start(hub, session))
    let_go.set()
    assert (await asked).status_code in (200, 202)
    assert (await hub.becomes(session, InstanceStatus.RUNNING)).run != running.run


async def test_a_failed_session_stays_failed_until_somebody_tries_again(renku_hub):
    hub = await renku_hub(RenkuLocalSpawner=STRICT)
    session = await hub.session(await hub.project(), variables={"TINY_EXIT": "1"})
    await ways.start(hub, session)
    failed = await hub.becomes(session, InstanceStatus.FAILED)
    await asyncio.sleep(2.5)  # two of the hub's own looks at its servers, which must change nothing
    assert (await ways.shown(hub, session))["status"] == "failed"
    assert await hub.instance(session) == failed
    await variables(hub, session)
    assert (await ways.start(hub, session)).status_code in (200, 202)
    running = await hub.becomes(session, InstanceStatus.RUNNING)
    assert (running.claim, running.reason, running.message) == (failed.claim, None, None)
    assert [launch.outcome for launch in launches(hub, session)] == ["running", "failed"]


async def test_the_hub_outlives_twenty_failures_in_a_row(renku_hub):
    hub = await renku_hub(Renku={"start_timeout": 2, "one_active_per_environment": False}, RenkuLocalSpawner=STRICT)
    project = await hub.project()
    crashing = await hub.session(project, "Crashing", variables={"TINY_EXIT": "1"})
    silent = [await hub.session(project, f"Silent {n}", variables={"TINY_SILENT": "1"}) for n in range(5)]
    for session in silent:
        await ways.start(hub, session)
    for n in range(20):
        assert (await ways.start(hub, crashing)).status_code == 202
        await hub.becomes(crashing, InstanceStatus.FAILED)
        assert ways.failure_count(hub) == 0, n
    for session in silent:
        await hub.becomes(session, InstanceStatus.FAILED)
    assert len(launches(hub, crashing)) >= 10
    await asyncio.sleep(2.5)  # the hub would exit two seconds after its limit
    assert (await hub.client("alice").get("health")).status_code == 200
    assert ways.failure_count(hub) == 0
    assert ways.marked(hub.parts.workspace) == {}
