"""What the page shows that copies a session to another project."""

from __future__ import annotations

from collections.abc import Sequence

from ..domain.environment import Kind
from ..domain.project import Project
from ..domain.session import Session
from ..services import copying
from ..services.copying import Target
from .urls import query
from .views_frame import Frame, View
from .views_projects import head


def page(
    project: Project, session: Session, found: Sequence[Target], following: str | None, *, search: str, frame: Frame
) -> View:
    """Everything of renku_session_copy.html but what was typed."""
    own = frame.urls.session(project.path, session.id)
    address = f"{own}/copy"
    return {
        "project": head(project, frame),
        "session": {"title": session.title, "page": own, "copy": address, "version": session.version},
        "ready_made": session.environment.kind is Kind.DEFAULT,
        "built": session.environment.kind is Kind.REPOSITORY,
        "environment": session.environment.name,
        "left_out": copying.left_out(session),
        "targets": [
            {"id": each.id, "title": each.title, "path": each.path, "here": each.id == project.id} for each in found
        ],
        "search": search,
        "next": query(address, search=search, after=following) if following else None,
        "action": query(address, search=search),
    }
