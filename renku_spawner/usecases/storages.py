"""Add, change, probe and remove storages of a project, and manage users' own credentials for them.

This module also prepares the storages that a launch mounts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from ..context.app_context import AppContext, read_transaction, write_transaction
from ..context.secret_store import UnreadableSecret
from ..domain.access import Person, ProjectAction
from ..domain.errors import ConflictError, InvalidInputError, LaunchRefusedError, build_not_found_error
from ..domain.ids import create_id
from ..domain.projects import Project
from ..domain.reasons import format_reason_sentence
from ..domain.sessions import Session, build_launch_version
from ..domain.storages import (
    MAX_PROJECT_STORAGES,
    MountedStorage,
    NewStorage,
    OwnStorageCredentials,
    SharedVolume,
    Storage,
    StorageChange,
    StorageCredentials,
    StorageProbe,
    StorageProbeOutcome,
    check_storage,
    check_storage_secrets,
    has_option_reference,
    is_other_server_or_account,
    keep_confirmed_host_key,
)
from ..integrations.net.errors import ConnectionNotAllowed
from ..integrations.rclone import build_remote_options
from ..persistence.database import Transaction
from ..persistence.statements import ConcurrentUpdate, UniqueConflict
from ..persistence.storages import EncryptedSecret, KeptCredentials
from .sessions import get_session_of_project
from .storage_probes import check_storage_host, probe_storage, read_host_key, require_allowed_host


async def prepare_mounted_storages(
    context: AppContext,
    person: Person,
    session: Session,
    storages: Collection[Storage],
    *,
    without: Collection[str] = (),
) -> tuple[MountedStorage, ...]:
    """Prepare the storages that *person*'s start mounts, with the options that open them, except those in *without*.

    Raises:
        LaunchRefusedError: `storage_credentials`, with the storages for which the user must enter credentials in
            `details`; `storage_unavailable`, with the one that cannot be mounted; `storage_host_key`, with the one
                whose
            server shows another host key than the confirmed one.
    """
    chosen = [s for s in storages if s.directory not in without]
    missing = await list_storages_without_credentials(context, person, chosen)
    if missing:
        raise _build_missing_credentials_error(session, missing)
    return tuple([await _prepare_mounted_storage(context, person, session, storage) for storage in chosen])


async def list_session_storages(context: AppContext, session: Session) -> tuple[Storage, ...]:
    """List the project's storages that the session mounts."""
    storages = await read_transaction(context, lambda tx: tx.storages.list_for_project(session.project))
    return session.configuration.select_storages(storages)


async def list_storages_without_credentials(
    context: AppContext, person: Person, storages: Collection[Storage]
) -> list[Storage]:
    """List the storages for which *person* must enter their own credentials first."""
    user_storages = [s for s in storages if s.credentials is StorageCredentials.USER]
    kept = (
        await read_transaction(context, lambda tx: tx.storages.get_user_secrets(person.name, user_storages))
        if user_storages
        else {}
    )
    return [s for s in user_storages if s.id not in kept and context.one_time_secrets.get(person.name, s) is None]


async def _prepare_mounted_storage(
    context: AppContext, person: Person, session: Session, storage: Storage
) -> MountedStorage:
    if storage.kind not in context.policy.storage_kinds:
        raise _build_storage_unavailable_error(storage, "storages of this kind are not allowed here any more")
    if storage.kind == "volume":
        return MountedStorage(storage=_apply_volume_rules(context, person, storage))
    try:
        require_allowed_host(context, storage)  # the admin's list may have changed since the storage was saved
    except ConnectionNotAllowed:
        raise _build_storage_unavailable_error(storage, "its host may not be connected to") from None
    try:
        secrets = await open_credentials(context, person, storage)
    except UnreadableSecret:
        if storage.credentials is StorageCredentials.USER:
            raise _build_missing_credentials_error(session, [storage]) from None
        raise _build_storage_unavailable_error(storage, "its credentials have to be entered again") from None
    if context.policy.rclone_storage_class and has_option_reference([*storage.settings.values(), *secrets.values()]):
        raise _build_storage_unavailable_error(
            storage, "%(…)s in its address or a credential stands for another option"
        )
    shown = await read_host_key(context, storage) if storage.host_key else None
    if shown is not None and shown != storage.host_key:
        raise _build_host_key_mismatch_error(storage)
    return MountedStorage(storage=storage, options=build_remote_options(storage, secrets))


