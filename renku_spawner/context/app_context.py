"""The application context that every use case receives, and the functions that run its database transactions."""

from __future__ import annotations

from asyncio import Semaphore
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from time import monotonic
from typing import Any, Protocol, TypeVar

from ..domain.administration import AuditEvent
from ..domain.errors import UnavailableError
from ..domain.notifications import ExpiryNotification
from ..domain.policy import HubPolicy
from ..integrations.git_server import GitServerClient
from ..integrations.gitlab.ci import GitLabCI
from ..integrations.gitlab.client import GitLabClient
from ..integrations.net.cache import TTLCache
from ..integrations.net.egress_proxy import EgressProxyFactory
from ..integrations.net.guarded_http import EgressGuard
from ..integrations.net.rate_limiter import CallPacer, SlidingWindowLimiter
from ..integrations.net.single_flight import SingleFlight
from ..integrations.project_source import ProjectSource
from ..integrations.registry.client import RegistryClient
from ..persistence.database import Database, Transaction, retry_while_busy
from ..persistence.statements import ConcurrentUpdate
from .activity_sources import ActivitySources
from .bom_cache import BomCache
from .database_health import DatabaseHealth
from .event_bus import EventBus
from .prepulling import PrepullerState
from .progress_streams import ProgressStreams
from .pvc_readers import PVCReaders
from .repeated_actions import RepeatedActions
from .secret_store import NoSecretStore, OneTimeSecrets, SecretStore
from .session_file_offers import SessionFileOfferCache
from .start_queue import StartQueue


class NotificationChannel(Protocol):
    async def send(self, letter: ExpiryNotification) -> None:
        """Deliver *letter* if its recipient has an address on this channel. Raises NotificationNotDeliveredError."""

    async def close(self) -> None:
        """Close the channel; it sends nothing afterwards."""


T = TypeVar("T")


def utcnow() -> datetime:
    return datetime.now(UTC)


def discard_event(_kind: str, _said: Mapping[str, Any]) -> None:
    """Discard the event, where there is no hub with an event log."""


@dataclass
class HubHealth:
    """Problems of this hub for its admins: refused settings, and a cluster that is not trusted.

    The fields are None while all is well. `serving_since` is when this hub began to answer, None before.
    """

    serving_since: datetime | None = None

    refused_settings: str | None = None
    cluster_problem: str | None = None
    cluster_problem_since: datetime | None = None


_REQUEST_COUNT_SECONDS = 60.0  # limits of requests are per minute
_MAX_CONCURRENT_SERVER_REQUESTS = 50  # a busy hub opens so many connections well within a second


