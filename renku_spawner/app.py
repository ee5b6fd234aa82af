"""Renku's settings, and its parts put together once."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from traitlets import Bool, Dict, Float, Integer, List, Set, Unicode, default
from traitlets.config import SingletonConfigurable

from . import events, image_settings, people, settings
from .ci_settings import CiSettings
from .domain.policy import Policy
from .download_settings import DownloadSettings
from .expiry_settings import ExpirySettings
from .gitlab_login import HubTokens
from .gitlab_settings import GitLabSettings
from .idle_settings import IdleSettings
from .image_settings import ImageSettings, own_environments
from .keeper import HubKeeper
from .services.parts import Parts
from .share_settings import ShareSettings
from .storage_settings import StorageSettings
from .store import migrate
from .store.database import Database


class Renku(
    CiSettings, DownloadSettings, ExpirySettings, GitLabSettings, IdleSettings, ImageSettings, ShareSettings,
    StorageSettings, SingletonConfigurable,
):  # fmt: skip
    """Settings of `c.Renku` and the parts made from them.

    The hub itself makes handlers and spawners, so both find the same parts through
    `Renku.instance()`.
    """

    environments = List(
        Dict(),
        config=True,
        help="""
        Ready-made environments, offered in this order, before those that admins add on
        the page *Environments*. What is no longer listed is archived: nothing new starts
        from it, and what people have paused can be resumed for `archived_resume_days`.
        By default our own, if `image_registry` says where it is.

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
        `working_directory` (`/work` or below), `uid`, `gid`, `idle_pause`. A changed image makes a
        new revision, which sessions take when an editor accepts it.
        """,
    )
    archived_resume_days = Integer(
        30,
        min=0,
        max=36_500,
        config=True,
        help="Days for which what people have paused can be resumed after its ready-made environment was archived.",
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
        Sizes in which sessions run. `cpu`, `memory` and `disk` are Kubernetes
        quantities, `gpu` is a number; `users` and `groups` say who may use a class,
        everybody if both are left out. A start takes the smallest class that meets
        the session's minimum. On Kubernetes `gpu_resource` is what the devices are
        called there (`nvidia.com/gpu` if left out), and `node_selector` and
        `tolerations`, written as in a pod, say on which nodes the class runs.
        `ephemeral_storage` (`10Gi` if left out) is how much a session may write to
        its node's own disk, which is everything outside of its working directory and
        its storages: the kubelet ends a session that writes more. 1Gi of it, or all
        if that is less, is requested. `0` is without a limit and a request::

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
        Limits, none by default: `running` and `kept` sessions of one user, `projects` that one user has
        created and not deleted (hub admins may create more), sessions `per_project`, and
        `writes_per_minute`: how often one user may change something, by pages and API together. For example
        `{"running": 3, "kept": 10, "projects": 20, "writes_per_minute": 30}`.
        """,
    )
    one_active_per_environment = Bool(
        True,
        config=True,
        help="Whether a user runs at most one session with the same environment in a project at a time.",
    )
    repository_hosts = Set(
        Unicode(),
        config=True,
        help="""
        Hosts (`host` or `host:port`) whose repositories may be cloned although they
        are not public https hosts, for example `{"gitlab.internal"}`. Listing a host
        lets every editor make sessions fetch from it.
        """,
    )
    start_timeout = Integer(300, min=1, config=True, help="Seconds that a start may go on without coming any further.")
    start_timeout_max = Integer(3600, min=1, config=True, help="Seconds after which any start is given up.")
    clone_timeout = Integer(900, min=1, config=True, help="Seconds that the clone of one repository may take.")
    stop_grace = Float(5.0, min=0.1, config=True, help="Seconds that a session has to end by itself when paused.")
    api_rate = Integer(
        20,
        min=4,
        config=True,
        help="""
        Calls a second to the Kubernetes API for what can wait, for all sessions together: when
        the hub starts, or the cluster comes back, nobody is asked for everything at once.
        """,
    )
    launches_kept_days = Integer(
        30, min=1, config=True, help="Days for which past starts, the ends of their logs and audit events are kept."
    )
    restart_on_change = Bool(
        False,
        config=True,
        help="""
        Restart the hub when what is mounted in `/etc/renku` changes, if a start would take it; otherwise the hub keeps
        the settings that it has, and says so in its log, its metrics and to admins. In the hub's image only the hub's
        process is replaced; elsewhere it ends, for Kubernetes to start it again. Sessions go on meanwhile.
        """,
    )
    db_url = Unicode(config=True, help="Database of Renku's tables. By default they stand in the hub's database.")
    allow_plain_servers = Bool(
        False,
        config=True,
        help="Whether servers that are no sessions (the hub's default server too) can be started beside them.",
    )
    allow_unisolated = Bool(
        False,
        config=True,
        help="""
        Whether `RenkuLocalSpawner` may run although the hub listens beyond this
        machine. It isolates nobody: sessions of all users run as the hub's own user.
        """,
    )
    workspace = Unicode(
        "renku-sessions",
        config=True,
        help="Folder below which `RenkuLocalSpawner` keeps the files of sessions.",
    )

    @default("environments")
    def _default_environments(self) -> list[dict[str, Any]]:
        return own_environments(self.image_registry)

    @default("db_url")
    def _default_db_url(self) -> str:
        return str(
            getattr(self.parent, "db_url", "") or self.config.JupyterHub.get("db_url", "sqlite:///jupyterhub.sqlite")
        )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        settings.known(self.config.Renku, self.trait_names(config=True))
        self.tasks: list[Any] = []  # what goes on beside the hub; kept, since a loop forgets tasks
        self.configured = settings.environments(self.environments)
        registry = self.registry()
        gitlab = self.gitlab(HubTokens(self.parent))
        database = self._database()
        self.parts = Parts(
            db=database,
            source=self.source(database, gitlab),
            gitlab=gitlab,
            policy=self._policy(),
            workspace=self.folder,
            groups=partial(people.groups, self.parent),
            groups_of=partial(people.groups_of, self.parent),
            gone=partial(people.gone, self.parent),
            registry=registry,
            git=self.git_servers(settings.hosts(self.repository_hosts)),
            relay=self.relay(),
            keeper=HubKeeper(),
            emit=events.emitter(self.parent),
            post=self.posts(),
        )

    @property
    def folder(self) -> Path:
        """Where instances live on this machine."""
        return Path(self.workspace).resolve()

    def _policy(self) -> Policy:
        limits = settings.limits(self.session_limits)
        classes = settings.resource_classes(self.resource_classes)
        self.idle_of_each("resource_classes", [(each.name, each.idle_pause) for each in classes])
        self.idle_of_each("environments", [(each.key, each.run.idle_pause) for each in self.configured])
        return Policy(
            classes=classes,
            expiry=self.expiry(classes),
            price=self.priced(),
            one_active_per_environment=self.one_active_per_environment,
            running_per_user=limits.running,
            kept_per_user=limits.kept,
            projects_per_user=limits.projects,
            sessions_per_project=limits.per_project,
            writes_per_minute=limits.writes_per_minute,
            repository_hosts=settings.hosts(self.repository_hosts) | self.gitlab_hosts(),
            images=image_settings.image_policy(self.image_policy),
            platforms=image_settings.platforms(self.platforms),
            image_big=int(self.image_big * 1e9),
            image_checks_per_minute=self.image_checks_per_minute,
            start_timeout=settings.timeouts(start_timeout=self.start_timeout, start_timeout_max=self.start_timeout_max),
            archived_resume_days=self.archived_resume_days,
            idle=self.idle_rules(),
            downloads=self.downloads,
            download_min_rate=self.download_min_rate,
            download_rate_window=self.download_rate_window,
            git_credentials=self.git_credentials,
            push=self.push,
            private_images=self.private_images,
            ci=self.ci_rules(),
            hook_secret=self.hook_secret(),
            **self.storage_policy(),
            local=bool(getattr(getattr(self.parent, "spawner_class", None), "local", False)),
        )

    def _database(self) -> Database:
        """The database, made or upgraded where that is allowed.

        Raises:
            OutOfDate: it is older or newer; the message says which command mends it.
        """
        migrate.prepare(self.db_url, upgrade=bool(getattr(self.parent, "upgrade_db", False)))
        return Database(self.db_url)