def _apply_volume_rules(context: AppContext, person: Person, storage: Storage) -> Storage:
    """Apply the volume's present configuration: who may use it, and whether it is read-only."""
    volume = find_usable_volume(context, person, storage.project, storage.settings["volume"])
    if volume is None:
        raise _build_storage_unavailable_error(storage, "its volume does not exist, or you may not use it")
    return replace(storage, read_only=storage.read_only or volume.read_only)


def find_usable_volume(context: AppContext, person: Person, project: str, name: str) -> SharedVolume | None:
    """Return the volume with that name, if *person* may use it in the project."""
    return next((v for v in context.policy.volumes if v.name == name and v.is_usable_by(person, project)), None)


async def open_credentials(context: AppContext, person: Person, storage: Storage) -> Mapping[str, str]:
    """Return the credentials that open this version of *storage* for *person*. Raises UnreadableSecret."""
    if storage.credentials is StorageCredentials.NONE:
        return {}
    if storage.credentials is StorageCredentials.PROJECT:
        sealed = (await read_transaction(context, lambda tx: tx.storages.get_project_secrets([storage]))).get(
            storage.id
        )
        return await _open_sealed_credentials(context, storage.id, sealed)
    held = context.one_time_secrets.get(person.name, storage)
    if held is not None:
        return held
    kept = (await read_transaction(context, lambda tx: tx.storages.get_user_secrets(person.name, [storage]))).get(
        storage.id
    )
    return await _open_sealed_credentials(context, get_credentials_owner(storage, person), kept)


async def _open_sealed_credentials(context: AppContext, owner: str, sealed: str | None) -> dict[str, str]:
    if sealed is None:
        raise UnreadableSecret
    return await context.secret_store.decrypt_secrets(owner, sealed)


def get_credentials_owner(storage: Storage, person: Person) -> str:
    """Return the owner name with which a user's own credentials are encrypted."""
    return f"{storage.id}/{person.name}"


def _build_missing_credentials_error(session: Session, storages: Collection[Storage]) -> LaunchRefusedError:
    """Build the refusal that asks the user to enter their credentials for *session*."""
    names = [storage.directory for storage in storages]
    details = {"storages": names, "project": session.project, "session": session.id}
    message = format_reason_sentence("storage_credentials", storages=", ".join(names))
    return LaunchRefusedError(message, code="storage_credentials", details=details)


def _build_host_key_mismatch_error(storage: Storage) -> LaunchRefusedError:
    message = format_reason_sentence("storage_host_key", storages=storage.directory)
    return LaunchRefusedError(message, code="storage_host_key", details={"storages": [storage.directory]})


def _build_storage_unavailable_error(storage: Storage, why: str) -> LaunchRefusedError:
    message = format_reason_sentence("storage_unavailable", storages=storage.directory, why=why)
    return LaunchRefusedError(message, code="storage_unavailable", details={"storages": [storage.directory]})


CREDENTIALS_NOT_KEPT_MESSAGE = (
    "This hub has no key to encrypt credentials with: they are used for this start and not kept."
)
_STORAGE_MOVED_MESSAGE = (
    "It was changed since you opened this page. Check where it is now, then enter your credentials again."
)
_STORAGE_REMOVED_MESSAGE = (
    "A storage was removed or changed since you opened this page. What you typed for it was not used."
)


@dataclass(frozen=True, kw_only=True)
class RequiredCredentials:
    """The storages of a session that need users' own credentials; `missing` are those without any."""

    project: Project
    session: Session
    storages: list[Storage]
    missing: list[Storage]
    launch_version: str


