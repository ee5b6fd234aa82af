"""The admin's limits and rules as one immutable value, built from the settings."""

from __future__ import annotations

from dataclasses import dataclass, field

from .ci_images import CiRules
from .expiry import ExpiryRules
from .image_checks import LARGE_IMAGE_SIZE_BYTES
from .images import ImagePolicy
from .resource_classes import ResourceClass
from .storages import DEFAULT_STORAGE_KINDS, SharedVolume


@dataclass(frozen=True, kw_only=True)
class IdleRules:
    """Rules for pausing, in seconds.

    A session is paused after `pause` without activity and `run_max` of run time (0: never), is announced
    `warning` before that, and can be kept awake for `awake_max` at most. A session that uses more than
    `processor` cores counts as active; 0 disables that.
    """

    pause: int = 0
    warning: int = 600
    awake_max: int = 86_400
    run_max: int = 0
    processor: float = 0.0


BYTES_PER_GIB = 1024**3


@dataclass(frozen=True, kw_only=True)
class StoragePrice:
    """Price of stored data: `per_gib_month` in `currency`, which is shown as given."""

    per_gib_month: float
    currency: str

    def get_monthly_cost(self, size: int) -> float:
        """Return the cost of *size* bytes for a month."""
        return round(size / BYTES_PER_GIB * self.per_gib_month, 4)

    def format_monthly_cost(self, size: int) -> str:
        """Return the cost in words: `0.18 CHF a month`; below half a hundredth `under 0.01 CHF a month`."""
        cost = size / BYTES_PER_GIB * self.per_gib_month
        amount = "under 0.01" if 0 < cost < 0.005 else f"{cost:.2f}"
        return f"{amount} {self.currency} a month"


@dataclass(frozen=True, kw_only=True)
class HubPolicy:
    """All limits and rules; a limit is None unless an admin has set it.

    Times are in seconds, `image_big` is in bytes, `platforms` are those of the machines, the preferred first.
    """

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
    image_big: int = LARGE_IMAGE_SIZE_BYTES
    image_checks_per_minute: int = 30  # of one user
    start_timeout: int = 300
    archived_resume_days: int = 30
    idle: IdleRules = field(default_factory=IdleRules)
    downloads: int = 4  # concurrent downloads of data; 0 disables them
    download_min_rate: int = 20_000  # bytes a second
    download_rate_window: float = 120.0
    ci: CiRules = field(default_factory=CiRules)
    hook_secret: str = field(default="", repr=False)  # empty: GitLab webhooks are disabled
    expiry: ExpiryRules = field(default_factory=ExpiryRules)
    price: StoragePrice | None = None
    local: bool = False
    volumes: tuple[SharedVolume, ...] = ()
    storage_kinds: tuple[str, ...] = DEFAULT_STORAGE_KINDS
    storage_check: bool = False  # whether the hub lists a storage before it is saved
    rclone_storage_class: str = ""  # empty: this cluster mounts no remotes
    git_credentials: str = "off"  # off | members | all: whose sessions get the user's GitLab token for git
    push: bool = False  # whether git in a session may push with that token
    private_images: bool = False  # whether images of a project's own GitLab registry may be private
