"""One's own instances as answers of the API."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ..domain import told
from ..domain.idle import Outlook
from ..domain.instance import Instance, Status
from ..domain.price import Price
from ..domain.reasons import REASONS
from ..services.line import Line
from . import words
from .answer_models_instance import InstanceAnswer, NoticeAnswer, ProgressAnswer
from .urls import Urls

_SAME = (
    "resource_class", "last_activity", "last_seen", "paused_at", "deleted_on",
    "trashed_until", "disk_used", "disk_used_at",
)  # fmt: skip


def instance(
    found: Instance | None,
    usual: float | None,
    *,
    urls: Urls,
    now: datetime,
    line: Line,
    outlook: Outlook | None,
    price: Price | None = None,
) -> InstanceAnswer:
    if found is None:
        return InstanceAnswer(status=str(Status.INACTIVE))
    elapsed = found.elapsed(now) if found.active else None
    launching = found.status is Status.LAUNCHING
    comes_up = launching and found.turn is None
    opens = found.status is Status.RUNNING or (found.status is Status.UNKNOWN and found.ready_at is not None)
    return InstanceAnswer(
        status=str(found.status),
        stage=str(found.observed) if launching else None,
        stage_text=line.stage(found),
        queue_position=line.place(found.username, found.session),
        progress=words.progress(elapsed, usual) if comes_up else None,
        elapsed=elapsed,
        usual=usual if comes_up else None,
        url=urls.open(found.session) if opens else None,
        notices=[
            NoticeAnswer(code=n["code"], title=n["title"], text=n["text"])
            for n in (*found.notices, *told.of_expiry(found, now))
        ],
        started_at=found.requested_at,
        **_ending(found),
        **_cost(found, price),
        without_storages=list(found.without_storages) if found.active else [],
        failed_storages=list(found.failed_storages),
        awake_until=found.awake_until if found.awake_until and found.awake_until > now else None,
        pauses_at=outlook.at if outlook else None,
        pauses_because=words.because(found, outlook, now),
        **{name: getattr(found, name) for name in _SAME},
    )


def _ending(found: Instance) -> dict[str, Any]:
    """Why it failed, or who or what paused it, in the words of its page."""
    paused = found.status is Status.PAUSED and found.reason is None
    known = REASONS.get(found.ended_reason or "") if paused else None
    usual = known if known is not None and not found.message and "{" not in known.text else None
    return {
        "reason": known.code if known else found.reason,
        "message": usual.text if usual else found.message,
        "advice": usual.advice or None if usual else found.advice,
    }


def _cost(found: Instance, price: Price | None) -> dict[str, Any]:
    """Nothing without a price, or without a size that the session has reported (decision 19)."""
    if price is None or found.disk_used is None or found.claim is None:
        return {}
    return {"cost_per_month": price.amount(found.disk_used), "currency": price.currency}


def progress(
    found: Instance, usual: float | None, now: datetime, line: Line, outlook: Outlook | None
) -> ProgressAnswer:
    """The data of one event."""
    elapsed = found.elapsed(now) if found.active else None
    launching = found.status is Status.LAUNCHING
    comes_up = launching and found.turn is None
    return ProgressAnswer(
        session=found.session,
        status=str(found.status),
        stage=str(found.observed) if launching else None,
        stage_text=line.stage(found),
        queue_position=line.place(found.username, found.session),
        progress=words.progress(elapsed, usual) if comes_up else None,
        elapsed=elapsed,
        usual=usual if comes_up else None,
        pauses_at=outlook.at if outlook else None,
        pauses_because=words.because(found, outlook, now),
    )