async def get_required_credentials(
    context: AppContext, person: Person, ref: str, session_id: str
) -> RequiredCredentials:
    """Return the storages of a session that need the user's own credentials. Raises NotFoundError."""
    project = await context.source.get_project(person, ref, ProjectAction.LAUNCH)
    session = await read_transaction(context, lambda tx: get_session_of_project(tx, project, session_id))
    storages = await list_session_storages(context, session)
    own = [s for s in storages if s.credentials is StorageCredentials.USER]
    missing = await list_storages_without_credentials(context, person, own)
    version = build_launch_version(session, project.repositories, storages)
    return RequiredCredentials(project=project, session=session, storages=own, missing=missing, launch_version=version)


async def enter_credentials(
    context: AppContext,
    person: Person,
    ref: str,
    session_id: str,
    entered: Mapping[str, OwnStorageCredentials],
    *,
    keep: bool,
) -> RequiredCredentials:
    """Store the credentials that *person* has entered, by storage id, after testing each of them.

    Credentials are for the version of the storage that the user saw: if an editor has changed its address meanwhile,
    they
    are sent to no server. Without *keep* they are valid for one hour, in the hub's memory only.

    Raises:
        NotFoundError.
        ConflictError: `changed`, with the present versions of the storages in `details`.
        InvalidInputError: at `<id>.<credential>`, or at `keep` where the hub has no key.
    """
    required = await get_required_credentials(context, person, ref, session_id)
    if keep and not context.secret_store.is_available:
        raise InvalidInputError(CREDENTIALS_NOT_KEPT_MESSAGE, fields={"keep": CREDENTIALS_NOT_KEPT_MESSAGE})
    _require_unchanged_storages(required, entered)
    storages = {storage.id: storage for storage in required.storages}
    checked = [
        (storages[id], _validate_entered_credentials(context, storages[id], typed.secrets))
        for id, typed in entered.items()
    ]
    for storage, secrets in checked:
        await _require_accepted_credentials(context, storage, secrets)
    for storage, secrets in checked:
        if not await _store_entered_credentials(context, person, storage, secrets, keep=keep):
            _require_unchanged_storages(await get_required_credentials(context, person, ref, session_id), entered)
    return await get_required_credentials(context, person, ref, session_id)


def _require_unchanged_storages(found: RequiredCredentials, entered: Mapping[str, OwnStorageCredentials]) -> None:
    """Raise ConflictError unless each storage is as the user saw it."""
    versions = {storage.id: storage.version for storage in found.storages}
    wrong = [id for id, typed in entered.items() if versions.get(id) != typed.version]
    if not wrong:
        return
    fields = {
        f"{id}.secrets" if id in versions else "form": _STORAGE_MOVED_MESSAGE
        if id in versions
        else _STORAGE_REMOVED_MESSAGE
        for id in wrong
    }
    newer = [{"id": id, "version": versions.get(id)} for id in wrong]
    raise ConflictError(next(iter(fields.values())), code="changed", fields=fields, details={"storages": newer})


def _validate_entered_credentials(context: AppContext, storage: Storage, entered: Mapping[str, str]) -> dict[str, str]:
    try:
        return check_storage_secrets(storage.storage_kind, entered, driver=bool(context.policy.rclone_storage_class))
    except InvalidInputError as problem:
        raise _add_storage_id_to_fields(storage, problem) from None


def _add_storage_id_to_fields(storage: Storage, problem: InvalidInputError) -> InvalidInputError:
    fields = {f"{storage.id}.{name.removeprefix('secrets.')}": sentence for name, sentence in problem.fields.items()}
    return InvalidInputError(problem.message, fields=fields)


async def _require_accepted_credentials(context: AppContext, storage: Storage, secrets: Mapping[str, str]) -> None:
    """Reject credentials only if the server refuses them; other problems are reported by the session itself."""
    probe = await probe_storage(context, storage, secrets)
    if probe.outcome is StorageProbeOutcome.DENIED:
        raise InvalidInputError(probe.outcome.description, fields={f"{storage.id}.secrets": probe.outcome.description})


