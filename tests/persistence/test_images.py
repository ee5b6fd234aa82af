"""What registries said is kept by reference, one row for all sessions that run the image."""

from dataclasses import replace

import pytest
from sqlalchemy import insert

from renku_spawner.domain.image_checks import InspectionResult
from renku_spawner.persistence.database import Database
from renku_spawner.persistence.statements import UniqueConflict
from renku_spawner.persistence.tables import images

from .made import DIGEST, NOW, environment, later, project, revision, session, sighting

OTHER = "sha256:" + "b" * 64


def test_what_was_said_last_is_read_back(db: Database) -> None:
    first = sighting()
    moved = replace(first, digest=OTHER, since=later(60), looked_at=later(60), facts={"labels": {"naïve": "1"}})
    silent = replace(moved, verdict=InspectionResult.UNVERIFIED, looked_at=later(90), answered=False)
    for said in (first, moved, silent):
        with db.write() as tx:
            tx.images.save(said)
        with db.read() as tx:
            assert tx.images.get(first.reference) == said


def test_nothing_is_known_of_an_image_that_nobody_asked_about(db: Database) -> None:
    with db.read() as tx:
        assert tx.images.get("quay.io/a/b:1") is None
        assert tx.images.get_many([]) == {}


def test_several_are_read_together(db: Database) -> None:
    one, two = (
        sighting("quay.io/a/b:1"),
        sighting(f"quay.io/a/b@{DIGEST}", digest=None, verdict=InspectionResult.NOT_FOUND),
    )
    with db.write() as tx:
        tx.images.save(one)
        tx.images.save(two)
    with db.read() as tx:
        assert tx.images.get_many([one.reference, two.reference, "quay.io/c/d:1"]) == {
            one.reference: one, two.reference: two,
        }  # fmt: skip


def test_a_second_row_of_one_image_is_a_clash(db: Database) -> None:
    """Two hubs may ask about a new image at the same moment."""
    row = {"reference": "a", "verdict": "ok", "looked_at": NOW, "answered": True, "facts": {}}
    with db.write() as tx:
        tx._statements.execute(insert(images), **row)
    with pytest.raises(UniqueConflict) as caught, db.write() as tx:
        tx._statements.execute(insert(images), **row)
    assert caught.value.what == "image"


def test_every_session_of_a_revision_takes_the_one_that_is_known(db: Database) -> None:
    with db.write() as tx:
        what, other = environment(tx), environment(tx, "Other")
        where = project(tx)
        mine, theirs = session(tx, where, what), session(tx, where, other, "Theirs")
        known = tx.environments.add_revision(what.id, revision(OTHER), by="the hub", now=later(5))
        tx.sessions.replace_revision(what.revision.id, known.id)
    with db.read() as tx:
        assert tx.sessions.get(mine.id).revision.id == known.id
        assert tx.sessions.get(mine.id).version == mine.version
        assert tx.sessions.get(theirs.id).revision.id == other.revision.id


def test_what_nobody_has_asked_about_for_long_is_forgotten(db: Database) -> None:
    old, new = sighting("quay.io/a/old:1"), sighting("quay.io/a/new:1", looked_at=later(60))
    with db.write() as tx:
        tx.images.save(old)
        tx.images.save(new)
        assert (tx.images.prune(later(30)), tx.images.prune(later(30))) == (1, 0)
        assert tx.images.get_many([old.reference, new.reference]) == {new.reference: new}
