"""Pages of one's own instances: no right in their projects is needed (decision 15)."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs

from ..domain.mine import sort_of
from ..services import data, instances, mine, storage_credentials
from . import actions, downloading, server_files, views_data, views_mine, views_storages
from .base_page import RenkuHandler
from .forms import ActionForm, ConfirmForm
from .forms_mine import PauseSomeForm
from .scopes import LAUNCH, READ
from .urls import query
from .views import View

_KEPT = ("sort", "after")


class MySessions(RenkuHandler):
    scope = {"get": READ}

    async def get(self) -> None:
        sort, after = sort_of(self.search("sort")), self.after()
        found, following = await mine.page(self.parts, self.person, sort, after=after)
        whole = await mine.summary(self.parts, self.person)
        done = views_mine.asked(self.word("paused", limit=2000), self.word("unpaused", limit=4000))
        told = views_mine.told(done, await mine.titles(self.parts, self.person, done))
        view = views_mine.page(found, sort, whole, self.parts.policy, following, after, self.frame)
        self.show("renku_sessions.html", "sessions", told=told, kept=await self._kept(), **view)

    async def _kept(self) -> list[View]:
        return views_storages.kept(await storage_credentials.mine(self.parts, self.person), self.frame)


class MySessionsPause(RenkuHandler):
    """Several at once; each result is told."""

    scope = {"post": LAUNCH}
    lists = ("sessions",)

    def page(self) -> str:
        return self.urls.mine

    async def post(self) -> None:
        form = self.filled(PauseSomeForm)
        ids = form.sessions if form.which == "selected" else await mine.active(self.parts, self.person)
        done = await actions.pause_some(self, ids)
        kept = {key: values[0] for key, values in parse_qs(form.back.partition("?")[2]).items() if key in _KEPT}
        self.go(query(self.urls.mine, **kept, **views_mine.outcome(done)))


class OfInstance(RenkuHandler):
    """Something with one's own instance; strangers land on the list after the login."""

    def page(self, session_id: str) -> str:
        return self.request.uri if self.request.method == "GET" else self.urls.mine

    async def returns(self, session_id: str) -> None:
        """Back to where it came from, as far as one may see that."""
        found = await instances.whole(self.parts, self.person, session_id)
        seen = found.project if found.session else None
        self.back(seen.path if seen else None, session_id, seen.id if seen else "")


class InstancePause(OfInstance):
    scope = {"post": LAUNCH}

    async def goes_on(self, session_id: str) -> None:
        """To the session for which this one made room, to be started there."""
        project = await instances.may_exist(self.parts, self.person, session_id)
        self.go(self.urls.session(project.path, session_id) if project else self.urls.mine)

    async def post(self, session_id: str) -> None:
        then = self.filled(ActionForm).then
        await instances.one(self.parts, self.person, session_id)
        await actions.pause(self, session_id)
        await (self.goes_on(then) if then else self.returns(session_id))


class InstanceResume(OfInstance):
    scope = {"post": LAUNCH}

    async def post(self, session_id: str) -> None:
        form = self.filled(ActionForm)
        await actions.start(self, session_id, form.resource_class, **form.start)
        await self.returns(session_id)


class InstanceFiles(OfInstance):
    """All the files of one's own instance, as one."""

    scope = {"get": LAUNCH}

    def page(self, session_id: str) -> str:
        return self.urls.mine  # a log-in leads to where one sees what it is

    async def get(self, session_id: str) -> None:
        await downloading.send(self, session_id)


class InstanceRestore(OfInstance):
    """Out of the trash."""

    scope = {"post": LAUNCH}

    async def post(self, session_id: str) -> None:
        self.filled(ActionForm)
        await instances.one(self.parts, self.person, session_id)
        await data.bring_back(self.parts, self.person.name, session_id)
        await self.returns(session_id)


class InstanceData(OfInstance):
    """Deletes the files of one's own instance, after its title was typed."""

    scope = {"get": READ, "post": LAUNCH}

    def page(self, session_id: str) -> str:
        return self.urls.instance(session_id, "data")

    async def form(self, session_id: str, errors: Mapping[str, str]) -> None:
        found = await instances.whole(self.parts, self.person, session_id)
        look = await server_files.contents(self.current_user, found.instance)
        view = views_data.page(found, look, self.frame)
        values = {"confirm": self.fields.get("confirm", "")}
        self.show("renku_delete_data.html", "sessions", errors=errors, values=values, **view)

    async def get(self, session_id: str) -> None:
        await self.form(session_id, errors={})

    async def post(self, session_id: str) -> None:
        found = await instances.whole(self.parts, self.person, session_id)
        self.filled(ConfirmForm).check(found.title)
        self.go(self.urls.mine, "deleted" if await actions.delete(self, session_id) else "deleting")