async def _store_entered_credentials(
    context: AppContext, person: Person, storage: Storage, secrets: Mapping[str, str], *, keep: bool
) -> bool:
    """Store the credentials for this version of the storage. Return False if it was changed."""
    if not keep:  # the version of the storage is part of the key
        context.one_time_secrets.put(person.name, storage, secrets)
        return True
    sealed = await context.secret_store.encrypt_secrets(get_credentials_owner(storage, person), secrets)

    def work(tx: Transaction) -> None:
        tx.storages.save_credentials(storage, person.name, sealed, context.now())
        _record_credentials_event(tx, context, person, storage.directory, "storage credentials kept")

    try:
        try:
            await write_transaction(context, work)
        except UniqueConflict:  # another browser window stored them at the same moment
            await write_transaction(context, work)
    except ConcurrentUpdate:
        return False
    context.one_time_secrets.delete(person.name, storage)
    return True


async def list_my_storage_credentials(context: AppContext, person: Person) -> list[KeptCredentials]:
    """List the user's stored credentials in all projects, also in those that they have lost access to."""
    return await read_transaction(context, lambda tx: tx.storages.list_user_credentials(person.name))


async def delete_my_storage_credentials(context: AppContext, person: Person, storage_id: str) -> None:
    """Delete the user's credentials for a storage; no permission in its project is needed. Raises NotFoundError."""

    def work(tx: Transaction) -> None:
        kept: Sequence[KeptCredentials] = [
            credentials
            for credentials in tx.storages.list_user_credentials(person.name)
            if credentials.storage == storage_id
        ]
        if not kept or not tx.storages.delete_credentials(storage_id, person.name):
            raise build_not_found_error()
        _record_credentials_event(tx, context, person, kept[0].directory, "storage credentials deleted")

    await write_transaction(context, work)


def _record_credentials_event(tx: Transaction, context: AppContext, person: Person, subject: str, action: str) -> None:
    tx.audit.add(at=context.now(), actor=person.name, username=person.name, action=action, subject=subject, detail={})


PROJECT_CREDENTIALS_NOT_KEPT_MESSAGE = (
    "This hub has no key to encrypt credentials with, so that it keeps none: let each user enter their own."
)
_ADDRESS_FIELDS = {"sftp": "host", "webdav": "url", "s3": "endpoint"}  # the setting with the server's address


async def require_reachable_storage(context: AppContext, storage: Storage, secrets: Mapping[str, str]) -> Storage:
    """Probe the storage and return it with the result. Raises InvalidInputError if it surely cannot be opened."""
    own = storage.credentials is StorageCredentials.USER  # no credentials are known yet
    probe = await (check_storage_host(context, storage) if own else probe_storage(context, storage, secrets))
    if probe.outcome.is_blocking:
        raise build_storage_field_error(_get_refused_field(storage, probe.outcome), probe.outcome.description)
    return replace(storage, checked=probe)


def _get_refused_field(storage: Storage, outcome: StorageProbeOutcome) -> str:
    """Return the field of the form to which a refusal belongs."""
    if outcome is StorageProbeOutcome.DENIED:
        return "secrets"
    if outcome is StorageProbeOutcome.HOST_KEY:
        return "settings.host_key"
    if outcome is StorageProbeOutcome.NOT_FOUND:
        return "path"
    return f"settings.{_ADDRESS_FIELDS[storage.kind]}" if storage.kind in _ADDRESS_FIELDS else "settings"


async def require_confirmed_host_key(context: AppContext, storage: Storage) -> None:
    """Ask for the host key that the server of an SFTP storage shows now, unless it is the confirmed one.

    Raises:
        InvalidInputError: at `settings.host_key`, with the key to confirm in `details`.
    """
    shown = await read_host_key(context, storage)
    if shown is None or shown == storage.host_key:
        return
    how = "another" if storage.host_key else "this"
    sentence = (
        f"The server shows {how} host key: {shown.type}, {shown.fingerprint}. Compare it with the one that its admins "
        "publish, then save again with that key to confirm it."
    )
    host_key = {"type": shown.type, "fingerprint": shown.fingerprint, "key": shown.text}
    raise InvalidInputError(sentence, fields={"settings.host_key": sentence}, details={"host_key": host_key})


