"""What admins do with ready-made environments, and what projects hear of it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from renku_spawner.context.app_context import AppContext, read_transaction
from renku_spawner.domain.access import Person
from renku_spawner.domain.environments import (
    ChosenRevision,
    Environment,
    EnvironmentState,
    EnvironmentStateChange,
    ManagedEnvironmentChange,
    NewManagedEnvironment,
    NewOwnImage,
    RunOverrides,
)
from renku_spawner.domain.errors import ConflictError, InvalidInputError, LaunchRefusedError, NotFoundError
from renku_spawner.domain.policy import HubPolicy
from renku_spawner.domain.projects import NewProject
from renku_spawner.domain.resource_classes import ResourceClass
from renku_spawner.domain.sessions import NewSession, Session, SessionChange
from renku_spawner.lifecycle.runs import record_stopped, request_start, request_stop
from renku_spawner.usecases.environments import (
    ConfiguredEnvironment,
    add_managed_environment,
    apply_configured_environments,
    change_managed_environment,
    list_managed_environments,
    list_offered_environments,
    load_managed_environment_details,
    move_managed_environment,
    roll_back_managed_environment,
    set_managed_environment_state,
)
from renku_spawner.usecases.instances import prepare_launch_spec
from renku_spawner.usecases.projects import create_project
from renku_spawner.usecases.session_queries import load_session_view
from renku_spawner.usecases.sessions import add_session, change_session, load_environment_choices

from .conftest import NOW

ROOT, ADA = Person(name="root", admin=True), Person(name="ada")
CLASS = ResourceClass(name="small", cpu="4", memory="8Gi", disk="50Gi")


@pytest.fixture
def house(parts: AppContext) -> AppContext:
    return replace(parts, policy=HubPolicy(classes=(CLASS,)))


def later(parts: AppContext, **time: float) -> AppContext:
    return replace(parts, now=lambda: NOW + timedelta(**time))


async def add(parts: AppContext, name: str = "Python", image: str = "quay.io/a/b:1", **more: Any) -> Environment:
    return await add_managed_environment(
        parts, ROOT, NewManagedEnvironment(**{"name": name, "image": image, "state": EnvironmentState.ACTIVE} | more)
    )


async def become(parts: AppContext, of: Environment, state: EnvironmentState, **more: Any) -> Environment:
    now = (await load_managed_environment_details(parts, of.id)).environment
    return await set_managed_environment_state(
        parts, ROOT, of.id, EnvironmentStateChange(version=now.version, state=state, **more)
    )


async def use(parts: AppContext, environment: Environment) -> Session:
    project = await create_project(parts, ADA, NewProject(path=f"ada/p-{environment.id}", title="P"))
    return await add_session(parts, ADA, project.id, NewSession(environment=environment.id))


async def paused(parts: AppContext, session: Session) -> None:
    """Ada has run it, and has data in it."""
    await request_start(parts, await prepare_launch_spec(parts, ADA, session.id))
    await request_stop(parts, "ada", session.id, ended_reason="stopped_by_user")
    await record_stopped(parts, "ada", session.id)


def events(parts: AppContext) -> list[tuple[str, str, str]]:
    with parts.db.read() as tx:
        return [(e.actor, e.action, e.subject) for e in reversed(tx.audit.list_recent(50))]


async def test_an_edit_that_changes_what_runs_makes_a_revision_and_another_does_not(house: AppContext) -> None:
    made = await add(house, keywords=("a",), run=RunOverrides(port=9000))
    words = ManagedEnvironmentChange(version=1, name="R", description="d", keywords=("b", "b"), icon="map")
    told = await change_managed_environment(house, ROOT, made.id, words)
    assert (told.name, told.keywords, told.icon, told.revision, told.version) == ("R", ("b",), "map", made.revision, 2)
    other = await change_managed_environment(
        house, ROOT, made.id, ManagedEnvironmentChange(version=2, image="quay.io/a/b:2")
    )
    assert (other.revision.number, other.revision.tag, other.revision.run.port) == (2, "2", 9000)
    run = await change_managed_environment(
        house, ROOT, made.id, ManagedEnvironmentChange(version=3, run=RunOverrides(port=9001))
    )
    assert (run.revision.number, run.revision.tag, run.revision.run.port, run.name) == (3, "2", 9001, "R")
    assert [action for _, action, _ in events(house)] == ["environment added"] + 3 * ["environment changed"]


async def test_of_two_who_edit_at_once_the_second_is_told(house: AppContext) -> None:
    made = await add(house)
    await change_managed_environment(house, ROOT, made.id, ManagedEnvironmentChange(version=1, name="First"))
    for work in (
        change_managed_environment(house, ROOT, made.id, ManagedEnvironmentChange(version=1, name="Second")),
        set_managed_environment_state(
            house, ROOT, made.id, EnvironmentStateChange(version=1, state=EnvironmentState.ARCHIVED)
        ),
        roll_back_managed_environment(house, ROOT, made.id, 1, 1),
    ):
        with pytest.raises(ConflictError) as told:
            await work
        assert (told.value.code, told.value.details["version"]) == ("changed", 2)
    assert (await load_managed_environment_details(house, made.id)).environment.name == "First"


async def test_going_back_is_a_new_revision_of_which_only_those_hear_who_run_something_else(house: AppContext) -> None:
    made = await add(house)
    old = await use(house, made)
    await change_managed_environment(house, ROOT, made.id, ManagedEnvironmentChange(version=1, image="quay.io/a/b:2"))
    new = await add_session(house, ADA, old.project, NewSession(environment=made.id, title="New"))
    assert (await load_session_view(house, ADA, old.project, old.id)).update.revision == 2
    back = await roll_back_managed_environment(house, ROOT, made.id, 1, 2)
    assert (back.revision.number, back.revision.tag) == (3, "1")
    assert (await load_session_view(house, ADA, old.project, old.id)).update is None, "it runs just that"
    assert (await load_session_view(house, ADA, old.project, new.id)).update.revision == 3
    for number in (1, 3, 9):
        with pytest.raises(InvalidInputError) as refused:
            await roll_back_managed_environment(house, ROOT, made.id, number, 3)
        assert "revision" in refused.value.fields


STEPS = {
    EnvironmentState.DRAFT: {EnvironmentState.ACTIVE, EnvironmentState.ARCHIVED},
    EnvironmentState.ACTIVE: {EnvironmentState.DEPRECATED, EnvironmentState.ARCHIVED},
    EnvironmentState.DEPRECATED: {EnvironmentState.ACTIVE, EnvironmentState.DEPRECATED, EnvironmentState.ARCHIVED},
    EnvironmentState.ARCHIVED: {EnvironmentState.ACTIVE, EnvironmentState.DEPRECATED, EnvironmentState.ARCHIVED},
}


@pytest.mark.parametrize("to", EnvironmentState)
@pytest.mark.parametrize("state", EnvironmentState)
async def test_its_life_has_these_steps_and_no_other(
    to: EnvironmentState, house: AppContext, state: EnvironmentState
) -> None:
    made = await add(house)
    with house.db.write() as tx:
        tx.environments.set_state(made.id, state, now=NOW)
    if to in STEPS[state]:
        after = await become(house, made, to)
        assert (after.state, after.archived_at) == (to, NOW if to is EnvironmentState.ARCHIVED else None)
    else:
        with pytest.raises(InvalidInputError):
            await become(house, made, to)


async def test_a_successor_is_another_active_ready_made_environment(house: AppContext) -> None:
    made, heir = await add(house), await add(house, "Heir")
    draft, gone = await add(house, state=EnvironmentState.DRAFT), await add(house)
    await become(house, gone, EnvironmentState.ARCHIVED)
    await use(house, made)
    project = await create_project(house, ADA, NewProject(path="ada/own", title="Own"))
    foreign = await add_session(house, ADA, project.id, NewSession(image=NewOwnImage(image="quay.io/x/y:1")))
    wrong = [made.id, draft.id, gone.id, foreign.environment.id, "abcdefghijkl", "../etc", "", heir.id[:-1]]
    for successor in wrong:
        with pytest.raises(InvalidInputError) as refused:
            await become(house, made, EnvironmentState.DEPRECATED, successor=successor)
        assert set(refused.value.fields) == {"successor"}
    after = await become(house, made, EnvironmentState.DEPRECATED, successor=heir.id, message="Please\r\nmove.\u202e")
    assert (after.successor, after.message) == (heir.id, "Please\nmove.")
    with pytest.raises(InvalidInputError):  # a circle
        await become(house, heir, EnvironmentState.ARCHIVED, successor=made.id)
    assert (await become(house, made, EnvironmentState.ACTIVE, successor=heir.id, message="x")).successor is None


async def test_what_the_configuration_says_is_read_only_until_it_says_so_no_more(house: AppContext) -> None:
    await apply_configured_environments(house, [ConfiguredEnvironment(key="a", name="A", image="quay.io/a/b:1")])
    ((made,), _) = await list_offered_environments(house, ADA)
    heir = await add(house, "Heir")
    for work in (
        change_managed_environment(house, ROOT, made.id, ManagedEnvironmentChange(version=1, name="B")),
        roll_back_managed_environment(house, ROOT, made.id, 1, 1),
        move_managed_environment(house, ROOT, made.id, up=True),
        become(house, made, EnvironmentState.DEPRECATED),
    ):
        with pytest.raises(ConflictError) as refused:
            await work
        assert refused.value.code == "configured"
    await apply_configured_environments(later(house, days=1), [])
    gone = (await load_managed_environment_details(house, made.id)).environment
    assert (gone.state, gone.archived_at) == (EnvironmentState.ARCHIVED, NOW + timedelta(days=1))
    after = await become(house, made, EnvironmentState.ARCHIVED, successor=heir.id)
    assert (after.successor, after.archived_at) == (heir.id, gone.archived_at)
    await apply_configured_environments(later(house, days=2), [])
    assert (await load_managed_environment_details(house, made.id)).environment == after, "a restart changes nothing"
    with pytest.raises(ConflictError):
        await become(house, made, EnvironmentState.ACTIVE)


async def test_those_added_in_the_browser_change_places_behind_those_of_the_configuration(house: AppContext) -> None:
    await apply_configured_environments(house, [ConfiguredEnvironment(key="a", name="Z", image="quay.io/a/b:1")])
    a, b, c = [await add(house, name) for name in "abc"]
    await move_managed_environment(house, ROOT, c.id, up=True)
    await move_managed_environment(house, ROOT, a.id, up=False)
    with pytest.raises(ConflictError):
        await move_managed_environment(house, ROOT, b.id, up=False)
    offered, _ = await list_offered_environments(house, ADA)
    assert [each.name for each in offered] == ["Z", "c", "a", "b"]


async def test_a_draft_is_nobodys_to_add_and_what_it_became_later_is_not_started(house: AppContext) -> None:
    draft = await add(house, state=EnvironmentState.DRAFT)
    with pytest.raises(NotFoundError):
        await use(house, draft)
    session = await use(house, await add(house))
    with house.db.write() as tx:
        tx.environments.set_state(session.environment.id, EnvironmentState.DRAFT, now=NOW)
    with pytest.raises(LaunchRefusedError) as refused:
        await prepare_launch_spec(house, ADA, session.id)
    assert refused.value.code == "env_draft"
    assert (await load_session_view(house, ADA, session.project, session.id)).launch_obstacle == refused.value.message


async def test_what_is_archived_starts_nothing_new_and_what_was_paused_resumes_for_some_days(house: AppContext) -> None:
    made = await add(house)
    mine = await use(house, made)
    await paused(house, mine)
    fresh = await add_session(house, ADA, mine.project, NewSession(environment=made.id, title="Fresh"))
    await become(house, made, EnvironmentState.ARCHIVED)
    with pytest.raises(InvalidInputError):
        await add_session(house, ADA, mine.project, NewSession(environment=made.id))
    for days, session, code in ((0, fresh, "env_archived"), (29.9, mine, None), (30, mine, "env_expired")):
        then = later(house, days=days)
        shown = await load_session_view(then, ADA, session.project, session.id)
        assert shown.resumes_until == NOW + timedelta(days=30)
        if code is None:
            assert (await prepare_launch_spec(then, ADA, session.id)).session == session.id
            assert shown.launch_obstacle is None
            continue
        with pytest.raises(LaunchRefusedError) as refused:
            await prepare_launch_spec(then, ADA, session.id)
        assert refused.value.code == code
        assert shown.launch_obstacle == refused.value.message
    assert "24 December 2026" in refused.value.message


async def test_what_still_runs_of_an_archived_environment_is_asked_for_again_without_harm(house: AppContext) -> None:
    session = await use(house, made := await add(house))
    await request_start(house, await prepare_launch_spec(house, ADA, session.id))
    await become(house, made, EnvironmentState.ARCHIVED)
    assert (await prepare_launch_spec(later(house, days=99), ADA, session.id)).session == session.id


async def test_an_editor_changes_the_environment_that_they_have_reviewed_and_goes_back(house: AppContext) -> None:
    made, middle, heir = [await add(house, name, f"quay.io/a/{name}:1") for name in ("old", "middle", "heir")]
    session = await use(house, made)
    await paused(house, session)

    async def take(of: Environment, revision: int | None = 1, version: int = 1, person: Person = ADA) -> Session:
        chosen = ChosenRevision(environment=of.id, revision=revision)
        change = SessionChange(version=version, environment=chosen)
        return await change_session(house, person, session.project, session.id, change)

    await become(house, made, EnvironmentState.DEPRECATED, successor=middle.id)
    assert (await load_session_view(house, ADA, session.project, session.id)).successor == middle
    await become(house, middle, EnvironmentState.ARCHIVED, successor=heir.id)
    assert (await load_session_view(house, ADA, session.project, session.id)).successor == heir, "the one after it"
    with pytest.raises(InvalidInputError) as refused:
        await take(middle)
    assert refused.value.code == "environment_not_offered"
    for wrong in (take(heir, revision=2), take(heir, version=2)):
        with pytest.raises(ConflictError):
            await wrong
    with pytest.raises(NotFoundError):
        await take(heir, person=Person(name="eve"))
    moved = await take(heir)
    assert (moved.environment, moved.revision, moved.version) == (heir, heir.revision, 2)
    spec = await prepare_launch_spec(house, ADA, session.id)
    begun = await request_start(house, spec)
    assert (spec.image, begun.slot) == ("quay.io/a/heir:1", f"{session.project}/{heir.id}")

    made = await read_transaction(house, lambda tx: tx.environments.get(made.id))
    choices = await load_environment_choices(house, moved)
    assert list(choices.earlier) == [(made, made.revision)], "it was started with it"
    assert [environment.name for environment in choices.offered] == ["old"]
    back = await take(made, version=2)
    assert (back.environment, back.revision) == (made, made.revision)
    await become(house, heir, EnvironmentState.ARCHIVED)
    assert not (await load_environment_choices(house, back)).earlier, "nobody could start it"
    with pytest.raises(InvalidInputError):
        await take(heir, version=3)


async def test_a_ready_made_session_runs_an_image_of_ones_own_and_goes_back(house: AppContext) -> None:
    made = await add(house)
    session = await use(house, made)
    await paused(house, session)
    own = NewOwnImage(image="quay.io/b/own:1", name="Mine", run=RunOverrides(port=8501))
    changed = await change_session(
        house, ADA, session.project, session.id, SessionChange(version=session.version, image=own)
    )
    environment = changed.environment
    assert (environment.kind, environment.name, environment.project) == ("external", "Mine", session.project)
    assert (changed.revision.image, changed.revision.run.port, changed.revision.number) == ("quay.io/b/own:1", 8501, 1)
    [(earlier, revision)] = (await load_environment_choices(house, changed)).earlier
    assert (earlier.id, revision.number) == (made.id, 1)
    again = SessionChange(version=changed.version, image=NewOwnImage(image="quay.io/b/own:2"))
    renewed = await change_session(house, ADA, session.project, session.id, again)
    assert (renewed.environment.id, renewed.revision.number) == (environment.id, 2), "a revision of the same one"


async def test_admins_see_how_much_each_is_used_in_pages(house: AppContext) -> None:
    made = await add(house)
    old = await use(house, made)
    await paused(house, old)
    await change_managed_environment(house, ROOT, made.id, ManagedEnvironmentChange(version=1, image="quay.io/a/b:2"))
    new = await add_session(house, ADA, old.project, NewSession(environment=made.id, title="New"))
    await request_start(house, await prepare_launch_spec(house, ADA, new.id))
    await become(house, gone := await add(house, "Gone"), EnvironmentState.ARCHIVED, successor=made.id)
    page = await list_managed_environments(house, limit=1)
    usage = page.items[0].usage
    assert (usage.projects, usage.sessions, usage.newest, usage.running, usage.starts) == (1, 2, 1, 1, 2)
    assert usage.last_used == NOW
    assert page.next is None, "what is archived is not in use"
    both = await list_managed_environments(house, states=EnvironmentState, limit=1)
    [second] = (await list_managed_environments(house, states=EnvironmentState, after=both.next)).items
    assert (second.environment.id, second.successor.id, second.usage.sessions) == (gone.id, made.id, 0)
    assert events(house)[-1] == ("root", "environment archived", gone.id)
