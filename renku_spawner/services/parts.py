"""What every use case works with, and how it speaks to the database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

from ..domain.audit import Event
from ..domain.policy import Policy
from ..gitlab.ci import Ci
from ..gitlab.client import GitLab
from ..projects.source import ProjectSource
from ..registry.client import Client
from ..registry.git import GitServers
from ..registry.guard import Guard
from ..registry.relay import Relay
from ..remote.cache import Cache
from ..store.database import Database, Transaction
from ..store.patience import patiently
from .hearing import Hearing
from .keeping import Keeper, NoKeeper, Once
from .line import Line
from .news import News
from .offers import Offers
from .post import Post
from .prepuller import Prepulling
from .pulse import Pulse

T = TypeVar("T")


def utcnow() -> datetime:
    return datetime.now(UTC)


def _to_nobody(_kind: str, _said: Mapping[str, Any]) -> None:
    """Where there is no hub, nobody hears its events."""


@dataclass
class HubHealth:
    """What admins have to know of this hub: why changed settings are not used, and why the cluster is not trusted.

    Both are None while all is well.
    """

    refused_settings: str | None = None
    cluster_problem: str | None = None
    cluster_problem_since: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts of the house, put together once by `app.Renku`.

    `workspace` is the folder below which instances live on this machine, None on a
    cluster; `groups` gives the names of all the hub's groups as they are now, and
    `groups_of` those of one user; `gone` are those of some whom the hub knows no more;
    `relay` is how storages are asked, `keeper` encrypts what people entrust to the hub and `once` holds
    what they do not want to be kept; `known` remembers which people were seen (see `people`); `registry` is None where
    registries are not asked (`git` likewise, of repositories), `gitlab` None where projects
    do not live there; `looks` are the questions to registries under way, and `unread` are
    digests whose list of packages could not be read (see `pins`), `offers` what repositories describe; `pulse` knows
    whether the database answers, `health` what admins have to know, `hearing` whether the use of sessions is heard
    of; `emit` tells the hub's event log of an `audit` or a `launch`, when it is stored; `post` reaches people who
    do not look at the hub; `since` is when this hub began; `downloads` are the names of those who download their
    data now.
    """

    db: Database
    source: ProjectSource
    policy: Policy
    workspace: Path | None = None
    groups: Callable[[], Iterable[str]] = tuple
    groups_of: Callable[[str], Iterable[str]] = lambda name: ()
    gone: Callable[[Collection[str]], Collection[str]] = lambda names: ()
    news: News = field(default_factory=News)
    prepulling: Prepulling = field(default_factory=Prepulling)
    now: Callable[[], datetime] = utcnow
    since: datetime = field(default_factory=utcnow)
    registry: Client | None = None
    gitlab: GitLab | None = None
    git: GitServers | None = None
    relay: Relay = field(default_factory=lambda: Relay(Guard()))
    keeper: Keeper = field(default_factory=NoKeeper)
    once: Once = field(default_factory=Once)
    looks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    unread: Cache[bool] = field(default_factory=lambda: Cache(1000, monotonic))
    known: dict[str, datetime | None] = field(default_factory=dict)
    offers: Offers = field(default_factory=Offers)
    pulse: Pulse = field(default_factory=Pulse)
    health: HubHealth = field(default_factory=HubHealth)
    hearing: Hearing = field(default_factory=Hearing)
    downloads: set[str] = field(default_factory=set)
    emit: Callable[[str, Mapping[str, Any]], None] = _to_nobody
    post: tuple[Post, ...] = ()
    lines: dict[str, Line] = field(default_factory=dict)  # see `line`

    @property
    def line(self) -> Line:
        """The starts that wait for room on the hub: one for all parts that share their news."""
        return self.lines.setdefault("line", Line(self.news))

    @cached_property
    def ci(self) -> Ci | None:
        """What GitLab says of the projects' CI; None where projects do not live there."""
        return Ci(self.gitlab) if self.gitlab else None


async def read(parts: Parts, work: Callable[[Transaction], T]) -> T:
    """What *work* reads in one transaction; see `write`."""
    return await patiently(lambda: _read(parts, work))


async def write(parts: Parts, work: Callable[[Transaction], T]) -> T:
    """Do *work* in one transaction and commit it; what it put on record is then told as events.

    While another writer holds the database, the whole unit of work is rolled back
    and run again: waiting inside would stop the hub's loop.

    Raises:
        Unavailable: the database stayed busy for 3 s.
    """
    return _told(parts, await patiently(lambda: _written(parts, work)))


async def write_in_thread(parts: Parts, work: Callable[[Transaction], T]) -> T:
    """The same for a transaction of hundreds of statements, in a thread so that the event loop goes on.

    *work* may use nothing but the transaction and what does not change. Raises Unavailable.
    """
    return _told(parts, await patiently(lambda: _written(parts, work), in_thread=True))


def _read(parts: Parts, work: Callable[[Transaction], T]) -> T:
    with parts.db.read() as tx:
        return work(tx)


def _written(parts: Parts, work: Callable[[Transaction], T]) -> tuple[T, list[Event]]:
    with parts.db.write() as tx:
        done = work(tx)
    return done, tx.audit.added


def _told(parts: Parts, written: tuple[T, list[Event]]) -> T:
    done, events = written
    for event in events:
        said = {"actor": event.actor, "username": event.username, "action": event.action, "subject": event.subject}
        parts.emit("audit", {name: value for name, value in (said | {"detail": event.detail}).items() if value})
    return done
