"""What the form of a session's configuration shows: its fields, and which class fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..domain import quantity, resources
from ..domain.access import Person
from ..domain.environment import Environment, Revision, RunConfiguration
from ..domain.errors import RenkuError
from ..domain.facts import from_json
from ..domain.policy import Policy
from ..domain.project import Project
from ..domain.resources import Requirements, ResourceClass
from ..domain.storage import Storage
from ..domain.verdict import Checked
from ..services.images import suggested
from ..services.parts import Parts
from ..services.pins import image_of
from ..services.sessions import warnings
from . import bodies, forms, views_image
from .forms import SessionForm
from .urls import query
from .views_frame import Frame, View
from .views_projects import environment, head, keywords, repositories

_DECIDES = ("cpu", "memory", "gpu", "disk", "variables")


def configuration(
    project: Project, storages: Sequence[Storage], values: Mapping[str, Any], person: Person, policy: Policy,
    check_url: str,
) -> View:  # fmt: skip
    """The `form` of renku_session_new.html and renku_session_edit.html; nothing in it need be right."""
    return {
        "values": dict(values),
        "repositories": repositories(project.repositories),
        "storages": [{"directory": s.directory, "words": s.words} for s in storages],
        "all_storages": values.get("which_storages", "all") != "some",
        "all_repositories": values.get("which", "all") != "some",
        "check_url": check_url,
    } | fit(values, person, policy)


def fit(values: Mapping[str, Any], person: Person, policy: Policy) -> View:
    """The classes, and the one that *person* would get for the needs in *values*."""
    try:
        form = bodies.check(SessionForm, {key: values[key] for key in _DECIDES if key in values})
        needs = resources.check(form.needs())
        said = warnings(policy, form.configuration())
    except RenkuError:
        return {"classes": _rows(policy, person, None), "fit": None, "fit_text": "Please correct what it needs first."}
    usable = resources.fitting(policy.classes, person, needs)
    missing = " ".join(resources.unmet(policy.classes, needs).values()) or resources.lacking(needs)
    text = f"{usable[0].name} is the smallest of your classes with at least this much." if usable else missing
    return {
        "classes": _rows(policy, person, needs),
        "fit": usable[0].name if usable else None,
        "fit_text": " ".join([text, *said]),
    }


def _rows(policy: Policy, person: Person, needs: Requirements | None) -> list[View]:
    best = next(iter(resources.fitting(policy.classes, person, needs)), None) if needs else None
    return [_row(c, needs, best) for c in resources.ordered(policy.classes)]


def _row(offered: ResourceClass, needs: Requirements | None, best: ResourceClass | None) -> View:
    return {
        "name": offered.name,
        "cpu": quantity.cores(offered.cpu),
        "memory": quantity.size(offered.memory),
        "gpu": offered.gpu,
        "disk": quantity.size(offered.disk),
        "fits": needs is not None and offered.meets(needs),
        "best": offered is best,
    }


def new_session(project: Project, form: View, frame: Frame, parts: Parts, kind: str = "") -> View:
    """What all tabs of "Add a session" show."""
    sessions = frame.urls.sessions(project.path)
    return {
        "project": head(project, frame),
        "action": sessions,
        "cancel": frame.urls.project(project.path),
        "tabs": [] if frame.local else _tabs(f"{sessions}/new", kind, built=parts.ci is not None),
        "form": form,
        "default_choice": project.default_session is not None,
    }


def _tabs(url: str, kind: str, *, built: bool) -> list[View]:
    """Only tabs that work: on one machine no image is run, and without GitLab none is *built*."""
    tabs = [("", "Ready-made", "fa-box-open"), ("external", "Your own image", "fa-cube")]
    if built:
        tabs.append(("repository", "Built from a repository", "fa-code-branch"))
    return [
        {"text": text, "icon": icon, "url": query(url, kind=each), "current": each == kind} for each, text, icon in tabs
    ]


def offered(environments: Sequence[Environment], here: set[str], chosen: str) -> list[View]:
    """The ready-made environments; *here* are those that the project has already."""
    return [environment(e, e.revision) | {"here": e.id in here, "checked": e.id == chosen} for e in environments]


def own_image(form: View, checked: Checked | None, parts: Parts, kept: Revision | None = None) -> View:
    """The tab *Your own image*, with what a look at the image has found; *kept* is what is pinned and stays so."""
    policy = parts.policy
    allowed = policy.images.allowed
    return {
        "values": form["values"],
        "verdict": views_image.verdict(checked, policy.platforms, parts.now()),
        "suggested": _suggested(checked, kept),
        "kept": {"revision": kept.number, "image": kept.canonical, "digest": kept.digest} if kept else None,
        "platforms": policy.platforms,
        "allowed": [] if allowed in ((), ("*",)) else list(allowed),
    }


def _suggested(checked: Checked | None, kept: Revision | None) -> View:
    """What is taken where nothing is typed: shown in the empty fields."""
    found = from_json(kept.facts) if kept else checked.facts if checked else None
    image = image_of(kept) if kept else checked.image if checked else None
    run = suggested(found, image) if image else RunConfiguration()
    return {
        "port": run.port,
        "default_url": run.default_url,
        "working_directory": run.working_directory,
        "uid": run.uid or 1000,
        "gid": run.gid or 100,
        "command": " ".join([*run.command, *run.arguments]),
        "from_image": found is not None,
    }


def keyword_links(words: Sequence[str], current: str, address: str) -> list[View]:
    """All keywords as links, the first for all environments."""
    return [{"word": "all", "url": address, "current": not current}, *keywords(words, current, address, "keyword")]


def sent(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that were sent, with the usual ones for those that were not."""
    return forms.blank("") | dict(fields)
