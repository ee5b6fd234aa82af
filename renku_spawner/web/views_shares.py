"""What pages show of limits: how much one has, and what could make room."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..services.shares import Shares
from .failures import Failure
from .urls import Urls
from .views_frame import View


def said(shares: Shares | None) -> str | None:
    """`2 of 3 running, 5 of 10 with data`; None where nothing is limited (decision 9)."""
    if shares is None:
        return None
    counts = ((shares.running, shares.running_limit, "running"), (shares.kept, shares.kept_limit, "with data"))
    return ", ".join(f"{count} of {limit} {what}" for count, limit, what in counts if limit is not None)


def created(share: tuple[int, int] | None) -> str | None:
    """How many projects one has created of how many; None where nothing is limited."""
    return share and f"You have created {share[0]} of {share[1]} projects, the limit that an admin has set."


def in_the_way(failure: Failure, wanted: str, urls: Urls) -> View | None:
    """One's own instances beside which a refused start would have been too many, and what can be done with each."""
    details = failure.details
    listed = details.get("running") or details.get("kept")
    if not listed:
        return None
    what = "running" if "running" in details else "with data"
    rows = [_row(each, urls, pausing="running" in details) for each in listed]
    return {"said": f"{details['count']} of {details['limit']} {what}", "rows": rows, "then": wanted}


def _row(each: Mapping[str, Any], urls: Urls, *, pausing: bool) -> View:
    session, status, path = each["session"], each["status"], each["project_path"]
    return {
        "title": each["title"],
        "status": status,
        "project": path,
        "page": urls.session(path, session) if path else None,
        "pause": urls.instance(session, "pause") if pausing else None,
        "verb": "Cancel" if status == "launching" else "Pause",
        "data": urls.instance(session, "data") if status in ("paused", "failed") else None,
    }
