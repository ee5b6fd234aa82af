"""The client's calls about storages, and one's own credentials for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from . import calls, models
from .base import Connected


class Storages(Connected):
    def storages(self, project: str) -> list[models.StorageAnswer]:
        """Those of a project, without what opens them."""
        return self._wire.ask(calls.STORAGES, project=project).items

    def add_storage(self, project: str, new: models.StorageBody) -> models.StorageAnswer:
        """It is looked into before it is saved."""
        return self._wire.ask(calls.STORAGE_ADD, new, project=project)

    def change_storage(self, project: str, storage: str, change: models.StorageChangeBody) -> models.StorageAnswer:
        """*storage* is its id or its directory, here and below."""
        return self._wire.ask(calls.STORAGE_CHANGE, change, project=project, storage=storage)

    def remove_storage(self, project: str, storage: str) -> None:
        """What is in it stays where it is."""
        self._wire.ask(calls.STORAGE_REMOVE, project=project, storage=storage)

    def check_storage(self, project: str, storage: str) -> models.StorageAnswer:
        """Look into it again."""
        return self._wire.ask(calls.STORAGE_CHECK, project=project, storage=storage)

    def asked_credentials(self, project: str, session: str) -> list[models.AskedStorageAnswer]:
        """For which storages of a session one's own credentials are needed."""
        return self._wire.ask(calls.CREDENTIALS, project=project, session=session).items

    def enter_credentials(
        self,
        project: str,
        session: str,
        secrets: Mapping[str, Mapping[str, str]],
        *,
        asked: Sequence[models.AskedStorageAnswer],
        keep: bool = True,
    ) -> list[models.AskedStorageAnswer]:
        """Enter one's own credentials, by the storages' directories; not kept they serve for the starts of an hour.

        *asked* is what `asked_credentials` returned before they were typed: they are for those versions alone.

        Raises:
            Conflict: `changed`, if an editor has changed one of these storages since; nothing was used.
            KeyError: a directory is not in *asked*.
        """
        there = {each.directory: each for each in asked}
        entered = [
            models.StorageCredentialsBody(id=there[name].id, version=there[name].version, secrets=dict(typed))
            for name, typed in secrets.items()
        ]
        body = models.OwnCredentialsBody(storages=entered, keep=keep)
        return self._wire.ask(calls.CREDENTIALS_ENTER, body, project=project, session=session).items

    def forget_credentials(self, storage: str) -> None:
        """Delete one's own credentials for a storage, which is named by its id."""
        self._wire.ask(calls.CREDENTIALS_FORGET, storage=storage)
