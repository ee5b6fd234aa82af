"""What an admin has settled, as a value: made once from the settings."""

from __future__ import annotations

from dataclasses import dataclass, field

from .ci import CiRules
from .expiry import Expiry
from .hints import BIG
from .idle_rules import IdleRules
from .image_policy import ImagePolicy
from .price import Price
from .resources import ResourceClass
from .storage_kinds import USUAL
from .volume import Volume


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Limits are None where no admin has set one (decision 9). Times are in seconds,
    `image_big` is in bytes, `platforms` are those of the machines, the preferred first."""

    classes: tuple[ResourceClass, ...] = ()
    one_active_per_environment: bool = True
    running_per_user: int | None = None
    kept_per_user: int | None = None
    projects_per_user: int | None = None
    sessions_per_project: int | None = None
    writes_per_minute: int | None = None  # of one user
    repository_hosts: frozenset[str] = frozenset()
    images: ImagePolicy = field(default_factory=ImagePolicy)
    platforms: tuple[str, ...] = ("linux/amd64",)
    image_big: int = BIG
    image_checks_per_minute: int = 30  # of one user
    start_timeout: int = 300
    archived_resume_days: int = 30
    idle: IdleRules = field(default_factory=IdleRules)
    downloads: int = 4  # of data, at a time; 0: none
    download_min_rate: int = 20_000  # bytes a second
    download_rate_window: float = 120.0
    ci: CiRules = field(default_factory=CiRules)
    hook_secret: str = field(default="", repr=False)  # empty: nobody tells us
    expiry: Expiry = field(default_factory=Expiry)
    price: Price | None = None
    local: bool = False
    volumes: tuple[Volume, ...] = ()
    storage_kinds: tuple[str, ...] = USUAL
    storage_check: bool = False  # whether the hub looks into storages before they are saved
    rclone_storage_class: str = ""  # empty: this cluster mounts no remotes
    git_credentials: str = "off"  # off | members | all: whose sessions get their own GitLab token for git (decision 32)
    push: bool = False  # whether that token may write to repositories
    private_images: bool = False  # whether images of a project's own GitLab registry may be private
