"""What an editor can do with the storages of a project, and everybody else may see of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..domain import names
from ..domain.access import Action, Person
from ..domain.errors import Conflict, not_found
from ..domain.project import Project
from ..domain.storage import Credentials, Look, NewStorage, Outcome, Storage, StorageChange
from ..domain.storage_checks import STORAGES_LIMIT, check, is_elsewhere, keep_host_key
from ..store.database import Clash, Lost, Transaction
from . import mounts, storage_looks
from . import storage_saving as saving
from .keeping import Unreadable
from .parts import Parts, read, write

Work = Callable[[Transaction], Storage]

_CHANGED = "This storage was changed since you opened the page. Check it as it is now, then try again."


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is to be stored, and what opens it now; None keeps what is stored."""

    storage: Storage
    secrets: Mapping[str, str] | None


async def listed(parts: Parts, person: Person, ref: str) -> list[Storage]:
    """In their order, for whoever may see the project. Raises NotFound."""
    project = await parts.source.get(person, ref, Action.READ)
    return await of(parts, project)


async def one(parts: Parts, person: Person, ref: str, name: str) -> Storage:
    """One of a project's, by its id or directory, for whoever may see the project. Raises NotFound."""
    return _named(await listed(parts, person, ref), name)


async def of(parts: Parts, project: Project) -> list[Storage]:
    return await read(parts, lambda tx: tx.storages.of_project(project.id))


async def add(parts: Parts, person: Person, ref: str, new: NewStorage) -> Storage:
    """Add a storage to a project, after a look into it.

    Raises:
        NotFound, Forbidden.
        Invalid: with what is wrong at which field; what surely cannot be opened is not stored.
    """
    project = await parts.source.get(person, ref, Action.WRITE)
    return await _stored(parts, await adding(parts, person, project, new))


async def adding(parts: Parts, person: Person, project: Project, new: NewStorage) -> Work:
    """What adds it in a transaction, when it has been looked into. Raises as `add`; the work Clash."""
    present = await of(parts, project)
    if len(present) >= STORAGES_LIMIT:
        raise saving.wrong("directory", f"At most {STORAGES_LIMIT} storages, please.")
    new = check(
        new, parts.policy.storage_kinds, saving.taken(project, present), driver=bool(parts.policy.rclone_storage_class)
    )
    storage = _made(new, project, person, parts)
    saving.require_volume(parts, person, storage)
    await saving.require_host_key(parts, storage)
    looked = await saving.looked(parts, storage, new.secrets)
    sealed = await saving.sealed(parts, storage, new.secrets)

    def work(tx: Transaction) -> Storage:
        saving.require_free(tx, project, storage)
        made = tx.storages.add(looked, sealed)
        _record(tx, parts, person, project, made, "storage added")
        return made

    return work


async def change(parts: Parts, person: Person, ref: str, name: str, change: StorageChange) -> Storage:
    """Edit a storage, known by its id or directory; it is looked into again. What changes takes effect at
    the next start.

    Credentials are for where they were entered for: with other settings they have to be entered again,
    and those that people keep for themselves are forgotten.

    Raises:
        NotFound, Forbidden, Invalid.
        Conflict: `changed`, with the newer version in `details`.
    """
    project = await parts.source.get(person, ref, Action.WRITE)
    return await _stored(parts, await changing(parts, person, project, name, change))


async def changing(parts: Parts, person: Person, project: Project, name: str, change: StorageChange) -> Work:
    """What edits it in a transaction, likewise. Raises as `change`; the work Lost."""
    present = await of(parts, project)
    storage = _named(present, name)
    if storage.version != change.version:
        raise _changed(storage)
    wanted = await _wanted(parts, project, present, storage, change)
    saving.require_volume(parts, person, wanted.storage)
    await saving.require_host_key(parts, wanted.storage)
    known = await _known(parts, person, wanted)
    looked = await saving.looked(parts, wanted.storage, known)
    sealed = None if wanted.secrets is None else await saving.sealed(parts, looked, wanted.secrets)

    def work(tx: Transaction) -> Storage:
        saving.require_free(tx, project, looked)
        moved = is_elsewhere(storage.settings, looked.settings)
        made = tx.storages.change(looked, change.version, sealed, moved=moved)
        _record(tx, parts, person, project, made, "storage changed")
        return made

    return work


