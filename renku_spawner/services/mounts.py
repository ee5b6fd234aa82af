"""Which storages a start gets, and what opens them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from ..domain.access import Person
from ..domain.errors import Refused
from ..domain.reasons import sentence
from ..domain.session import Session
from ..domain.storage import Credentials, Mounted, Storage
from ..domain.storage_checks import has_reference
from ..domain.volume import Volume
from ..registry.errors import NotAllowed
from ..runtime import rclone
from . import storage_looks
from .keeping import Unreadable
from .parts import Parts, read


async def for_start(
    parts: Parts, person: Person, session: Session, storages: Collection[Storage], *, without: Collection[str] = ()
) -> tuple[Mounted, ...]:
    """Those of a session's *storages* that *person*'s start of it mounts, with what opens them; *without* are
    directories that it leaves out.

    Raises:
        Refused: `storage_credentials`, with the storages for which the person has to enter theirs in
            `details`, or `storage_unavailable` with the one that cannot be had; `storage_host_key` with
            the one whose server shows another host key than the confirmed one.
    """
    chosen = [s for s in storages if s.directory not in without]
    lacking = await missing(parts, person, chosen)
    if lacking:
        raise _lacking(session, lacking)
    return tuple([await _mounted(parts, person, session, storage) for storage in chosen])


async def of_session(parts: Parts, session: Session) -> tuple[Storage, ...]:
    """Those of its project's that the session gets."""
    there = await read(parts, lambda tx: tx.storages.of_project(session.project))
    return session.configuration.mounts(there)


async def missing(parts: Parts, person: Person, storages: Collection[Storage]) -> list[Storage]:
    """Those for which *person* has to enter credentials of their own first."""
    asked = [s for s in storages if s.credentials is Credentials.USER]
    kept = await read(parts, lambda tx: tx.storages.kept(person.name, asked)) if asked else {}
    return [s for s in asked if s.id not in kept and parts.once.get(person.name, s) is None]


async def _mounted(parts: Parts, person: Person, session: Session, storage: Storage) -> Mounted:
    if storage.kind not in parts.policy.storage_kinds:
        raise _unavailable(storage, "storages of this kind are not allowed here any more")
    if storage.kind == "volume":
        return Mounted(storage=_volume(parts, person, storage))
    try:
        storage_looks.judge(parts, storage)  # what an admin had listed may be listed no more
    except NotAllowed:
        raise _unavailable(storage, "its host may not be connected to") from None
    try:
        secrets = await opened(parts, person, storage)
    except Unreadable:
        if storage.credentials is Credentials.USER:
            raise _lacking(session, [storage]) from None
        raise _unavailable(storage, "its credentials have to be entered again") from None
    if parts.policy.rclone_storage_class and has_reference([*storage.settings.values(), *secrets.values()]):
        raise _unavailable(storage, "%(…)s in its address or a credential stands for another option")
    shown = await storage_looks.read_host_key(parts, storage) if storage.host_key else None
    if shown is not None and shown != storage.host_key:
        raise _another_server(storage)
    return Mounted(storage=storage, options=rclone.options(storage, secrets))


def _volume(parts: Parts, person: Person, storage: Storage) -> Storage:
    """As the volume's admin has it: who may use it now, and whether anybody may write."""
    found = volume(parts, person, storage.project, storage.settings["volume"])
    if found is None:
        raise _unavailable(storage, "its volume is not there, or not for you")
    return replace(storage, read_only=storage.read_only or found.read_only)


def volume(parts: Parts, person: Person, project: str, name: str) -> Volume | None:
    """The volume of that name, if *person* may use it in the project."""
    return next((v for v in parts.policy.volumes if v.name == name and v.usable(person, project)), None)


async def opened(parts: Parts, person: Person, storage: Storage) -> Mapping[str, str]:
    """The credentials that open this very version of *storage* for *person*. Raises Unreadable."""
    if storage.credentials is Credentials.NONE:
        return {}
    if storage.credentials is Credentials.PROJECT:
        sealed = (await read(parts, lambda tx: tx.storages.secrets([storage]))).get(storage.id)
        return await _open(parts, storage.id, sealed)
    held = parts.once.get(person.name, storage)
    if held is not None:
        return held
    kept = (await read(parts, lambda tx: tx.storages.kept(person.name, [storage]))).get(storage.id)
    return await _open(parts, own(storage, person), kept)


async def _open(parts: Parts, owner: str, sealed: str | None) -> dict[str, str]:
    if sealed is None:
        raise Unreadable
    return await parts.keeper.open(owner, sealed)


def own(storage: Storage, person: Person) -> str:
    """For whom a person's own credentials are sealed."""
    return f"{storage.id}/{person.name}"


def _lacking(session: Session, storages: Collection[Storage]) -> Refused:
    """The person enters theirs for *session* first."""
    names = [storage.directory for storage in storages]
    details = {"storages": names, "project": session.project, "session": session.id}
    said = sentence("storage_credentials", storages=", ".join(names))
    return Refused(said, code="storage_credentials", details=details)


def _another_server(storage: Storage) -> Refused:
    said = sentence("storage_host_key", storages=storage.directory)
    return Refused(said, code="storage_host_key", details={"storages": [storage.directory]})


def _unavailable(storage: Storage, why: str) -> Refused:
    said = sentence("storage_unavailable", storages=storage.directory, why=why)
    return Refused(said, code="storage_unavailable", details={"storages": [storage.directory]})
