"""What pages show of sessions that a repository describes."""

from __future__ import annotations

from ..services.code_offer import Looked
from ..services.code_plan import Plan
from ..services.code_step import Kind, Step
from ..services.offers import Offer
from . import words
from .urls import Urls
from .views_frame import Frame, View
from .views_projects import head

_SAID = {
    Kind.ADD: ("fa-plus", "is added"),
    Kind.CHANGE: ("fa-pen", "changes"),
    Kind.SAME: ("fa-check", "is there already"),
    Kind.REMOVE: ("fa-trash", "is removed"),
    Kind.LEAVE: ("fa-minus", "stays as it is"),
}
_FIELDS = {
    "cpu": "CPU", "memory": "Memory", "gpu": "GPUs", "disk": "Disk", "repositories": "Repositories", "image": "Image",
    "environment": "Environment", "needs": "Needs at least", "title": "Title", "description": "Description",
    "default": "The default session", "storages": "Storages", "kind": "Kind", "path": "Path",
    "credentials": "Whose credentials", "read_only": "Read only",
}  # fmt: skip


def address(urls: Urls, project: str) -> str:
    return f"{urls.sessions(project)}/described"


def offered(looked: Looked, project: str, urls: Urls) -> View:
    """The part of an empty project's page; it comes later where nothing is known yet."""
    offer = looked.offer
    return {
        "known": looked.known,
        "directory": offer.directory if offer else None,
        "count": words.counted(len(offer.document.sessions), "session") if offer and offer.document else None,
        "titles": [each.title for each in offer.document.sessions[:20]] if offer and offer.document else [],
        "problem": offer.problem if offer else "",
        "url": address(urls, project),
    }


def page(plan: Plan, offer: Offer, frame: Frame) -> View:
    """Everything of renku_sessions_described.html but what is wrong."""
    steps = [step for step in plan.steps if step.path]
    return {
        "project": head(plan.project, frame),
        "directory": offer.directory,
        "content": offer.content,
        "steps": [_step(step) for step in steps],
        "new": words.counted(sum(step.kind is Kind.ADD and not step.storage for step in steps), "session"),
        "only_new": all(step.kind in (Kind.ADD, Kind.SAME) for step in steps),
        "possible": plan.changes and not plan.refused and not plan.forbidden,
        "changes": plan.changes,
        "forbidden": plan.forbidden,
        "action": address(frame.urls, plan.project.path),
    }


def _step(step: Step) -> View:
    icon, said = _SAID[step.kind]
    return {
        "title": f"Storage {step.title}" if step.storage else step.title,
        "icon": icon,
        "said": said,
        "rows": [{"name": _FIELDS.get(each.field, each.field), "old": each.old, "new": each.new}
                 for each in step.differences],
        "notes": list(step.notes),
        "refused": list(step.refused.values()),
    }  # fmt: skip
