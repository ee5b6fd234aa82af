"""Rows of projects that live elsewhere hang on the number that they have there."""

from renku_spawner.domain.access import Visibility
from renku_spawner.persistence.database import Database
from renku_spawner.persistence.projects import ExternalProject, build_external_project

from .made import NOW

SOURCE = "gitlab"


def seen(number: int, path: str, title: str = "Spectra") -> ExternalProject:
    return build_external_project(number=number, path=path, title=title, description="", visibility=Visibility.PRIVATE)


def note(db: Database, *found: ExternalProject) -> dict[str, ExternalProject]:
    with db.write() as tx:
        return tx.external_projects.save_all(SOURCE, found, by="ada", now=NOW)


def number_at(db: Database, path: str) -> str | None:
    with db.read() as tx:
        return tx.external_projects.get_number_by_path(SOURCE, path)


def test_a_project_gets_one_row_whoever_looks(db: Database) -> None:
    first = note(db, seen(42, "astro/spectra"))["42"]
    again = note(db, seen(42, "astro/spectra"), seen(43, "astro/moons"))
    assert again["42"] == first
    assert again["43"].id != first.id
    with db.read() as tx:
        stored = tx.projects.get_by_source(SOURCE, "42")
        assert tx.external_projects.get_number(SOURCE, id=first.id) == "42"
        assert tx.external_projects.get_number("other", id=first.id) is None
    assert stored is not None
    assert (stored.id, stored.source, stored.source_id, stored.created_by) == (first.id, SOURCE, "42", "ada")
    assert (stored.members, stored.repositories, stored.version) == ((), (), 1)


def test_what_changes_there_changes_here_and_old_paths_lead_on(db: Database) -> None:
    first = note(db, seen(42, "astro/spectra"))["42"]
    moved = note(db, seen(42, "astro/light", "Light"))["42"]
    assert (moved.id, moved.path, moved.title) == (first.id, "astro/light", "Light")
    assert number_at(db, "ASTRO/Spectra") == number_at(db, "astro/light") == "42"


def test_a_path_belongs_to_the_project_that_has_it_now(db: Database) -> None:
    first = note(db, seen(42, "astro/spectra"))["42"]
    second = note(db, seen(43, "Astro/Spectra"))["43"]
    assert number_at(db, "astro/spectra") == "43"
    with db.read() as tx:
        displaced = tx.projects.get(first.id)
    assert displaced is not None
    assert displaced.path == "astro/spectra@42"
    assert number_at(db, displaced.path) == "42"
    back = note(db, seen(42, "astro/spectra"), seen(43, "astro/other"))
    assert {number: one.id for number, one in back.items()} == {"42": first.id, "43": second.id}
    assert (number_at(db, "astro/spectra"), number_at(db, "astro/other")) == ("42", "43")


def test_projects_of_the_hub_itself_are_not_in_the_way(db: Database) -> None:
    note(db, seen(42, "astro/spectra"))
    with db.read() as tx:
        assert tx.external_projects.get_many("hub", ["42"]) == {}
        assert tx.external_projects.get_number_by_path("hub", "astro/spectra") is None
