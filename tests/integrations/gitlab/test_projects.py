"""Projects of GitLab, for the person who is looking."""

import asyncio
from dataclasses import replace

import pytest

from renku_spawner.domain.access import Person, ProjectAction, Role, Visibility
from renku_spawner.domain.errors import InvalidInputError, NotFoundError
from renku_spawner.domain.policy import HubPolicy
from renku_spawner.domain.projects import NewRepository, Repository
from renku_spawner.integrations.project_source import HubProjectSource
from renku_spawner.persistence.search import encode_cursor
from renku_spawner.usecases.projects import assign_repository_directories

READ, LAUNCH, WRITE, MANAGE = ProjectAction
POLICY = HubPolicy(classes=())
LEVELS = {5: None, 10: Role.VIEWER, 15: Role.VIEWER, 20: Role.VIEWER, 25: Role.VIEWER, 29: Role.VIEWER, 30: Role.EDITOR}
LEVELS |= {31: Role.EDITOR, 40: Role.EDITOR, 50: Role.OWNER, 60: Role.OWNER}


async def test_a_project_is_found_by_path_by_number_and_by_our_id(world):
    made = world.lab.project("astro/lab/spectra", owner="alice", description="Light", name="Spectra of stars")
    by_path = await world.get("alice", "astro/lab/spectra")
    assert (by_path.title, by_path.description, by_path.path) == ("Spectra of stars", "Light", "astro/lab/spectra")
    assert (by_path.source, by_path.source_id, by_path.visibility) == ("gitlab", str(made.id), Visibility.PRIVATE)
    assert (by_path.web, by_path.ssh) == (f"{world.lab.url}/astro/lab/spectra", "git@127.0.0.1:")
    for ref in (made.id, by_path.id, "ASTRO/lab/Spectra"):
        assert (await world.get("alice", ref)).id == by_path.id


async def test_the_projects_own_repository_comes_first(world):
    world.lab.project("astro/spectra", owner="alice")
    project = await world.get("alice", "astro/spectra")
    url = f"{world.lab.url}/astro/spectra.git"
    assert project.repositories == (Repository(directory="spectra", url=url, fixed=True),)
    world.lab.project("astro/words", owner="alice", repository_access_level="disabled")
    assert (await world.get("alice", "astro/words")).repositories == ()


@pytest.mark.parametrize("level", LEVELS)
async def test_a_level_gives_a_role_by_its_number(level, world):
    project = world.lab.project("astro/spectra", owner="alice")
    world.lab.member(project, "bob", level)
    assert await world.role("bob", "astro/spectra") is LEVELS[level]


async def test_a_role_comes_by_whatever_way_gitlab_lets_it_come(world):
    lab = world.lab
    project = lab.project("astro/lab/spectra", owner="alice")
    lab.member(lab.group("astro"), "bob", 30)
    friends = lab.group("friends")
    lab.member(friends, "carol", 40)
    lab.share(project, friends, 30)
    lab.member(project, "dave", 10, {"read_code": True})
    assert await world.role("bob", project.id) is Role.EDITOR
    assert await world.role("carol", project.id) is Role.EDITOR
    assert await world.role("dave", project.id) is Role.VIEWER
    assert await world.role("erin", project.id) is None


async def test_who_is_no_member_sees_what_gitlab_shows_everybody(world):
    lab = world.lab
    lab.user("outside", external=True)
    lab.user("root", admin=True)
    for visibility in ("private", "internal", "public"):
        lab.project(f"astro/{visibility}", visibility=visibility, owner="alice")
    shown = {
        name: [await world.role(name, f"astro/{v}") is Role.VIEWER for v in ("private", "internal", "public")]
        for name in ("bob", "outside", "root")
    }
    assert shown == {"bob": [False, True, True], "outside": [False, False, True], "root": [True, True, True]}


async def test_an_archived_project_is_nobodys_to_change(world):
    project = world.lab.project("astro/spectra", owner="alice")
    assert await world.may("alice", project.id, WRITE) is True
    project.archive()
    world.ahead += 61
    assert await world.may("alice", project.id, WRITE) == "permission_denied"
    assert (await world.get("alice", project.id)).archived
    assert await world.may("alice", project.id, LAUNCH) is True


