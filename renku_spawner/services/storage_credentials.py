"""Credentials of one's own for storages: asked at the first start, kept if wanted, and one's own to delete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..domain.access import Action, Person
from ..domain.errors import Conflict, Invalid, not_found
from ..domain.project import Project
from ..domain.session import Session, launch_version
from ..domain.storage import Credentials, Outcome, OwnCredentials, Storage
from ..domain.storage_checks import secrets as check
from ..store.database import Clash, Lost, Transaction
from ..store.storages import Kept
from . import mounts, storage_looks
from .parts import Parts, read, write
from .sessions import of

NOT_KEPT = "This hub has no key to encrypt credentials with: they are used for this start and not kept."
_CHANGED = "It was changed since you opened this page. Check where it is now, then enter your credentials again."
_REMOVED = "A storage was removed or changed since you opened this page. What you typed for it was not used."


@dataclass(frozen=True, kw_only=True)
class Asked:
    """For which storages of a session somebody's own credentials are needed; `missing` are those without any."""

    project: Project
    session: Session
    storages: list[Storage]
    missing: list[Storage]
    launch_version: str


async def asked(parts: Parts, person: Person, ref: str, session_id: str) -> Asked:
    """Raises NotFound."""
    project = await parts.source.get(person, ref, Action.LAUNCH)
    session = await read(parts, lambda tx: of(tx, project, session_id))
    there = await mounts.of_session(parts, session)
    own = [s for s in there if s.credentials is Credentials.USER]
    lacking = await mounts.missing(parts, person, own)
    version = launch_version(session, project.repositories, there)
    return Asked(project=project, session=session, storages=own, missing=lacking, launch_version=version)


async def enter(
    parts: Parts, person: Person, ref: str, session_id: str, entered: Mapping[str, OwnCredentials], *, keep: bool
) -> Asked:
    """Take what *person* has entered, by the storages' ids; each is looked into first.

    They are for the version that the person saw: of a storage that an editor has moved meanwhile, no server gets them.
    Without *keep* they serve for one hour and are in the hub's memory alone.

    Raises:
        NotFound.
        Conflict: `changed`, with the storages as they are now in `details`.
        Invalid: at `<id>.<credential>`, or at `keep` where the hub has no key.
    """
    found = await asked(parts, person, ref, session_id)
    if keep and not parts.keeper.available:
        raise Invalid(NOT_KEPT, fields={"keep": NOT_KEPT})
    _require_same(found, entered)
    there = {storage.id: storage for storage in found.storages}
    checked = [(there[id], _checked(parts, there[id], typed.secrets)) for id, typed in entered.items()]
    for storage, secrets in checked:
        await _look(parts, storage, secrets)
    for storage, secrets in checked:
        if not await _take(parts, person, storage, secrets, keep=keep):
            _require_same(await asked(parts, person, ref, session_id), entered)
    return await asked(parts, person, ref, session_id)


def _require_same(found: Asked, entered: Mapping[str, OwnCredentials]) -> None:
    """Raise Conflict unless each storage is as the person saw it."""
    versions = {storage.id: storage.version for storage in found.storages}
    wrong = [id for id, typed in entered.items() if versions.get(id) != typed.version]
    if not wrong:
        return
    fields = {f"{id}.secrets" if id in versions else "form": _CHANGED if id in versions else _REMOVED for id in wrong}
    newer = [{"id": id, "version": versions.get(id)} for id in wrong]
    raise Conflict(next(iter(fields.values())), code="changed", fields=fields, details={"storages": newer})


def _checked(parts: Parts, storage: Storage, said: Mapping[str, str]) -> dict[str, str]:
    try:
        return check(storage.of_kind, said, driver=bool(parts.policy.rclone_storage_class))
    except Invalid as problem:
        raise _at(storage, problem) from None


def _at(storage: Storage, problem: Invalid) -> Invalid:
    fields = {f"{storage.id}.{name.removeprefix('secrets.')}": each for name, each in problem.fields.items()}
    return Invalid(problem.message, fields=fields)


async def _look(parts: Parts, storage: Storage, secrets: Mapping[str, str]) -> None:
    """Only what is surely refused is not taken: the session itself says what else is wrong."""
    found = await storage_looks.look(parts, storage, secrets)
    if found.outcome is Outcome.DENIED:
        raise Invalid(found.outcome.words, fields={f"{storage.id}.secrets": found.outcome.words})


async def _take(parts: Parts, person: Person, storage: Storage, secrets: Mapping[str, str], *, keep: bool) -> bool:
    """Store them for that very version of the storage; False if there is another one by now."""
    if not keep:  # held by its version, too
        parts.once.hold(person.name, storage, secrets)
        return True
    sealed = await parts.keeper.seal(mounts.own(storage, person), secrets)

    def work(tx: Transaction) -> None:
        tx.storages.keep(storage, person.name, sealed, parts.now())
        _record(tx, parts, person, storage.directory, "storage credentials kept")

    try:
        try:
            await write(parts, work)
        except Clash:  # two windows: the other one was faster
            await write(parts, work)
    except Lost:
        return False
    parts.once.forget(person.name, storage)
    return True


async def mine(parts: Parts, person: Person) -> list[Kept]:
    """What one keeps, in all projects, also in those that one has lost access to."""
    return await read(parts, lambda tx: tx.storages.mine(person.name))


async def forget(parts: Parts, person: Person, storage_id: str) -> None:
    """Delete one's own credentials for a storage; needs no right in its project. Raises NotFound."""

    def work(tx: Transaction) -> None:
        kept: Sequence[Kept] = [each for each in tx.storages.mine(person.name) if each.storage == storage_id]
        if not kept or not tx.storages.forget(storage_id, person.name):
            raise not_found()
        _record(tx, parts, person, kept[0].directory, "storage credentials deleted")

    await write(parts, work)


def _record(tx: Transaction, parts: Parts, person: Person, subject: str, action: str) -> None:
    tx.audit.add(at=parts.now(), actor=person.name, username=person.name, action=action, subject=subject, detail={})
