"""What CI has built is kept by project and branch, and says where an image comes from."""

from dataclasses import replace

import pytest
from sqlalchemy import insert

from renku_spawner.domain.ci_images import CiImageOrigin
from renku_spawner.persistence.database import Database
from renku_spawner.persistence.statements import UniqueConflict
from renku_spawner.persistence.tables import builds

from .made import DIGEST, NOW, environment, later, newest, project, revision, session

BUILT = CiImageOrigin(url="https://gitlab.example.org/a/b.git", source="42", ref="feature/größer", pipeline=7)


def key(ref: str = "main", source: str = "42") -> tuple[str, str, str]:
    return (source, ref, "registry.example.org/a/b")


def test_what_was_found_last_is_read_back(db: Database) -> None:
    first = newest()
    moved = replace(first, commit="c" * 40, digest="sha256:" + "c" * 64, since=later(60), looked_at=later(60))
    silent = replace(moved, looked_at=later(90), answered=False)
    for found in (first, moved, silent):
        with db.write() as tx:
            tx.ci_images.save(found)
        with db.read() as tx:
            assert tx.ci_images.get(key()) == found


def test_nothing_is_known_of_a_branch_that_nobody_looked_at(db: Database) -> None:
    none = newest("bare", since=None, commit=None, tag=None, digest=None, pipeline=None, shas=())
    with db.write() as tx:
        tx.ci_images.save(none)
    with db.read() as tx:
        assert tx.ci_images.get(key()) is None
        assert tx.ci_images.get_many([]) == {}
        assert tx.ci_images.get_many([key("bare"), key("bare", "43")]) == {key("bare"): none}


def test_a_second_row_of_one_branch_is_a_clash(db: Database) -> None:
    row = {"source": "42", "ref": "main", "image": "a", "looked_at": NOW, "answered": True, "found": {}}
    with db.write() as tx:
        tx._statements.execute(insert(builds), **row)
    with pytest.raises(UniqueConflict) as caught, db.write() as tx:
        tx._statements.execute(insert(builds), **row)
    assert caught.value.what == "build"


def test_news_of_a_project_make_all_its_branches_old(db: Database) -> None:
    with db.write() as tx:
        for source, ref in (("42", "main"), ("42", "gpu"), ("43", "main")):
            tx.ci_images.save(newest(ref, source=source, looked_at=later(60)))
        assert tx.ci_images.mark_stale("42", NOW) == 2
    with db.read() as tx:
        found = tx.ci_images.get_many([key(), key("gpu"), key(source="43")])
    assert {key: (each.looked_at, each.answered) for key, each in found.items()} == {
        key(): (NOW, False), key("gpu"): (NOW, False), key(source="43"): (later(60), True),
    }  # fmt: skip


def test_what_nobody_has_asked_about_for_long_is_forgotten(db: Database) -> None:
    with db.write() as tx:
        tx.ci_images.save(newest("old"))
        tx.ci_images.save(newest("new", looked_at=later(60)))
        assert (tx.ci_images.prune(later(30)), tx.ci_images.prune(later(30))) == (1, 0)
        assert tx.ci_images.get(key("new")) is not None


def test_a_revision_says_which_ci_built_it(db: Database) -> None:
    with db.write() as tx:
        what = environment(tx)
        made = tx.environments.add_revision(what.id, revision(commit="a" * 40, built=BUILT), by="ada", now=NOW)
    with db.read() as tx:
        assert tx.environments.list_revisions(what.id)[0] == made
        assert tx.environments.get_revision(made.id).built == BUILT
        assert tx.environments.list_revisions(what.id)[1].built is None


def test_a_newer_image_is_dismissed_without_a_new_version(db: Database) -> None:
    with db.write() as tx:
        one = session(tx, project(tx), environment(tx))
        assert one.dismissed is None
        tx.sessions.dismiss_image(one, DIGEST)
    with db.read() as tx:
        assert tx.sessions.get(one.id) == replace(one, dismissed=DIGEST)
