"""Notifications that warn owners, outside of the hub's pages, about data that will be deleted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .errors import UnavailableError


class NotificationNotDeliveredError(UnavailableError):
    """The notification did not reach its recipient; it is retried, and has no other consequence."""


@dataclass(frozen=True, kw_only=True)
class ExpiryWarning:
    """A session whose data will be deleted; `id` is the same each time this warning is sent."""

    id: str
    session: str
    title: str
    deleted_on: datetime
    trashed_until: datetime


@dataclass(frozen=True, kw_only=True)
class ExpiryNotification:
    """A notification to one user; `page` is the URL of My sessions, None where it is not known."""

    username: str
    warnings: tuple[ExpiryWarning, ...]
    page: str | None = None

    @property
    def subject(self) -> str:
        first = min(each.deleted_on for each in self.warnings)
        which = self.warnings[0].title if len(self.warnings) == 1 else f"{len(self.warnings)} sessions"
        return f"Your data in {which} will be deleted on {format_date(first)}"

    @property
    def body_text(self) -> str:
        """The notification as plain text."""
        lines = [f"- {each.title}: on {format_date(each.deleted_on)}" for each in self.warnings]
        last = max(each.trashed_until for each in self.warnings)
        where = f"under My sessions: {self.page}" if self.page else "under My sessions"
        return "\n".join(
            [
                f"Hello {self.username},",
                "",
                "the hub deletes the data of sessions that were paused for long:",
                "",
                *lines,
                "",
                f"Resume a session to keep its data. You find it {where}",
                f"Deleted data stays in the trash until {format_date(last)} at least, and can be brought back there.",
                "",
            ]
        )

    @property
    def payload(self) -> dict[str, Any]:
        """The notification as JSON, for webhooks."""
        return {
            "event": "expiry_warning",
            "user": self.username,
            "page": self.page,
            "sessions": [
                {
                    "id": each.id,
                    "session": each.session,
                    "title": each.title,
                    "deleted_on": each.deleted_on.isoformat(timespec="seconds"),
                    "trashed_until": each.trashed_until.isoformat(timespec="seconds"),
                }
                for each in self.warnings
            ],
        }


def format_date(moment: datetime) -> str:
    """Format a day: `20 January 2027`."""
    return f"{moment.day} {moment:%B %Y}"
