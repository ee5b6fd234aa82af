"""Everything that Renku changes in a hub's configuration, in one function."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jupyterhub.app import JupyterHub
from traitlets import TraitError
from traitlets.config import Config

from . import mounted
from .app import Renku
from .culling import refuse_removal
from .gate import limit
from .gitlab_login import setup
from .inside import token_scopes
from .local import RenkuLocalSpawner
from .store import wal
from .web.routes import handlers
from .web.scopes import ADMIN, GIT, LAUNCH, OWN, SCOPES, WRITE

_HERE = Path(__file__).parent
_EXTENSIONS = ["renku_spawner.web.filters.RenkuFilters", "renku_spawner.startup.Startup"]
ADMIN_ROLE = "renku-admin"


def templates() -> Path:
    """The folder of our templates: beside the package in a checkout, inside it in a wheel."""
    inside = _HERE / "templates"
    return inside if inside.is_dir() else _HERE.parent / "templates"


def install(c: Config) -> None:
    """Give the hub that *c* configures its projects and sessions.

    Call it at the end of `jupyterhub_config.py`: what an admin has set before is
    kept and comes on top of ours (hooks and limits are chained, lists are extended).
    What is mounted (`mounted.merge`) counts as set by an admin. A second call changes nothing.

    Raises:
        SettingError: what is mounted is not what it has to be, or a culler would remove what people have paused.
    """
    hub, again = c.JupyterHub, _is_installed(c.JupyterHub)
    if not again:
        mounted.merge(c)
    hub.template_vars = {"renku_plain_servers": _plain_servers, **_get(hub, "template_vars", {})}
    if again:
        return
    refuse_removal(_get(hub, "services", []))
    options = dict(_get(hub, "jinja_environment_options", {}))
    _set(hub, "spawner_class", RenkuLocalSpawner)
    _set(hub, "default_url", _landing)
    setup.use(c)
    hub.allow_named_servers = True
    hub.named_server_limit_per_user = limit(_get(hub, "named_server_limit_per_user", 0))
    if _outlives_hub(c):  # what runs on a cluster ends when its owner says so, not with this process
        _set(hub, "cleanup_servers", False)
    hub.init_spawners_timeout = 1  # serve while servers are checked after a restart
    _set(hub, "last_activity_interval", 50)  # then the hub also corrects routes, one by one
    hub.extra_handlers = [*_get(hub, "extra_handlers", []), *handlers()]
    hub.template_paths = [*_get(hub, "template_paths", []), str(templates())]
    hub.jinja_environment_options = {**options, "extensions": [*options.get("extensions", []), *_EXTENSIONS]}
    hub.custom_scopes = {**_get(hub, "custom_scopes", {}), **SCOPES}
    hub.extra_user_scopes = {*_get(hub, "extra_user_scopes", set()), LAUNCH, WRITE, GIT, OWN}
    hub.load_roles = [*_get(hub, "load_roles", []), _admin_role(c)]
    _set(c.Spawner, "apply_user_options", _nothing)
    c.Spawner.server_token_scopes = token_scopes(_get(c.Spawner, "server_token_scopes", []), GIT, OWN)
    wal.use(str(_get(hub, "db_url", "sqlite:///jupyterhub.sqlite")))


def _is_installed(hub: Config) -> bool:
    return set(_EXTENSIONS) <= set(_get(hub, "jinja_environment_options", {}).get("extensions", []))


def _admin_role(c: Config) -> dict[str, Any]:
    """JupyterHub lets nobody change its role `admin`, so admins get a second one."""
    return {
        "name": ADMIN_ROLE,
        "description": "Administer Renku's environments and settings.",
        "scopes": [ADMIN],
        "users": sorted(_admins(c)),
    }


def _admins(c: Config) -> set[str]:
    """The hub's admins as the class that people log in by finds them: of its sections the nearest wins, and those of
    other classes say nothing."""
    trait = JupyterHub.class_traits()["authenticator_class"]
    try:
        login = trait.validate(None, _get(c.JupyterHub, "authenticator_class", trait.default()))
    except (ImportError, TraitError):  # the hub ends with a sentence of its own
        return set()
    said: set[str] = set()
    for name in login.section_names():
        said = _get(c[name], "admin_users", said) if name in c else said
    return set(said)


def _outlives_hub(c: Config) -> bool:
    """Return whether sessions of the configured spawner go on without this hub, which the next one finds again."""
    trait = JupyterHub.class_traits()["spawner_class"]
    try:
        spawner = trait.validate(None, c.JupyterHub.spawner_class)
    except (ImportError, TraitError):  # the hub ends with a sentence of its own
        return False
    return bool(getattr(spawner, "outlives_hub", False))


def _landing(handler: Any) -> str:
    """After login: one's projects (decision 26)."""
    return f"{handler.hub.base_url}renku/projects"


def _plain_servers(user: Any) -> bool:
    """Whether the hub's home page has anything to offer."""
    return Renku.instance().allow_plain_servers


def _nothing(spawner: Any, options: Any) -> None:
    """Options are read at our own gate; without this the hub warns at each start."""


def _get(section: Config, name: str, default: Any) -> Any:
    """What an admin has set; a lazy value (`c.X.y.append(…)` on what was unset) is resolved."""
    if name not in section:
        return default
    value = section[name]
    return value.get_value(default) if hasattr(value, "get_value") else value


def _set(section: Config, name: str, value: Any) -> None:
    if name not in section:
        section[name] = value
