"""Decide when the data of paused sessions is deleted: after two warnings, and never earlier than announced.

Each function takes an instance and returns the next one, like those of `domain.instances`. A pause starts the
clock; starting the session, or restoring its data, stops it. The fields of an instance that belong here:

- `kept_from`: when the clock started, `deleted_on`: the date that its owner is told;
- `warned`: how many of the two warnings were given;
- `trashed_until`: its data is in the trash, and is deleted then;
- `look_at`: when the next of these steps is due; it is indexed, so that a job reads only due instances.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from .instances import EXPIRED_DATA_REASON, DesiredState, Instance, ObservedState

EXPIRY_WARNING_LEAD_TIMES = (timedelta(days=3), timedelta(days=1))  # before the deletion
MIN_EXPIRY_DAYS = 4  # with fewer days the first warning would come with the pause itself
EXPIRY_RETRY_DELAY = timedelta(hours=1)  # after a warning that did not reach its owner, or a deletion that failed
EXPIRY_TOLERANCE = timedelta(minutes=30)  # how late a step may be, or how long an outage, before dates move


class ExpiryStep(StrEnum):
    WARN = "warn"
    TRASH = "trash"
    DELETE = "delete"


@dataclass(frozen=True, kw_only=True)
class ExpiryRules:
    """The admin's rules.

    `days` is None where paused data is kept for ever; `of_class` has the resource classes with days of their
    own, 0 for ever.
    """

    days: int | None = None
    trash_days: int = 7
    of_class: Mapping[str, int] = field(default_factory=dict)

    def get_retention_period(self, resource_class: str | None) -> timedelta | None:
        """Return how long the data of a paused session of that class is kept; None for ever."""
        days = self.of_class.get(resource_class or "", self.days)
        return timedelta(days=days) if days else None

    @property
    def is_enabled(self) -> bool:
        return bool(self.days) or any(self.of_class.values())

    @property
    def rules_key(self) -> str:
        """A text that differs from that of all other rules, to detect changed settings."""
        return f"{self.days} {self.trash_days} {sorted(self.of_class.items())}"


def is_paused_with_data(instance: Instance) -> bool:
    """Return whether the instance is known not to run, and has data; an unknown status never expires."""
    return (
        instance.desired is DesiredState.STOPPED
        and instance.observed is ObservedState.ABSENT
        and instance.claim is not None
    )


def apply_expiry_dates(instance: Instance, rules: ExpiryRules, now: datetime) -> Instance:
    """Return the instance with its dates, after a state transition or under other rules.

    If the clock did not run, it starts now: data that was paused long before expiry was enabled is kept as
    long from now as data that is paused today.
    """
    kept = rules.get_retention_period(instance.resource_class)
    if instance.desired is DesiredState.DELETED:
        return instance
    if kept is None or not is_paused_with_data(instance):
        return clear_expiry_dates(instance)
    since = instance.kept_from or now
    on = max(since + kept, instance.deleted_on or since)
    if instance.trashed_until is not None or on == instance.deleted_on:
        return instance
    return replace(instance, kept_from=since, deleted_on=on, warned=0, look_at=on - EXPIRY_WARNING_LEAD_TIMES[0])


def clear_expiry_dates(instance: Instance) -> Instance:
    """Return the instance without expiry dates: it runs, its data is kept for ever, or it has none."""
    if instance.look_at is None and instance.kept_from is None:
        return instance
    return replace(instance, kept_from=None, deleted_on=None, warned=0, trashed_until=None, look_at=None)


def get_due_expiry_step(instance: Instance, now: datetime) -> ExpiryStep | None:
    """Return the step that is due now."""
    if instance.look_at is None or instance.look_at > now or instance.deleted_on is None:
        return None
    if instance.desired is DesiredState.DELETED or _has_passed(instance.trashed_until, now):
        return ExpiryStep.DELETE
    if not is_paused_with_data(instance) or instance.trashed_until is not None:
        return None
    if instance.warned < len(EXPIRY_WARNING_LEAD_TIMES):
        return ExpiryStep.WARN
    return ExpiryStep.TRASH if instance.deleted_on <= now else None


def _has_passed(end: datetime | None, now: datetime) -> bool:
    return end is not None and end <= now


def mark_owner_warned(instance: Instance, now: datetime) -> Instance:
    """Record that its owner was warned; the full announced time begins with the warning."""
    if get_due_expiry_step(instance, now) is not ExpiryStep.WARN:
        return instance
    on = _get_promised_deletion_date(instance, now)
    given = instance.warned + 1
    following = on - EXPIRY_WARNING_LEAD_TIMES[given] if given < len(EXPIRY_WARNING_LEAD_TIMES) else on
    return replace(instance, warned=given, deleted_on=on, look_at=following)


def mark_warning_undelivered(instance: Instance, now: datetime) -> Instance:
    """Record that the warning did not reach its owner: retry later, and move the date with it."""
    if get_due_expiry_step(instance, now) is not ExpiryStep.WARN:
        return instance
    return replace(
        instance,
        deleted_on=_get_promised_deletion_date(instance, now + EXPIRY_RETRY_DELAY),
        look_at=now + EXPIRY_RETRY_DELAY,
    )


def _get_promised_deletion_date(instance: Instance, now: datetime) -> datetime:
    """Return its deletion date, or a later one if the remaining time would be less than promised."""
    assert instance.deleted_on is not None
    least = now + EXPIRY_WARNING_LEAD_TIMES[instance.warned]
    return least if least - instance.deleted_on > EXPIRY_TOLERANCE else instance.deleted_on


def mark_trashed(instance: Instance, rules: ExpiryRules, now: datetime) -> Instance:
    """Move its data to the trash, after two warnings and on the announced day."""
    if get_due_expiry_step(instance, now) is not ExpiryStep.TRASH:
        return instance
    until = now + timedelta(days=rules.trash_days)
    return replace(instance, trashed_until=until, look_at=until)


def mark_restored(instance: Instance, rules: ExpiryRules, now: datetime) -> Instance:
    """Take its data out of the trash: paused as before, and the clock starts again."""
    return instance if instance.trashed_until is None else apply_expiry_dates(clear_expiry_dates(instance), rules, now)


def mark_data_expired(instance: Instance, now: datetime) -> Instance:
    """Request the deletion of its data when its time in the trash is over, as after a confirmed delete."""
    if get_due_expiry_step(instance, now) is not ExpiryStep.DELETE or not is_paused_with_data(instance):
        return instance
    return replace(instance, desired=DesiredState.DELETED, ended_reason=EXPIRED_DATA_REASON)


def mark_deletion_failed(instance: Instance, now: datetime) -> Instance:
    """Record that its data could not be deleted; the deletion is retried later."""
    return instance if instance.look_at is None else replace(instance, look_at=now + EXPIRY_RETRY_DELAY)


def get_outage_duration(well: datetime | None, now: datetime) -> timedelta:
    """Return the time since the hub was last known to be *well*, in which owners could not read or act on a warning.

    Zero if it is within `EXPIRY_TOLERANCE`.
    """
    gap = now - well if well is not None else timedelta()
    return gap if gap > EXPIRY_TOLERANCE else timedelta()


def postpone_expiry(instance: Instance, by: timedelta) -> Instance:
    """Move all announced dates *by* the time of an outage."""
    if instance.deleted_on is None or instance.look_at is None:
        return instance
    until = instance.trashed_until
    return replace(
        instance, deleted_on=instance.deleted_on + by, look_at=instance.look_at + by,
        trashed_until=until + by if until else None,
    )  # fmt: skip


def is_deletion_near(instance: Instance, now: datetime) -> bool:
    """Return whether every page that shows the instance warns its owner."""

    return (
        instance.trashed_until is None
        and instance.deleted_on is not None
        and (instance.deleted_on - now <= EXPIRY_WARNING_LEAD_TIMES[0])
    )
