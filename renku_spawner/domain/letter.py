"""What somebody is told of data that will be deleted, where no page of the hub reaches them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .errors import Unavailable


class Undelivered(Unavailable):
    """It did not reach its reader; nothing follows from that but another try."""


@dataclass(frozen=True, kw_only=True)
class Warned:
    """One session whose data will go; `id` is the same whenever this very warning is sent again."""

    id: str
    session: str
    title: str
    deleted_on: datetime
    trashed_until: datetime


@dataclass(frozen=True, kw_only=True)
class Letter:
    """To one person; `page` is the address where they can act, None where it is not known."""

    username: str
    warnings: tuple[Warned, ...]
    page: str | None = None

    @property
    def subject(self) -> str:
        first = min(each.deleted_on for each in self.warnings)
        which = self.warnings[0].title if len(self.warnings) == 1 else f"{len(self.warnings)} sessions"
        return f"Your data in {which} will be deleted on {date(first)}"

    @property
    def text(self) -> str:
        """Plain text."""
        lines = [f"- {each.title}: on {date(each.deleted_on)}" for each in self.warnings]
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
                f"Deleted data stay in the trash until {date(last)} at least, and can be brought back there.",
                "",
            ]
        )

    @property
    def json(self) -> dict[str, Any]:
        """For programs."""
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


def date(moment: datetime) -> str:
    """`20 January 2027`."""
    return f"{moment.day} {moment:%B %Y}"
