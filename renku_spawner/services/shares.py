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
    found = await read(parts, lambda tx: _exceeded(tx, parts.policy, person, session))
    if found is not None:
        count = len(found.theirs)
        raise Refused(
            sentence(found.code, count=count, limit=found.limit),
            code=found.code,
            details={"count": count, "limit": found.limit, found.listed: await _listed(parts, person, found.theirs)},
        )


def _exceeded(tx: Transaction, policy: Policy, person: Person, session: Session) -> _Exceeded | None:
    mine, name = tx.instances.get(session.id, person.name), person.name
    if mine is not None and mine.active:
        return None
    if policy.one_active_per_environment:
        other = tx.instances.in_slot(name, f"{session.project}/{session.environment.id}")
        if other is not None:
            raise already_running(tx, other)
    limit = policy.running_per_user
    if limit is not None and len(active := tx.instances.running_of(name)) >= limit:
        return _Exceeded(code="limit_user", limit=limit, theirs=active, listed="running")
    limit = policy.kept_per_user
    new = mine is None or mine.claim is None
    if new and limit is not None and len(kept := tx.instances.kept_of(name)) >= limit:
        return _Exceeded(code="limit_kept", limit=limit, theirs=kept, listed="kept")
    return None


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
