"""What pages say of data that are kept: how much, what that costs, and when they go."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from ..domain import expiry, letter, quantity
from ..domain.instance import Desired, Instance, Status
from ..domain.price import Price
from . import words

_FRESH = timedelta(hours=1)  # the extension counts every half hour
NOTHING: dict[str, Any] = {"kept": None, "kept_soon": False, "trashed": False, "restore_url": None}


def of(instance: Instance, now: datetime, restore_url: str, *, disk: str | None = None) -> dict[str, Any]:
    """Of one that is paused or has failed; *disk* is the size that its session asks for, where that is known."""
    if instance.status not in (Status.PAUSED, Status.FAILED) or instance.claim is None:
        return NOTHING
    said = [each for each in (used(instance, now, disk), goes(instance, now)) if each]
    trashed = instance.trashed_until is not None
    return {
        "kept": ", ".join(said) or None,
        "kept_soon": trashed or expiry.soon(instance, now),
        "trashed": trashed,
        "restore_url": restore_url if trashed else None,
    }


def used(instance: Instance, now: datetime, disk: str | None = None) -> str | None:
    """`2.3 of 10 GiB used`, as the session itself has last said; *counted 3 days ago* where that is long ago."""
    if instance.disk_used is None:
        return None
    size = quantity.size_of(instance.disk_used)
    whole = quantity.size(disk) if disk else ""
    number, _, unit = size.partition(" ")
    said = f"{number if whole.endswith(f' {unit}') else size} of {whole} used" if whole else f"{size} used"
    at = instance.disk_used_at
    return said if at is None or now - at < _FRESH else f"{said} (counted {words.ago(at, now)})"


def goes(instance: Instance, now: datetime) -> str | None:
    """`deleted on 20 January 2027 unless resumed`, `deleted in 3 days`, `in the trash until …`, `being deleted`."""
    if instance.desired is Desired.DELETED:
        return "being deleted"
    if instance.trashed_until is not None:
        return f"in the trash until {letter.date(instance.trashed_until)}, then deleted for good"
    if instance.deleted_on is None:
        return None
    if expiry.soon(instance, now):
        return f"deleted {_within(instance.deleted_on - now)} unless resumed"
    return f"deleted on {letter.date(instance.deleted_on)} unless resumed"


def _within(left: timedelta) -> str:
    hours = max(0, round(left.total_seconds() / 3600))
    if hours >= 48:
        return f"in {round(hours / 24)} days"
    return f"in {hours} h" if hours else "within the hour"


def cost(instance: Instance, price: Price | None) -> str | None:
    """`0.18 CHF a month`, where there is both a price and a size."""
    if price is None or instance.disk_used is None or instance.claim is None:
        return None
    return price.of(instance.disk_used)
