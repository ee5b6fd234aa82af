"""What is wrong with a pod, and when that is final."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..domain import reasons

AT_ONCE = 0.0
SIGHTINGS_APART = 3.0  # decision 28
HEALS_OFTEN = 600.0  # an autoscaler or a slow disk gets this long
THIRD = 3


@dataclass(frozen=True, kw_only=True)
class Notice:
    """Something to tell that changes no status; `values` fill the words of `code`."""

    code: str
    values: Mapping[str, object] = field(default_factory=dict)

    def told(self) -> dict[str, str]:
        """In words, as it is stored and shown."""
        title, text = reasons.words(self.code, **self.values)
        return {"code": self.code, "title": title, "text": text}


@dataclass(frozen=True, kw_only=True)
class Failure(Notice):
    """Something wrong. It is final once it has lasted `after` seconds; None never by lasting, only by
    what is seen next. Until then it is told as what the start waits for."""

    after: float | None = AT_ONCE


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A failure, since when (any monotonic clock, seconds), and whether it is final."""

    failure: Failure | None = None
    since: float = 0.0
    final: bool = False


def judge(failure: Failure | None, before: Verdict, now: float) -> Verdict:
    """The verdict now: a failure of another code begins anew, one that has gone is forgotten."""
    if failure is None:
        return Verdict(since=now)
    same = before.failure is not None and before.failure.code == failure.code
    since = before.since if same else now
    return Verdict(failure=failure, since=since, final=failure.after is not None and now - since >= failure.after)
