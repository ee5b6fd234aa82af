"""JupyterHub's objects as this package uses them: Protocols of their public attributes, functions for private ones.

No other module reads or sets a private attribute of JupyterHub. Each function names the file and the attribute that it
stands for in a line `Upstream:`, which `tests/docs/test_architecture.py` compares with the installed release.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from datetime import datetime
from logging import Logger
from typing import Any, Protocol, cast

from aiohttp import ClientSession
from jupyterhub import orm, version_info
from jupyterhub.handlers import BaseHandler
from jupyterhub.httpclient import JupyterHubHTTPClient
from tornado.httputil import HTTPServerRequest

from ..domain.instances import Instance
from ..domain.sessions import LaunchSpec
from ..lifecycle.reconciler import SessionControl

# The hub and its parts


class HubProxy(Protocol):
    """`jupyterhub.proxy.Proxy`; address and token are those of a configurable-http-proxy."""

    api_url: str
    auth_token: str
    get_all_routes: Callable[[], Any]

    async def add_user(self, user: HubUser, server_name: str = "") -> None: ...
    async def delete_user(self, user: HubUser, server_name: str = "") -> None: ...


class HubUsers(Protocol):
    """`jupyterhub.user.UserDict`, by name."""

    def get(self, name: str) -> HubUser | None: ...
    def values(self) -> Iterable[HubUser]: ...
    def count_active_users(self) -> Mapping[str, int]: ...


class HubApp(Protocol):
    """`jupyterhub.app.JupyterHub`, the running hub."""

    config: Any
    config_file: str
    db: Any
    log: Logger
    hub: Any
    proxy: HubProxy
    authenticator: Any
    eventlog: Any
    spawner_class: type[Any]
    tornado_application: Any
    base_url: str
    hub_prefix: str
    public_url: str
    bind_url: str
    hub_bind_url: str
    hub_ip: str
    concurrent_spawn_limit: int
    active_server_limit: int
    last_activity_interval: int

    @property
    def users(self) -> HubUsers: ...
    def add_url_prefix(self, prefix: str, handlers: Sequence[Any]) -> list[Any]: ...
    def exit(self, exit_status: int) -> None: ...


def get_start_signal(hub: HubApp) -> asyncio.Future[None]:
    """Return the future that is done as soon as the hub serves requests.

    Upstream: jupyterhub/app.py `_start_future`
    """
    return cast("asyncio.Future[None]", cast(Any, hub)._start_future)


async def restore_proxy_routes(hub: HubApp) -> None:
    """Add missing routes of users' servers and of services to the proxy, and remove stale ones.

    Upstream: jupyterhub/app.py `_service_map`
    """
    await cast(Any, hub.proxy).check_routes(hub.users, cast(Any, hub)._service_map)


def create_http_session() -> ClientSession:
    """Create an HTTP session with the hub's certificates; the caller closes it.

    Upstream: jupyterhub/httpclient.py `_new_session`
    """
    return cast(ClientSession, JupyterHubHTTPClient.loop_instance()._new_session())


def to_proxy_path(proxy: HubProxy, routespec: str) -> str:
    """Convert a route to its path in the API of configurable-http-proxy.

    Upstream: jupyterhub/proxy.py `_routespec_to_chp_path`
    """
    return str(cast(Any, proxy)._routespec_to_chp_path(routespec))


def from_proxy_path(proxy: HubProxy, path: str) -> str:
    """Convert a path in the API of configurable-http-proxy to its route.

    Upstream: jupyterhub/proxy.py `_routespec_from_chp_path`
    """
    return str(cast(Any, proxy)._routespec_from_chp_path(path))


# Users and their servers


class HubUser(Protocol):
    """`jupyterhub.user.User`. Reading a missing key of `spawners` creates the spawner."""

    id: int
    name: str
    admin: bool
    created: datetime | None
    groups: Sequence[Any]
    user_info: Mapping[str, Any] | None
    db: Any
    settings: Mapping[str, Any]
    orm_spawners: Mapping[str, Any]

    @property
    def url(self) -> str: ...
    @property
    def base_url(self) -> str: ...
    @property
    def spawner(self) -> SessionServer: ...
    @property
    def spawners(self) -> MutableMapping[str, SessionServer]: ...
    def get_or_create_spawner(
        self, server_name: str, display_name: str, *, replace_failed: bool = False
    ) -> SessionServer: ...
    async def stop(self, server_name: str = "") -> None: ...
    async def get_auth_state(self) -> dict[str, Any] | None: ...
    async def save_auth_state(self, auth_state: Mapping[str, Any]) -> None: ...


class HubServer(Protocol):
    """`jupyterhub.spawner.Spawner`: a server of a user, as the hub sees it."""

    name: str
    user: HubUser
    server: Any
    orm_spawner: Any
    handler: Any
    api_token: str

    @property
    def proxy_spec(self) -> str: ...
    @property
    def active(self) -> bool: ...
    @property
    def ready(self) -> bool: ...
    @property
    def pending(self) -> str | None: ...
    async def stop(self, now: bool = False) -> None: ...
    async def delete_forever(self) -> None: ...


class SessionServer(HubServer, SessionControl, Protocol):
    """A server of the hub whose spawner is `spawners.base.SessionSpawner`, the only kind that a hub with Renku runs."""

    launch_recorded: bool
    launch_version_seen: str
    prepared_spec: LaunchSpec | None
    spec: LaunchSpec | None

    @property
    def reachable(self) -> bool: ...
    @property
    def is_plain_server(self) -> bool: ...
    async def load_instance(self) -> Instance | None: ...
    async def get_oversized_volume_size(self, instance: Instance, disk: str) -> str | None: ...
    async def load_processor_usage(self) -> Mapping[tuple[str, str], float]: ...


def get_log_name(server: HubServer) -> str:
    """Return the server's name in log lines, `user:server`.

    Upstream: jupyterhub/spawner.py `_log_name`
    """
    return str(cast(Any, server)._log_name)


def get_start_future(server: HubServer) -> asyncio.Future[Any] | None:
    """Return the future of the server's present or last start; None before the first and after a success.

    Upstream: jupyterhub/spawner.py `_spawn_future`
    """
    return cast("asyncio.Future[Any] | None", cast(Any, server)._spawn_future)


def clear_pending_start(server: HubServer) -> None:
    """Mark the server as not starting, after its start was cancelled.

    Upstream: jupyterhub/spawner.py `_spawn_pending`
    """
    cast(Any, server)._spawn_pending = False


def is_check_pending(server: HubServer) -> bool:
    """Return True while the hub checks the server after its own restart.

    Upstream: jupyterhub/spawner.py `_check_pending`
    """
    return bool(cast(Any, server)._check_pending)


def is_stop_pending(server: HubServer) -> bool:
    """Return True while the hub stops the server.

    Upstream: jupyterhub/spawner.py `_stop_pending`
    """
    return bool(cast(Any, server)._stop_pending)


def is_end_watched(server: HubServer) -> bool:
    """Return True if the hub listens for the server's end: it has finished the start, or its check after a restart.

    Upstream: jupyterhub/spawner.py `_callbacks`
    """
    return bool(cast(Any, server)._callbacks)


# Handlers


class HubRequestHandler(Protocol):
    """`jupyterhub.handlers.BaseHandler`."""

    log: Logger
    request: HTTPServerRequest
    path_args: Sequence[str]
    named_server_limit_per_user: Any

    @property
    def current_user(self) -> HubUser: ...
    @property
    def settings(self) -> Mapping[str, Any]: ...
    @property
    def hub(self) -> Any: ...
    @property
    def db(self) -> Any: ...
    @property
    def authenticator(self) -> Any: ...
    def has_scope(self, scope: str) -> bool: ...
    def find_user(self, name: str) -> HubUser | None: ...
    async def refresh_auth(self, user: HubUser, force: bool = False) -> HubUser | None: ...
    async def spawn_single_user(
        self, user: HubUser, server_name: str = "", display_name: str = "", options: Mapping[str, Any] | None = None
    ) -> None: ...
    def redirect(self, url: str, permanent: bool = False, status: int | None = None) -> None: ...


def is_user_resolved(handler: object) -> bool:
    """Return True if the handler has looked up who sends the request, also if that was no user.

    Upstream: jupyterhub/handlers/base.py `_jupyterhub_user`
    """
    return hasattr(handler, "_jupyterhub_user")


def is_user_found(handler: object) -> bool:
    """Return True if the handler has found the user who sends the request; False also before the look-up.

    Upstream: jupyterhub/handlers/base.py `_jupyterhub_user`
    """
    return getattr(handler, "_jupyterhub_user", None) is not None


def set_anonymous_user(handler: object) -> None:
    """Handle the request as one without a user.

    Upstream: jupyterhub/handlers/base.py `_jupyterhub_user`
    Upstream: jupyterhub/handlers/base.py `_resolve_roles_and_scopes`
    """
    base: Any = handler
    base._jupyterhub_user = None
    base._resolve_roles_and_scopes()


def set_token_user(handler: object, user: HubUser) -> None:
    """Handle the request as one of *user* with a token, whose log-in is renewed only if that works without the user.

    Upstream: jupyterhub/handlers/base.py `_jupyterhub_user`
    Upstream: jupyterhub/handlers/base.py `_token_authenticated`
    """
    base: Any = handler
    base._jupyterhub_user, base._token_authenticated = user, True


def is_token_authenticated(handler: object) -> bool:
    """Return True if the request has a valid token; one with a cookie alone may come from another site.

    Upstream: jupyterhub/handlers/base.py `_token_authenticated`
    """
    return bool(getattr(handler, "_token_authenticated", False))


def parse_request_body(request: HTTPServerRequest) -> None:
    """Parse the form in the body of *request* into its arguments. Raises HTTPInputError.

    Upstream: tornado/httputil.py `_parse_body`
    """
    cast(Any, request)._parse_body()


_REVIEWED_JUPYTERHUB_VERSION = (6, 1)  # the release whose cookie look-up `CookieUserHandler` reproduces


class CookieUserHandler(BaseHandler):
    """Look up the user of a cookie without loading roles and groups again.

    The hub's own look-up reads a user's roles and groups at each request, which takes a third of the time of a small
    page. This one still checks the cookie against the database each time. It leaves every other case to the hub: a
    cookie that it does not find, and a release of JupyterHub whose look-up may check more.

    Upstream: jupyterhub/handlers/base.py `_user_for_cookie`
    Upstream: jupyterhub/handlers/base.py `_record_activity`
    Upstream: jupyterhub/handlers/base.py `_user_from_orm`
    Upstream: jupyterhub/handlers/base.py `_token_authenticated`
    """

    _token_authenticated = False  # the hub reads it without having set it when the log-in at the provider has ended

    def _user_for_cookie(self, cookie_name: str, cookie_value: str | None = None) -> Any:
        if version_info[:2] != _REVIEWED_JUPYTERHUB_VERSION:
            return super()._user_for_cookie(cookie_name, cookie_value)
        signed = self.get_secure_cookie(cookie_name, cookie_value, max_age_days=self.cookie_max_age_days)
        user = self._find_known_user(signed.decode("utf8", "replace")) if signed else None
        if user is None:
            return super()._user_for_cookie(cookie_name, cookie_value)
        if self._record_activity(user):
            self.db.commit()
        return user

    def _find_known_user(self, cookie_id: str) -> Any:
        key = self.db.query(orm.User.id).filter(orm.User.cookie_id == cookie_id).scalar()
        return None if key is None else self._user_from_orm(self.db.get(orm.User, key))
