"""Credentials of storages are for the version for which they were entered, whatever happens at the same moment."""

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import pytest

from renku_spawner.domain.names import new_id
from renku_spawner.domain.project import NewProject
from renku_spawner.domain.storage import Credentials, Storage
from renku_spawner.store.database import Database, Lost
from renku_spawner.store.storages import Sealed
from tests.store.together import together

NOW = datetime(2026, 12, 1, tzinfo=UTC)


@pytest.fixture
def storage(db: Database) -> Storage:
    new = NewProject(path=f"ada/{new_id()}", title="Climate")
    with db.write() as tx:
        project = tx.projects.add(new, id=new_id(), repositories=[], owner="ada", now=NOW)
        made = Storage(
            id=new_id(), project=project.id, position=0, directory="labdata", kind="webdav",
            settings={"url": "https://good.example.org"}, path="", credentials=Credentials.USER, read_only=True,
            created_by="bob", created_at=NOW,
        )  # fmt: skip
        return tx.storages.add(made, Sealed(None))


def keep(db: Database, storage: Storage) -> None:
    with db.write() as tx:
        tx.storages.keep(storage, "carol", f"sealed for {storage.version}", NOW)


def move(db: Database, storage: Storage) -> Storage:
    settings = {"url": f"https://evil-{storage.version}.example.org"}
    with db.write() as tx:
        return tx.storages.change(replace(storage, settings=settings), storage.version, None, moved=True)


def kept(db: Database, storage: Storage) -> dict[str, str]:
    with db.read() as tx:
        return tx.storages.kept("carol", [storage])


def test_credentials_are_kept_for_one_version_and_given_for_no_other(db: Database, storage: Storage) -> None:
    keep(db, storage)
    assert kept(db, storage) == {storage.id: "sealed for 1"}
    moved = move(db, storage)
    assert (kept(db, storage), kept(db, moved)) == ({}, {})
    with pytest.raises(Lost):
        keep(db, storage)
    keep(db, moved)
    assert (kept(db, storage), kept(db, moved)) == ({}, {storage.id: "sealed for 2"})
    with db.write() as tx:
        renamed = tx.storages.change(replace(moved, path="2026"), moved.version, None)
    assert kept(db, renamed) == {storage.id: "sealed for 2"}, "it is still the same address"
    with db.write() as tx:
        assert tx.storages.remove(storage.id)
    with pytest.raises(Lost):
        keep(db, renamed)


def test_the_projects_own_credentials_are_given_for_their_version_alone(db: Database, storage: Storage) -> None:
    own = replace(storage, credentials=Credentials.PROJECT)
    with db.write() as tx:
        second = tx.storages.change(own, 1, Sealed("for evil"), moved=True)
        third = tx.storages.change(second, 2, Sealed("for good"), moved=True)
    with db.read() as tx:
        assert tx.storages.secrets([second]) == {}
        assert tx.storages.secrets([third]) == {storage.id: "for good"}


def test_credentials_that_are_kept_while_the_storage_moves_are_for_no_other_address(
    db: Database, storage: Storage
) -> None:
    for _ in range(30):
        results = together(partial(keep, db, storage), partial(move, db, storage))
        with db.read() as tx:
            moved = tx.storages.get(storage.id)
            assert moved is not None and moved.version == storage.version + 1
            mine = tx.storages.mine("carol")
        assert mine == [], results
        storage = moved


def test_credentials_that_are_kept_while_the_storage_is_removed_go_with_it(db: Database, storage: Storage) -> None:
    def remove(gone: Storage) -> bool:
        with db.write() as tx:
            return tx.storages.remove(gone.id)

    for _ in range(30):
        together(partial(keep, db, storage), partial(remove, storage))
        with db.write() as tx:
            assert (tx.storages.get(storage.id), tx.storages.mine("carol")) == (None, [])
            storage = tx.storages.add(replace(storage, id=new_id(), version=1), Sealed(None))
