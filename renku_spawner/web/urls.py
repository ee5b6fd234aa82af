"""Addresses of our pages; the only place that writes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, urlencode

# What an action may hand back to the page it came from; anything else is dropped (T8).
_KEPT = ("search", "after", "keyword", "path", "sort")


def path(text: str) -> str:
    """A project's path as part of an address."""
    return quote(text, safe="/@+")


def segment(text: str) -> str:
    """A name as one part of an address."""
    return quote(text, safe="@+")


def query(address: str, **values: str | None) -> str:
    """*address* with those *values* that say something."""
    said = {key: value for key, value in values.items() if value}
    return f"{address}?{urlencode(said)}" if said else address


def inside(text: str) -> str | None:
    """A path below a session's own address, without the slash in front; None if it is none."""
    parts = text.lstrip("/").split("/")
    bad = len(text) > 500 or not text.isprintable() or "\\" in text or any(part in (".", "..") for part in parts)
    return None if bad else "/".join(parts)


@dataclass(frozen=True)
class Urls:
    """Addresses below the hub's prefix *base*, which begins and ends with a slash.

    *servers* is where the caller's own servers are, *site* the scheme and host of the
    hub as its admin has set them: never what a request says of itself (H81).
    """

    base: str
    servers: str = ""
    site: str = ""

    @property
    def projects(self) -> str:
        return f"{self.base}renku/projects"

    @property
    def environments(self) -> str:
        return f"{self.base}renku/environments"

    @property
    def mine(self) -> str:
        return f"{self.base}renku/sessions"

    def admin(self, tab: str = "", **asked: str | None) -> str:
        """A tab of the operator's page; the first one without a name."""
        return query(f"{self.base}renku/admin" + (f"/{tab}" if tab else ""), **asked)

    def project(self, project: str) -> str:
        return f"{self.projects}/{path(project)}"

    def settings(self, project: str) -> str:
        return f"{self.project(project)}/-/settings"

    def sessions(self, project: str) -> str:
        return f"{self.project(project)}/-/sessions"

    def session(self, project: str, session: str) -> str:
        return f"{self.sessions(project)}/{session}"

    def environment(self, environment: str, action: str = "") -> str:
        return f"{self.environments}/{environment}" + (f"/{action}" if action else "")

    def instance(self, session: str, action: str) -> str:
        return f"{self.mine}/{session}/{action}"

    def launch(self, project: str, session: str | None = None) -> str:
        return f"{self.base}renku/launch/{path(project)}" + (f"/-/{session}" if session else "")

    def open(self, session: str, inside: str = "") -> str:
        """Where a running session is opened, at the path *inside* it."""
        return f"{self.servers.rstrip('/')}/{session}/{quote(inside, safe='/@+')}"

    def badge(self) -> str:
        return f"{self.site}{self.base}renku/static/badge.svg"

    def events(self, ticket: str) -> str:
        return query(f"{self.base}api/renku/sessions/events", ticket=ticket)

    def back(self, word: str, *, project: str | None, session: str, project_id: str = "") -> str:
        """The page that *word* (with a query, from a form) names, at the session it is about.

        Only words of a closed table and three parameters come through, so no address
        from a form is ever followed.
        """
        name, _, rest = word.partition("?")
        kept = {key: values[0] for key, values in parse_qs(rest).items() if key in _KEPT}
        pages = self._pages(project, session)
        page = query(pages.get(name) or pages["session"], **(kept if name in pages else {}))
        return f"{page}#project-{project_id}" if name == "projects" and project_id else f"{page}#session-{session}"

    def _pages(self, project: str | None, session: str) -> Mapping[str, str]:
        if project is None:
            return {"sessions": self.mine, "session": self.mine}
        return {
            "projects": self.projects,
            "project": self.project(project),
            "session": self.session(project, session),
            "sessions": self.mine,
        }
