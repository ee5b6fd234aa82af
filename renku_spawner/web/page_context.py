"""The context in which all view models are built, their common parts, and the texts about a user's limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import Any, TypedDict

from ..domain.idle import PlannedPause
from ..domain.instances import Instance, InstanceStatus
from ..domain.storages import Storage
from ..lifecycle.limits import UserLimitUsage
from .errors import ErrorResponse
from .urls import UrlBuilder


@dataclass(frozen=True, kw_only=True)
class PageContext:
    """URLs, present time, user and hub features.

    *person* is the name of the reader. *gitlab* is the URL of the GitLab in which projects live, None if they live
    here. *class_sizes* are the sizes of resource classes by name. *stage* describes the stage of a start, *outlook*
    predicts when an instance is paused, and *not_here* says why sessions on this hub cannot have a storage.
    """

    urls: UrlBuilder
    now: datetime
    person: str = ""
    local: bool = False
    inside: str = ""
    query: str = ""
    gitlab: str | None = None
    downloads: bool = True
    class_sizes: Mapping[str, str] = field(default_factory=dict)
    stage: Callable[[Instance], str | None] = attrgetter("stage")
    outlook: Callable[[Instance], PlannedPause | None] = lambda _: None
    not_here: Callable[[Storage], str] = lambda _: ""

    def format_class(self, name: str | None) -> str | None:
        """Format a resource class with its size: `small: 1 CPU, 2 GiB`; the name alone if the hub no longer has it."""
        size = self.class_sizes.get(name or "")
        return f"{name}: {size}" if size else name


class LinkView(TypedDict):
    text: str
    url: str


class ChoiceLink(LinkView):
    """One of several links, of which one is chosen."""

    current: bool


class TabView(ChoiceLink):
    icon: str


class OptionView(TypedDict):
    """A choice in a form."""

    value: str
    text: str


class DescribedOptionView(OptionView):
    title: str


class NoticeView(TypedDict):
    title: str
    text: str


class SessionLinkView(TypedDict):
    """The session that a page with a form is about."""

    title: str
    page: str


def format_shares(shares: UserLimitUsage | None) -> str | None:
    """Format the use of limits: `2 of 3 running, 5 of 10 with data`; None without limits."""
    if shares is None:
        return None
    counts = ((shares.running, shares.running_limit, "running"), (shares.kept, shares.kept_limit, "with data"))
    return ", ".join(f"{count} of {limit} {label}" for count, limit, label in counts if limit is not None)


def format_project_share(share: tuple[int, int] | None) -> str | None:
    """Format how many projects the user has created; None without a limit."""
    return share and f"You have created {share[0]} of {share[1]} projects, the limit that an admin has set."


class RetryFormView(TypedDict):
    """A button that sends a refused form again; with `instead` it starts the session as it is now."""

    action: str
    fields: list[tuple[str, str]]
    label: str
    instead: bool


class LimitView(TypedDict):
    said: str
    rows: list[LimitRow]
    then: str


def build_limit_view(failure: ErrorResponse, wanted: str, urls: UrlBuilder) -> LimitView | None:
    """List the user's instances that count towards an exceeded limit, with the action for each."""
    details = failure.details
    listed = details.get("running") or details.get("kept")
    if not listed:
        return None
    label = "running" if "running" in details else "with data"
    rows = [_build_limit_row(row, urls, pausing="running" in details) for row in listed]
    return {"said": f"{details['count']} of {details['limit']} {label}", "rows": rows, "then": wanted}


class LimitRow(TypedDict):
    title: str
    status: InstanceStatus
    project: str | None
    page: str | None
    pause: str | None
    verb: str
    data: str | None


def _build_limit_row(each: Mapping[str, Any], urls: UrlBuilder, *, pausing: bool) -> LimitRow:
    session, status, path = each["session"], InstanceStatus(each["status"]), each["project_path"]
    return {
        "title": each["title"],
        "status": status,
        "project": path,
        "page": urls.session(path, session) if path else None,
        "pause": urls.instance_action(session, "pause") if pausing else None,
        "verb": "Cancel" if status is InstanceStatus.LAUNCHING else "Pause",
        "data": urls.instance_action(session, "data")
        if status in (InstanceStatus.PAUSED, InstanceStatus.FAILED)
        else None,
    }