async def test_a_renamed_project_is_the_same_one_and_its_old_path_leads_to_it(world):
    project = world.lab.project("astro/spectra", owner="alice")
    before = await world.get("alice", "astro/spectra")
    project.move("astro/light/spectra")
    world.ahead += 301
    after = await world.get("alice", before.id)
    assert (after.id, after.path) == (before.id, "astro/light/spectra")
    world.again()
    assert (await world.get("alice", "astro/spectra")).path == "astro/light/spectra"
    world.lab.world.old_paths.clear()  # GitLab forgets, we do not
    world.again()
    assert (await world.get("alice", "astro/spectra")).path == "astro/light/spectra"


async def test_a_renamed_projects_repository_stays_in_its_directory_at_its_new_address(world):
    project = world.lab.project("astro/spectra", owner="alice")
    await world.listed("alice")
    project.move("astro/light")
    world.again()
    url = f"{world.lab.url}/astro/light.git"
    assert (await world.get("alice", project.id)).repositories == (
        Repository(directory="spectra", url=url, fixed=True),
    )


async def test_nothing_else_takes_the_directory_of_a_project_that_has_no_repository_at_present(world):
    world.lab.project("astro/words", owner="alice", repository_access_level="disabled")
    project = await world.get("alice", "astro/words")
    other = "https://github.com/stars/words.git"
    assert [
        r.directory for r in assign_repository_directories(POLICY, [NewRepository(url=other)], kept=project.directory)
    ] == ["words-2"]
    with pytest.raises(InvalidInputError, match="has this directory already"):
        assign_repository_directories(POLICY, [NewRepository(url=other, directory="Words")], kept=project.directory)


async def test_a_path_that_another_project_takes_is_another_project(world):
    lab = world.lab
    first = lab.project("astro/spectra", owner="alice")
    old = await world.get("alice", "astro/spectra")
    first.move("astro/former")
    second = lab.project("astro/spectra", owner="bob")
    world.again()
    new = await world.get("bob", "astro/spectra")
    assert (new.source_id, new.default_session) == (str(second.id), None)
    assert new.id != old.id
    again = await world.get("alice", old.id)
    assert (again.id, again.path) == (old.id, "astro/former")
    assert await world.role("alice", "astro/spectra") is None
    assert await world.role("bob", old.id) is None


async def test_a_deleted_project_whose_path_is_taken_leaves_nothing_to_the_next(world):
    first = world.lab.project("astro/spectra", owner="alice")
    old = await world.get("alice", "astro/spectra")
    first.delete()
    world.lab.project("astro/spectra", owner="alice")
    world.again()
    new = await world.get("alice", "astro/spectra")
    assert new.id != old.id
    assert await world.role("alice", old.id) is None
    assert (await world.get("alice", "astro/spectra")).id == new.id


async def test_two_projects_that_change_places_are_still_themselves(world):
    one, two = world.lab.project("astro/one", owner="alice"), world.lab.project("astro/two", owner="alice")
    ids = [(await world.get("alice", path)).id for path in ("astro/one", "astro/two")]
    one.move("astro/three")
    two.move("astro/one")
    one.move("astro/two")
    world.again()
    entries, _ = await world.listed("alice")
    assert {entry.id: entry.path for entry in entries} == {ids[0]: "astro/two", ids[1]: "astro/one"}


@pytest.mark.parametrize(
    "more",
    [
        {"id": "2001"}, {"id": None}, {"id": True}, {"id": -1}, {"path_with_namespace": None},
        {"path_with_namespace": "../../etc"}, {"path_with_namespace": "a/-/b"},
    ],
    ids=str,
)  # fmt: skip
async def test_a_body_that_is_odd_where_it_counts_shows_nothing(more, world):
    project = world.lab.project("astro/spectra", owner="alice")
    project.more |= more
    assert await world.role("alice", "astro/spectra") is None
    assert (await world.listed("alice"))[0] == []


ODD = ["50", None, True, 50.0, [50], {"access_level": 50}, -50, 10**9]


@pytest.mark.parametrize("level", ODD, ids=str)
async def test_a_level_that_is_no_number_lets_nobody_write(level, world):
    project = world.lab.project("astro/spectra", owner="alice", visibility="public")
    project.more["permissions"] = {"project_access": {"access_level": level}, "group_access": None}
    world.lab.member(project, "bob", level)
    for name in ("alice", "bob"):
        world.lab.world.projects[project.id].members[world.lab.world.users[name].id].level = level
    assert await world.role("bob", "astro/spectra") in (Role.VIEWER, None)
    assert await world.may("alice", "astro/spectra", WRITE) != True  # noqa: E712 - a code is true too


