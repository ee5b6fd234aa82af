"""When a session of an environment that is not offered any more may still be started."""

from __future__ import annotations

from datetime import datetime, timedelta

from .environment import Environment, State
from .instance import Instance
from .reasons import sentence


def resumes_until(environment: Environment, days: int) -> datetime | None:
    """Until when those who have data in its sessions can resume them; None while it is offered.

    It is archived *days* before that; one of which nobody has noted when counts as just archived.
    """
    if environment.state is not State.ARCHIVED or environment.archived_at is None:
        return None
    return environment.archived_at + timedelta(days=days)


def refusal(environment: Environment, mine: Instance | None, now: datetime, days: int) -> tuple[str, str] | None:
    """Code and sentence of why *mine*, one's own instance of a session of it, does not start; None if it does.

    What is archived starts nothing new: who has data in it may resume for some days, and what runs goes on.
    """
    if environment.state is State.DRAFT:
        return _told("env_draft", environment)
    if environment.state is not State.ARCHIVED or (mine is not None and mine.active):
        return None
    if mine is None or mine.claim is None:
        return _told("env_archived", environment)
    until = resumes_until(environment, days)
    if until is None or now < until:
        return None
    return _told("env_expired", environment, since=_day(environment.archived_at), until=_day(until))


def _told(code: str, environment: Environment, **values: object) -> tuple[str, str]:
    return code, sentence(code, environment=environment.name, **values)


def _day(moment: datetime | None) -> str:
    return f"{moment.day} {moment:%B %Y}" if moment else "…"


def refused(environment: Environment, mine: Instance | None, now: datetime, days: int) -> str | None:
    """The sentence of `refusal` alone."""
    found = refusal(environment, mine, now, days)
    return found[1] if found else None
