"""Example values for the pages about sessions that a repository describes."""

from typing import Any

OFFERED: dict[str, Any] = {
    "known": True, "directory": "analysis", "count": "2 sessions", "titles": ["Explore", "Model"], "problem": "",
    "url": "/hub/renku/projects/alice/alpine-precipitation/-/sessions/described",
}  # fmt: skip
BROKEN = OFFERED | {"count": None, "titles": [], "problem": "Line 3: tags (!) are not supported."}
_STEPS: list[dict[str, Any]] = [
    {
        "title": "Explore", "icon": "fa-plus", "said": "is added", "notes": ["TOKEN: everybody can read it."],
        "rows": [{"name": "Environment", "old": "", "new": "Jupyter Python"}], "refused": [],
    },
    {
        "title": "Model", "icon": "fa-pen", "said": "changes", "notes": [], "refused": ["No class has 9 GPU."],
        "rows": [{"name": "Memory", "old": "1Gi", "new": "2Gi"}, {"name": "variables.A", "old": "1", "new": ""}],
    },
]  # fmt: skip


def described(project: dict[str, Any], **changed: Any) -> dict[str, Any]:
    return {
        "project": project, "directory": "analysis", "content": "0" * 64, "steps": _STEPS[:1], "new": "1 session",
        "only_new": True, "possible": True, "changes": True, "forbidden": None, "action": OFFERED["url"], "errors": {},
    } | changed  # fmt: skip


def pages(project: dict[str, Any]) -> dict[str, tuple[str, dict[str, Any]]]:
    page = "renku_sessions_described.html"
    return {
        "described": (page, described(project)),
        "described-impossible": (page, described(project, steps=_STEPS, possible=False, only_new=False)),
        "described-otherwise": (page, described(project, steps=_STEPS, only_new=False, errors={"form": "Changed."})),
        "described-nothing": (page, described(project, steps=[], possible=False, changes=False, forbidden="No.")),
    }
