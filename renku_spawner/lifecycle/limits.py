"""Check how many sessions a user may run and keep, and explain a refused start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..context.app_context import AppContext, read_transaction
from ..domain.access import Person
from ..domain.errors import LaunchRefusedError
from ..domain.instances import Instance
from ..domain.policy import HubPolicy
from ..domain.reasons import format_reason_sentence
from ..domain.sessions import Session
from ..persistence.database import Transaction

_MAX_INSTANCES_IN_REFUSAL = 50


@dataclass(frozen=True, kw_only=True)
class UserLimitUsage:
    """Use of the per-user limits; a limit is None where the admins set none."""

    running: int
    running_limit: int | None
    kept: int
    kept_limit: int | None


@dataclass(frozen=True, kw_only=True)
class _ExceededLimit:
    code: str
    limit: int
    theirs: Sequence[Instance]
    listed: str


class UserLimitReached(Exception):
    """A start would exceed a limit of its user; raised in a transaction, where the refusal's details cannot be read."""

    def __init__(self, username: str, exceeded: _ExceededLimit) -> None:
        super().__init__(exceeded.code)
        self._username, self._exceeded = username, exceeded

    async def read_refusal(self, context: AppContext, person: Person | None = None) -> LaunchRefusedError:
        """Return the refusal: `limit_user` or `limit_kept`, whose details list the counted instances.

        These stand under `running` or `kept`, each with `session`, `title`, `project` (null if the user may not see it
        any more), `project_path` and `status`. *person* is the user, if the caller knows them.
        """
        person = person or Person(name=self._username, groups=frozenset(context.get_user_groups(self._username)))
        return await _build_limit_refusal(context, person, self._exceeded)


async def get_user_limit_usage(context: AppContext, person: Person) -> UserLimitUsage | None:
    """Return the user's use of the limits, or None without a database query where nothing is limited."""
    running, kept = context.policy.running_per_user, context.policy.kept_per_user
    if running is None and kept is None:
        return None

    def work(tx: Transaction) -> UserLimitUsage:
        return UserLimitUsage(
            running=tx.instances.count_running(person.name), running_limit=running,
            kept=tx.instances.count_kept(person.name), kept_limit=kept,
        )  # fmt: skip

    return await read_transaction(context, work)


def check_start_limits(
    tx: Transaction, policy: HubPolicy, session: Session, username: str, mine: Instance | None
) -> None:
    """Check that no other session of the environment is active, and that the user is below the limits of the admins.

    *mine* is the user's own instance of *session*.

    Raises:
        LaunchRefusedError: `already_running`.
        UserLimitReached: the user runs or keeps as many instances as they may.
    """
    if mine is not None and mine.is_active:
        return
    if policy.one_active_per_environment:
        other = tx.instances.find_in_slot(username, f"{session.project}/{session.environment.id}")
        if other is not None:
            raise build_already_running_refusal(tx, other)
    exceeded = _find_exceeded_limit(tx, policy, username, mine)
    if exceeded is not None:
        raise UserLimitReached(username, exceeded)


def check_user_limits(tx: Transaction, policy: HubPolicy, instance: Instance) -> None:
    """Check the limits again in the write transaction that stores the start of *instance*, which was not active before.

    `check_start_limits` reads long before that transaction, so several parallel starts may pass it.

    Raises:
        UserLimitReached: the user runs or keeps as many instances as they may.
    """
    exceeded = _find_exceeded_limit(tx, policy, instance.username, instance)
    if exceeded is not None:
        raise UserLimitReached(instance.username, exceeded)


def lock_user_if_limited(tx: Transaction, policy: HubPolicy, username: str) -> None:
    """Serialise the transactions that count this user's instances, if a limit is set.

    Call it before the first read. Raises DatabaseBusy.
    """
    if policy.running_per_user is not None or policy.kept_per_user is not None:
        tx.instances.lock_user(username)


def _find_exceeded_limit(
    tx: Transaction, policy: HubPolicy, username: str, mine: Instance | None
) -> _ExceededLimit | None:
    limit = policy.running_per_user
    if limit is not None and len(active := tx.instances.list_running(username)) >= limit:
        return _ExceededLimit(code="limit_user", limit=limit, theirs=active, listed="running")
    limit = policy.kept_per_user
    new = mine is None or mine.claim is None
    if new and limit is not None and len(kept := tx.instances.list_kept(username)) >= limit:
        return _ExceededLimit(code="limit_kept", limit=limit, theirs=kept, listed="kept")
    return None


async def _build_limit_refusal(context: AppContext, person: Person, exceeded: _ExceededLimit) -> LaunchRefusedError:
    count, limit = len(exceeded.theirs), exceeded.limit
    listed = await _list_counted_instances(context, person, exceeded.theirs)
    return LaunchRefusedError(
        format_reason_sentence(exceeded.code, count=count, limit=limit),
        code=exceeded.code,
        details={"count": count, "limit": limit, exceeded.listed: listed},
    )


async def _list_counted_instances(
    context: AppContext, person: Person, theirs: Sequence[Instance]
) -> list[dict[str, Any]]:
    shown = theirs[:_MAX_INSTANCES_IN_REFUSAL]
    sessions = await read_transaction(
        context, lambda tx: tx.sessions.get_many({instance.session for instance in shown})
    )
    projects = await context.source.get_visible_projects(person, {instance.project for instance in shown})
    titles = {id: session.title for id, session in sessions.items()}
    paths = {id: project.path for id, project in projects.items() if project}
    return [
        {
            "session": instance.session,
            "title": titles.get(instance.session, instance.session),
            "project": instance.project if instance.project in paths else None,
            "project_path": paths.get(instance.project),
            "status": str(instance.status),
        }
        for instance in shown
    ]


def build_already_running_refusal(tx: Transaction, other: Instance) -> LaunchRefusedError:
    """Build the refusal that names the active session of the same environment."""
    session = tx.sessions.get(other.session, deleted=True)
    title = session.title if session else other.session
    return LaunchRefusedError(
        format_reason_sentence("already_running", other=title),
        code="already_running",
        details={"session": other.session, "title": title, "project": other.project},
    )
