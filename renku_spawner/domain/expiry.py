"""When data of paused sessions go: never without two warnings, and only ever later than was announced.

Each function takes an instance and returns the next one, as those of `instance` do. A pause begins the
clock; whoever starts the session, or brings its data back, stops it. What an instance keeps of this:

- `kept_from`: when the clock began, `deleted_on`: the date that its owner is told;
- `warned`: how many of the two warnings were given;
- `trashed_until`: its data are in the trash, and are deleted then;
- `look_at`: when the next of these steps is due. An index finds it, so that nobody looks at the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from .instance import EXPIRED, Desired, Instance, Observed

WARNINGS = (timedelta(days=3), timedelta(days=1))  # so long before
LEAST_DAYS = 4  # a setting below would warn before anybody has gone
RETRY = timedelta(hours=1)  # after a warning that did not reach its owner, or a deletion that failed
TOLERANCE = timedelta(minutes=30)  # what a step may be late, and people away from the hub, before dates move


class Step(StrEnum):
    WARN = "warn"
    TRASH = "trash"
    DELETE = "delete"


@dataclass(frozen=True, kw_only=True)
class Expiry:
    """An admin's rules. `days` is None where paused data are kept for ever; `of_class` has
    the classes with days of their own, 0 for ever."""

    days: int | None = None
    trash_days: int = 7
    of_class: Mapping[str, int] = field(default_factory=dict)

    def kept(self, resource_class: str | None) -> timedelta | None:
        """How long the data of a paused session of that class are kept; None for ever."""
        days = self.of_class.get(resource_class or "", self.days)
        return timedelta(days=days) if days else None

    @property
    def on(self) -> bool:
        return bool(self.days) or any(self.of_class.values())

    @property
    def words(self) -> str:
        """What tells these rules from others that were in force before."""
        return f"{self.days} {self.trash_days} {sorted(self.of_class.items())}"


def rests(instance: Instance) -> bool:
    """Whether it is known not to run, and has data (S8: what is unknown does not expire)."""
    return instance.desired is Desired.STOPPED and instance.observed is Observed.ABSENT and instance.claim is not None


def dated(instance: Instance, rules: Expiry, now: datetime) -> Instance:
    """With its dates, after a step of its life or under other rules.

    The clock begins now if it did not run: what was paused long before expiry was switched on is
    kept as long from now as what is paused today.
    """
    kept = rules.kept(instance.resource_class)
    if instance.desired is Desired.DELETED:
        return instance
    if kept is None or not rests(instance):
        return undated(instance)
    since = instance.kept_from or now
    on = max(since + kept, instance.deleted_on or since)
    if instance.trashed_until is not None or on == instance.deleted_on:
        return instance
    return replace(instance, kept_from=since, deleted_on=on, warned=0, look_at=on - WARNINGS[0])


def undated(instance: Instance) -> Instance:
    """Nothing of it expires: it runs, its data are kept for ever, or are gone."""
    if instance.look_at is None and instance.kept_from is None:
        return instance
    return replace(instance, kept_from=None, deleted_on=None, warned=0, trashed_until=None, look_at=None)


def due(instance: Instance, now: datetime) -> Step | None:
    """The step that is to be taken now."""
    if instance.look_at is None or instance.look_at > now or instance.deleted_on is None:
        return None
    if instance.desired is Desired.DELETED or _over(instance.trashed_until, now):
        return Step.DELETE
    if not rests(instance) or instance.trashed_until is not None:
        return None
    if instance.warned < len(WARNINGS):
        return Step.WARN
    return Step.TRASH if instance.deleted_on <= now else None


def _over(end: datetime | None, now: datetime) -> bool:
    return end is not None and end <= now


def warned(instance: Instance, now: datetime) -> Instance:
    """Its owner was told; from then on the whole time until the date is left."""
    if due(instance, now) is not Step.WARN:
        return instance
    on = _at_least(instance, now)
    given = instance.warned + 1
    following = on - WARNINGS[given] if given < len(WARNINGS) else on
    return replace(instance, warned=given, deleted_on=on, look_at=following)


def unheard(instance: Instance, now: datetime) -> Instance:
    """Its owner could not be told: tried again later, and the date moves with it."""
    if due(instance, now) is not Step.WARN:
        return instance
    return replace(instance, deleted_on=_at_least(instance, now + RETRY), look_at=now + RETRY)


def _at_least(instance: Instance, now: datetime) -> datetime:
    """Its date; a later one if what is left of the time would be less than was promised."""
    assert instance.deleted_on is not None
    least = now + WARNINGS[instance.warned]
    return least if least - instance.deleted_on > TOLERANCE else instance.deleted_on


def trashed(instance: Instance, rules: Expiry, now: datetime) -> Instance:
    """Announced twice, and the day has come."""
    if due(instance, now) is not Step.TRASH:
        return instance
    until = now + timedelta(days=rules.trash_days)
    return replace(instance, trashed_until=until, look_at=until)


def brought_back(instance: Instance, rules: Expiry, now: datetime) -> Instance:
    """Out of the trash: paused as before, and the clock begins anew."""
    return instance if instance.trashed_until is None else dated(undated(instance), rules, now)


def condemned(instance: Instance, now: datetime) -> Instance:
    """Its time in the trash is over: the data shall go, as after a confirmed delete."""
    if due(instance, now) is not Step.DELETE or not rests(instance):
        return instance
    return replace(instance, desired=Desired.DELETED, ended_reason=EXPIRED)


def spared(instance: Instance, now: datetime) -> Instance:
    """Its data could not be deleted; tried again later."""
    return instance if instance.look_at is None else replace(instance, look_at=now + RETRY)


def lost(well: datetime | None, now: datetime) -> timedelta:
    """The time in which nobody could read a warning or act on it, since all was *well*; none if that was just now."""
    gap = now - well if well is not None else timedelta()
    return gap if gap > TOLERANCE else timedelta()


def later(instance: Instance, by: timedelta) -> Instance:
    """What was announced moves by time that was lost."""
    if instance.deleted_on is None or instance.look_at is None:
        return instance
    until = instance.trashed_until
    return replace(
        instance, deleted_on=instance.deleted_on + by, look_at=instance.look_at + by,
        trashed_until=until + by if until else None,
    )  # fmt: skip


def soon(instance: Instance, now: datetime) -> bool:
    """Whether its owner is to be warned on every page that shows it."""
    return (
        instance.trashed_until is None
        and instance.deleted_on is not None
        and (instance.deleted_on - now <= WARNINGS[0])
    )
