"""API of storages and of the user's own credentials for them."""

from __future__ import annotations

from ...domain.storages import Storage
from ...hub.scopes import LAUNCH_SCOPE, READ_SCOPE, WRITE_SCOPE
from ...usecases.storages import (
    RequiredCredentials,
    add_storage,
    change_storage,
    delete_my_storage_credentials,
    enter_credentials,
    get_required_credentials,
    list_storages,
    recheck_storage,
    remove_storage,
)
from ..base import RenkuAPIHandler
from ..operations import APIOperation
from ..rate_limits import LimitedRequest, count_request
from ..schemas import EmptyBody
from .schemas import (
    AskedStorageAnswer,
    AskedStorageList,
    LookAnswer,
    OwnCredentialsBody,
    StorageAnswer,
    StorageBody,
    StorageChangeBody,
    StorageList,
)


class StorageListAPIHandler(RenkuAPIHandler):
    calls = {
        "get": APIOperation(summary="The storages of a project", scope=READ_SCOPE, answer=StorageList),
        "post": APIOperation(
            summary="Add a storage to a project; it is checked first",
            scope=WRITE_SCOPE, body=StorageBody, answer=StorageAnswer, statuses=(201,), errors=(422, 429),
        ),
    }  # fmt: skip

    async def get(self, ref: str) -> None:
        storages = await list_storages(self.context, self.person, self.check_project_ref(ref))
        self.write_answer(StorageList(items=[to_storage_answer(storage) for storage in storages], next=None))

    async def post(self, ref: str) -> None:
        new = self.parse_body(StorageBody).to_value()
        count_request(self.context, self.person.name, LimitedRequest.STORAGE_CHECK)
        made = await add_storage(self.context, self.person, self.check_project_ref(ref), new)
        self.set_header("Location", f"{self.request.path}/{made.id}")
        self.write_answer(to_storage_answer(made), 201)


class StorageAPIHandler(RenkuAPIHandler):
    """Operations on one storage of a project, by its id or its directory."""

    calls = {
        "patch": APIOperation(
            summary="Change a storage; it is checked again",
            scope=WRITE_SCOPE, body=StorageChangeBody, answer=StorageAnswer, errors=(409, 422, 429),
        ),
        "delete": APIOperation(
            summary="Take a storage out of a project; what is in it stays where it is",
            scope=WRITE_SCOPE, body=EmptyBody, statuses=(204,),
        ),
    }  # fmt: skip

    async def patch(self, ref: str, name: str) -> None:
        change = self.parse_body(StorageChangeBody).to_value()
        count_request(self.context, self.person.name, LimitedRequest.STORAGE_CHECK)
        self.write_answer(
            to_storage_answer(
                await change_storage(self.context, self.person, self.check_project_ref(ref), name, change)
            )
        )

    async def delete(self, ref: str, name: str) -> None:
        self.parse_body(EmptyBody)
        await remove_storage(self.context, self.person, self.check_project_ref(ref), name)
        self.set_status(204)


class CheckStorageAPIHandler(RenkuAPIHandler):
    calls = {
        "post": APIOperation(
            summary="Check a storage again", scope=WRITE_SCOPE, body=EmptyBody, answer=StorageAnswer, errors=(429,)
        )
    }

    async def post(self, ref: str, name: str) -> None:
        self.parse_body(EmptyBody)
        count_request(self.context, self.person.name, LimitedRequest.STORAGE_CHECK)
        self.write_answer(
            to_storage_answer(await recheck_storage(self.context, self.person, self.check_project_ref(ref), name))
        )


class SessionCredentialsAPIHandler(RenkuAPIHandler):
    """Operations on the user's own credentials for the storages of a session."""

    calls = {
        "get": APIOperation(
            summary="For which storages of a session your own credentials are needed",
            scope=READ_SCOPE, answer=AskedStorageList,
        ),
        "post": APIOperation(
            summary="Enter your own credentials for storages of a session",
            scope=LAUNCH_SCOPE, body=OwnCredentialsBody, answer=AskedStorageList, errors=(409, 422, 429),
        ),
    }  # fmt: skip

    async def get(self, ref: str, session_id: str) -> None:
        self.write_answer(
            to_asked_storage_list(
                await get_required_credentials(self.context, self.person, self.check_project_ref(ref), session_id)
            )
        )

    async def post(self, ref: str, session_id: str) -> None:
        body = self.parse_body(OwnCredentialsBody)
        count_request(self.context, self.person.name, LimitedRequest.STORAGE_CHECK)
        target = (self.context, self.person, self.check_project_ref(ref), session_id)
        self.write_answer(
            to_asked_storage_list(await enter_credentials(*target, body.to_own_credentials(), keep=body.keep))
        )


class StorageCredentialsAPIHandler(RenkuAPIHandler):
    calls = {
        "delete": APIOperation(
            summary="Delete your own credentials for a storage", scope=LAUNCH_SCOPE, body=EmptyBody, statuses=(204,)
        )
    }

    async def delete(self, storage_id: str) -> None:
        self.parse_body(EmptyBody)
        await delete_my_storage_credentials(self.context, self.person, storage_id)
        self.set_status(204)


def to_storage_answer(found: Storage) -> StorageAnswer:
    look = found.checked
    checked = look and LookAnswer(outcome=str(look.outcome), message=look.outcome.description, at=look.at)
    return StorageAnswer.model_validate(vars(found) | {"checked": checked})


def to_asked_storage_list(found: RequiredCredentials) -> AskedStorageList:
    missing = {storage.id for storage in found.missing}
    rows = [
        AskedStorageAnswer(
            id=item.id, directory=item.directory, kind=item.kind, version=item.version, missing=item.id in missing,
            options=[option.name for option in item.storage_kind.credentials],
        )
        for item in found.storages
    ]  # fmt: skip
    return AskedStorageList(items=rows, next=None)