async def remove(parts: Parts, person: Person, ref: str, name: str, version: int | None = None) -> Storage:
    """Take a storage out of a project; what is in it stays where it is.

    *version* is the one that the editor saw; None removes whatever it is by now.

    Raises:
        NotFound, Forbidden.
        Conflict: `changed`.
    """
    project = await parts.source.get(person, ref, Action.WRITE)

    def work(tx: Transaction) -> Storage:
        storage = _named(tx.storages.of_project(project.id), name)
        if version not in (None, storage.version):
            raise _changed(storage)
        tx.storages.remove(storage.id)
        _record(tx, parts, person, project, storage, "storage removed")
        return storage

    return await write(parts, work)


async def look(parts: Parts, person: Person, ref: str, name: str) -> Storage:
    """Look into a storage again, as it is stored, and note what was found. Raises NotFound, Forbidden."""
    project = await parts.source.get(person, ref, Action.WRITE)
    storage = _named(await of(parts, project), name)
    try:
        secrets = await mounts.opened(parts, person, storage)
        found = await storage_looks.look(parts, storage, secrets)
    except Unreadable:  # each user's own, and this one has none
        found = Look(outcome=Outcome.NOT_CHECKED, at=parts.now())
    await write(parts, lambda tx: tx.storages.note(storage, found))
    return replace(storage, checked=found)


def _made(new: NewStorage, project: Project, person: Person, parts: Parts) -> Storage:
    return Storage(
        id=names.new_id(), project=project.id, position=0, directory=new.directory, kind=new.kind,
        settings=new.settings, path=new.path, credentials=new.credentials, read_only=new.read_only,
        created_by=person.name, created_at=parts.now(),
    )  # fmt: skip


async def _wanted(
    parts: Parts, project: Project, present: Sequence[Storage], storage: Storage, change: StorageChange
) -> Wanted:
    said = {name: getattr(change, name) for name in ("settings", "path", "credentials", "read_only")}
    given = {name: value for name, value in said.items() if value is not None}
    if "settings" in given:
        given["settings"] = keep_host_key(storage.settings, given["settings"])
    as_said = replace(storage, **given)
    keeps = storage.kept and as_said.credentials is Credentials.PROJECT and not change.secrets
    secrets = change.secrets or {}
    if keeps:
        secrets = await _opened(parts, storage)
    new = NewStorage(
        kind=storage.kind, directory=storage.directory, settings=as_said.settings, path=as_said.path,
        credentials=as_said.credentials, read_only=as_said.read_only, secrets=secrets,
    )  # fmt: skip
    others = [each for each in present if each.id != storage.id]
    checked = check(
        new, parts.policy.storage_kinds, saving.taken(project, others), driver=bool(parts.policy.rclone_storage_class)
    )
    if keeps and is_elsewhere(storage.settings, checked.settings):
        raise saving.wrong("secrets", "Please enter the credentials again: they were entered for another address.")
    made = replace(
        storage, settings=checked.settings, path=checked.path,
        credentials=checked.credentials, read_only=checked.read_only, checked=None,
    )  # fmt: skip
    return Wanted(storage=made, secrets=None if keeps else checked.secrets)


async def _opened(parts: Parts, storage: Storage) -> Mapping[str, str]:
    sealed = (await read(parts, lambda tx: tx.storages.secrets([storage]))).get(storage.id, "")
    try:
        return await parts.keeper.open(storage.id, sealed)
    except Unreadable:
        raise saving.wrong("secrets", "Please enter the credentials again: they cannot be read any more.") from None


async def _known(parts: Parts, person: Person, wanted: Wanted) -> Mapping[str, str]:
    """With what a look opens it: what was entered now, or is kept."""
    if wanted.secrets is not None:
        return wanted.secrets
    return await mounts.opened(parts, person, wanted.storage)


async def _stored(parts: Parts, work: Work) -> Storage:
    try:
        return await write(parts, work)
    except Clash:
        raise saving.wrong("directory", "Another storage has this directory already.") from None
    except Lost:
        raise Conflict(_CHANGED, code="changed") from None


def _named(storages: Sequence[Storage], name: str) -> Storage:
    """By its id or its directory."""
    found = next((s for s in storages if name in (s.id, s.directory)), None)
    if found is None:
        raise not_found()
    return found


def _record(tx: Transaction, parts: Parts, person: Person, project: Project, storage: Storage, action: str) -> None:
    detail = {"kind": storage.kind, "credentials": str(storage.credentials)}
    subject = f"{project.path}/{storage.directory}"
    tx.audit.add(at=parts.now(), actor=person.name, username=None, action=action, subject=subject, detail=detail)


def _changed(storage: Storage) -> Conflict:
    return Conflict(
        _CHANGED,
        code="changed",
        details={"version": storage.version, "storage": storage.id},
    )
