"""Build the URLs of pages, and locate templates and static files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, quote, urlencode

_PACKAGE_DIR = Path(__file__).parents[1]
TEMPLATES_DIR = next(
    (folder for folder in (_PACKAGE_DIR / "templates", _PACKAGE_DIR.parent / "templates") if folder.is_dir()),
    _PACKAGE_DIR / "templates",
)
STATIC_DIR = TEMPLATES_DIR / "static"


def _compute_assets_version() -> str:
    """Return a hash of the static files, so that browsers may cache them."""
    digest = hashlib.sha256()
    for file in sorted(STATIC_DIR.glob("*")):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:12]


ASSETS_VERSION = _compute_assets_version()

# Query parameters that an action hands back to its page; all others are dropped.
_RETURN_PARAMETERS = ("search", "after", "keyword", "path", "query", "sort")


def quote_project_path(text: str) -> str:
    """Quote a project's path for a URL."""
    return quote(text, safe="/@+")


def quote_path_segment(text: str) -> str:
    """Quote a name as one segment of a URL's path."""
    return quote(text, safe="@+")


def add_query_parameters(address: str, **values: str | None) -> str:
    """Return *address* with those *values* that are not empty as query parameters."""
    given = {key: value for key, value in values.items() if value}
    return f"{address}?{urlencode(given)}" if given else address


def parse_inner_path(text: str) -> str | None:
    """Return a path inside a session without leading slashes; None if it is invalid."""
    parts = text.lstrip("/").split("/")
    bad = len(text) > 500 or not text.isprintable() or "\\" in text or any(part in (".", "..") for part in parts)
    return None if bad else "/".join(parts)


@dataclass(frozen=True)
class UrlBuilder:
    """URLs below the hub's prefix *base*, which begins and ends with a slash.

    *servers* is the URL of the user's own servers; *site* has the scheme and host that the admin has configured,
    never those of a request.
    """

    base: str
    servers: str = ""
    site: str = ""

    @property
    def projects(self) -> str:
        return f"{self.base}renku/projects"

    @property
    def session_search(self) -> str:
        return f"{self.base}renku/search"

    @property
    def environments(self) -> str:
        return f"{self.base}renku/environments"

    @property
    def my_sessions(self) -> str:
        return f"{self.base}renku/sessions"

    def admin(self, tab: str = "", **asked: str | None) -> str:
        """Return the URL of an administration tab; the first one has no name."""
        return add_query_parameters(f"{self.base}renku/admin" + (f"/{tab}" if tab else ""), **asked)

    def project(self, project: str) -> str:
        return f"{self.projects}/{quote_project_path(project)}"

    def settings(self, project: str) -> str:
        return f"{self.project(project)}/-/settings"

    def sessions(self, project: str) -> str:
        return f"{self.project(project)}/-/sessions"

    def session(self, project: str, session: str) -> str:
        return f"{self.sessions(project)}/{session}"

    def environment(self, environment: str, action: str = "") -> str:
        return f"{self.environments}/{environment}" + (f"/{action}" if action else "")

    def instance_action(self, session: str, action: str) -> str:
        return f"{self.my_sessions}/{session}/{action}"

    def launch_page(self, project: str, session: str | None = None) -> str:
        return f"{self.base}renku/launch/{quote_project_path(project)}" + (f"/-/{session}" if session else "")

    def session_server(self, session: str, inside: str = "", query: str = "") -> str:
        """Return the URL of a running session, at the path *inside* it and with that *query*."""
        page = f"{self.servers.rstrip('/')}/{session}/{quote(inside, safe='/@+')}"
        return f"{page}?{quote(query, safe='/@+=&%:;,!*()~')}" if query else page

    def badge(self) -> str:
        return f"{self.site}{self.base}renku/static/badge.svg"

    def event_stream(self, ticket: str) -> str:
        return add_query_parameters(f"{self.base}api/renku/sessions/events", ticket=ticket)

    def resolve_return_url(self, word: str, *, project: str | None, session: str, project_id: str = "") -> str:
        """Return the page that *word* (with a query, from a form) names, at the session it is about.

        Only words of a fixed table and known parameters are accepted, so that a form never redirects elsewhere.
        """
        name, _, rest = word.partition("?")
        query = {key: values[0] for key, values in parse_qs(rest).items() if key in _RETURN_PARAMETERS}
        pages = self._map_return_pages(project, session)
        page = add_query_parameters(pages.get(name) or pages["session"], **(query if name in pages else {}))
        return f"{page}#project-{project_id}" if name == "projects" and project_id else f"{page}#session-{session}"

    def _map_return_pages(self, project: str | None, session: str) -> Mapping[str, str]:
        if project is None:
            return {"sessions": self.my_sessions, "session": self.my_sessions}
        return {
            "projects": self.projects,
            "project": self.project(project),
            "session": self.session(project, session),
            "sessions": self.my_sessions,
        }
