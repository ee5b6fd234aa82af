"""Warn owners of expiring data, move it to the trash and delete it. The rules of expiry are in `domain.expiry`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby
from typing import Protocol

from ..context.app_context import AppContext, read_transaction, write_transaction
from ..domain.errors import RenkuError
from ..domain.expiry import (
    ExpiryStep,
    apply_expiry_dates,
    get_due_expiry_step,
    get_outage_duration,
    mark_data_expired,
    mark_deletion_failed,
    mark_owner_warned,
    mark_trashed,
    mark_warning_undelivered,
    postpone_expiry,
)
from ..domain.instances import DesiredState, Instance
from ..domain.notifications import ExpiryNotification, ExpiryWarning, NotificationNotDeliveredError
from ..hub.adapter import delete_expired_data
from ..hub.jupyterhub import HubApp
from ..lifecycle.transitions import apply_transition
from ..observability.metrics import record_expiry_step, record_expiry_warning
from ..persistence.database import Transaction
from ..usecases.audit import record_audit_event
from .dependency_health import list_dependencies


class ExpiryHubAdapter:
    """Implement `ExpiryAdapter` with the hub's users and servers and the health of its dependencies."""

    def __init__(self, hub: HubApp, context: AppContext) -> None:
        self._hub, self._context = hub, context
        self.page = f"{hub.public_url.rstrip('/')}{hub.hub.base_url[len(hub.base_url) - 1:]}renku/sessions" if (
            hub.public_url
        ) else None  # fmt: skip

    def has_user(self, username: str) -> bool:
        return self._hub.users.get(username) is not None

    async def is_healthy(self) -> bool:
        """Return False while GitLab or the cluster is away: owners cannot log in, or pods cannot be seen."""
        gitlab = self._context.gitlab
        if gitlab is not None and not await gitlab.is_reachable():
            return False
        known = list_dependencies(self._context, self._hub.spawner_class)
        return not any(each.away_since for each in known if each.kind == "kubernetes")

    async def delete_data(self, username: str, session_id: str) -> None:
        user = self._hub.users.get(username)
        if user is not None:
            await delete_expired_data(user, session_id)


EXPIRY_JOB_NAME, EXPIRY_ACTOR = "expiry", "hub"  # the actor is that of audit events
EXPIRY_HEARTBEAT_INTERVAL = timedelta(minutes=10)
MAX_DUE_EXPIRIES = 50  # instances per run
_EXPIRY_PAGE_SIZE = 50  # instances per transaction, which blocks the event loop for some milliseconds
log = logging.getLogger("renku_spawner")


class ExpiryAdapter(Protocol):
    """The part of the hub that the expiry job needs."""

    page: str | None  # the address of *My sessions*

    def has_user(self, username: str) -> bool:
        """Return True if the hub has that user."""

    async def is_healthy(self) -> bool:
        """Return True if owners can log in and the backend of sessions answers."""

    async def delete_data(self, username: str, session_id: str) -> None:
        """Delete the data of an instance that is marked for it. Raises RenkuError if it is in use or that fails."""


