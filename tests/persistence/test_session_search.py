"""A search finds one session for each image, in the projects that a person may see and in no others."""

import pytest

from renku_spawner.domain.access import Role
from renku_spawner.domain.environments import Environment, EnvironmentKind, EnvironmentState, NewEnvironment
from renku_spawner.domain.errors import InvalidInputError
from renku_spawner.domain.projects import ProjectChange, ProjectMember
from renku_spawner.domain.session_search import LaunchCounts, SearchScope
from renku_spawner.persistence.database import Database, Transaction

from .made import DIGEST, NOW, installed, later, launch, project, revision, session

BOB = SearchScope(name="bob", groups=frozenset({"staff"}))
OTHER = "sha256:" + "b" * 64


def image(tx: Transaction, digest: str | None, name: str = "Mine", **more: object) -> Environment:
    new = NewEnvironment(name=name, kind=more.pop("kind", EnvironmentKind.EXTERNAL), keywords=("maps",))
    state = more.pop("state", EnvironmentState.ACTIVE)
    return tx.environments.add(new, revision(digest, **more), by="ada", now=NOW, state=state)


def titles(tx: Transaction, scope: SearchScope = BOB, **asked: object) -> list[str]:
    found, _ = tx.session_search.search(scope, **asked)
    sessions = tx.sessions.get_many(each.session for each in found)
    return [sessions[each.session].title for each in found]


def test_only_what_one_may_see_is_found_and_counted(db: Database) -> None:
    with db.write() as tx:
        public, private, shared = (
            project(tx, "ada/open", public=True),
            project(tx, "ada/secret"),
            project(tx, "ada/shared"),
        )
        members = (
            ProjectMember(name="ada", role=Role.OWNER),
            ProjectMember(name="staff", role=Role.VIEWER, kind="group"),
        )
        change = ProjectChange(version=shared.version, members=members)
        tx.projects.update(shared, change, repositories=None, now=NOW)
        for place in (public, private, shared):
            session(tx, place, image(tx, DIGEST), place.path, now=NOW if place is not shared else later(5))
        session(tx, private, image(tx, OTHER), "Hidden")
    with db.read() as tx:
        (found,), following = tx.session_search.search(BOB)
        assert (found.image, found.uses, following) == (DIGEST, 2, None)
        assert titles(tx) == ["ada/shared"]
        assert titles(tx, SearchScope(name="eve")) == ["ada/open"]
        assert sorted(titles(tx, SearchScope(name="ada"))) == ["Hidden", "ada/shared"]
        assert titles(tx, SearchScope(projects=(private.id,))) == ["Hidden", "ada/secret"]
        assert titles(tx, SearchScope(projects=())) == []
        assert titles(tx, outside=shared.id) == ["ada/open"]


def test_an_unlisted_project_is_found_by_its_members_only(db: Database) -> None:
    with db.write() as tx:
        place = project(tx, public=True)
        session(tx, place, image(tx, DIGEST), "Explore")
        changed = tx.projects.update(place, ProjectChange(version=1, listed=False), repositories=None, now=NOW)
        assert (changed.listed, tx.projects.get(place.id).listed) == (False, False)
    with db.read() as tx:
        assert titles(tx) == []
        assert titles(tx, SearchScope(name="ada")) == ["Explore"]


def test_what_cannot_be_copied_is_not_found(db: Database) -> None:
    with db.write() as tx:
        place = project(tx, public=True)
        session(tx, place, image(tx, DIGEST, kind=EnvironmentKind.REPOSITORY), "Built")
        archived = image(tx, OTHER, kind=EnvironmentKind.DEFAULT, state=EnvironmentState.ARCHIVED)
        session(tx, place, archived, "Archived")
        gone = session(tx, place, image(tx, "sha256:" + "c" * 64), "Removed")
        tx.sessions.delete(gone.id, NOW)
        session(tx, place, image(tx, None), "Not pinned")
    with db.read() as tx:
        assert titles(tx) == ["Not pinned"]


@pytest.mark.parametrize(
    ("text", "found"),
    [("SNOW", True), ("maps", True), ("clim", True), ("minimal:7", True), ("%", False), ("nothing", False)],
)
def test_text_is_looked_for_in_session_environment_project_and_image(db: Database, text: str, found: bool) -> None:
    with db.write() as tx:
        session(tx, project(tx, public=True), image(tx, DIGEST), "Explore the snow")
    with db.read() as tx:
        assert titles(tx, text=text) == (["Explore the snow"] if found else [])


def test_images_are_found_by_what_is_installed_and_versions_follow_a_new_list(db: Database) -> None:
    with db.write() as tx:
        place = project(tx, public=True)
        session(tx, place, image(tx, DIGEST), "One")
        session(tx, place, image(tx, OTHER), "Two")
        tx.software.save(DIGEST, installed(("Scikit_Learn", "1.5"), ("xarray", "2024.1")))
        tx.software.save(DIGEST, installed(("xarray", "2025.1"), ("xarray", "2025.1")))
        tx.software.save(OTHER, installed(("xarray", "2026.2")))
    with db.read() as tx:
        assert sorted(tx.software.list_package_versions({"xarray"})) == [(DIGEST, "2025.1"), (OTHER, "2026.2")]
        assert tx.software.list_package_versions({"scikit-learn"}) == []
        assert (DIGEST, "3.12.4") in tx.software.list_package_versions({"python"})
        assert titles(tx, digests=[DIGEST]) == ["One"]
        assert titles(tx, digests=[]) == []


def test_a_pruned_list_takes_its_packages_along(db: Database) -> None:
    with db.write() as tx:
        tx.software.save(DIGEST, installed(("xarray", "2025.1")))
        assert tx.software.prune(later(1)) == 1
        assert tx.software.list_package_versions({"xarray"}) == []


def test_pages_go_from_the_most_used_to_the_oldest_without_a_gap(db: Database) -> None:
    with db.write() as tx:
        places = [project(tx, f"ada/p{n}", public=True) for n in range(3)]
        for number, digest in enumerate(["sha256:" + str(n) * 64 for n in range(5)]):
            for place in places[: 1 + number % 2]:
                session(tx, place, image(tx, digest), f"S{number} {place.path}", now=later(number))
    with db.read() as tx:
        seen, after = [], None
        while True:
            page, after = tx.session_search.search(BOB, limit=2, after=after)
            seen += [(each.uses, each.image[7]) for each in page]
            if after is None:
                break
        assert seen == [(2, "3"), (2, "1"), (1, "4"), (1, "2"), (1, "0")]
        with pytest.raises(InvalidInputError):
            tx.session_search.search(BOB, after="x")


def test_starts_of_hidden_projects_and_old_ones_do_not_count(db: Database) -> None:
    with db.write() as tx:
        shown = session(tx, project(tx, "ada/open", public=True), image(tx, DIGEST))
        hidden = session(tx, project(tx, "ada/secret"), image(tx, DIGEST))
        for of, at in ((shown, later(10)), (shown, later(-10)), (hidden, later(10))):
            tx.launches.add(launch(of, at=at, seconds=3))
        failed = launch(shown, at=later(11))
        tx.launches.add(failed)
        tx.launches.update(failed.id, outcome="failed", reason="image_missing", ended_at=later(12))
        tx.launches.add(launch(shown, at=later(13)))
    with db.read() as tx:
        counts = tx.session_search.count_launches(BOB, [DIGEST, OTHER], NOW)
        assert counts == {DIGEST: LaunchCounts(successful=1, failed=1)}
        assert tx.session_search.count_launches(BOB, [], NOW) == {}
