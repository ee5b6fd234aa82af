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
class Processors:
    """What was last heard of the processors that sessions use: nobody has to tell, and nothing waits for it.

    *busy* are those, by user and session, that counted as used.
    """

    asked_at: datetime | None = None
    silent: bool = False
    tells: bool = False
    busy: frozenset[tuple[str, str]] = frozenset()

    def is_time(self, now: datetime, every: timedelta) -> bool:
        """Whether *every* has passed since, or the clock was put back."""
        return self.asked_at is None or not self.asked_at <= now < self.asked_at + every


@dataclass
class Hearing:
    """Missing information is no idleness: after each gap everybody is warned anew before anything is paused."""

    since: datetime | None = None
    sources: dict[str, Source] = field(default_factory=dict)
    rounded: datetime | None = None  # the last round that came out well
    processors: Processors = field(default_factory=Processors)

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
        signals = [name for name, source in known if source.tells]
        return Heard(since=self.since, signals=(*signals, *(["processor"] if self.processors.tells else [])))
