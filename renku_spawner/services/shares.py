"""What one person may have at a time: where something is in the way of a start, they read what it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..domain.access import Person
from ..domain.errors import Refused
from ..domain.instance import Instance
from ..domain.policy import Policy
from ..domain.reasons import sentence
from ..domain.session import Session
from ..store.database import Transaction
from .parts import Parts, read

_MOST = 50  # instances that a refusal lists


@dataclass(frozen=True, kw_only=True)
class Shares:
    """How much one has of what an admin has limited; a limit is None where there is none."""

    running: int
    running_limit: int | None
    kept: int
    kept_limit: int | None


@dataclass(frozen=True, kw_only=True)
class _Exceeded:
    code: str
    limit: int
    theirs: Sequence[Instance]
    listed: str


class LimitReached(Exception):
    """A start would exceed a limit of its user; raised in a transaction, where the refusal's details cannot be read."""

    def __init__(self, username: str, exceeded: _Exceeded) -> None:
        super().__init__(exceeded.code)
        self._username, self._exceeded = username, exceeded

    async def read_refusal(self, parts: Parts) -> Refused:
        """Return the refusal that `require` would have raised."""
        person = Person(name=self._username, groups=frozenset(parts.groups_of(self._username)))
        return await _refusal(parts, person, self._exceeded)


async def of(parts: Parts, person: Person) -> Shares | None:
    """One's own shares; None where nothing is limited, which asks nobody."""
    running, kept = parts.policy.running_per_user, parts.policy.kept_per_user
    if running is None and kept is None:
        return None

    def work(tx: Transaction) -> Shares:
        return Shares(
            running=tx.instances.count_running(person.name), running_limit=running,
            kept=tx.instances.count_kept(person.name), kept_limit=kept,
        )  # fmt: skip

    return await read(parts, work)


async def require(parts: Parts, person: Person, session: Session) -> None:
    """Another active session of this environment, and an admin's limits.

    Raises:
        Refused: `already_running`; `limit_user`, `limit_kept`, whose details list what one has: `running` or `kept`,
            each with `session`, `title`, `project` (null where one may not see it any more) and `status`.
    """
    exceeded = await read(parts, lambda tx: _obstacle(tx, parts.policy, person, session))
    if exceeded is not None:
        raise await _refusal(parts, person, exceeded)


def check_limits(tx: Transaction, policy: Policy, instance: Instance) -> None:
    """Check the limits again in the write transaction that stores the start of *instance*, not active before it.

    `require` reads long before that transaction, so several parallel starts may pass it.

    Raises:
        LimitReached: its user runs or keeps as many as they may.
    """
    exceeded = _exceeded(tx, policy, instance.username, instance)
    if exceeded is not None:
        raise LimitReached(instance.username, exceeded)


def lock_user(tx: Transaction, policy: Policy, username: str) -> None:
    """Let one transaction at a time count what *username* has, where an admin limits it. Call it before the first read.

    Raises Busy.
    """
    if policy.running_per_user is not None or policy.kept_per_user is not None:
        tx.instances.lock_user(username)


def _obstacle(tx: Transaction, policy: Policy, person: Person, session: Session) -> _Exceeded | None:
    mine, name = tx.instances.get(session.id, person.name), person.name
    if mine is not None and mine.active:
        return None
    if policy.one_active_per_environment:
        other = tx.instances.in_slot(name, f"{session.project}/{session.environment.id}")
        if other is not None:
            raise already_running(tx, other)
    return _exceeded(tx, policy, name, mine)


def _exceeded(tx: Transaction, policy: Policy, username: str, mine: Instance | None) -> _Exceeded | None:
    limit = policy.running_per_user
    if limit is not None and len(active := tx.instances.running_of(username)) >= limit:
        return _Exceeded(code="limit_user", limit=limit, theirs=active, listed="running")
    limit = policy.kept_per_user
    new = mine is None or mine.claim is None
    if new and limit is not None and len(kept := tx.instances.kept_of(username)) >= limit:
        return _Exceeded(code="limit_kept", limit=limit, theirs=kept, listed="kept")
    return None


async def _refusal(parts: Parts, person: Person, exceeded: _Exceeded) -> Refused:
    count, limit = len(exceeded.theirs), exceeded.limit
    listed = await _listed(parts, person, exceeded.theirs)
    return Refused(
        sentence(exceeded.code, count=count, limit=limit),
        code=exceeded.code,
        details={"count": count, "limit": limit, exceeded.listed: listed},
    )


async def _listed(parts: Parts, person: Person, theirs: Sequence[Instance]) -> list[dict[str, Any]]:
    shown = theirs[:_MOST]
    sessions = await read(parts, lambda tx: tx.sessions.some({each.session for each in shown}))
    projects = await parts.source.heads(person, {each.project for each in shown})
    titles = {id: session.title for id, session in sessions.items()}
    paths = {id: project.path for id, project in projects.items() if project}
    return [
        {
            "session": each.session,
            "title": titles.get(each.session, each.session),
            "project": each.project if each.project in paths else None,
            "project_path": paths.get(each.project),
            "status": str(each.status),
        }
        for each in shown
    ]


def already_running(tx: Transaction, other: Instance) -> Refused:
    """The refusal of decision 1, naming the session that is in the way."""
    session = tx.sessions.get(other.session, deleted=True)
    title = session.title if session else other.session
    return Refused(
        sentence("already_running", other=title),
        code="already_running",
        details={"session": other.session, "title": title, "project": other.project},
    )
