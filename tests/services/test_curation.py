"""What admins do with ready-made environments, and what projects hear of it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from renku_spawner.domain.access import Person
from renku_spawner.domain.curation import NewReadyMade, ReadyMadeChange, Seen, StateChange
from renku_spawner.domain.environment import Environment, State
from renku_spawner.domain.errors import Conflict, Invalid, NotFound, Refused
from renku_spawner.domain.policy import Policy
from renku_spawner.domain.project import NewProject
from renku_spawner.domain.resources import ResourceClass
from renku_spawner.domain.running import NewImage, RunChoice
from renku_spawner.domain.session import NewSession, Session
from renku_spawner.services import (
    curation,
    environments,
    instances,
    looks,
    projects,
    ready_made,
    runs,
    sessions,
    succession,
)
from renku_spawner.services.parts import Parts

from .conftest import NOW

ROOT, ADA = Person(name="root", admin=True), Person(name="ada")
CLASS = ResourceClass(name="small", cpu="4", memory="8Gi", disk="50Gi")


@pytest.fixture
def house(parts: Parts) -> Parts:
    return replace(parts, policy=Policy(classes=(CLASS,)))


def later(parts: Parts, **time: float) -> Parts:
    return replace(parts, now=lambda: NOW + timedelta(**time))


async def add(parts: Parts, name: str = "Python", image: str = "quay.io/a/b:1", **more: Any) -> Environment:
    return await curation.add(parts, ROOT, NewReadyMade(**{"name": name, "image": image, "state": State.ACTIVE} | more))


async def become(parts: Parts, of: Environment, state: State, **more: Any) -> Environment:
    now = (await ready_made.one(parts, of.id)).environment
    return await curation.set_state(parts, ROOT, of.id, StateChange(version=now.version, state=state, **more))


async def use(parts: Parts, environment: Environment) -> Session:
    project = await projects.create(parts, ADA, NewProject(path=f"ada/p-{environment.id}", title="P"))
    return await sessions.add(parts, ADA, project.id, NewSession(environment=environment.id))


async def paused(parts: Parts, session: Session) -> None:
    """Ada has run it, and has data in it."""
    await runs.begin(parts, await instances.prepare(parts, ADA, session.id))
    await runs.stop(parts, "ada", session.id, ended_reason="stopped_by_user")
    await runs.stopped(parts, "ada", session.id)


def events(parts: Parts) -> list[tuple[str, str, str]]:
    with parts.db.read() as tx:
        return [(e.actor, e.action, e.subject) for e in reversed(tx.audit.recent(50))]


async def test_an_edit_that_changes_what_runs_makes_a_revision_and_another_does_not(house: Parts) -> None:
    made = await add(house, keywords=("a",), run=RunChoice(port=9000))
    words = ReadyMadeChange(version=1, name="R", description="d", keywords=("b", "b"), icon="map")
    told = await curation.change(house, ROOT, made.id, words)
    assert (told.name, told.keywords, told.icon, told.revision, told.version) == ("R", ("b",), "map", made.revision, 2)
    other = await curation.change(house, ROOT, made.id, ReadyMadeChange(version=2, image="quay.io/a/b:2"))
    assert (other.revision.number, other.revision.tag, other.revision.run.port) == (2, "2", 9000)
    run = await curation.change(house, ROOT, made.id, ReadyMadeChange(version=3, run=RunChoice(port=9001)))
    assert (run.revision.number, run.revision.tag, run.revision.run.port, run.name) == (3, "2", 9001, "R")
    assert [action for _, action, _ in events(house)] == ["environment added"] + 3 * ["environment changed"]


async def test_of_two_who_edit_at_once_the_second_is_told(house: Parts) -> None:
    made = await add(house)
    await curation.change(house, ROOT, made.id, ReadyMadeChange(version=1, name="First"))
    for work in (
        curation.change(house, ROOT, made.id, ReadyMadeChange(version=1, name="Second")),
        curation.set_state(house, ROOT, made.id, StateChange(version=1, state=State.ARCHIVED)),
        curation.roll_back(house, ROOT, made.id, 1, 1),
    ):
        with pytest.raises(Conflict) as told:
            await work
        assert (told.value.code, told.value.details["version"]) == ("changed", 2)
    assert (await ready_made.one(house, made.id)).environment.name == "First"


async def test_going_back_is_a_new_revision_of_which_only_those_hear_who_run_something_else(house: Parts) -> None:
    made = await add(house)
    old = await use(house, made)
    await curation.change(house, ROOT, made.id, ReadyMadeChange(version=1, image="quay.io/a/b:2"))
    new = await sessions.add(house, ADA, old.project, NewSession(environment=made.id, title="New"))
    assert (await looks.view(house, ADA, old.project, old.id)).update.revision == 2
    back = await curation.roll_back(house, ROOT, made.id, 1, 2)
    assert (back.revision.number, back.revision.tag) == (3, "1")
    assert (await looks.view(house, ADA, old.project, old.id)).update is None, "it runs just that"
    assert (await looks.view(house, ADA, old.project, new.id)).update.revision == 3
    for number in (1, 3, 9):
        with pytest.raises(Invalid) as refused:
            await curation.roll_back(house, ROOT, made.id, number, 3)
        assert "revision" in refused.value.fields


STEPS = {
    State.DRAFT: {State.ACTIVE, State.ARCHIVED},
    State.ACTIVE: {State.DEPRECATED, State.ARCHIVED},
    State.DEPRECATED: {State.ACTIVE, State.DEPRECATED, State.ARCHIVED},
    State.ARCHIVED: {State.ACTIVE, State.DEPRECATED, State.ARCHIVED},
}


@pytest.mark.parametrize("state", State)
async def test_its_life_has_these_steps_and_no_other(house: Parts, state: State) -> None:
    for to in State:
        made = await add(house)
        with house.db.write() as tx:
            tx.environments.set_state(made.id, state, now=NOW)
        if to in STEPS[state]:
            after = await become(house, made, to)
            assert (after.state, after.archived_at) == (to, NOW if to is State.ARCHIVED else None)
        else:
            with pytest.raises(Invalid):
                await become(house, made, to)


async def test_a_successor_is_another_active_ready_made_environment(house: Parts) -> None:
    made, heir = await add(house), await add(house, "Heir")
    draft, gone = await add(house, state=State.DRAFT), await add(house)
    await become(house, gone, State.ARCHIVED)
    await use(house, made)
    project = await projects.create(house, ADA, NewProject(path="ada/own", title="Own"))
    foreign = await sessions.add(house, ADA, project.id, NewSession(image=NewImage(image="quay.io/x/y:1")))
    wrong = [made.id, draft.id, gone.id, foreign.environment.id, "abcdefghijkl", "../etc", "", heir.id[:-1]]
    for successor in wrong:
        with pytest.raises(Invalid) as refused:
            await become(house, made, State.DEPRECATED, successor=successor)
        assert set(refused.value.fields) == {"successor"}
    after = await become(house, made, State.DEPRECATED, successor=heir.id, message="Please\r\nmove.\u202e")
    assert (after.successor, after.message) == (heir.id, "Please\nmove.")
    with pytest.raises(Invalid):  # a circle
        await become(house, heir, State.ARCHIVED, successor=made.id)
    assert (await become(house, made, State.ACTIVE, successor=heir.id, message="x")).successor is None


async def test_what_the_configuration_says_is_read_only_until_it_says_so_no_more(house: Parts) -> None:
    await environments.configure(house, [environments.Configured(key="a", name="A", image="quay.io/a/b:1")])
    ((made,), _) = await environments.offered(house, ADA)
    heir = await add(house, "Heir")
    for work in (
        curation.change(house, ROOT, made.id, ReadyMadeChange(version=1, name="B")),
        curation.roll_back(house, ROOT, made.id, 1, 1),
        curation.move(house, ROOT, made.id, up=True),
        become(house, made, State.DEPRECATED),
    ):
        with pytest.raises(Conflict) as refused:
            await work
        assert refused.value.code == "configured"
    await environments.configure(later(house, days=1), [])
    gone = (await ready_made.one(house, made.id)).environment
    assert (gone.state, gone.archived_at) == (State.ARCHIVED, NOW + timedelta(days=1))
    after = await become(house, made, State.ARCHIVED, successor=heir.id)
    assert (after.successor, after.archived_at) == (heir.id, gone.archived_at)
    await environments.configure(later(house, days=2), [])
    assert (await ready_made.one(house, made.id)).environment == after, "a restart changes nothing"
    with pytest.raises(Conflict):
        await become(house, made, State.ACTIVE)


async def test_those_added_in_the_browser_change_places_behind_those_of_the_configuration(house: Parts) -> None:
    await environments.configure(house, [environments.Configured(key="a", name="Z", image="quay.io/a/b:1")])
    a, b, c = [await add(house, name) for name in "abc"]
    await curation.move(house, ROOT, c.id, up=True)
    await curation.move(house, ROOT, a.id, up=False)
    with pytest.raises(Conflict):
        await curation.move(house, ROOT, b.id, up=False)
    offered, _ = await environments.offered(house, ADA)
    assert [each.name for each in offered] == ["Z", "c", "a", "b"]


async def test_a_draft_is_nobodys_to_add_and_what_it_became_later_is_not_started(house: Parts) -> None:
    draft = await add(house, state=State.DRAFT)
    with pytest.raises(NotFound):
        await use(house, draft)
    session = await use(house, await add(house))
    with house.db.write() as tx:
        tx.environments.set_state(session.environment.id, State.DRAFT, now=NOW)
    with pytest.raises(Refused) as refused:
        await instances.prepare(house, ADA, session.id)
    assert refused.value.code == "env_draft"
    assert (await looks.view(house, ADA, session.project, session.id)).hindrance == refused.value.message


async def test_what_is_archived_starts_nothing_new_and_what_was_paused_resumes_for_some_days(house: Parts) -> None:
    made = await add(house)
    mine = await use(house, made)
    await paused(house, mine)
    fresh = await sessions.add(house, ADA, mine.project, NewSession(environment=made.id, title="Fresh"))
    await become(house, made, State.ARCHIVED)
    with pytest.raises(Invalid):
        await sessions.add(house, ADA, mine.project, NewSession(environment=made.id))
    for days, session, code in ((0, fresh, "env_archived"), (29.9, mine, None), (30, mine, "env_expired")):
        then = later(house, days=days)
        shown = await looks.view(then, ADA, session.project, session.id)
        assert shown.resumes_until == NOW + timedelta(days=30)
        if code is None:
            assert (await instances.prepare(then, ADA, session.id)).session == session.id
            assert shown.hindrance is None
            continue
        with pytest.raises(Refused) as refused:
            await instances.prepare(then, ADA, session.id)
        assert refused.value.code == code
        assert shown.hindrance == refused.value.message
    assert "24 December 2026" in refused.value.message


async def test_what_still_runs_of_an_archived_environment_is_asked_for_again_without_harm(house: Parts) -> None:
    session = await use(house, made := await add(house))
    await runs.begin(house, await instances.prepare(house, ADA, session.id))
    await become(house, made, State.ARCHIVED)
    assert (await instances.prepare(later(house, days=99), ADA, session.id)).session == session.id


async def test_an_editor_moves_a_session_to_the_successor_that_they_have_looked_at(house: Parts) -> None:
    made, middle, heir = [await add(house, name, f"quay.io/a/{name}:1") for name in ("old", "middle", "heir")]
    session = await use(house, made)
    await paused(house, session)

    async def take(of: Environment, revision: int = 1, version: int = 1, person: Person = ADA) -> Session:
        seen = Seen(environment=of.id, revision=revision, version=version)
        return await succession.take(house, person, session.project, session.id, seen)

    with pytest.raises(Invalid):
        await take(heir)
    await become(house, made, State.DEPRECATED, successor=middle.id)
    assert (await looks.view(house, ADA, session.project, session.id)).successor == middle
    await become(house, middle, State.ARCHIVED, successor=heir.id)
    assert (await looks.view(house, ADA, session.project, session.id)).successor == heir, "the one after it"
    for wrong in (take(middle), take(heir, revision=2), take(heir, version=2)):
        with pytest.raises(Conflict):
            await wrong
    with pytest.raises(NotFound):
        await take(heir, person=Person(name="eve"))
    moved = await take(heir)
    assert (moved.environment, moved.revision, moved.version) == (heir, heir.revision, 2)
    spec = await instances.prepare(house, ADA, session.id)
    begun = await runs.begin(house, spec)
    assert (spec.image, begun.slot) == ("quay.io/a/heir:1", f"{session.project}/{heir.id}")


async def test_admins_see_how_much_each_is_used_in_pages(house: Parts) -> None:
    made = await add(house)
    old = await use(house, made)
    await paused(house, old)
    await curation.change(house, ROOT, made.id, ReadyMadeChange(version=1, image="quay.io/a/b:2"))
    new = await sessions.add(house, ADA, old.project, NewSession(environment=made.id, title="New"))
    await runs.begin(house, await instances.prepare(house, ADA, new.id))
    await become(house, gone := await add(house, "Gone"), State.ARCHIVED, successor=made.id)
    page = await ready_made.listed(house, limit=1)
    usage = page.items[0].usage
    assert (usage.projects, usage.sessions, usage.newest, usage.running, usage.starts) == (1, 2, 1, 1, 2)
    assert usage.last_used == NOW
    assert page.next is None, "what is archived is not in use"
    both = await ready_made.listed(house, states=State, limit=1)
    [second] = (await ready_made.listed(house, states=State, after=both.next)).items
    assert (second.environment.id, second.successor.id, second.usage.sessions) == (gone.id, made.id, 0)
    assert events(house)[-1] == ("root", "environment archived", gone.id)
