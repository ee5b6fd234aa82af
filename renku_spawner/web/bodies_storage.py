"""What may stand in the body of a request about storages."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ..domain.storage import Credentials, NewStorage, OwnCredentials, StorageChange
from ..domain.storage_checks import STORAGES_LIMIT
from .bodies import Body, Id, Text, Version, Word

Whose = Literal["none", "project", "user"]
Said = dict[Word, Text]
_WHOSE = "Whose credentials open it: nobody's, the project's, or each user's own"
_SECRETS = "The project's credentials by the names of their options; they are never answered"


class StorageBody(Body):
    """A storage that sessions find in `/work`; it is looked into before it is saved."""

    kind: Word = Field(examples=["s3"])
    directory: Word = Field(description="Below `/work`; it stays", examples=["era5"])
    settings: Said = Field(default={}, description="Where it is, by rclone's options", examples=[{"provider": "AWS"}])
    path: Text = Field(default="", description="Inside the remote; in S3 the bucket is its first part")
    credentials: Whose = Field(default="none", description=_WHOSE)
    read_only: bool = True
    secrets: Said = Field(default={}, description=_SECRETS, repr=False)

    def value(self) -> NewStorage:
        return NewStorage(**vars(self) | {"credentials": Credentials(self.credentials)})


class StorageChangeBody(Body):
    """What changes of a storage; what is absent stays. With other settings the credentials have to be said again."""

    version: Version
    settings: Said | None = None
    path: Text | None = None
    credentials: Whose | None = Field(default=None, description=_WHOSE)
    read_only: bool | None = None
    secrets: Said | None = Field(default=None, description=_SECRETS, repr=False)

    def value(self) -> StorageChange:
        whose = Credentials(self.credentials) if self.credentials else None
        return StorageChange(**vars(self) | {"credentials": whose})


class StorageCredentialsBody(Body):
    """One's own credentials for one version of a storage; of another one they answer 409 `changed`, unused."""

    id: Id
    version: Version
    secrets: Said = Field(description="By the names of its options", examples=[{"user": "ada"}], repr=False)


class OwnCredentialsBody(Body):
    """One's own credentials for storages of a session, for the versions that were read."""

    storages: list[StorageCredentialsBody] = Field(max_length=STORAGES_LIMIT)
    keep: bool = Field(
        default=True, description="Whether they are kept, encrypted; otherwise they serve for the starts of an hour"
    )

    def value(self) -> dict[str, OwnCredentials]:
        return {each.id: OwnCredentials(version=each.version, secrets=each.secrets) for each in self.storages}
