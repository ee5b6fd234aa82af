"""Track which sources report user activity, and since when their reports are complete.

The idle rules themselves are in `domain.idle`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ..domain.idle import ActivitySourceStatus


@dataclass
class ActivitySource:
    """A source of activity signals, which must report at least every *patience*.

    `tells` is true if its reports say when sessions were used.
    """

    patience: timedelta
    heard_at: datetime | None = None
    tells: bool = False

    def is_silent(self, now: datetime) -> bool:
        return self.heard_at is None or now - self.heard_at > self.patience


@dataclass
class CPUActivity:
    """The last answer about the CPU use of sessions. Idle pausing never waits for it.

    `busy` holds the (user, session) pairs whose CPU use counted as activity.
    """

    asked_at: datetime | None = None
    silent: bool = False
    tells: bool = False
    busy: frozenset[tuple[str, str]] = frozenset()

    def is_query_due(self, now: datetime, every: timedelta) -> bool:
        """Return True if *every* has passed since the last query, or the clock was put back."""
        return self.asked_at is None or not self.asked_at <= now < self.asked_at + every


@dataclass
class ActivitySources:
    """The activity sources of this hub.

    Missing data never counts as idle: a gap restarts the warning period of all sessions.
    """

    since: datetime | None = None
    sources: dict[str, ActivitySource] = field(default_factory=dict)
    rounded: datetime | None = None  # end of the last successful job run
    processors: CPUActivity = field(default_factory=CPUActivity)

    def register_source(self, source: str, patience: timedelta) -> None:
        """Register *source*. No session is paused while it is silent for longer than *patience*."""
        self.sources.setdefault(source, ActivitySource(patience)).patience = patience

    def record_signal(self, source: str, now: datetime, *, tells: bool = True) -> None:
        """Record that *source* reported; *tells* says whether it reports when sessions were used."""
        activity_source = self.sources[source]
        if activity_source.is_silent(now):
            self.since = now
        activity_source.heard_at, activity_source.tells = now, tells

    def start_job_run(self, now: datetime, most: timedelta) -> bool:
        """Record the start of a job run. Return False after a gap, which restarts the warning period.

        There is a gap if more than *most* has passed since the last run: the hub or its database was down, or the clock
        was changed.
        """
        gap = self.rounded is None or not self.rounded <= now <= self.rounded + most
        if gap:
            self.since = now
        return not gap

    def finish_job_run(self, now: datetime) -> None:
        self.rounded = now

    def get_status(self, now: datetime) -> ActivitySourceStatus:
        items = self.sources.items()
        if any(source.is_silent(now) for _, source in items):
            return ActivitySourceStatus()
        signals = [name for name, source in items if source.tells]
        return ActivitySourceStatus(
            since=self.since, signals=(*signals, *(["processor"] if self.processors.tells else []))
        )