async def test_texts_of_gitlab_are_cut_and_cleaned(world):
    name = "<b>x</b>\u202e" + "n" * 300
    world.lab.project("astro/spectra", owner="alice", name=name, description="a\0\u0301" * 1000 + "a" * 10_000_000)
    world.lab.project("astro/blank", owner="alice", name=" \u200b\n")
    project = await world.get("alice", "astro/spectra")
    assert project.title.startswith("<b>x</b>nnn")
    assert project.title.endswith("…")
    assert len(project.title) == 99
    assert len(project.description) <= 2000
    assert "\0" not in project.description
    assert (await world.get("alice", "astro/blank")).title == "blank"


async def test_nothing_is_found_where_nothing_can_be(world):
    for ref in ("0", "99999999999999999999999", "nothing", "a/../b", "a" * 12, "x/y", "²", "", "000000000042999"):
        assert await world.role("alice", ref) is None


async def test_what_is_hidden_costs_as_many_calls_as_what_is_absent(world):
    project = world.lab.project("astro/spectra", owner="alice")
    known = await world.get("alice", "astro/spectra")
    world.calls()
    hidden, absent = (known.path, known.id, project.id), ("astro/never", "a" * 12, 999_999)
    assert [await costs(world, ref) for ref in hidden] == [await costs(world, ref) for ref in absent]


async def costs(world, ref) -> list[int]:
    """The calls of two looks that find nothing, of which the second remembers the first."""
    world.again()
    found = []
    for _ in range(2):
        assert await world.role("bob", ref) is None
        found.append(world.calls())
    return found


async def test_the_list_is_of_ones_own_projects_page_by_page(world):
    for number in range(25):
        world.lab.project(f"astro/p{number}", owner="alice")
    world.lab.project("astro/open", visibility="public", owner="bob")
    first, after = await world.listed("alice")
    assert [entry.path for entry in first] == [f"astro/p{number}" for number in range(24, 4, -1)]
    assert {entry.role for entry in first} == {Role.OWNER}
    second, end = await world.listed("alice", after=after)
    assert [entry.path for entry in second] == [f"astro/p{number}" for number in range(4, -1, -1)]
    assert end is None
    assert world.calls() == 2


async def test_the_list_is_searched_by_gitlab(world):
    for name in ("stars", "moons"):
        world.lab.project(f"astro/{name}", owner="alice")
    assert [entry.path for entry in (await world.listed("alice", search="moo"))[0]] == ["astro/moons"]
    for nothing in ("mars", "x" * 5000, "\ud800mars", "\0mars", "%_'"):
        assert (await world.listed("alice", search=nothing))[0] == []


@pytest.mark.parametrize(
    "after", ["", "x", "42", "' or 1", encode_cursor("title", "id"), encode_cursor(2**40), encode_cursor(1, 2), "é"]
)
async def test_a_page_that_was_never_offered_is_none(after, world):
    with pytest.raises(InvalidInputError):
        await world.listed("alice", after=after)
    assert world.calls() == 0


async def test_a_project_that_was_listed_is_shown_without_another_call(world):
    world.lab.project("astro/spectra", owner="alice")
    entries, _ = await world.listed("alice")
    world.calls()
    assert (await world.get("alice", entries[0].id)).id == entries[0].id
    assert (await world.get("alice", "astro/spectra")).id == entries[0].id
    assert world.calls() == 0


async def test_views_and_starts_cost_what_the_budget_allows(world):
    project = world.lab.project("astro/spectra", owner="alice")
    world.lab.member(project, "bob", 20)
    assert await world.role("alice", "astro/spectra") is Role.OWNER
    assert world.calls() == 1  # cold
    for ref in ("astro/spectra", project.id):
        await world.get("alice", ref)
        await world.get("alice", ref, LAUNCH)
    assert world.calls() == 0  # warm
    world.ahead += 61
    await world.get("alice", project.id, LAUNCH)
    assert world.calls() == 1
    assert await world.role("bob", "astro/spectra") is Role.VIEWER
    assert world.calls() == 2  # the project, and whether bob has more by a group that was invited to one above it
    world.ahead += 61
    await world.get("bob", project.id, LAUNCH)
    assert world.calls() == 1


async def test_a_project_in_somebodys_own_namespace_says_in_one_call_what_anybody_may(world):
    lab = world.lab
    project = lab.project("alice/notes", visibility="public")
    lab.member(project, "bob", 20)
    for name, role in {"alice": Role.OWNER, "bob": Role.VIEWER, "carol": Role.VIEWER}.items():
        assert await world.role(name, "alice/notes") is role
        assert world.calls() == 1
    friends = lab.group("friends")
    lab.member(friends, "carol", 40)
    lab.share(project, friends, 30)
    world.again()
    assert await world.role("carol", "alice/notes") is Role.EDITOR
    assert world.calls() == 2