class ExpiryJob:
    """Periodic expiry of paused data."""

    def __init__(self, context: AppContext, door: ExpiryAdapter) -> None:
        self._context, self._door = context, door
        self._noted: datetime | None = None

    async def run_once(self) -> None:
        """Take each expiry step that is due. Raises UnavailableError if the database is busy."""
        now, rules = self._context.now(), self._context.policy.expiry
        if (self._noted is None or now - self._noted >= EXPIRY_HEARTBEAT_INTERVAL) and not await self._record_heartbeat(
            now
        ):
            return
        due = (
            await read_transaction(self._context, lambda tx: tx.expiry.list_due(now, MAX_DUE_EXPIRIES))
            if rules.is_enabled
            else []
        )
        if due and await self._door.is_healthy():
            await self._process_due_instances(due, now)

    async def _record_heartbeat(self, now: datetime) -> bool:
        """Record that the hub is healthy now, after postponing deletions by an outage; return False if it is not."""
        rules = self._context.policy.expiry
        healthy_at, rules_key = await read_transaction(
            self._context, lambda tx: tx.expiry.get_last_job_run(EXPIRY_JOB_NAME)
        )
        if rules.is_enabled or rules_key not in ("", rules.rules_key):
            if not await self._door.is_healthy():
                return False
            if lost := get_outage_duration(healthy_at, now):
                log.warning("Hub unavailable for %s; postponing announced deletions", lost)
                await self._update_in_pages(_list_announced_deletions, lambda old: postpone_expiry(old, lost))
            if rules_key != rules.rules_key:
                await self._update_in_pages(_list_instances_with_data, lambda old: apply_expiry_dates(old, rules, now))
            await write_transaction(
                self._context, lambda tx: tx.expiry.record_job_run(EXPIRY_JOB_NAME, now, rules.rules_key)
            )
        self._noted = now
        return True

    async def _update_in_pages(
        self, page: Callable[[str, Transaction], Sequence[tuple[str, Instance]]], to: Callable[[Instance], Instance]
    ) -> None:
        """Apply *to* to all instances of *page*, a page at a time, and yield to the event loop in between."""
        after = ""
        while found := await read_transaction(self._context, partial(page, after)):
            changed = [(old, new) for _, old in found if (new := to(old)) is not old]
            await asyncio.sleep(0)
            if changed:
                await write_transaction(self._context, partial(_store_expiry_dates, changed))
            after = found[-1][0]
            await asyncio.sleep(0)

    async def _process_due_instances(self, due: Sequence[Instance], now: datetime) -> None:
        steps: dict[ExpiryStep | None, list[Instance]] = {}
        for instance in due:
            known = self._door.has_user(instance.username)
            steps.setdefault(get_due_expiry_step(instance, now) if known else None, []).append(instance)
        for instance in steps.get(None, []):  # the owner is deleted and cannot be warned: admins find it in orphans
            await self._change_instance(instance, lambda old: mark_deletion_failed(old, now))
        await self._warn_owners(steps.get(ExpiryStep.WARN, []))
        for instance in steps.get(ExpiryStep.TRASH, []):
            await self._move_to_trash(instance, now)
        for instance in steps.get(ExpiryStep.DELETE, []):
            await self._delete_data(instance, now)

    async def _warn_owners(self, instances: Sequence[Instance]) -> None:
        """Send one notification to each owner. An undelivered warning does not count as a warning."""
        for username, group in groupby(sorted(instances, key=lambda i: i.username), key=lambda i: i.username):
            own_instances = list(group)
            delivered = await self._send_warning(username, own_instances)
            for instance in own_instances:
                now = self._context.now()
                await self._change_instance(
                    instance,
                    lambda old: (mark_owner_warned if delivered else mark_warning_undelivered)(old, now),  # noqa: B023
                )
                record_expiry_warning(told=delivered)

    async def _send_warning(self, username: str, instances: Sequence[Instance]) -> bool:
        if not self._context.notification_channels:
            return True  # the pages show it
        notification = await self._build_warning(username, instances)
        try:
            for channel in self._context.notification_channels:
                await channel.send(notification)
        except NotificationNotDeliveredError as problem:
            log.warning("Failed to warn %s of the deletion of data: %s", username, problem)
            return False
        return True

    async def _build_warning(self, username: str, instances: Sequence[Instance]) -> ExpiryNotification:
        sessions = await read_transaction(
            self._context, lambda tx: tx.sessions.get_many({each.session for each in instances})
        )
        trash = timedelta(days=self._context.policy.expiry.trash_days)
        warnings = []
        for each in instances:
            on = mark_owner_warned(each, self._context.now()).deleted_on
            assert on is not None
            session = sessions.get(each.session)
            warnings.append(
                ExpiryWarning(
                    id=f"{each.id}-{each.run}-{each.warned + 1}",
                    session=each.session,
                    title=session.title if session else each.session,
                    deleted_on=on,
                    trashed_until=on + trash,
                )
            )
        return ExpiryNotification(username=username, warnings=tuple(warnings), page=self._door.page)

    async def _move_to_trash(self, instance: Instance, now: datetime) -> None:
        rules = self._context.policy.expiry
        saved = await self._change_instance(instance, lambda old: mark_trashed(old, rules, now))
        if saved is not None and saved.trashed_until is not None:
            record_expiry_step("trashed")
            await self._record_event(saved, "put data in the trash", f"until {saved.trashed_until:%Y-%m-%d %H:%M} UTC")

    async def _delete_data(self, instance: Instance, now: datetime) -> None:
        marked = await self._change_instance(instance, lambda old: mark_data_expired(old, now))
        if marked is None or marked.desired is not DesiredState.DELETED:
            return
        try:
            await self._door.delete_data(marked.username, marked.session)
        except RenkuError as problem:
            log.warning("Failed to delete expired data of %s:%s: %s", marked.username, marked.session, problem)
            await self._change_instance(marked, lambda old: mark_deletion_failed(old, now))
            return
        record_expiry_step("deleted")
        await self._record_event(marked, "deleted expired data", f"announced for {marked.deleted_on:%Y-%m-%d}")

    async def _change_instance(self, instance: Instance, to: Callable[[Instance], Instance]) -> Instance | None:
        await asyncio.sleep(0)  # yield to the event loop
        return await apply_transition(self._context, instance.username, instance.session, to)

    async def _record_event(self, instance: Instance, action: str, detail: str) -> None:
        await record_audit_event(
            self._context,
            actor=EXPIRY_ACTOR,
            username=instance.username,
            action=action,
            subject=instance.session,
            detail=detail,
        )


def _list_announced_deletions(after: str, tx: Transaction) -> Sequence[tuple[str, Instance]]:
    return [(each.id, each) for each in tx.expiry.list_announced(after, _EXPIRY_PAGE_SIZE)]


def _list_instances_with_data(after: str, tx: Transaction) -> Sequence[tuple[str, Instance]]:
    return [(each.claim or "", each) for each in tx.expiry.list_with_data(after, _EXPIRY_PAGE_SIZE)]


def _store_expiry_dates(changed: Sequence[tuple[Instance, Instance]], tx: Transaction) -> None:
    tx.expiry.update_dates(changed)
