"""What pages say of sessions that pause by themselves."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from ..domain import spans
from ..domain.idle import Outlook
from ..domain.instance import Instance, Status
from ..domain.policy import Policy
from ..domain.reasons import REASONS
from ..services.instances import MyInstance
from . import words
from .urls import Urls

_HOUR = 3600
_CHOICES = (_HOUR, 4 * _HOUR, 12 * _HOUR, 24 * _HOUR, 72 * _HOUR, 168 * _HOUR)  # seconds


def running(instance: Instance, outlook: Outlook | None, urls: Urls, now: datetime) -> dict[str, Any]:
    """That it pauses soon, and where that can be put off."""
    because = words.because(instance, outlook, now)
    awake = urls.instance(instance.session, "keep-awake") if outlook and outlook.can_be_put_off else None
    if outlook is None or because is None:
        return {"awake_url": awake}
    left = spans.words(max(outlook.at - now, timedelta(minutes=1)))
    return {"awake_url": awake, "pauses": f"Pauses in {left} because {because}."}


def ended(instance: Instance) -> str | None:
    """Why it was paused, as it was said then."""
    if instance.message:
        return f"{instance.message} {instance.advice or ''}".strip()
    reason = REASONS.get(instance.ended_reason or "")
    return f"{reason.text} {reason.advice}".strip() if reason and "{" not in reason.text else None


def keep_awake(found: MyInstance, outlook: Outlook | None, policy: Policy, now: datetime) -> dict[str, Any]:
    """The page on which one says for how long."""
    instance, most = found.instance, policy.idle.awake_max
    until = instance.awake_until if instance.awake_until and instance.awake_until > now else None
    return {
        "title": found.title,
        "runs": instance.status is Status.RUNNING,
        "pauses_at": words.iso(outlook.at) if outlook else None,
        "because": words.because(instance, outlook, now),
        "awake_at": words.iso(until),
        "choices": choices(most),
        "most": spans.words(timedelta(seconds=most)),
    }


def choices(most: int) -> list[dict[str, Any]]:
    """For how long one may keep it awake, at most *most* seconds."""
    fitting = [seconds for seconds in _CHOICES if seconds <= most] or ([most] if most else [])
    return [{"value": seconds, "text": spans.words(timedelta(seconds=seconds))} for seconds in fitting]
