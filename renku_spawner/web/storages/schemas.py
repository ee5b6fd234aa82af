"""Request and response models of storages. Responses never contain credentials."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from ...domain.ids import RecordId
from ...domain.storages import (
    MAX_PROJECT_STORAGES,
    NewStorage,
    OwnStorageCredentials,
    Storage,
    StorageChange,
    StorageCredentials,
    StorageProbeOutcome,
)
from ..schemas import BaseAnswer, BaseBody, BaseListAnswer, ProjectedAnswer, ProjectedBody, answer_of, body_of


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


_CREDENTIALS_OWNER_HELP = "Whose credentials open it: none, the project's, or each user's own"
_STORAGE_SECRETS_HELP = "The project's credentials by the names of their options; they are never answered"


@body_of(
    NewStorage,
    kind={"examples": ["s3"]},
    directory={"description": "Below `/work`; it stays", "examples": ["era5"]},
    settings={"description": "Where it is, by rclone's options", "examples": [{"provider": "AWS"}]},
    path="Inside the remote; in S3 the bucket is its first part",
    credentials=_CREDENTIALS_OWNER_HELP,
    secrets=_STORAGE_SECRETS_HELP,
)
class StorageBody(ProjectedBody[NewStorage]):
    """A storage that sessions get in `/work`; it is checked before it is saved."""


@body_of(StorageChange, credentials=_CREDENTIALS_OWNER_HELP, secrets=_STORAGE_SECRETS_HELP)
class StorageChangeBody(ProjectedBody[StorageChange]):
    """Changes to a storage; absent fields stay. Other settings need the credentials again."""


@body_of(OwnStorageCredentials, secrets={"description": "By the names of its options", "examples": [{"user": "ada"}]})
class StorageCredentialsBody(ProjectedBody[OwnStorageCredentials]):
    """The user's own credentials for one version of a storage; for another one they answer 409 `changed`, unused."""

    id: RecordId


class OwnCredentialsBody(BaseBody):
    """The user's own credentials for storages of a session, for the versions that were read."""

    storages: list[StorageCredentialsBody] = Field(max_length=MAX_PROJECT_STORAGES)
    keep: bool = Field(
        default=True, description="Whether they are kept, encrypted; otherwise they serve for the starts of an hour"
    )

    def to_own_credentials(self) -> dict[str, OwnStorageCredentials]:
        return {each.id: each.to_value() for each in self.storages}
