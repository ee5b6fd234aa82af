"""Credentials of storages are for the version for which they were entered, whatever happens at the same moment."""

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import pytest

from renku_spawner.domain.ids import create_id
from renku_spawner.domain.projects import NewProject
from renku_spawner.domain.storages import Storage, StorageCredentials
from renku_spawner.persistence.database import Database
from renku_spawner.persistence.statements import ConcurrentUpdate
from renku_spawner.persistence.storages import EncryptedSecret
from tests.persistence.together import together

NOW = datetime(2026, 12, 1, tzinfo=UTC)


@pytest.fixture
def storage(db: Database) -> Storage:
    new = NewProject(path=f"ada/{create_id()}", title="Climate")
    with db.write() as tx:
        project = tx.projects.add(new, id=create_id(), repositories=[], owner="ada", now=NOW)
        made = Storage(
            id=create_id(), project=project.id, position=0, directory="labdata", kind="webdav",
            settings={"url": "https://good.example.org"}, path="", credentials=StorageCredentials.USER, read_only=True,
            created_by="bob", created_at=NOW,
        )  # fmt: skip
        return tx.storages.add(made, EncryptedSecret(None))


def keep(db: Database, storage: Storage) -> None:
    with db.write() as tx:
        tx.storages.save_credentials(storage, "carol", f"sealed for {storage.version}", NOW)


def move(db: Database, storage: Storage) -> Storage:
    settings = {"url": f"https://evil-{storage.version}.example.org"}
    with db.write() as tx:
        return tx.storages.update(replace(storage, settings=settings), storage.version, None, moved=True)


def kept(db: Database, storage: Storage) -> dict[str, str]:
    with db.read() as tx:
        return tx.storages.get_user_secrets("carol", [storage])


def test_credentials_are_kept_for_one_version_and_given_for_no_other(db: Database, storage: Storage) -> None:
    keep(db, storage)
    assert kept(db, storage) == {storage.id: "sealed for 1"}
    moved = move(db, storage)
    assert (kept(db, storage), kept(db, moved)) == ({}, {})
    with pytest.raises(ConcurrentUpdate):
        keep(db, storage)
    keep(db, moved)
    assert (kept(db, storage), kept(db, moved)) == ({}, {storage.id: "sealed for 2"})
    with db.write() as tx:
        renamed = tx.storages.update(replace(moved, path="2026"), moved.version, None)
    assert kept(db, renamed) == {storage.id: "sealed for 2"}, "it is still the same address"
    with db.write() as tx:
        assert tx.storages.delete(storage.id)
    with pytest.raises(ConcurrentUpdate):
        keep(db, renamed)


def test_the_projects_own_credentials_are_given_for_their_version_alone(db: Database, storage: Storage) -> None:
    own = replace(storage, credentials=StorageCredentials.PROJECT)
    with db.write() as tx:
        second = tx.storages.update(own, 1, EncryptedSecret("for evil"), moved=True)
        third = tx.storages.update(second, 2, EncryptedSecret("for good"), moved=True)
    with db.read() as tx:
        assert tx.storages.get_project_secrets([second]) == {}
        assert tx.storages.get_project_secrets([third]) == {storage.id: "for good"}


def test_credentials_that_are_kept_while_the_storage_moves_are_for_no_other_address(
    db: Database, storage: Storage
) -> None:
    for _ in range(30):
        results = together(partial(keep, db, storage), partial(move, db, storage))
        with db.read() as tx:
            moved = tx.storages.get(storage.id)
            assert moved is not None and moved.version == storage.version + 1
            mine = tx.storages.list_user_credentials("carol")
        assert mine == [], results
        storage = moved


def test_credentials_that_are_kept_while_the_storage_is_removed_go_with_it(db: Database, storage: Storage) -> None:
    def remove(gone: Storage) -> bool:
        with db.write() as tx:
            return tx.storages.delete(gone.id)

    for _ in range(30):
        together(partial(keep, db, storage), partial(remove, storage))
        with db.write() as tx:
            assert (tx.storages.get(storage.id), tx.storages.list_user_credentials("carol")) == (None, [])
            storage = tx.storages.add(replace(storage, id=create_id(), version=1), EncryptedSecret(None))
