"""What pages show of a project that lives in GitLab: where it is, who decides there, whether GitLab answers."""

from __future__ import annotations

from datetime import datetime

from ..domain.policy import Policy
from ..domain.project import Project
from .views_frame import View

_ASKS = "Starting and changing sessions need GitLab's word on your access and wait until it answers again."
_STARTS = "Changes wait until it answers again."


def there(project: Project) -> View:
    """The part of a page's head that says where the project is, if that is not here."""
    return {
        "web": project.web,
        "people": f"{project.web}/-/project_members" if project.web else None,
        "archived": project.archived,
        "away": away(project.stale, unverified=project.unverified) if project.stale else None,
    }


def acts(project: Project, policy: Policy) -> str | None:
    """What a session's code can do in GitLab, as far as its git is given credentials (decision 32)."""
    given = {"all": True, "members": project.member}.get(policy.git_credentials, False)
    if project.ours or not given:
        return None
    return f"Code in this session can act in GitLab as you ({'read and push' if policy.push else 'read'})."


def away(stale: datetime, *, unverified: bool) -> str:
    """What works and what does not while GitLab does not answer."""
    works = f"Open and Pause work. {_ASKS}" if unverified else f"Start, Open and Pause work. {_STARTS}"
    return f"You see the project as it was at {stale:%H:%M} UTC. {works}"


def away_for_all(stale: datetime) -> str:
    """The same for the list."""
    return f"You see your projects as they were at {stale:%H:%M} UTC. Open and Pause work; the rest may have to wait."
