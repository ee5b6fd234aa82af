"""What is asked of a storage before it is stored: a free directory, a volume for one, credentials that open it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..domain.access import Person
from ..domain.errors import Invalid
from ..domain.project import Project
from ..domain.storage import Credentials, Outcome, Storage
from ..store.database import Transaction
from ..store.storages import Sealed
from . import mounts, storage_looks
from .parts import Parts

NO_KEY = "This hub has no key to encrypt credentials with, so that it keeps none: let each user enter their own."
_ADDRESS = {"sftp": "host", "webdav": "url", "s3": "endpoint"}  # where a kind says which server it is


async def looked(parts: Parts, storage: Storage, secrets: Mapping[str, str]) -> Storage:
    """The same with what a look has found. Raises Invalid where it surely cannot be opened."""
    own = storage.credentials is Credentials.USER  # nobody's are known yet
    found = await (storage_looks.host(parts, storage) if own else storage_looks.look(parts, storage, secrets))
    if found.outcome.refuses:
        raise wrong(_field(storage, found.outcome), found.outcome.words)
    return replace(storage, checked=found)


def _field(storage: Storage, outcome: Outcome) -> str:
    """Return the field of the form to which a refusal belongs."""
    if outcome is Outcome.DENIED:
        return "secrets"
    if outcome is Outcome.HOST_KEY:
        return "settings.host_key"
    if outcome is Outcome.NOT_FOUND:
        return "path"
    return f"settings.{_ADDRESS[storage.kind]}" if storage.kind in _ADDRESS else "settings"


async def require_host_key(parts: Parts, storage: Storage) -> None:
    """Ask for the host key that the server of an SFTP storage shows now, unless it is the confirmed one.

    Raises:
        Invalid: at `settings.host_key`, with the key to confirm in `details`.
    """
    shown = await storage_looks.read_host_key(parts, storage)
    if shown is None or shown == storage.host_key:
        return
    how = "another" if storage.host_key else "this"
    sentence = (
        f"The server shows {how} host key: {shown.type}, {shown.fingerprint}. Compare it with the one that its admins "
        "publish, then save again with that key to confirm it."
    )
    said = {"type": shown.type, "fingerprint": shown.fingerprint, "key": shown.text}
    raise Invalid(sentence, fields={"settings.host_key": sentence}, details={"host_key": said})


async def sealed(parts: Parts, storage: Storage, secrets: Mapping[str, str]) -> Sealed:
    """Raises Invalid: at `credentials`, where the hub has no key."""
    if storage.credentials is not Credentials.PROJECT:
        return Sealed(None)
    if not parts.keeper.available:
        raise wrong("credentials", NO_KEY)
    return Sealed(await parts.keeper.seal(storage.id, secrets))


def taken(project: Project, storages: Sequence[Storage]) -> list[str]:
    """Directories that something in the project has; that of its own repository stays free for it."""
    own = [project.directory] if project.directory else []
    return [*own, *(r.directory for r in project.repositories), *(s.directory for s in storages)]


def require_volume(parts: Parts, person: Person, storage: Storage) -> None:
    if storage.kind != "volume":
        return
    found = mounts.volume(parts, person, storage.project, storage.settings["volume"])
    if found is None:
        raise wrong("settings.volume", "There is no such volume, or it is not for you or this project.")
    if found.read_only and not storage.read_only:
        raise wrong("read_only", "Nobody may write to this volume.")


def require_free(tx: Transaction, project: Project, storage: Storage) -> None:
    """Again, now that nobody else can add one: a repository's table knows no storages."""
    there = tx.projects.get(project.id) if project.ours else project
    others = [each for each in tx.storages.of_project(project.id) if each.id != storage.id]
    if there and storage.directory.casefold() in {each.casefold() for each in taken(there, others)}:
        raise wrong("directory", "Another storage or repository has this directory already.")


def wrong(field: str, sentence: str) -> Invalid:
    return Invalid(sentence, fields={field: sentence})
