"""Credentials of one's own for storages: asked at the first start, kept if wanted, and one's own to delete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..domain.access import Action, Person
from ..domain.errors import Invalid, not_found
from ..domain.project import Project
from ..domain.session import Session
from ..domain.storage import Credentials, Outcome, Storage
from ..domain.storage_checks import secrets as check
from ..store.database import Clash, Transaction
from ..store.storages import Kept
from . import mounts, storage_looks
from .parts import Parts, read, write
from .sessions import of

NOT_KEPT = "This hub has no key to encrypt credentials with: they are used for this start and not kept."


@dataclass(frozen=True, kw_only=True)
class Asked:
    """For which storages of a session somebody's own credentials are needed; `missing` are those without any."""

    project: Project
    session: Session
    storages: list[Storage]
    missing: list[Storage]


async def asked(parts: Parts, person: Person, ref: str, session_id: str) -> Asked:
    """Raises NotFound."""
    project = await parts.source.get(person, ref, Action.LAUNCH)
    session = await read(parts, lambda tx: of(tx, project, session_id))
    own = [s for s in await mounts.of_session(parts, session) if s.credentials is Credentials.USER]
    lacking = await mounts.missing(parts, person, own)
    return Asked(project=project, session=session, storages=own, missing=lacking)


async def enter(
    parts: Parts, person: Person, ref: str, session_id: str, said: Mapping[str, Mapping[str, str]], *, keep: bool
) -> Asked:
    """Take what *person* has entered, by the storages' directories; each is looked into first.

    Without *keep* they serve for one hour and are in the hub's memory alone.

    Raises:
        NotFound.
        Invalid: at `<directory>.<credential>`, or at `keep` where the hub has no key.
    """
    found = await asked(parts, person, ref, session_id)
    by_name = {storage.directory: storage for storage in found.storages}
    if keep and not parts.keeper.available:
        raise Invalid(NOT_KEPT, fields={"keep": NOT_KEPT})
    if not said.keys() <= by_name.keys():
        raise not_found()
    checked = {directory: _checked(by_name[directory], secrets) for directory, secrets in said.items()}
    for directory, secrets in checked.items():
        await _look(parts, by_name[directory], secrets)
    for directory, secrets in checked.items():
        await _take(parts, person, by_name[directory], secrets, keep=keep)
    return await asked(parts, person, ref, session_id)


def _checked(storage: Storage, said: Mapping[str, str]) -> dict[str, str]:
    try:
        return check(storage.of_kind, said)
    except Invalid as problem:
        raise _at(storage, problem) from None


def _at(storage: Storage, problem: Invalid) -> Invalid:
    fields = {f"{storage.directory}.{name.removeprefix('secrets.')}": each for name, each in problem.fields.items()}
    return Invalid(problem.message, fields=fields)


async def _look(parts: Parts, storage: Storage, secrets: Mapping[str, str]) -> None:
    """Only what is surely refused is not taken: the session itself says what else is wrong."""
    found = await storage_looks.look(parts, storage, secrets)
    if found.outcome is Outcome.DENIED:
        raise Invalid(found.outcome.words, fields={f"{storage.directory}.secrets": found.outcome.words})


async def _take(parts: Parts, person: Person, storage: Storage, secrets: Mapping[str, str], *, keep: bool) -> None:
    if not keep:
        parts.once.hold(person.name, storage, secrets)
        return
    sealed = await parts.keeper.seal(mounts.own(storage, person), secrets)

    def work(tx: Transaction) -> None:
        tx.storages.keep(storage.id, person.name, sealed, parts.now())
        _record(tx, parts, person, storage.directory, "storage credentials kept")

    try:
        await write(parts, work)
    except Clash:  # two windows: the other one was faster
        await write(parts, work)
    parts.once.forget(person.name, storage)


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
