"""What the operator's pages show of starts, of why they failed, and of what is on record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta

from ..domain.audit import Event
from ..domain.instance import STAGES
from ..domain.operating import EnvironmentStarts, FailureCount, Spread
from ..domain.reasons import REASONS
from ..domain.reasons import words as reason_words
from ..services.operating import DAYS
from ..store.operating import SAMPLES
from . import words
from .views_frame import Frame, View


def failures(found: Sequence[FailureCount], frame: Frame) -> View:
    """Reasons by their number, each with what there was on each day, today first."""
    days = [frame.now.date() - timedelta(days=n) for n in range(DAYS + 1)]
    counts = {(each.reason, each.day): each.count for each in found}
    totals = Counter[str]()
    for each in found:
        totals[each.reason] += each.count
    return {
        "days": [{"text": f"{day.day} {day:%b}", "at": day.isoformat()} for day in days],
        "rows": [
            _reason(code, total, [counts.get((code, day), 0) for day in days], frame)
            for code, total in totals.most_common()
        ],
        "total": totals.total(),
        "kept": DAYS,
    }


def _reason(code: str, total: int, counts: Sequence[int], frame: Frame) -> View:
    reason = REASONS.get(code)
    return {
        "code": code or "none",
        "text": reason_words(code)[0].replace("….", "…") if reason else "",
        "group": str(reason.group) if reason else "",
        "total": total,
        "counts": list(counts),
        "url": frame.urls.admin(status="failed", reason=code) if code else None,
    }


def starts(found: Sequence[EnvironmentStarts], following: str | None, frame: Frame) -> View:
    return {
        "stages": list(STAGES.values()),
        "rows": [_starts(each) for each in found],
        "samples": SAMPLES,
        "next": frame.urls.admin("launches", after=following) if following else None,
    }


def _starts(each: EnvironmentStarts) -> View:
    return {
        "id": each.environment,
        "name": each.name,
        "kind": each.kind,
        "starts": each.starts,
        "failed": each.failed,
        "whole": _spread(each.whole),
        "stages": [_spread(each.stages.get(stage.value)) for stage in STAGES],
    }


def _spread(found: Spread | None) -> Mapping[str, str] | None:
    return {"median": _seconds(found.median), "p95": _seconds(found.p95)} if found else None


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else words.lasting(seconds)


def audit(events: Sequence[Event], actor: str, action: str, following: str | None, frame: Frame) -> View:
    urls = frame.urls
    return {
        "rows": [
            {
                "when": f"{each.at:%Y-%m-%d %H:%M:%S}",
                "at": words.iso(each.at),
                "actor": each.actor,
                "action": each.action,
                "owner": each.username,
                "subject": each.subject,
                "detail": ", ".join(f"{value}" for value in each.detail.values()),
            }
            for each in events
        ],
        "asked": {"actor": actor, "action": action},
        "action": urls.admin("audit"),
        "next": urls.admin("audit", actor=actor, action=action, after=following) if following else None,
    }
