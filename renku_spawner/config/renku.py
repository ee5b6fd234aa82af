"""The `c.Renku` traitlets class, composed of all sections, and the application context built from it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from traitlets import Bool, Dict, Float, Integer, List, Set, Unicode, default
from traitlets.config import SingletonConfigurable

from ..context.app_context import AppContext, discard_event
from ..context.secret_store import NoSecretStore, SecretStore
from ..domain.policy import HubPolicy
from ..integrations.gitlab.auth_state import GitLabTokenProvider
from ..integrations.net.rate_limiter import CallPacer
from ..lifecycle.reconciler import Reconciler
from ..persistence.database import Database
from ..persistence.migrate import prepare_schema
from .gitlab import GitLabSettings, NoTokenProvider
from .images import (
    CiSettings,
    ImageSettings,
    build_default_environments,
    parse_image_policy_setting,
    parse_platforms_setting,
)
from .parsing import (
    DownloadSettings,
    StartQueueSettings,
    check_setting_names,
    check_start_timeouts,
    parse_environments_setting,
    parse_hosts_setting,
    parse_resource_classes_setting,
    parse_session_limits_setting,
)
from .retention import ExpirySettings, IdleSettings
from .storages import StorageSettings


@dataclass(frozen=True, kw_only=True)
class HubServices:
    """Parts of `AppContext` that only a running hub has. The defaults are for the command line.

    `tokens` are the GitLab tokens of the hub's users; `AppContext` describes the other fields.
    """

    tokens: GitLabTokenProvider = field(default_factory=NoTokenProvider)
    list_groups: Callable[[], Iterable[str]] = tuple
    get_user_groups: Callable[[str], Iterable[str]] = lambda name: ()
    find_missing_users: Callable[[Collection[str]], Collection[str]] = lambda names: ()
    secret_store: SecretStore = field(default_factory=NoSecretStore)
    emit_event: Callable[[str, Mapping[str, Any]], None] = discard_event


class Renku(
    CiSettings, DownloadSettings, ExpirySettings, GitLabSettings, IdleSettings, ImageSettings, StartQueueSettings,
    StorageSettings, SingletonConfigurable,
):  # fmt: skip
    """Settings of `c.Renku` and the application context that is built from them.

    JupyterHub itself creates handlers and spawners, so both get the context from `Renku.instance()`.
    """

    environments = List(
        Dict(),
        config=True,
        help="""
        Ready-made environments, offered in this order before those that admins add on their page in the hub. An
        environment that is no longer listed is archived: no new session starts from it, and paused sessions can be
        resumed for `archived_resume_days`. By default *Jupyter Python*, if `image_registry` is set.

        For example::

            c.Renku.environments = [
                {
                    "key": "python",
                    "name": "Jupyter Python",
                    "image": "quay.io/jupyter/scipy-notebook:2026-11-02",
                    "description": "JupyterLab with the scientific Python packages.",
                    "keywords": ["python", "jupyter"],
                }
            ]

        Further keys: `icon`, `default_url`, `port`, `command`, `arguments`,
        `working_directory` (`/work` or below), `uid`, `gid`, `idle_pause`. A changed image creates a new revision;
        sessions use it when an editor accepts it.
        """,
    )
    archived_resume_days = Integer(
        30,
        min=0,
        max=36_500,
        config=True,
        help="Number of days for which paused sessions can be resumed after their ready-made environment was archived.",
    )
    resource_classes = List(
        Dict(),
        default_value=[
            {"name": "small", "cpu": "1", "memory": "2Gi", "disk": "10Gi"},
            {"name": "medium", "cpu": "2", "memory": "8Gi", "disk": "50Gi"},
            {"name": "large", "cpu": "4", "memory": "16Gi", "disk": "100Gi"},
        ],
        config=True,
        help="""
        Resource classes in which sessions run. `cpu`, `memory` and `disk` are Kubernetes quantities, `gpu` is a number.
        `users` and `groups` limit who may use a class; without both, all users may. A session starts in the smallest
        class that meets its minimum. On Kubernetes, `gpu_resource` is the resource name of the GPUs (`nvidia.com/gpu`
        by default), and `node_selector` and `tolerations`, written as in a pod, select the nodes of the class.
        `ephemeral_storage` (`10Gi` by default) limits what a session may write to the disk of its node, which is
        everything outside of its working directory and its storages; the kubelet evicts a session that writes more. The
        pod requests 1Gi of it, or all if that is less. `0` is no limit and no request. For example::

            c.Renku.resource_classes = [
                {"name": "small", "cpu": "1", "memory": "2Gi", "disk": "10Gi"},
                {
                    "name": "gpu", "cpu": "8", "memory": "64Gi", "gpu": 1, "disk": "100Gi",
                    "gpu_resource": "nvidia.com/gpu",
                    "node_selector": {"example.org/pool": "gpu"},
                    "tolerations": [{"key": "example.org/gpu", "operator": "Exists", "effect": "NoSchedule"}],
                },
            ]
        """,
    )
    session_limits = Dict(
        config=True,
        help="""
        Limits on what users can have; none by default. `running` and `kept`: running sessions, and running and paused
        sessions, of one user. `projects`: projects that one user has created and not deleted (hub admins may create
        more). `per_project`: sessions in one project. `writes_per_minute`: changes by one user in a minute, through
        pages and API together. For example `{"running": 3, "kept": 10, "projects": 20, "writes_per_minute": 30}`.
        """,
    )
    one_active_per_environment = Bool(
        True,
        config=True,
        help="Allow each user only one running session with the same environment in a project at a time.",
    )
    repository_hosts = Set(
        Unicode(),
        config=True,
        help="""
        Hosts (`host` or `host:port`) whose repositories may be cloned although they are not public HTTPS hosts, for
        example `{"gitlab.internal"}`. Listing a host lets every editor make sessions fetch from it.
        """,
    )
    start_timeout = Integer(
        300, min=1, config=True, help="Maximum number of seconds a launch may make no progress before it fails."
    )
    start_timeout_max = Integer(
        3600, min=1, config=True, help="Maximum number of seconds a launch may take in total before it fails."
    )
    clone_timeout = Integer(
        900, min=1, config=True, help="Maximum number of seconds the clone of one repository may take."
    )
    stop_grace = Float(
        5.0, min=0.1, config=True, help="Number of seconds a session has to exit by itself when it is paused."
    )
    api_rate = Integer(
        20,
        min=4,
        config=True,
        help="""
        Maximum rate of low-priority requests to the Kubernetes API, in requests per second for all sessions together.
        It limits the load on the API server when the hub starts or the cluster is reachable again.
        """,
    )
    launches_kept_days = Integer(
        30, min=1, config=True, help="Number of days for which past launches, their logs and audit events are kept."
    )
    restart_on_change = Bool(
        False,
        config=True,
        help="""
        Restart the hub when the configuration mounted in `/etc/renku` changes. If the changed settings are invalid, the
        hub keeps the current ones and reports that in its log, its metrics and to admins. In the hub's image only the
        hub's process is replaced; elsewhere it exits, and Kubernetes starts it again. Sessions keep running.
        """,
    )
    db_url = Unicode(config=True, help="URL of the database with Renku's tables. By default the hub's own database.")
    allow_plain_servers = Bool(
        False,
        config=True,
        help="Allow ordinary servers that are not Renku sessions: the hub's default server and named servers.",
    )
    allow_unisolated = Bool(
        False,
        config=True,
        help="""
        Allow `RenkuLocalSpawner` on a hub that is reachable from other machines. Its sessions are not isolated: all of
        them run as the hub's own user.
        """,
    )
    workspace = Unicode(
        "renku-sessions",
        config=True,
        help="Folder in which `RenkuLocalSpawner` stores the files of sessions.",
    )

    @default("environments")
    def _default_environments(self) -> list[dict[str, Any]]:
        return build_default_environments(self.image_registry)

    @default("db_url")
    def _default_db_url(self) -> str:
        return str(
            getattr(self.parent, "db_url", "") or self.config.JupyterHub.get("db_url", "sqlite:///jupyterhub.sqlite")
        )

    def __init__(self, *, services: HubServices | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        services = services or HubServices()
        check_setting_names(self.config.Renku, self.trait_names(config=True))
        self.reconciler: Reconciler  # set by `hub.startup`
        self.tasks: list[Any] = []  # the jobs; referenced here, since an event loop keeps only weak references
        self.configured = parse_environments_setting(self.environments)
        registry = self.build_registry_client()
        gitlab = self.build_gitlab_client(services.tokens)
        database = self._open_database()
        self.context = AppContext(
            db=database,
            source=self.build_project_source(database, gitlab),
            gitlab=gitlab,
            policy=self._build_policy(),
            workspace=self.workspace_folder,
            list_groups=services.list_groups,
            get_user_groups=services.get_user_groups,
            find_missing_users=services.find_missing_users,
            registry=registry,
            git=self.build_git_servers(parse_hosts_setting(self.repository_hosts)),
            egress_proxies=self.build_egress_proxies(),
            cluster_pace=CallPacer(self.api_rate),
            secret_store=services.secret_store,
            emit_event=services.emit_event,
            notification_channels=self.build_notification_channels(),
        )

    @property
    def workspace_folder(self) -> Path:
        """Return the absolute path of `workspace`."""
        return Path(self.workspace).resolve()

    def _build_policy(self) -> HubPolicy:
        limits = parse_session_limits_setting(self.session_limits)
        classes = parse_resource_classes_setting(self.resource_classes)
        self.check_idle_pauses("resource_classes", [(each.name, each.idle_pause) for each in classes])
        self.check_idle_pauses("environments", [(each.key, each.run.idle_pause) for each in self.configured])
        return HubPolicy(
            classes=classes,
            expiry=self.build_expiry_rules(classes),
            price=self.build_price(),
            one_active_per_environment=self.one_active_per_environment,
            running_per_user=limits.running,
            kept_per_user=limits.kept,
            projects_per_user=limits.projects,
            sessions_per_project=limits.per_project,
            writes_per_minute=limits.writes_per_minute,
            repository_hosts=parse_hosts_setting(self.repository_hosts) | self.get_gitlab_hosts(),
            images=parse_image_policy_setting(self.image_policy),
            platforms=parse_platforms_setting(self.platforms),
            image_big=int(self.image_big * 1e9),
            image_checks_per_minute=self.image_checks_per_minute,
            start_timeout=check_start_timeouts(
                start_timeout=self.start_timeout, start_timeout_max=self.start_timeout_max
            ),
            archived_resume_days=self.archived_resume_days,
            idle=self.build_idle_rules(),
            downloads=self.downloads,
            download_min_rate=self.download_min_rate,
            download_rate_window=self.download_rate_window,
            git_credentials=self.git_credentials,
            push=self.push,
            private_images=self.private_images,
            ci=self.build_ci_rules(),
            hook_secret=self.get_webhook_secret(),
            **self.build_storage_policy(),
            local=bool(getattr(getattr(self.parent, "spawner_class", None), "local", False)),
        )

    def _open_database(self) -> Database:
        """Open the database; create or upgrade its tables if `JupyterHub.upgrade_db` allows it.

        Raises:
            SchemaOutOfDate: its tables are older or newer; the message says which command fixes it.
        """
        prepare_schema(self.db_url, upgrade=bool(getattr(self.parent, "upgrade_db", False)))
        return Database(self.db_url)
