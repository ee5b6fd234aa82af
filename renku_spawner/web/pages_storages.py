"""Pages of storages: an editor adds, changes and removes them; each user enters credentials of their own."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ..domain.access import Action
from ..domain.errors import RenkuError
from ..domain.project import Project
from ..domain.storage import Outcome
from ..domain.storage_kinds import KINDS
from ..services import storage_credentials, storages
from . import actions, forms_storage, throttle, views_storages
from .base_page import RenkuHandler
from .bodies import Nothing
from .forms_project import RemovalForm
from .forms_storage import SECRET, SETTING, CredentialsForm
from .pages_sessions import OfSession
from .scopes import LAUNCH, READ, WRITE
from .views_projects import head


class StoragePage(RenkuHandler):
    """The form of a storage, a new one's or one's that is there."""

    offered: Mapping[str, Any] = MappingProxyType({})  # a host key that the server shows, to be confirmed

    async def again(self, problem: RenkuError, *args: str) -> bool:
        self.offered = problem.details.get("host_key", {})
        return await super().again(problem, *args)

    def page(self, ref: str, *args: str) -> str:
        return self.request.uri if self.request.method == "GET" else self.urls.settings(ref)

    def _field(self, key: str) -> str:
        return forms_storage.field(key)

    @property
    def typed(self) -> dict[str, Any]:
        """Credentials are typed again rather than shown."""
        return {key: value for key, value in super().typed.items() if not key.startswith(SECRET)}

    def shown_form(self, project: Project, values: dict[str, Any], errors: Mapping[str, str], **more: Any) -> None:
        if self.offered:
            values = values | {f"{SETTING}host_key": self.offered["key"]}
        kind = KINDS[values["kind"]]
        usable = [v for v in self.parts.policy.volumes if v.usable(self.person, project.id)]
        form = views_storages.form(
            project, kind, values, self.parts.policy, usable, self.frame,
            kept=more.pop("kept", False), keeps=self.parts.keeper.available,
        )  # fmt: skip
        base = f"{self.urls.project(project.path)}/-/storages"
        self.show(
            "renku_storage.html", "projects", project=head(project, self.frame), form=form, errors=errors,
            settings=f"{self.urls.settings(project.path)}#storages", **({"action": base, "storage": None} | more),
        )  # fmt: skip

    def saved(self, project: Project, said: str = "saved") -> None:
        self.go(f"{self.urls.settings(project.path)}#storages", said)


class StorageNewForm(StoragePage):
    async def form(self, ref: str, errors: Mapping[str, str]) -> None:
        project = await self.project(ref, Action.WRITE)
        wanted = self.fields.get("kind") if errors else self.search("kind")
        kinds = self.parts.policy.storage_kinds
        there = [k for k in kinds if k != "volume" or any(v.usable(self.person, project.id) for v in self._volumes)]
        kind = str(wanted) if wanted in there else (there or ["s3"])[0]
        values = forms_storage.blank(KINDS[kind]) | (self.typed if errors else {}) | {"kind": kind}
        self.shown_form(project, values, errors)

    @property
    def _volumes(self) -> Any:
        return self.parts.policy.volumes


class StorageNew(StorageNewForm):
    scope = {"get": READ}

    async def get(self, ref: str) -> None:
        await self.form(ref, errors={})


class Storages(StorageNewForm):
    scope = {"post": WRITE}

    async def post(self, ref: str) -> None:
        new = forms_storage.read(self.fields).new(self.fields)
        project = await self.project(ref, Action.WRITE)
        throttle.count_look(self.parts, self.person.name)
        await storages.add(self.parts, self.person, project.id, new)
        self.saved(project, "storage_added")


class OneStorage(StoragePage):
    """A storage that is there."""

    scope = {"get": READ, "post": WRITE}

    async def form(self, ref: str, storage_id: str, errors: Mapping[str, str]) -> None:
        project = await self.project(ref, Action.WRITE)
        storage = await storages.one(self.parts, self.person, project.id, storage_id)
        values = forms_storage.of_storage(storage) | (self.typed if errors else {})
        page = f"{self.urls.project(project.path)}/-/storages/{storage.id}"
        [row] = views_storages.rows([storage], self.frame)
        self.shown_form(
            project, values | {"kind": storage.kind, "directory": storage.directory}, errors,
            action=page, storage=row, kept=storage.kept,
        )  # fmt: skip

    async def get(self, ref: str, storage_id: str) -> None:
        await self.form(ref, storage_id, errors={})

    async def post(self, ref: str, storage_id: str) -> None:
        change = forms_storage.read(self.fields).change(self.fields)
        project = await self.project(ref, Action.WRITE)
        throttle.count_look(self.parts, self.person.name)
        await storages.change(self.parts, self.person, project.id, storage_id, change)
        self.saved(project)


class StorageRemoval(StoragePage):
    scope = {"post": WRITE}

    async def post(self, ref: str, storage_id: str) -> None:
        version = self.filled(RemovalForm).version
        project = await self.project(ref, Action.WRITE)
        await storages.remove(self.parts, self.person, project.id, storage_id, version)
        self.saved(project, "storage_removed")


class StorageLook(StoragePage):
    scope = {"post": WRITE}

    async def post(self, ref: str, storage_id: str) -> None:
        self.filled(RemovalForm)  # the same form, whose version a look does not need
        project = await self.project(ref, Action.WRITE)
        throttle.count_look(self.parts, self.person.name)
        storage = await storages.look(self.parts, self.person, project.id, storage_id)
        checked = storage.checked and storage.checked.outcome is not Outcome.NOT_CHECKED
        self.saved(project, "storage_checked" if checked else "storage_not_checked")


class SessionCredentials(OfSession):
    """One's own credentials for the storages of a session, asked before the first start."""

    scope = {"get": READ, "post": LAUNCH}

    def page(self, ref: str, session_id: str) -> str:
        return f"{self.urls.session(ref, session_id)}/credentials"

    async def form(self, ref: str, session_id: str, errors: Mapping[str, str]) -> None:
        found = await storage_credentials.asked(self.parts, self.person, self.ref(ref), session_id)
        said = {_at(key): text for key, text in errors.items()}
        view = views_storages.asked(found, self.frame, keeps=self.parts.keeper.available)
        self.show("renku_credentials.html", "projects", errors=said, project=head(found.project, self.frame), **view)

    async def get(self, ref: str, session_id: str) -> None:
        await self.form(ref, session_id, errors={})

    async def post(self, ref: str, session_id: str) -> None:
        keep = await self._entered(ref, session_id)
        if keep.start:
            await actions.start(self, session_id, keep.resource_class, seen=keep.version)
        self.go(self.urls.session(ref, session_id), "" if keep.start else "saved")

    async def _entered(self, ref: str, session_id: str) -> CredentialsForm:
        form, entered = forms_storage.check(self.fields), forms_storage.own(self.fields)
        throttle.count_look(self.parts, self.person.name)
        here = (self.parts, self.person, self.ref(ref), session_id)
        await storage_credentials.enter(*here, entered, keep=form.keep == "yes")
        return form


def _at(key: str) -> str:
    """`<id>.pass` stands at `secret_<id>_pass`."""
    storage, dot, option = key.rpartition(".")
    return f"{SECRET}{storage}_{option}" if dot else key


class CredentialsRemoval(RenkuHandler):
    """Deletes what one keeps for a storage; needs no right in its project."""

    scope = {"post": LAUNCH}

    def page(self, storage_id: str) -> str:
        return self.urls.mine

    async def post(self, storage_id: str) -> None:
        self.filled(Nothing)
        await storage_credentials.forget(self.parts, self.person, storage_id)
        self.go(self.urls.mine, "credentials_deleted")
