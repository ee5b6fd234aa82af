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
    what is seen next. Until then it is told as what the start waits for: for its first `quiet` seconds
    in the words of `progress`, since it heals by itself."""

    after: float | None = AT_ONCE
    progress: str = ""
    quiet: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A failure, since when (any monotonic clock, seconds), how long it has lasted, and whether it is final."""

    failure: Failure | None = None
    since: float = 0.0
    lasted: float = 0.0
    final: bool = False

    @property
    def notice(self) -> Notice | None:
        """What to tell of it as long as it is not final."""
        if self.failure is None or not self.failure.progress or self.lasted >= self.failure.quiet:
            return self.failure
        return Notice(code=self.failure.progress, values=self.failure.values)


def judge(failure: Failure | None, before: Verdict, now: float) -> Verdict:
    """The verdict now: a failure of another code begins anew, one that has gone is forgotten."""
    if failure is None:
        return Verdict(since=now)
    same = before.failure is not None and before.failure.code == failure.code
    since = before.since if same else now
    lasted = now - since
    final = failure.after is not None and lasted >= failure.after
    return Verdict(failure=failure, since=since, lasted=lasted, final=final)