async def test_who_is_a_member_is_known_from_what_was_asked_before(world):
    lab = world.lab
    project = lab.project("astro/spectra", owner="alice", visibility="public")
    friends = lab.group("friends")
    lab.member(project, "bob", 10)
    lab.member(friends, "carol", 40)
    lab.share(project, friends, 10)
    costs = {"alice": (1, 0), "bob": (1, 0), "carol": (1, 1), "dave": (1, 1)}
    for name, (launched, asked) in costs.items():
        found = await world.get(name, project.id, LAUNCH)
        assert (name, world.calls()) == (name, launched)
        for _ in range(2):
            assert await world.member(name, found) is (name != "dave")
        assert (name, world.calls()) == (name, asked)


async def test_who_is_no_member_any_more_is_known_within_a_minute(world):
    project = world.lab.project("astro/spectra", owner="alice", visibility="public")
    world.lab.member(project, "bob", 30)
    found = await world.get("bob", project.id, LAUNCH)
    project.members.clear()
    world.calls()
    world.ahead += 61
    assert await world.member("bob", found, READ) is True
    assert world.calls() == 0
    assert await world.member("bob", found) is False
    assert await world.member("bob", found, READ) is False


async def test_who_was_lowered_is_so_from_the_next_answer_on(world):
    project = world.lab.project("astro/spectra", owner="alice")
    world.lab.member(project, "bob", 30)
    assert await world.role("bob", project.id) is Role.EDITOR
    world.lab.member(project, "bob", 20)
    world.ahead += 61
    await world.get("bob", project.id, LAUNCH)
    assert await world.role("bob", project.id) is Role.VIEWER


async def test_fifty_who_ask_the_same_at_the_same_time_are_one_call(world):
    world.lab.project("astro/spectra", owner="alice")
    await asyncio.gather(*(world.get("alice", "astro/spectra") for _ in range(50)))
    assert world.calls() == 1
    world.ahead += 61
    await asyncio.gather(*(world.get("alice", "astro/spectra", WRITE) for _ in range(50)))
    assert world.calls() == 1
    world.ahead += 61
    await asyncio.gather(*(world.listed("alice") for _ in range(50)))
    assert world.calls() == 1


async def test_one_user_never_gets_what_another_was_told(world):
    project = world.lab.project("astro/spectra", owner="alice")
    assert await world.role("alice", project.id) is Role.OWNER
    assert await world.role("bob", project.id) is None
    assert await world.role("alice", project.id) is Role.OWNER
    assert replace(await world.get("alice", project.id)).members[0].name == "alice"


async def test_a_name_that_somebody_else_takes_up_inherits_nothing(world):
    lab = world.lab
    project = lab.project("astro/spectra", owner="alice")
    assert await world.role("alice", project.id) is Role.OWNER
    lab.world.users["former"] = lab.world.users.pop("alice")
    lab.world.users["former"].username = "former"
    lab.user("alice")
    world.tokens.kept["former"] = world.tokens.kept.pop("alice")
    assert await world.role("alice", project.id) is None
    assert (await world.listed("alice"))[0] == []
    assert await world.role("former", project.id) is Role.OWNER


async def test_an_instance_whose_project_cannot_be_asked_for_is_not_called_absent(world):
    project = world.lab.project("astro/spectra", owner="alice")
    ours = (await world.get("alice", project.id)).id
    assert set(await world.source.get_visible_projects(Person(name="alice"), [ours, "a" * 12])) == {ours}
    assert await world.source.get_visible_projects(Person(name="bob"), [ours]) == {}
    world.again()
    world.lab.mode = "500"
    assert await world.source.get_visible_projects(Person(name="alice"), [ours]) == {}
    assert not await world.source.has_lost_access(Person(name="alice"), ours)


async def test_a_hub_that_has_left_gitlab_shows_nothing_of_it(world):
    made = world.lab.project("astro/spectra", visibility="public", owner="alice")
    project = await world.get("alice", made.id)
    hub, bob = HubProjectSource(world.db), Person(name="bob")
    with pytest.raises(NotFoundError):
        await hub.get_project(bob, project.id, READ)
    assert await hub.get_visible_projects(bob, [project.id]) == {}
    assert (await hub.list_projects(bob))[0] == []
