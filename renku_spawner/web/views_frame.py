"""From where a page looks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any

from ..domain.idle import Outlook
from ..domain.instance import Instance
from ..domain.storage import Storage
from .urls import Urls

View = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Frame:
    """From where a page looks: its addresses, the time, and the machine it is about.

    *person* is the name of the user who reads it. *gitlab* is the address of the GitLab in which projects live, None
    if they live here; *stage* says in words how far a start is, *outlook* when what runs pauses by itself, *not_here*
    why no session has a storage.
    """

    urls: Urls
    now: datetime
    person: str = ""
    local: bool = False
    inside: str = ""
    gitlab: str | None = None
    downloads: bool = True
    stage: Callable[[Instance], str | None] = attrgetter("stage")
    outlook: Callable[[Instance], Outlook | None] = lambda _: None
    not_here: Callable[[Storage], str] = lambda _: ""