async def seal_project_credentials(
    context: AppContext, storage: Storage, secrets: Mapping[str, str]
) -> EncryptedSecret:
    """Encrypt the project's credentials. Raises InvalidInputError: at `credentials`, where the hub has no key."""
    if storage.credentials is not StorageCredentials.PROJECT:
        return EncryptedSecret(None)
    if not context.secret_store.is_available:
        raise build_storage_field_error("credentials", PROJECT_CREDENTIALS_NOT_KEPT_MESSAGE)
    return EncryptedSecret(await context.secret_store.encrypt_secrets(storage.id, secrets))


def list_taken_directories(project: Project, storages: Sequence[Storage]) -> list[str]:
    """List the directories that the project uses, including the reserved one of its own repository."""
    own = [project.directory] if project.directory else []
    return [*own, *(r.directory for r in project.repositories), *(s.directory for s in storages)]


def require_usable_volume(context: AppContext, person: Person, storage: Storage) -> None:
    if storage.kind != "volume":
        return
    volume = find_usable_volume(context, person, storage.project, storage.settings["volume"])
    if volume is None:
        raise build_storage_field_error(
            "settings.volume", "There is no such volume, or it is not for you or this project."
        )
    if volume.read_only and not storage.read_only:
        raise build_storage_field_error("read_only", "This volume is read-only.")


def require_free_directory(tx: Transaction, project: Project, storage: Storage) -> None:
    """Check the directory again inside the transaction: no constraint spans the tables of repositories and storages."""
    present = tx.projects.get(project.id) if project.is_hub_project else project
    others = [other for other in tx.storages.list_for_project(project.id) if other.id != storage.id]
    if present and storage.directory.casefold() in {
        directory.casefold() for directory in list_taken_directories(present, others)
    }:
        raise build_storage_field_error("directory", "Another storage or repository has this directory already.")


def build_storage_field_error(field: str, sentence: str) -> InvalidInputError:
    return InvalidInputError(sentence, fields={field: sentence})


StorageOperation = Callable[[Transaction], Storage]

_STORAGE_CHANGED_MESSAGE = "This storage was changed since you opened the page. Check it as it is now, then try again."


@dataclass(frozen=True, kw_only=True)
class StorageUpdate:
    """The storage to save, and its new credentials; None keeps the stored ones."""

    storage: Storage
    secrets: Mapping[str, str] | None


async def list_storages(context: AppContext, person: Person, ref: str) -> list[Storage]:
    """List the storages of a project in their order, for users who may see it. Raises NotFoundError."""
    project = await context.source.get_project(person, ref, ProjectAction.READ)
    return await list_storages_of_project(context, project)


async def get_storage(context: AppContext, person: Person, ref: str, name: str) -> Storage:
    """Return a storage by its id or directory, for users who may see the project. Raises NotFoundError."""
    return _select_storage(await list_storages(context, person, ref), name)


async def list_storages_of_project(context: AppContext, project: Project) -> list[Storage]:
    return await read_transaction(context, lambda tx: tx.storages.list_for_project(project.id))


async def add_storage(context: AppContext, person: Person, ref: str, new: NewStorage) -> Storage:
    """Add a storage to a project, after probing it.

    Raises:
        NotFoundError, ForbiddenError.
        InvalidInputError: with a message for each wrong field; a storage that surely cannot be opened is not saved.
    """
    project = await context.source.get_project(person, ref, ProjectAction.WRITE)
    return await _write_storage(context, await prepare_storage_addition(context, person, project, new))


