"""Labels and annotations of what belongs to a session.

Labels are what objects are selected by, so they hold ids that we made and nothing that
a person typed; titles and names are annotations, which may be any text.
"""

from __future__ import annotations

from ..domain.session import SessionSpec
from .settings import PREFIX, PodSettings

# Network policies of the usual chart let pods with this label reach the hub.
NETWORK = {"hub.jupyter.org/network-access-hub": "true"}


def labels(spec: SessionSpec, settings: PodSettings) -> dict[str, str]:
    """What holds for everything of a session that outlives a run."""
    ids = {f"{PREFIX}project": spec.project, f"{PREFIX}session": spec.session}
    return ids | ({f"{PREFIX}hub": settings.hub} if settings.hub else {})


def run_labels(spec: SessionSpec, settings: PodSettings, *, run: str) -> dict[str, str]:
    """What holds for one run."""
    return {**labels(spec, settings), f"{PREFIX}launch": run, f"{PREFIX}revision": spec.revision}


def notes(spec: SessionSpec) -> dict[str, str]:
    return {
        f"{PREFIX}image": spec.image,
        f"{PREFIX}project-path": spec.project_path,
        f"{PREFIX}title": spec.title,
        f"{PREFIX}username": spec.username,
    }
