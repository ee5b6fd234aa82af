"""Install Renku into a hub's configuration.

Whether the finished configuration is consistent is checked at startup, in `hub.configuration_checks`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jupyterhub.app import JupyterHub
from prometheus_client import disable_created_metrics
from traitlets import TraitError
from traitlets.config import Config

from ..config.mounted import merge_mounted_config
from ..config.renku import Renku
from ..persistence.database import enable_sqlite_wal
from ..spawners.local.spawner import RenkuLocalSpawner
from ..web.routes import list_extra_handlers
from .admission import build_named_server_limit
from .gitlab_login import use_gitlab_authenticator
from .idle_culler import refuse_removing_culler
from .jupyterhub import HubRequestHandler, HubServer, HubUser
from .scopes import ADMIN_SCOPE, CUSTOM_SCOPES, GIT_SCOPE, LAUNCH_SCOPE, SESSION_SCOPE, WRITE_SCOPE
from .tokens import build_server_token_scopes

_PACKAGE_FOLDER = Path(__file__).parents[1]
_JINJA_EXTENSIONS = ["renku_spawner.web.filters.RenkuFilters", "renku_spawner.hub.startup.Startup"]
ADMIN_ROLE = "renku-admin"


def get_templates_folder() -> Path:
    """Return the folder of Renku's templates: next to the package in a checkout, inside it in a wheel."""
    inside = _PACKAGE_FOLDER / "templates"
    return inside if inside.is_dir() else _PACKAGE_FOLDER.parent / "templates"


def install(c: Config) -> None:
    """Add Renku's projects and sessions to the hub that *c* configures.

    Call it at the end of `jupyterhub_config.py`. Settings that an admin has made before are kept and take precedence:
    hooks and limits are chained, lists are extended. Mounted configuration (`config.mounted.merge_mounted_config`)
    counts as set by an admin. A second call changes nothing.

    Raises:
        SettingError: the mounted configuration is invalid, or an idle culler would remove paused sessions.
    """
    hub, again = c.JupyterHub, _is_renku_installed(c.JupyterHub)
    if not again:
        merge_mounted_config(c)
    hub.template_vars = {"renku_plain_servers": _has_plain_servers, **_get_setting(hub, "template_vars", {})}
    if again:
        return
    refuse_removing_culler(_get_setting(hub, "services", []))
    disable_created_metrics()  # for the whole process; an admin can enable them after this call
    options = dict(_get_setting(hub, "jinja_environment_options", {}))
    _set_default(hub, "spawner_class", RenkuLocalSpawner)
    _set_default(hub, "default_url", _get_landing_url)
    use_gitlab_authenticator(c)
    hub.allow_named_servers = True
    hub.named_server_limit_per_user = build_named_server_limit(_get_setting(hub, "named_server_limit_per_user", 0))
    if _has_surviving_sessions(c):  # sessions on a cluster keep running while the hub restarts
        _set_default(hub, "cleanup_servers", False)
    hub.init_spawners_timeout = 1  # seconds; serve requests while servers are still checked after a restart
    _set_default(hub, "last_activity_interval", 50)  # seconds; the hub repairs the proxy's routes at the same time
    hub.extra_handlers = [*_get_setting(hub, "extra_handlers", []), *list_extra_handlers()]
    hub.template_paths = [*_get_setting(hub, "template_paths", []), str(get_templates_folder())]
    hub.jinja_environment_options = {**options, "extensions": [*options.get("extensions", []), *_JINJA_EXTENSIONS]}
    hub.custom_scopes = {**_get_setting(hub, "custom_scopes", {}), **CUSTOM_SCOPES}
    hub.extra_user_scopes = {
        *_get_setting(hub, "extra_user_scopes", set()),
        LAUNCH_SCOPE,
        WRITE_SCOPE,
        GIT_SCOPE,
        SESSION_SCOPE,
    }
    hub.load_roles = [*_get_setting(hub, "load_roles", []), _build_admin_role(c)]
    _set_default(c.Spawner, "apply_user_options", _ignore_user_options)
    c.Spawner.server_token_scopes = build_server_token_scopes(
        _get_setting(c.Spawner, "server_token_scopes", []), GIT_SCOPE, SESSION_SCOPE
    )
    enable_sqlite_wal(str(_get_setting(hub, "db_url", "sqlite:///jupyterhub.sqlite")))


def _is_renku_installed(hub: Config) -> bool:
    return set(_JINJA_EXTENSIONS) <= set(_get_setting(hub, "jinja_environment_options", {}).get("extensions", []))


def _build_admin_role(c: Config) -> dict[str, Any]:
    """Return a second role for admins, since JupyterHub's own role `admin` cannot be changed."""
    return {
        "name": ADMIN_ROLE,
        "description": "Administer Renku's environments and settings.",
        "scopes": [ADMIN_SCOPE],
        "users": sorted(_get_admin_users(c)),
    }


def _get_admin_users(c: Config) -> set[str]:
    """Return `admin_users` of the configured authenticator class.

    The section of the most derived class wins; sections of other authenticator classes are ignored.
    """
    trait = JupyterHub.class_traits()["authenticator_class"]
    try:
        login = trait.validate(None, _get_setting(c.JupyterHub, "authenticator_class", trait.default()))
    except (ImportError, TraitError):  # the hub exits with its own error message
        return set()
    admin_users: set[str] = set()
    for name in login.section_names():
        admin_users = _get_setting(c[name], "admin_users", admin_users) if name in c else admin_users
    return set(admin_users)


def _has_surviving_sessions(c: Config) -> bool:
    """Return True if sessions of the configured spawner keep running while the hub restarts."""
    trait = JupyterHub.class_traits()["spawner_class"]
    try:
        spawner = trait.validate(None, c.JupyterHub.spawner_class)
    except (ImportError, TraitError):  # the hub exits with its own error message
        return False
    return bool(getattr(spawner, "outlives_hub", False))


def _get_landing_url(handler: HubRequestHandler) -> str:
    """Return the address to open after log-in: the user's projects."""
    return f"{handler.hub.base_url}renku/projects"


def _has_plain_servers(user: HubUser) -> bool:
    """Return True if plain named servers are allowed, so that templates link the hub's own home page."""
    return Renku.instance().allow_plain_servers


def _ignore_user_options(spawner: HubServer, options: object) -> None:
    """Do nothing: options are read at admission, and without this hook the hub warns at each start."""


def _get_setting(section: Config, name: str, default: Any) -> Any:
    """Return what an admin has set; resolve a lazy value, such as `c.X.y.append(…)` on an unset trait."""
    if name not in section:
        return default
    value = section[name]
    return value.get_value(default) if hasattr(value, "get_value") else value


def _set_default(section: Config, name: str, value: Any) -> None:
    if name not in section:
        section[name] = value
