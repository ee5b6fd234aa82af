"""The API of storages, and of one's own credentials for them."""

from __future__ import annotations

from ..domain.storage import Storage as Found
from ..services import storage_credentials, storages
from ..services.storage_credentials import Asked
from . import throttle
from .answer_models_storage import AskedStorageAnswer, AskedStorageList, LookAnswer, StorageAnswer, StorageList
from .base_api import RenkuAPIHandler
from .bodies import Nothing
from .bodies_storage import OwnCredentialsBody, StorageBody, StorageChangeBody
from .operations import Operation
from .scopes import LAUNCH, READ, WRITE


class Storages(RenkuAPIHandler):
    calls = {
        "get": Operation(summary="The storages of a project", scope=READ, answer=StorageList),
        "post": Operation(
            summary="Add a storage to a project, after a look into it",
            scope=WRITE, body=StorageBody, answer=StorageAnswer, statuses=(201,), errors=(422, 429),
        ),
    }  # fmt: skip

    async def get(self, ref: str) -> None:
        found = await storages.listed(self.parts, self.person, self.ref(ref))
        self.answer(StorageList(items=[answered(each) for each in found], next=None))

    async def post(self, ref: str) -> None:
        new = self.body(StorageBody).value()
        throttle.count_look(self.parts, self.person.name)
        made = await storages.add(self.parts, self.person, self.ref(ref), new)
        self.set_header("Location", f"{self.request.path}/{made.id}")
        self.answer(answered(made), 201)


class Storage(RenkuAPIHandler):
    """One of a project's, by its id or its directory."""

    calls = {
        "patch": Operation(
            summary="Change a storage; it is looked into again",
            scope=WRITE, body=StorageChangeBody, answer=StorageAnswer, errors=(409, 422, 429),
        ),
        "delete": Operation(
            summary="Take a storage out of a project; what is in it stays where it is",
            scope=WRITE, body=Nothing, statuses=(204,),
        ),
    }  # fmt: skip

    async def patch(self, ref: str, name: str) -> None:
        change = self.body(StorageChangeBody).value()
        throttle.count_look(self.parts, self.person.name)
        self.answer(answered(await storages.change(self.parts, self.person, self.ref(ref), name, change)))

    async def delete(self, ref: str, name: str) -> None:
        self.body(Nothing)
        await storages.remove(self.parts, self.person, self.ref(ref), name)
        self.set_status(204)


class Look(RenkuAPIHandler):
    calls = {
        "post": Operation(
            summary="Look into a storage again", scope=WRITE, body=Nothing, answer=StorageAnswer, errors=(429,)
        )
    }

    async def post(self, ref: str, name: str) -> None:
        self.body(Nothing)
        throttle.count_look(self.parts, self.person.name)
        self.answer(answered(await storages.look(self.parts, self.person, self.ref(ref), name)))


class Credentials(RenkuAPIHandler):
    """One's own, for the storages of a session."""

    calls = {
        "get": Operation(
            summary="For which storages of a session your own credentials are needed",
            scope=READ, answer=AskedStorageList,
        ),
        "post": Operation(
            summary="Enter your own credentials for storages of a session",
            scope=LAUNCH, body=OwnCredentialsBody, answer=AskedStorageList, errors=(409, 422, 429),
        ),
    }  # fmt: skip

    async def get(self, ref: str, session_id: str) -> None:
        self.answer(asked(await storage_credentials.asked(self.parts, self.person, self.ref(ref), session_id)))

    async def post(self, ref: str, session_id: str) -> None:
        body = self.body(OwnCredentialsBody)
        throttle.count_look(self.parts, self.person.name)
        here = (self.parts, self.person, self.ref(ref), session_id)
        self.answer(asked(await storage_credentials.enter(*here, body.value(), keep=body.keep)))


class Kept(RenkuAPIHandler):
    calls = {
        "delete": Operation(
            summary="Delete your own credentials for a storage", scope=LAUNCH, body=Nothing, statuses=(204,)
        )
    }

    async def delete(self, storage_id: str) -> None:
        self.body(Nothing)
        await storage_credentials.forget(self.parts, self.person, storage_id)
        self.set_status(204)


def answered(found: Found) -> StorageAnswer:
    look = found.checked
    names = ("id", "directory", "kind", "path", "kept", "read_only", "version", "created_by", "created_at")
    return StorageAnswer(
        **{name: getattr(found, name) for name in names},
        settings=dict(found.settings),
        credentials=str(found.credentials),
        checked=LookAnswer(outcome=str(look.outcome), message=look.outcome.words, at=look.at) if look else None,
    )


def asked(found: Asked) -> AskedStorageList:
    missing = {storage.id for storage in found.missing}
    rows = [
        AskedStorageAnswer(
            id=each.id, directory=each.directory, kind=each.kind, version=each.version, missing=each.id in missing,
            options=[option.name for option in each.of_kind.credentials],
        )
        for each in found.storages
    ]  # fmt: skip
    return AskedStorageList(items=rows, next=None)
