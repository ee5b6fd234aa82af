"""Pages of JupyterHub itself that lead to Renku's: the home page, the spawn pages and stopped servers.

They replace the hub's own routes. Plain servers keep what they need where `Renku.allow_plain_servers` is on.
"""

from __future__ import annotations

from typing import Any

from jupyterhub.handlers.base import BaseHandler, UserUrlHandler
from jupyterhub.handlers.pages import HomeHandler, SpawnHandler, SpawnPendingHandler
from jupyterhub.utils import maybe_future

from ..config.renku import Renku
from ..domain.ids import is_valid_id
from ..domain.instances import InstanceStatus
from ..hub.scopes import READ_SCOPE
from ..lifecycle.runs import load_instance
from ..usecases.instances import find_server_project, load_owned_instances
from .my_sessions import BaseInstanceHandler
from .sessions.views import build_stopped_session_view
from .urls import UrlBuilder, add_query_parameters


class StoppedSessionHandler(BaseInstanceHandler):
    """The page to which the address of a user's own stopped session leads; nothing starts before *Resume*.

    `path` and `query` are what was asked for below the session's own server, which *Resume* and *Open* lead to.
    """

    scope = {"get": READ_SCOPE}

    async def get(self, session_id: str) -> None:
        project = await find_server_project(self.context, self.person, session_id)
        instance = await load_instance(self.context, self.person.name, session_id)
        frame = self.page_context
        if instance is not None and instance.status in (InstanceStatus.PAUSED, InstanceStatus.FAILED):
            (owned,) = await load_owned_instances(self.context, self.person, [instance])
            self.write_page("renku_stopped.html", "sessions", **build_stopped_session_view(owned, frame))
        elif project is None:
            self.redirect_to_page(self.urls.my_sessions)
        elif instance is None or instance.status is InstanceStatus.INACTIVE:
            self.redirect_to_page(
                add_query_parameters(self.urls.launch_page(project.path, session_id), path=frame.inside)
            )
        else:
            page = self.urls.session(project.path, session_id)
            self.redirect_to_page(add_query_parameters(page, path=frame.inside, query=frame.query))


def _is_own(handler: BaseHandler, name: str | None) -> bool:
    """Return True if the request is one of the user *name*, or of any user without a name."""
    user = handler.current_user
    return getattr(user, "kind", None) == "user" and name in (None, user.name)


def _find_own_server(handler: BaseHandler, name: str) -> Any:
    """Return the user's own server that starts, runs or stops; None without one."""
    server = handler.current_user.spawners.get(name)
    return server if server is not None and server.active else None


def _replace_plain_page(handler: BaseHandler) -> bool:
    """Return True if a page about the user's default server has no use: there may be none, and none runs."""
    return not Renku.instance().allow_plain_servers and _find_own_server(handler, "") is None


def _get_urls(handler: BaseHandler) -> UrlBuilder:
    return UrlBuilder(base=handler.hub.base_url)


class ProjectsHomeHandler(HomeHandler):
    """Lead from the hub's home page to the projects."""

    async def get(self) -> None:
        if _is_own(self, None) and _replace_plain_page(self):
            self.redirect(_get_urls(self).projects)
        else:
            await maybe_future(super().get())


class PlainSpawnHandler(SpawnHandler):
    """Lead from a start of the default server, also by `user-redirect`, to *My sessions*."""

    async def get(self, user_name: str | None = None) -> None:
        if _is_own(self, user_name) and _replace_plain_page(self):
            self.redirect(_get_urls(self).my_sessions)
        else:
            await maybe_future(super().get(user_name))


class SessionPendingHandler(SpawnPendingHandler):
    """Lead from the progress of a start, or its failure, to the session."""

    async def get(self, user_name: str, server_name: str = "") -> None:
        if _is_own(self, user_name) and is_valid_id(server_name):
            self.redirect(_get_urls(self).instance_action(server_name, "stopped"))
        elif _is_own(self, user_name) and not server_name and _replace_plain_page(self):
            self.redirect(_get_urls(self).my_sessions)
        else:
            await maybe_future(super().get(user_name, server_name))


class SessionAddressHandler(UserUrlHandler):
    """Lead from the address of a server that does not run to the session, or to *My sessions*.

    Requests of programs still get the hub's answer, because JupyterLab knows a stopped server by its status.
    """

    async def get(self, user_name: str, user_path: str | None) -> None:
        page = self._find_page(user_path or "/") if _is_own(self, user_name) and self._is_navigation(user_path) else ""
        if page:
            self.redirect(page)
        else:
            await maybe_future(super().get(user_name=user_name, user_path=user_path))

    def _is_navigation(self, path: str | None) -> bool:
        headers = self.request.headers
        return (
            headers.get("Sec-Fetch-Dest", "document") in ("document", "iframe")
            and "application/json" not in headers.get("Accept", "")
            and "api" not in (path or "").split("/")
        )

    def _find_page(self, path: str) -> str:
        """Return the page to show instead, empty for a server that the hub itself has to find."""
        name, _, inside = path.lstrip("/").partition("/")
        server = _find_own_server(self, name) if name else None
        if server is not None and (server.ready or not is_valid_id(name)):
            return ""
        if is_valid_id(name):
            page = _get_urls(self).instance_action(name, "stopped")
            return add_query_parameters(page, path=inside, query=self.request.query)
        return _get_urls(self).my_sessions if _replace_plain_page(self) else ""


# Below the hub's prefix; they take precedence over the hub's own.
HUB_PAGE_HANDLERS: list[tuple[str, type[Any]]] = [
    (r"/home", ProjectsHomeHandler),
    (r"/spawn", PlainSpawnHandler),
    (r"/spawn/([^/]+)", PlainSpawnHandler),
    (r"/spawn-pending/([^/]+)", SessionPendingHandler),
    (r"/spawn-pending/([^/]+)/([^/]+)", SessionPendingHandler),
    (r"/user/(?P<user_name>[^/]+)(?P<user_path>/.*)?", SessionAddressHandler),
]
