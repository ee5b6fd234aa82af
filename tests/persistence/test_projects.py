"""Projects come back as they were stored, and nobody overwrites what they have not seen."""

import pytest

from renku_spawner.domain.access import Role, Visibility
from renku_spawner.domain.errors import InvalidInputError
from renku_spawner.domain.projects import ProjectChange, ProjectMember, Repository
from renku_spawner.persistence.database import Database
from renku_spawner.persistence.statements import ConcurrentUpdate, UniqueConflict

from .made import NOW, REPOSITORIES, environment, later, project, session


def change(db: Database, old, repositories=None, now=NOW, **what):
    with db.write() as tx:
        return tx.projects.update(
            old, ProjectChange(version=what.pop("version", old.version), **what), repositories=repositories, now=now
        )


def test_a_project_is_read_as_it_was_added(db: Database) -> None:
    with db.write() as tx:
        made = project(tx, title="Naïve “Klima”", description="two\nlines", repositories=REPOSITORIES)
    assert made.members == (ProjectMember(kind="user", name="ada", role=Role.OWNER),)
    with db.read() as tx:
        assert tx.projects.get(made.id) == made
        assert tx.projects.get_by_path("ADA/Climate") == made
        assert tx.projects.get_by_path("ada/other") is None


def test_paths_are_unique_whatever_their_case(db: Database) -> None:
    with db.write() as tx:
        project(tx, "ada/climate")
    with pytest.raises(UniqueConflict) as clash, db.write() as tx:
        project(tx, "ada/CLIMATE")
    assert clash.value.what == "path"


def test_two_repositories_in_directories_that_differ_by_case_clash(db: Database) -> None:
    with pytest.raises(UniqueConflict) as clash, db.write() as tx:
        project(tx, repositories=[Repository(directory=name, url="https://example.org/x") for name in ("a", "A")])
    assert clash.value.what == "directory"
    with db.read() as tx:
        assert tx.projects.get_by_path("ada/climate") is None


def test_a_change_writes_what_it_says_and_nothing_else(db: Database) -> None:
    with db.write() as tx:
        old = project(tx, description="as before", repositories=REPOSITORIES)
    members = (*old.members, ProjectMember(kind="group", name="lab", role=Role.EDITOR))
    new = change(db, old, title="Weather", visibility=Visibility.PUBLIC, members=members)
    assert (new.title, new.visibility, new.description, new.version) == ("Weather", Visibility.PUBLIC, "as before", 2)
    assert new.repositories == REPOSITORIES
    assert set(new.members) == set(members)
    with db.read() as tx:
        assert tx.projects.get(old.id) == new


def test_members_and_repositories_are_replaced_as_a_whole(db: Database) -> None:
    with db.write() as tx:
        old = project(tx, repositories=REPOSITORIES)
    bob, eve = (ProjectMember(kind="user", name=name, role=Role.OWNER) for name in ("bob", "eve"))
    first = change(db, old, repositories=REPOSITORIES[::-1], members=(bob, eve))
    assert first.repositories == REPOSITORIES[::-1]
    assert set(first.members) == {bob, eve}
    demoted = ProjectMember(kind="user", name="eve", role=Role.VIEWER)
    second = change(db, first, repositories=(), members=(bob, demoted))
    assert second.repositories == ()
    assert set(second.members) == {bob, demoted}


def test_a_change_of_what_somebody_else_has_changed_is_lost(db: Database) -> None:
    with db.write() as tx:
        old = project(tx)
    change(db, old, title="First")
    with pytest.raises(ConcurrentUpdate):
        change(db, old, title="Second")
    with db.read() as tx:
        assert tx.projects.get(old.id).title == "First"


def test_an_old_path_leads_to_the_project_until_somebody_takes_it(db: Database) -> None:
    with db.write() as tx:
        old = project(tx, "ada/climate")
    moved = change(db, change(db, old, path="ada/weather"), path="ada/sky")
    with db.read() as tx:
        assert tx.projects.get_by_path("ada/CLIMATE") == tx.projects.get_by_path("ada/weather") == moved
    with db.write() as tx:
        taken = project(tx, "ada/climate", title="Other")
    with db.read() as tx:
        assert tx.projects.get_by_path("ada/climate") == taken
        assert tx.projects.get_by_path("ada/weather") == moved


def test_a_project_can_move_back(db: Database) -> None:
    with db.write() as tx:
        old = project(tx, "ada/a")
    back = change(db, change(db, old, path="ada/b"), path="ada/A")
    with db.read() as tx:
        assert tx.projects.get_by_path("ada/a") == tx.projects.get_by_path("ada/b") == back


def test_a_taken_old_path_does_not_lead_back_when_its_new_owner_is_deleted(db: Database) -> None:
    with db.write() as tx:
        old = project(tx, "ada/climate")
    change(db, old, path="ada/weather")
    with db.write() as tx:
        taken = project(tx, "ada/climate")
        tx.projects.delete(taken.id, NOW)
        assert tx.projects.get_by_path("ada/climate") is None


def test_a_deleted_project_is_not_found_and_frees_its_paths(db: Database) -> None:
    with db.write() as tx:
        old = project(tx, "ada/climate", public=True)
    moved = change(db, old, path="ada/weather")
    with db.write() as tx:
        tx.projects.delete(moved.id, NOW)
        assert tx.projects.get(moved.id) is None
        assert tx.projects.get_by_path("ada/weather") is tx.projects.get_by_path("ada/climate") is None
        assert tx.projects.list_visible(name="ada", groups=[]) == ([], None)
        project(tx, "ada/weather")


