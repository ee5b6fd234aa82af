"""Request and response models of storages. Responses never contain credentials."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from ...domain.storages import (
    MAX_PROJECT_STORAGES,
    NewStorage,
    OwnStorageCredentials,
    Storage,
    StorageChange,
    StorageCredentials,
    StorageProbeOutcome,
)
from ..schemas import (
    BaseAnswer,
    BaseBody,
    BaseListAnswer,
    LongText,
    ProjectedAnswer,
    RecordId,
    RowVersion,
    ShortText,
    answer_of,
)


class LookAnswer(BaseAnswer):
    outcome: str = Field(examples=[str(outcome) for outcome in StorageProbeOutcome])
    message: str
    at: datetime


@answer_of(Storage, omit=["project", "position"], kept="Whether the project's credentials are kept")
class StorageAnswer(ProjectedAnswer):
    credentials: str = Field(examples=[str(whose) for whose in StorageCredentials])
    checked: LookAnswer | None = Field(description="Result of the last check")


class StorageList(BaseListAnswer):
    items: list[StorageAnswer]


class AskedStorageAnswer(BaseAnswer):
    """A storage that needs the user's own credentials, and whether they are missing."""

    id: str
    directory: str
    kind: str
    version: int = Field(description="Credentials are entered for it, and for no other")
    options: list[str] = Field(description="Which credentials it takes", examples=[["user", "pass"]])
    missing: bool


class AskedStorageList(BaseListAnswer):
    items: list[AskedStorageAnswer]


CredentialsOwner = Literal["none", "project", "user"]
StorageOptionValues = dict[ShortText, LongText]
_CREDENTIALS_OWNER_HELP = "Whose credentials open it: none, the project's, or each user's own"
_STORAGE_SECRETS_HELP = "The project's credentials by the names of their options; they are never answered"


class StorageBody(BaseBody):
    """A storage that sessions get in `/work`; it is checked before it is saved."""

    kind: ShortText = Field(examples=["s3"])
    directory: ShortText = Field(description="Below `/work`; it stays", examples=["era5"])
    settings: StorageOptionValues = Field(
        default={}, description="Where it is, by rclone's options", examples=[{"provider": "AWS"}]
    )
    path: LongText = Field(default="", description="Inside the remote; in S3 the bucket is its first part")
    credentials: CredentialsOwner = Field(default="none", description=_CREDENTIALS_OWNER_HELP)
    read_only: bool = True
    secrets: StorageOptionValues = Field(default={}, description=_STORAGE_SECRETS_HELP, repr=False)

    def to_new_storage(self) -> NewStorage:
        return NewStorage(**vars(self) | {"credentials": StorageCredentials(self.credentials)})


class StorageChangeBody(BaseBody):
    """Changes to a storage; absent fields stay. Other settings need the credentials again."""

    version: RowVersion
    settings: StorageOptionValues | None = None
    path: LongText | None = None
    credentials: CredentialsOwner | None = Field(default=None, description=_CREDENTIALS_OWNER_HELP)
    read_only: bool | None = None
    secrets: StorageOptionValues | None = Field(default=None, description=_STORAGE_SECRETS_HELP, repr=False)

    def to_storage_change(self) -> StorageChange:
        whose = StorageCredentials(self.credentials) if self.credentials else None
        return StorageChange(**vars(self) | {"credentials": whose})


class StorageCredentialsBody(BaseBody):
    """The user's own credentials for one version of a storage; for another one they answer 409 `changed`, unused."""

    id: RecordId
    version: RowVersion
    secrets: StorageOptionValues = Field(
        description="By the names of its options", examples=[{"user": "ada"}], repr=False
    )


class OwnCredentialsBody(BaseBody):
    """The user's own credentials for storages of a session, for the versions that were read."""

    storages: list[StorageCredentialsBody] = Field(max_length=MAX_PROJECT_STORAGES)
    keep: bool = Field(
        default=True, description="Whether they are kept, encrypted; otherwise they serve for the starts of an hour"
    )

    def to_own_credentials(self) -> dict[str, OwnStorageCredentials]:
        return {each.id: OwnStorageCredentials(version=each.version, secrets=each.secrets) for each in self.storages}
