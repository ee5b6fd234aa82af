"""What *My sessions* shows: everything of one's own, and what came of pausing some of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from ..domain import letter, quantity
from ..domain.instance import Status
from ..domain.mine import Sort, Summary
from ..domain.policy import Policy
from ..domain.reasons import REASONS
from ..services.instances import MyInstance
from . import views_kept, views_session, words
from .urls import query
from .views import Frame, View, refresh

_SORTS = {
    Sort.STARTED: "last start",
    Sort.USED: "last use",
    Sort.NAME: "title",
    Sort.SIZE: "size",
    Sort.EXPIRY: "deletion",
}
_PAUSABLE = (Status.RUNNING, Status.LAUNCHING, Status.UNKNOWN)
_ID = re.compile("[a-z][a-z2-7]{11}")


def page(
    found: Sequence[MyInstance], sort: Sort, whole: Summary, policy: Policy, following: str | None, after: str | None,
    frame: Frame,
) -> View:  # fmt: skip
    """Everything of renku_sessions.html but what was just done."""
    rows = [_row(each, policy, frame) for each in found]
    said = None if sort is Sort.STARTED else str(sort)
    return {
        "rows": rows,
        "summary": summary(whole, policy) if rows else None,
        "pause_action": frame.urls.mine + "/pause" if whole.active else None,
        "sorts": [
            {
                "text": text,
                "url": query(frame.urls.mine, sort=None if each is Sort.STARTED else each),
                "current": each is sort,
            }
            for each, text in _SORTS.items()
        ],
        "refresh": refresh(row["status"] for row in rows),
        "next": query(frame.urls.mine, sort=said, after=following) if following else None,
        "back": query("sessions", sort=said, after=after),
        "gitlab": frame.gitlab,
    }


def _row(found: MyInstance, policy: Policy, frame: Frame) -> View:
    instance = found.instance
    disk = found.session.configuration.needs.disk if found.session else None
    restore = frame.urls.instance(instance.session, "restore")
    kept = views_kept.of(instance, frame.now, restore, disk=disk)
    return (
        views_session.mine(found, frame)
        | kept
        | {
            "cost": views_kept.cost(instance, policy.price),
            "pausable": instance.status in _PAUSABLE,
        }
    )


def summary(whole: Summary, policy: Policy) -> str:
    """`2 of your 3 sessions run, and you keep data in 6 of 20, 21.4 GiB.`"""
    runs = (
        f"{whole.active} of your {policy.running_per_user} sessions run"
        if policy.running_per_user
        else (f"{words.counted(whole.active, 'session')} {'runs' if whole.active == 1 else 'run'}")
    )
    limit = f" of {policy.kept_per_user}" if policy.kept_per_user else ""
    trash = f" ({whole.trashed} of them in the trash)" if whole.trashed else ""
    return f"{runs}, and you keep data in {whole.kept}{limit}{trash}{_size(whole, policy)}."


def _size(whole: Summary, policy: Policy) -> str:
    """Nothing where no session has said how much it is (decision 19)."""
    if whole.unmeasured >= whole.kept:
        return ""
    least = "at least " if whole.unmeasured else ""
    price = policy.price
    cost = f", {least}{price.of(whole.disk_used)}" if price else ""
    return f", {least}{quantity.size_of(whole.disk_used)}{cost}"


def going(found: tuple[int, datetime | None], frame: Frame) -> View | None:
    """`Your data in 2 sessions will be deleted, the first on 20 January 2027.`"""
    count, first = found
    if first is None:
        return None
    which = words.counted(count, "session")
    text = f"Your data in {which} will be deleted{', the first' if count > 1 else ''} on {letter.date(first)}"
    return {
        "text": f"{text}, unless you resume {'them' if count > 1 else 'it'}.",
        "url": query(frame.urls.mine, sort=Sort.EXPIRY),
    }


# ---- what came of pausing several ------------------------------------------------------------------


def outcome(done: Mapping[str, str]) -> dict[str, str]:
    """For an address: which were paused, and which not for what reason (empty if they were)."""
    return {
        "paused": ".".join(id for id, code in done.items() if not code),
        "unpaused": ".".join(f"{id}-{code}" for id, code in done.items() if code),
    }


def asked(paused: str, unpaused: str) -> dict[str, str]:
    """The same from an address; whatever else stands there is nothing."""
    failed = {id: code for id, _, code in (each.partition("-") for each in unpaused.split(".")) if _ID.fullmatch(id)}
    return dict.fromkeys((id for id in paused.split(".") if _ID.fullmatch(id)), "") | failed


def told(done: Mapping[str, str], titles: Mapping[str, str]) -> list[View]:
    """A sentence for each, those that failed first."""
    known = [(titles[id], code) for id, code in done.items() if id in titles]
    return [{"failed": bool(code), "text": _sentence(title, code)} for title, code in _failed_first(known)]


def _failed_first(known: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return sorted(known, key=lambda each: not each[1])


def _sentence(title: str, code: str) -> str:
    if not code:
        return f"{title}: pausing, its data are kept."
    reason = REASONS.get(code)
    why = reason.text if reason and "{" not in reason.text else "try again in a moment."
    return f"{title}: could not be paused: {why}"
