"""What people see of an environment that is on its way out."""

from __future__ import annotations

from typing import Any

from ..domain.environment import State
from ..services.looks import SessionView
from . import words

_TITLES = {State.DEPRECATED: "This environment is deprecated.", State.ARCHIVED: "This environment is archived."}


def notice(view: SessionView, page: str, *, may_write: bool) -> dict[str, Any] | None:
    """What its admins say of it; who may change the session is offered the successor (decision 37)."""
    environment, heir = view.session.environment, view.successor
    title = _TITLES.get(environment.state)
    if title is None:
        return None
    until = view.resumes_until
    said = [
        f"What you have paused can be resumed until {until.day} {until:%B %Y}." if until and not view.retired else "",
        words.beginning(environment.message),
        f"An editor of the project can change to {heir.name}." if heir and not may_write else "",
    ]
    link = {"text": f"Change to {heir.name} …", "url": f"{page}/successor"} if heir and may_write else None
    return {"title": title, "text": " ".join(filter(None, said)), "link": link}