async def prepare_storage_addition(
    context: AppContext, person: Person, project: Project, new: NewStorage
) -> StorageOperation:
    """Return the operation that adds the storage in a transaction, after it was probed.

    Raises the errors of `add_storage`; the operation raises UniqueConflict.
    """
    present = await list_storages_of_project(context, project)
    if len(present) >= MAX_PROJECT_STORAGES:
        raise build_storage_field_error("directory", f"At most {MAX_PROJECT_STORAGES} storages, please.")
    new = check_storage(
        new,
        context.policy.storage_kinds,
        list_taken_directories(project, present),
        driver=bool(context.policy.rclone_storage_class),
    )
    storage = _build_storage(new, project, person, context)
    require_usable_volume(context, person, storage)
    await require_confirmed_host_key(context, storage)
    probed = await require_reachable_storage(context, storage, new.secrets)
    sealed = await seal_project_credentials(context, storage, new.secrets)

    def work(tx: Transaction) -> Storage:
        require_free_directory(tx, project, storage)
        added = tx.storages.add(probed, sealed)
        _record_storage_event(tx, context, person, project, added, "storage added")
        return added

    return work


async def change_storage(context: AppContext, person: Person, ref: str, name: str, change: StorageChange) -> Storage:
    """Edit a storage, given by its id or directory, and probe it again. Changes take effect at the next start.

    Credentials are bound to the server and account that they were entered for. With another one they must be entered
    again, and the stored credentials of users are deleted.

    Raises:
        NotFoundError, ForbiddenError, InvalidInputError.
        ConflictError: `changed`, with the newer version in `details`.
    """
    project = await context.source.get_project(person, ref, ProjectAction.WRITE)
    return await _write_storage(context, await prepare_storage_change(context, person, project, name, change))


async def prepare_storage_change(
    context: AppContext, person: Person, project: Project, name: str, change: StorageChange
) -> StorageOperation:
    """Return the operation that edits the storage in a transaction, after it was probed.

    Raises the errors of `change_storage`; the operation raises ConcurrentUpdate.
    """
    present = await list_storages_of_project(context, project)
    storage = _select_storage(present, name)
    if storage.version != change.version:
        raise _build_storage_changed_error(storage)
    wanted = await _build_storage_update(context, project, present, storage, change)
    require_usable_volume(context, person, wanted.storage)
    await require_confirmed_host_key(context, wanted.storage)
    credentials = await _get_probe_credentials(context, person, wanted)
    probed = await require_reachable_storage(context, wanted.storage, credentials)
    sealed = None if wanted.secrets is None else await seal_project_credentials(context, probed, wanted.secrets)

    def work(tx: Transaction) -> Storage:
        require_free_directory(tx, project, probed)
        moved = is_other_server_or_account(storage.settings, probed.settings)
        changed = tx.storages.update(probed, change.version, sealed, moved=moved)
        _record_storage_event(tx, context, person, project, changed, "storage changed")
        return changed

    return work


async def remove_storage(
    context: AppContext, person: Person, ref: str, name: str, version: int | None = None
) -> Storage:
    """Remove a storage from a project; its files stay where they are.

    *version* is the one that the editor saw; None removes any version.

    Raises:
        NotFoundError, ForbiddenError.
        ConflictError: `changed`.
    """
    project = await context.source.get_project(person, ref, ProjectAction.WRITE)

    def work(tx: Transaction) -> Storage:
        storage = _select_storage(tx.storages.list_for_project(project.id), name)
        if version not in (None, storage.version):
            raise _build_storage_changed_error(storage)
        tx.storages.delete(storage.id)
        _record_storage_event(tx, context, person, project, storage, "storage removed")
        return storage

    return await write_transaction(context, work)


async def recheck_storage(context: AppContext, person: Person, ref: str, name: str) -> Storage:
    """Probe a storage again with its stored settings, and save the result. Raises NotFoundError, ForbiddenError."""
    project = await context.source.get_project(person, ref, ProjectAction.WRITE)
    storage = _select_storage(await list_storages_of_project(context, project), name)
    try:
        secrets = await open_credentials(context, person, storage)
        probe = await probe_storage(context, storage, secrets)
    except UnreadableSecret:  # each user has their own credentials, and this user has none
        probe = StorageProbe(outcome=StorageProbeOutcome.NOT_CHECKED, at=context.now())
    await write_transaction(context, lambda tx: tx.storages.record_check(storage, probe))
    return replace(storage, checked=probe)


