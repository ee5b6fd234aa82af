"""Whether all that tells of the use of sessions reaches this hub, and since when without a gap."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ..domain.idle import Heard


@dataclass
class Source:
    """Something that tells of everybody's use: it must be heard every *patience* at least."""

    patience: timedelta
    heard_at: datetime | None = None
    tells: bool = False

    def silent(self, now: datetime) -> bool:
        return self.heard_at is None or now - self.heard_at > self.patience


@dataclass
class Hearing:
    """Missing information is no idleness: after each gap everybody is warned anew before anything is paused."""

    since: datetime | None = None
    sources: dict[str, Source] = field(default_factory=dict)
    rounded: datetime | None = None  # the last round that came out well

    def expect(self, source: str, patience: timedelta) -> None:
        """Pause nothing while *source* is silent."""
        self.sources.setdefault(source, Source(patience)).patience = patience

    def hear(self, source: str, now: datetime, *, tells: bool = True) -> None:
        """It answers; *tells*: it says when sessions were used."""
        known = self.sources[source]
        if known.silent(now):
            self.since = now
        known.heard_at, known.tells = now, tells

    def begin_round(self, now: datetime, most: timedelta) -> bool:
        """A round begins, at most *most* after the last one; False if there was a gap: the hub was away, its database
        was, or the clock was put forward or back."""
        gap = self.rounded is None or not self.rounded <= now <= self.rounded + most
        if gap:
            self.since = now
        return not gap

    def end_round(self, now: datetime) -> None:
        self.rounded = now

    def heard(self, now: datetime) -> Heard:
        known = self.sources.items()
        if any(source.silent(now) for _, source in known):
            return Heard()
        return Heard(since=self.since, signals=tuple(name for name, source in known if source.tells))