@dataclass(frozen=True, kw_only=True)
class AppContext:
    """The application context, created once by `config.renku.Renku`.

    - `workspace`: folder of the instances on this machine, None on a cluster.
    - `list_groups` and `get_user_groups`: return the names of all groups of the hub, and of one user, as they are now.
    - `find_missing_users`: returns those of the given user names that the hub does not have any more.
    - `egress_proxies`: creates the egress proxies through which storages are tested.
    - `secret_store`: encrypts stored credentials. `one_time_secrets`: credentials that are not to be stored.
    - `known_users`: users that were seen, and when they were created (see `usecases.users`).
    - `registry`, `git`, `gitlab`: None where the hub does not query registries, Git servers or GitLab.
    - `cluster_pace`: spaces lookups and clean-up of all sessions on the cluster.
    - `registry_queries`: running queries, by image. `unreadable_packages`: digests whose package list cannot be read.
    - `session_file_offers`: cached session files of repositories. `bom_cache`: cached bills of materials.
    - `hub_health`: problems for admins.
    - `emit_event`: writes an `audit` or `launch` event to the hub's event log, after it is committed.
    - `notification_channels`: channels that reach users outside the hub.
    - `progress_streams`: open event streams of pages (see `web.events`).
    - `request_counts`: the limited requests of each user (see `web.rate_limits`). `repeated_actions`: those that share
      a row in the audit log.
    - `downloading_users`: names of users with a running download.
    - `server_requests`: places for requests to servers that a hub finds running at its start.
    - `probed_digests`: digests of the images that a helper pod is probing. `pvc_readers`: helper pods that read PVCs.
    """

    db: Database
    source: ProjectSource
    policy: HubPolicy
    workspace: Path | None = None
    list_groups: Callable[[], Iterable[str]] = tuple
    get_user_groups: Callable[[str], Iterable[str]] = lambda name: ()
    find_missing_users: Callable[[Collection[str]], Collection[str]] = lambda names: ()
    event_bus: EventBus = field(default_factory=EventBus)
    prepulling: PrepullerState = field(default_factory=PrepullerState)
    now: Callable[[], datetime] = utcnow
    registry: RegistryClient | None = None
    gitlab: GitLabClient | None = None
    git: GitServerClient | None = None
    egress_proxies: EgressProxyFactory = field(default_factory=lambda: EgressProxyFactory(EgressGuard()))
    secret_store: SecretStore = field(default_factory=NoSecretStore)
    one_time_secrets: OneTimeSecrets = field(default_factory=OneTimeSecrets)
    cluster_pace: CallPacer = field(default_factory=CallPacer)
    registry_queries: SingleFlight = field(default_factory=SingleFlight)
    unreadable_packages: TTLCache[bool] = field(default_factory=lambda: TTLCache(1000, monotonic))
    bom_cache: BomCache = field(default_factory=BomCache)
    known_users: dict[str, datetime | None] = field(default_factory=dict)
    session_file_offers: SessionFileOfferCache = field(default_factory=SessionFileOfferCache)
    database_health: DatabaseHealth = field(default_factory=DatabaseHealth)
    hub_health: HubHealth = field(default_factory=HubHealth)
    activity_sources: ActivitySources = field(default_factory=ActivitySources)
    downloading_users: set[str] = field(default_factory=set)
    server_requests: Semaphore = field(default_factory=lambda: Semaphore(_MAX_CONCURRENT_SERVER_REQUESTS))
    probed_digests: set[str] = field(default_factory=set)
    pvc_readers: PVCReaders = field(default_factory=PVCReaders)
    emit_event: Callable[[str, Mapping[str, Any]], None] = discard_event
    notification_channels: tuple[NotificationChannel, ...] = ()
    start_queue: StartQueue = field(default_factory=StartQueue)
    progress_streams: ProgressStreams[Any] = field(default_factory=ProgressStreams)
    repeated_actions: RepeatedActions = field(default_factory=RepeatedActions)
    request_counts: SlidingWindowLimiter = field(default_factory=lambda: SlidingWindowLimiter(_REQUEST_COUNT_SECONDS))

    @cached_property
    def gitlab_ci(self) -> GitLabCI | None:
        """The CI client for GitLab, or None where projects do not come from GitLab."""
        return GitLabCI(self.gitlab) if self.gitlab else None


async def read_transaction(context: AppContext, work: Callable[[Transaction], T]) -> T:
    """Run *work* in a read transaction and return its result; retry as `write_transaction` does.

    Raises UnavailableError.
    """
    return await retry_while_busy(lambda: _run_read(context, work))


async def write_transaction(context: AppContext, work: Callable[[Transaction], T]) -> T:
    """Run *work* in one transaction, commit it, then emit its audit events.

    While another writer holds the database, the whole unit of work is rolled back and run again: a wait inside the
    transaction would block the hub's event loop.

    Raises:
        UnavailableError: the database stayed busy for 3 s.
    """
    return _emit_audit_events(context, await retry_while_busy(lambda: _run_write(context, work)))


async def write_transaction_in_thread(context: AppContext, work: Callable[[Transaction], T]) -> T:
    """Run a transaction of hundreds of statements in a thread, so that the event loop is not blocked.

    *work* may use only the transaction and immutable values. Raises UnavailableError.
    """
    return _emit_audit_events(context, await retry_while_busy(lambda: _run_write(context, work), in_thread=True))


def _run_read(context: AppContext, work: Callable[[Transaction], T]) -> T:
    with context.db.read() as tx:
        return work(tx)


def _run_write(context: AppContext, work: Callable[[Transaction], T]) -> tuple[T, list[AuditEvent]]:
    with context.db.write() as tx:
        done = work(tx)
    return done, tx.audit.added


def _emit_audit_events(context: AppContext, written: tuple[T, list[AuditEvent]]) -> T:
    done, events = written
    for event in events:
        fields = {"actor": event.actor, "username": event.username, "action": event.action, "subject": event.subject}
        context.emit_event(
            "audit", {name: value for name, value in (fields | {"detail": event.detail}).items() if value}
        )
    return done


_MAX_CONFLICT_ATTEMPTS = 5


async def retry_on_conflict(context: AppContext, work: Callable[[Transaction], T]) -> T:
    """Run *work* again when another transaction changed the instance in between.

    Raises UnavailableError after five conflicts, or if the database stays busy.
    """
    for _ in range(_MAX_CONFLICT_ATTEMPTS):
        try:
            return await write_transaction(context, work)
        except ConcurrentUpdate:
            continue
    raise UnavailableError("This session was changed several times at the same moment. Please try again.")