def _build_storage(new: NewStorage, project: Project, person: Person, context: AppContext) -> Storage:
    return Storage(
        id=create_id(), project=project.id, position=0, directory=new.directory, kind=new.kind,
        settings=new.settings, path=new.path, credentials=new.credentials, read_only=new.read_only,
        created_by=person.name, created_at=context.now(),
    )  # fmt: skip


async def _build_storage_update(
    context: AppContext, project: Project, present: Sequence[Storage], storage: Storage, change: StorageChange
) -> StorageUpdate:
    changes = {name: getattr(change, name) for name in ("settings", "path", "credentials", "read_only")}
    given = {name: value for name, value in changes.items() if value is not None}
    if "settings" in given:
        given["settings"] = keep_confirmed_host_key(storage.settings, given["settings"])
    changed = replace(storage, **given)
    keeps = storage.kept and changed.credentials is StorageCredentials.PROJECT and not change.secrets
    secrets = change.secrets or {}
    if keeps:
        secrets = await _open_project_credentials(context, storage)
    new = NewStorage(
        kind=storage.kind, directory=storage.directory, settings=changed.settings, path=changed.path,
        credentials=changed.credentials, read_only=changed.read_only, secrets=secrets,
    )  # fmt: skip
    others = [other for other in present if other.id != storage.id]
    checked = check_storage(
        new,
        context.policy.storage_kinds,
        list_taken_directories(project, others),
        driver=bool(context.policy.rclone_storage_class),
    )
    if keeps and is_other_server_or_account(storage.settings, checked.settings):
        raise build_storage_field_error(
            "secrets", "Please enter the credentials again: they were entered for another address."
        )
    updated = replace(
        storage, settings=checked.settings, path=checked.path,
        credentials=checked.credentials, read_only=checked.read_only, checked=None,
    )  # fmt: skip
    return StorageUpdate(storage=updated, secrets=None if keeps else checked.secrets)


async def _open_project_credentials(context: AppContext, storage: Storage) -> Mapping[str, str]:
    sealed = (await read_transaction(context, lambda tx: tx.storages.get_project_secrets([storage]))).get(
        storage.id, ""
    )
    try:
        return await context.secret_store.decrypt_secrets(storage.id, sealed)
    except UnreadableSecret:
        raise build_storage_field_error(
            "secrets", "Please enter the credentials again: they cannot be read any more."
        ) from None


async def _get_probe_credentials(context: AppContext, person: Person, wanted: StorageUpdate) -> Mapping[str, str]:
    """Return the credentials for a probe: the entered ones, or else the stored ones."""
    if wanted.secrets is not None:
        return wanted.secrets
    return await open_credentials(context, person, wanted.storage)


async def _write_storage(context: AppContext, work: StorageOperation) -> Storage:
    try:
        return await write_transaction(context, work)
    except UniqueConflict:
        raise build_storage_field_error("directory", "Another storage has this directory already.") from None
    except ConcurrentUpdate:
        raise ConflictError(_STORAGE_CHANGED_MESSAGE, code="changed") from None


def _select_storage(storages: Sequence[Storage], name: str) -> Storage:
    """Return the storage with that id or directory. Raises NotFoundError."""
    storage = next((s for s in storages if name in (s.id, s.directory)), None)
    if storage is None:
        raise build_not_found_error()
    return storage


def _record_storage_event(
    tx: Transaction, context: AppContext, person: Person, project: Project, storage: Storage, action: str
) -> None:
    detail = {"kind": storage.kind, "credentials": str(storage.credentials)}
    subject = f"{project.path}/{storage.directory}"
    tx.audit.add(at=context.now(), actor=person.name, username=None, action=action, subject=subject, detail=detail)


def _build_storage_changed_error(storage: Storage) -> ConflictError:
    return ConflictError(
        _STORAGE_CHANGED_MESSAGE,
        code="changed",
        details={"version": storage.version, "storage": storage.id},
    )
