"""What changes when a session is changed to the successor of its environment."""

from __future__ import annotations

from ..domain.environment import Environment
from ..services.looks import SessionPage
from . import views_image, views_session
from .views_frame import Frame, View
from .views_projects import head


def change(found: SessionPage, heir: Environment, frame: Frame) -> View:
    """Everything of renku_session_successor.html but which packages differ."""
    session, project = found.view.session, found.project
    page = frame.urls.session(project.path, session.id)
    return {
        "project": head(project, frame),
        "session": {"title": session.title, "page": page},
        "old": {"name": session.environment.name, "message": session.environment.message},
        "new": {
            "id": heir.id,
            "name": heir.name,
            "description": heir.description,
            "keywords": list(heir.keywords),
            "revision": heir.revision.number,
        },
        "rows": [*views_image.compared(session.revision, heir.revision), *_runs(found, heir, frame)],
        "others": found.others_have_data,
        "version": session.version,
        "action": f"{page}/successor",
    }


def _runs(found: SessionPage, heir: Environment, frame: Frame) -> list[View]:
    """What differs in how the two are started."""
    old, new = (
        {fact["name"]: fact["text"] for fact in views_session.run_facts(each, local=frame.local)}
        for each in (found.view.session.revision, heir.revision)
    )
    return [
        {"name": name, "old": old.get(name, "as usual"), "new": new.get(name, "as usual"), "code": True}
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    ]
