"""One active session per environment, project and user, however many ask at the same moment."""

import asyncio
import threading
from functools import partial

import pytest
from traitlets.config import Config

from renku_spawner.config.renku import Renku
from renku_spawner.domain.access import Person
from renku_spawner.domain.errors import LaunchRefusedError, UnavailableError
from renku_spawner.domain.instances import InstanceStatus
from renku_spawner.lifecycle.runs import enqueue_start, record_stopped, request_start, request_stop
from renku_spawner.persistence.migrate import upgrade_schema
from renku_spawner.usecases.instances import prepare_launch_spec
from renku_spawner.web.base import RenkuAPIHandler
from tests.fixtures.fair import Stopwatch
from tests.fixtures.renku import until, xsrf
from tests.persistence import made
from tests.spawners import ways

ROUNDS = 50


def house(url):
    """The parts of one hub over a database; two of them are as far apart as two processes."""
    c = Config()
    c.Renku.db_url = url
    return Renku(config=c).context


def refusal(parts, spec):
    """Begin a run; what the refusal says, None if it was begun."""
    try:
        asyncio.run(request_start(parts, spec))
    except LaunchRefusedError as refused:
        return refused
    return None


def at_once(*works):
    """What each returns when all begin at the same moment, each in a thread and a loop of its own."""
    gate, results = threading.Barrier(len(works)), [None] * len(works)

    def run(number, work):
        gate.wait(60)
        results[number] = work()

    threads = [threading.Thread(target=run, args=each) for each in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


def two_sessions(parts):
    with parts.db.write() as tx:
        project, environment = made.project(tx, owner="ada"), made.environment(tx)
        return [made.session(tx, project, environment, title) for title in ("First", "Second")]


def test_of_two_parallel_starts_of_one_environment_exactly_one_wins(database_url):
    upgrade_schema(database_url)
    houses = house(database_url), house(database_url)
    sessions, ada = two_sessions(houses[0]), Person(name="ada")
    specs = [asyncio.run(prepare_launch_spec(houses[0], ada, session.id)) for session in sessions]
    winners = []
    for number in range(ROUNDS):
        order = (0, 1) if number % 2 else (1, 0)
        refusals = at_once(*[lambda one=one: refusal(houses[one], specs[one]) for one in order])
        ended = dict(zip(order, refusals, strict=True))
        (winner,) = [one for one in ended if ended[one] is None]
        lost = ended[1 - winner]
        assert (lost.code, lost.details["session"], lost.details["title"]) == (
            "already_running", sessions[winner].id, sessions[winner].title,
        )  # fmt: skip
        assert sessions[winner].title in lost.message
        with houses[0].db.read() as tx:
            (active,) = tx.instances.list_active()
        assert active.session == sessions[winner].id
        asyncio.run(request_stop(houses[0], "ada", active.session, ended_reason="stopped_by_user"))
        asyncio.run(record_stopped(houses[0], "ada", active.session))
        winners.append(winner)
    assert len(winners) == ROUNDS
    for each in houses:
        each.db.dispose()


def limited_house(url, **limits):
    """The parts of one hub whose admin limits what each user has."""
    c = Config()
    c.Renku.db_url = url
    c.Renku.one_active_per_environment = False
    c.Renku.session_limits = limits
    return Renku(config=c).context


def start_stubbornly(start, parts, spec):
    """Start; return the code of the refusal, None if it was let through. Fifty at once may keep the database busy."""
    while True:
        try:
            asyncio.run(start(parts, spec))
        except UnavailableError:
            continue
        except LaunchRefusedError as refused:
            assert refused.details["limit"] == 3
            return refused.code
        return None


@pytest.mark.parametrize("limit", ["running", "kept"])
def test_of_fifty_parallel_starts_of_one_user_no_more_pass_than_an_admin_allows(database_url, limit):
    upgrade_schema(database_url)
    houses = [limited_house(database_url, **{limit: 3}) for _ in range(2)]
    with houses[0].db.write() as tx:
        project, environment = made.project(tx, owner="ada"), made.environment(tx)
        sessions = [made.session(tx, project, environment, f"S{number}") for number in range(50)]
    ada = Person(name="ada")
    specs = [asyncio.run(prepare_launch_spec(houses[0], ada, session.id)) for session in sessions]
    starts = [(request_start, enqueue_start)[number // 2 % 2] for number in range(50)]  # both on both hubs
    works = [
        partial(start_stubbornly, start, houses[number % 2], spec)
        for number, (start, spec) in enumerate(zip(starts, specs, strict=True))
    ]
    codes = at_once(*works)
    assert (codes.count(None), codes.count({"running": "limit_user", "kept": "limit_kept"}[limit])) == (3, 47)
    with houses[0].db.read() as tx:
        assert getattr(tx.instances, f"count_{limit}")("ada") == 3
    for each in houses:
        each.db.dispose()


async def test_fifty_parallel_starts_over_both_apis_keep_to_the_limit(renku_hub):
    hub = await renku_hub(Renku={"one_active_per_environment": False, "session_limits": {"running": 3}})
    project = await hub.project()
    sessions = [await hub.session(project, f"S{number}") for number in range(50)]

    async def start(number, session):
        if number % 2:
            return await ways.start(hub, session)
        return await hub.client("alice").post(f"api/users/alice/servers/{session.id}")

    answers = await asyncio.gather(*[start(*each) for each in enumerate(sessions)])
    spawners = hub.app.users["alice"].spawners
    await until(lambda: not any(each.pending for each in spawners.values()), seconds=300, why="all starts are decided")
    for answer in answers:  # on a busy machine some are answered before they are decided
        assert answer.status_code < 300 or "You run 3 of 3 sessions" in answer.json()["message"], answer.text
    with hub.parts.db.read() as tx:
        running = tx.instances.list_running("alice")
        launches = [launch for session in sessions for launch in tx.launches.list_for_session(session.id, "alice")]
    assert (len(running), len(launches)) == (3, 3), "no more have ever begun"
    assert {instance.status for instance in running} == {InstanceStatus.RUNNING}
    assert len(ways.servers(hub.parts.workspace)) == 3
    assert ways.failure_count(hub) == 0


@pytest.mark.parametrize("patience", [0.5, 0.001])
async def test_of_two_parallel_starts_on_a_hub_one_runs_and_the_other_reads_why(renku_hub, monkeypatch, patience):
    """Also when the hub's look at a start ends before the gate has decided, as on a busy machine."""
    monkeypatch.setattr(RenkuAPIHandler, "slow_spawn_timeout", patience)
    hub = await renku_hub()
    project = await hub.project()
    sessions = [await hub.session(project, title) for title in ("First", "Second")]
    for number in range(8):
        asked = sessions if number % 2 else sessions[::-1]
        answers = await asyncio.gather(*[ways.start(hub, session) for session in asked])
        codes = [answer.status_code for answer in answers]
        assert sorted(codes)[-1] == 409 and sorted(codes)[0] in (200, 202), [a.text for a in answers]
        winner, loser = (0, 1) if codes[1] == 409 else (1, 0)
        said = answers[loser].json()
        assert (said["code"], said["session"]) == ("already_running", asked[winner].id)
        assert f"in this project: {asked[winner].title}. Open it, or pause it first." in said["message"]
        await hub.becomes(asked[winner], InstanceStatus.RUNNING)
        assert len(ways.servers(hub.parts.workspace)) == 1
        await ways.pause(hub, asked[winner])
        await hub.becomes(asked[winner], InstanceStatus.PAUSED)
    assert ways.failure_count(hub) == 0


async def test_the_hubs_own_api_is_no_way_around(renku_hub):
    hub = await renku_hub()
    project = await hub.project()
    first, second = [await hub.session(project, title) for title in ("First", "Second")]
    await ways.start(hub, first)
    await hub.becomes(first, InstanceStatus.RUNNING)
    answer = await hub.client("alice").post(f"api/users/alice/servers/{second.id}")
    assert answer.status_code == 400
    assert "You already run a session with this environment in this project: First." in answer.json()["message"]
    assert await hub.status(second) is InstanceStatus.INACTIVE


@pytest.mark.parametrize("delay", ["0", "1"])
async def test_fifty_identical_starts_are_one_start_and_all_are_answered(renku_hub, delay):
    hub = await renku_hub()
    session = await hub.session(await hub.project(), variables={"TINY_DELAY": delay})
    took = Stopwatch()
    answers = await asyncio.gather(*[ways.start(hub, session) for _ in range(50)])
    assert {answer.status_code for answer in answers} <= {200, 202}, [a.text for a in answers if a.status_code > 202]
    assert took() < 20
    instance = await hub.becomes(session, InstanceStatus.RUNNING)
    assert len(ways.servers(hub.parts.workspace)) == 1
    assert (await ways.start(hub, session)).status_code == 200
    assert list(ways.rows(hub)) == [("alice", session.id)]
    with hub.parts.db.read() as tx:
        assert [launch.id for launch in tx.launches.list_for_session(session.id, "alice")] == [instance.run]
    assert ways.failure_count(hub) == 0


async def test_both_run_where_an_admin_allows_it(renku_hub):
    hub = await renku_hub(Renku={"one_active_per_environment": False})
    project = await hub.project()
    sessions = [await hub.session(project, title) for title in ("First", "Second")]
    answers = await asyncio.gather(*[ways.start(hub, session) for session in sessions])
    assert {answer.status_code for answer in answers} <= {200, 202}
    for session in sessions:
        assert (await hub.becomes(session, InstanceStatus.RUNNING)).slot is None
    assert len(ways.servers(hub.parts.workspace)) == 2


async def test_other_people_and_other_environments_are_not_in_the_way(renku_hub):
    hub = await renku_hub()
    project = await hub.project()
    python, r = await hub.session(project, "Python"), await hub.session(project, "R", key="r")
    for session, name in ((python, "alice"), (python, "bob"), (r, "alice")):
        assert (await ways.start(hub, session, name)).status_code in (200, 202)
        await hub.becomes(session, InstanceStatus.RUNNING, name)
    assert len(ways.servers(hub.parts.workspace)) == 3


async def test_an_admins_limits_say_whose_limit_it_is(renku_hub):
    hub = await renku_hub(Renku={"session_limits": {"running": 1, "kept": 2}})
    project = await hub.project()
    first, second = await hub.session(project, "Python"), await hub.session(project, "R", key="r")
    other = await hub.session(await hub.project("ocean"), "Waves")
    await ways.start(hub, first)
    await hub.becomes(first, InstanceStatus.RUNNING)
    answer = await ways.start(hub, second)
    assert (answer.status_code, answer.json()["code"]) == (409, "limit_user")
    assert answer.json()["message"] == "You run 1 of 1 sessions, the limit that an admin has set. Pause one first."
    listed = {"session": first.id, "title": "Python", "project": project.id, "project_path": project.path}
    assert answer.json()["running"] == [listed | {"status": "running"}]
    assert (await ways.start(hub, first)).status_code == 200, "what runs already counts once"
    await _makes_room_on_the_page(hub, project, first, second)
    await ways.start(hub, second)
    await hub.becomes(second, InstanceStatus.RUNNING)
    await ways.pause(hub, second)
    await hub.becomes(second, InstanceStatus.PAUSED)
    answer = await ways.start(hub, other)
    assert (answer.status_code, answer.json()["code"]) == (409, "limit_kept")
    assert answer.json()["message"].startswith("You have data in 2 sessions, the limit that an admin has set.")
    assert [each["title"] for each in answer.json()["kept"]] == ["Python", "R"]
    page = await _refused(hub, "alice/ocean", other)
    assert "2 of 2 with data" in page and page.count("Delete data …") == 2
    assert f"/renku/sessions/{first.id}/data" in page
    assert (await ways.delete(hub, first)).status_code == 204
    assert (await ways.start(hub, other)).status_code in (200, 202)
    await hub.becomes(other, InstanceStatus.RUNNING)
    assert (await ways.start(hub, first, "bob")).status_code in (200, 202), "each has limits of their own"


async def _refused(hub, project, session):
    """The page that says so to alice."""
    visitor = await hub.visitor("alice")
    path = f"renku/projects/{project}/-/sessions/{session.id}/start"
    answer = await visitor.post(path, data={"_xsrf": xsrf(visitor)})
    assert answer.status_code == 409, answer.text
    return answer.text


async def _makes_room_on_the_page(hub, project, running, wanted):
    """What may be had is said before the click; after it, what could make room can be paused right there."""
    visitor = await hub.visitor("alice")
    assert "1 of 1 running, 1 of 2 with data" in (await visitor.get(f"renku/projects/{project.path}")).text
    assert "1 of your 1 sessions run, and you keep data in 1 of 2" in (await visitor.get("renku/sessions")).text
    page = await _refused(hub, project.path, wanted)
    assert "1 of 1 running" in page and "Try again" in page
    pause = f"renku/sessions/{running.id}/pause"
    assert f'action="{hub.app.hub.base_url}{pause}"' in page and f'name="then" value="{wanted.id}"' in page
    answer = await visitor.post(pause, data={"_xsrf": xsrf(visitor), "then": wanted.id})
    assert (answer.status_code, answer.headers["Location"]) == (
        303, f"{hub.app.hub.base_url}renku/projects/{project.path}/-/sessions/{wanted.id}",
    )  # fmt: skip
    await hub.becomes(running, InstanceStatus.PAUSED)


async def test_one_click_pauses_the_session_in_the_way_and_starts_this_one(renku_hub):
    hub = await renku_hub()
    project = await hub.project()
    first, second = [await hub.session(project, title) for title in ("First", "Second")]
    alice = await hub.visitor("alice")
    page = f"renku/projects/{project.path}/-/sessions"
    await alice.post(f"{page}/{first.id}/start", data={"_xsrf": xsrf(alice)})
    await hub.becomes(first, InstanceStatus.RUNNING)
    shown = (await alice.get(f"{page}/{second.id}")).text
    assert "Pause <em>First</em> and start this one" in shown
    await alice.post(f"{page}/{second.id}/start", data={"_xsrf": xsrf(alice), "pause": first.id})
    await hub.becomes(second, InstanceStatus.RUNNING)
    assert (await hub.becomes(first, InstanceStatus.PAUSED)).ended_reason == "stopped_by_user"


async def test_a_project_with_one_session_shows_it_once(renku_hub):
    hub = await renku_hub()
    project = await hub.project()
    await hub.session(project, "First")
    alice = await hub.visitor("alice")
    assert 'id="default-session"' not in (await alice.get(f"renku/projects/{project.path}")).text
    await hub.session(project, "Second")
    assert 'id="default-session"' in (await alice.get(f"renku/projects/{project.path}")).text