def test_the_default_session_is_set_and_taken_away(db: Database) -> None:
    with db.write() as tx:
        made = project(tx)
        chosen = session(tx, made, environment(tx))
        tx.projects.set_default_session(made.id, chosen.id)
        assert tx.projects.get(made.id).default_session == chosen.id
        tx.projects.set_default_session(made.id, None)
        assert (tx.projects.get(made.id).default_session, tx.projects.get(made.id).version) == (None, 3)


def test_a_member_leaves_but_never_the_last_owner(db: Database) -> None:
    with db.write() as tx:
        old = project(tx)
    bob = ProjectMember(kind="user", name="bob", role=Role.EDITOR)
    change(db, old, members=(*old.members, bob))
    with db.write() as tx:
        tx.projects.remove_member(old.id, "user", "bob")
    with pytest.raises(ConcurrentUpdate), db.write() as tx:
        tx.projects.remove_member(old.id, "user", "ada")
    with db.read() as tx:
        assert tx.projects.get(old.id).members == old.members


def test_the_list_shows_what_is_mine_my_groups_and_public(db: Database) -> None:
    with db.write() as tx:
        mine = project(tx, "ada/mine", title="b mine")
        grouped = project(tx, "bob/lab", title="C lab", owner="bob")
        public = project(tx, "bob/open", title="A open", owner="bob", public=True)
        project(tx, "bob/secret", owner="bob")
        default = session(tx, mine, environment(tx), "Analysis")
        tx.projects.set_default_session(mine.id, default.id)
    change(db, grouped, members=(*grouped.members, ProjectMember(kind="group", name="lab", role=Role.EDITOR)))
    with db.read() as tx:
        found, after = tx.projects.list_visible(name="ada", groups={"lab", "else"})
    assert after is None
    assert [(entry.id, entry.role) for entry in found] == [
        (public.id, Role.VIEWER), (mine.id, Role.OWNER), (grouped.id, Role.EDITOR)
    ]  # fmt: skip
    assert (found[1].default_session, found[1].default_title, found[1].sessions) == (default.id, "Analysis", 1)
    assert (found[0].default_session, found[0].default_title, found[0].sessions) == (None, None, 0)


def test_a_group_named_like_a_user_gives_that_user_nothing(db: Database) -> None:
    with db.write() as tx:
        made = project(tx, owner="bob")
    change(db, made, members=(*made.members, ProjectMember(kind="group", name="ada", role=Role.OWNER)))
    with db.read() as tx:
        assert tx.projects.list_visible(name="ada", groups=[]) == ([], None)
        assert [entry.role for entry in tx.projects.list_visible(name="eve", groups=["ada"])[0]] == [Role.OWNER]


def test_the_list_is_paged_without_gaps_or_repetition(db: Database) -> None:
    with db.write() as tx:
        made = [project(tx, f"ada/p{n}", title=f"Same {n // 3}", public=n % 2 == 0) for n in range(11)]
    seen, after = [], None
    while True:
        with db.read() as tx:
            page, after = tx.projects.list_visible(name="ada", groups=[], after=after, limit=3)
        seen += page
        if after is None:
            break
        assert len(page) == 3
    assert [entry.id for entry in seen] == [p.id for p in sorted(made, key=lambda p: (p.title, p.id))]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("100%", {"ada/percent"}),
        ("%", {"ada/percent"}),
        ("_", {"ada/under"}),
        ("\\", {"ada/back"}),
        ("'; --", set()),
        ("ÉTÉ", {"ada/summer"}),
        ("strasse", {"ada/street"}),
        ("ada/STR", {"ada/street"}),
        ("SUN", {"ada/summer"}),
        ("\x00SUN\x1f\ud800", {"ada/summer"}),
        ("", {"ada/percent", "ada/under", "ada/back", "ada/summer", "ada/street"}),
    ],
)
def test_a_search_takes_every_character_as_itself(db: Database, search: str, found: set[str]) -> None:
    with db.write() as tx:
        project(tx, "ada/percent", title="100% sure")
        project(tx, "ada/under", title="snake_case")
        project(tx, "ada/back", title="back\\slash")
        project(tx, "ada/summer", title="Un été", description="sun and 1000 stars")
        project(tx, "ada/street", title="Straße")
    with db.read() as tx:
        assert {entry.path for entry in tx.projects.list_visible(name="ada", groups=[], search=search)[0]} == found


@pytest.mark.parametrize(
    "after", ["x", "é", "", "W10", "WzEsMl0", "WyJhIiwiXHVkODAwIl0", "WyJhIiwiXHUwMDAwIl0", "[" * 9999]
)
def test_an_invented_place_is_refused_with_a_sentence(db: Database, after: str) -> None:
    with pytest.raises(InvalidInputError) as refusal, db.read() as tx:
        tx.projects.list_visible(name="ada", groups=[], after=after)
    assert refusal.value.fields == {"after": "There is no such page."}


def test_changes_of_one_thing_leave_its_members_time_alone(db: Database) -> None:
    """Else an edit of the members would make an old membership look new."""
    with db.write() as tx:
        old = project(tx, owner="eve")
    ada = ProjectMember(kind="user", name="ada", role=Role.VIEWER)
    first = change(db, old, members=(*old.members, ada), now=later(1))
    change(db, first, members=(*old.members, ProjectMember(kind="user", name="ada", role=Role.EDITOR)), now=later(100))
    with db.write() as tx:
        tx.known_users.record_user("ada", NOW)
        assert tx.known_users.record_user("ada", later(50))
        assert tx.projects.get(old.id).members == old.members
