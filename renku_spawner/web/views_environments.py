"""What admins see of ready-made environments: domain values in, plain dictionaries out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..domain.curation import ICONS, is_the_same
from ..domain.environment import Environment, Revision, State
from ..domain.verdict import Checked, Verdict
from ..services.parts import Parts
from ..services.ready_made import Page, ReadyMade, Whole
from . import views_forms, views_nodes, views_session, words
from .icons import icon
from .urls import query
from .views_frame import Frame, View

_STATES = {
    State.DRAFT: ("fa-pen-ruler", "Only admins see it; nobody can add it to a project."),
    State.ACTIVE: ("fa-circle-check", "Offered in every project under Ready-made."),
    State.DEPRECATED: ("fa-circle-down", "Still offered and started; projects are told to move on."),
    State.ARCHIVED: ("fa-box-archive", "Not offered any more; nothing new starts."),
}
_FILTERS = {
    "": ("In use", "fa-layer-group"),
    "draft": ("Drafts", "fa-pen-ruler"),
    "active": ("Active", "fa-circle-check"),
    "deprecated": ("Deprecated", "fa-circle-down"),
    "archived": ("Archived", "fa-box-archive"),
}
_STEPS = {
    State.ACTIVE: ("Offer", "Offer it"),
    State.DEPRECATED: ("Deprecate …", "Deprecate"),
    State.ARCHIVED: ("Archive …", "Archive"),
}


def page(found: Page, frame: Frame, state: str, keyword: str) -> View:
    """Everything of renku_environments.html."""
    address, movable = frame.urls.environments, [] if state or keyword else found.movable
    chosen = query(address, state=state)
    return {
        "rows": [
            _row(each, frame, movable) | {"nodes": views_nodes.brief(found.nodes, each.environment)}
            for each in found.items
        ],
        **views_nodes.column(found.nodes),
        "filters": [
            {"text": text, "icon": picture, "url": query(address, state=to, keyword=keyword), "current": to == state}
            for to, (text, picture) in _FILTERS.items()
        ],
        "keywords": views_forms.keyword_links(found.keywords, keyword, chosen) if found.keywords else [],
        "next": query(address, state=state, keyword=keyword, after=found.next) if found.next else None,
        "new_url": f"{address}/new",
        "filtered": bool(state or keyword),
    }


def _row(found: ReadyMade, frame: Frame, movable: Sequence[str]) -> View:
    each = found.environment
    place = movable.index(each.id) if each.id in movable else None
    return _about(found, frame) | {
        "page": frame.urls.environment(each.id),
        "step": next((step for step in _steps(each, frame) if step["state"] not in ("active", each.state)), None),
        "move_url": frame.urls.environment(each.id, "move") if place is not None else None,
        "up": place is not None and place > 0,
        "down": place is not None and place < len(movable) - 1,
    }


def _about(found: ReadyMade, frame: Frame) -> View:
    """What list and page both show of an environment and its use."""
    each, usage = found.environment, found.usage
    picture, meaning = _STATES[each.state]
    return {
        "id": each.id,
        "name": each.name,
        "icon": icon(each),
        "keywords": list(each.keywords),
        "image": each.revision.canonical,
        "digest": each.revision.digest,
        "revision": each.revision.number,
        "state": str(each.state),
        "state_icon": picture,
        "meaning": meaning,
        "message": each.message,
        "successor": _linked(found.successor, frame) if found.successor else None,
        "archived_at": words.iso(each.archived_at),
        "configured": each.key is not None,
        "sessions": usage.sessions,
        "projects": usage.projects,
        "newest": usage.newest,
        "running": usage.running,
        "starts": usage.starts,
        "failed": usage.failed,
        "last_used": words.ago(usage.last_used, frame.now) if usage.last_used else None,
        "last_used_at": words.iso(usage.last_used),
    }


def _linked(found: Environment, frame: Frame) -> View:
    return {"name": found.name, "page": frame.urls.environment(found.id)}


def _steps(found: Environment, frame: Frame) -> list[View]:
    """What an admin can do next in its life; nothing where the hub's configuration says it."""
    if found.key is not None and found.state is not State.ARCHIVED:
        return []
    to = [State.ARCHIVED] if found.key is not None else [each for each in State if found.state.leads_to(each)]
    url = frame.urls.environment(found.id, "state")
    return [
        {
            "state": str(each),
            "text": "Successor and message …" if each is found.state else _STEPS[each][0],
            "url": url if each is State.ACTIVE else query(url, to=str(each)),
        }
        for each in to
    ]


def whole(found: Whole, frame: Frame) -> View:
    """What renku_environment.html shows of an environment that is there, beside the form to edit it."""
    each = found.environment
    return {
        "environment": _about(found, frame)
        | {
            "description": each.description,
            "creator": each.created_by,
            "created_at": words.iso(each.created_at),
            "version": each.version,
            "use": use(found),
            "state_url": frame.urls.environment(each.id, "state"),
            "copy_url": query(f"{frame.urls.environments}/new", copy=each.id),
        },
        "steps": _steps(each, frame),
        "facts": views_session.run_facts(each.revision, local=frame.local),
        "revisions": [_revision(one, each, frame) for one in found.revisions],
        "on": views_nodes.full(found.nodes, each),
    }


def use(found: ReadyMade) -> str:
    """`212 sessions in 40 projects, 3 running`."""
    usage = found.usage
    if not usage.sessions:
        return "No session uses it" + (f"; {usage.running} of removed ones still run." if usage.running else ".")
    said = f"{words.counted(usage.sessions, 'session')} in {words.counted(usage.projects, 'project')}"
    return f"{said}, {usage.newest} on the newest revision, {usage.running} running."


def _revision(one: Revision, of: Environment, frame: Frame) -> View:
    newest = one.id == of.revision.id
    goes_back = of.key is None and not (is_the_same(one, of.revision) or one.superseded_by(of.revision))
    return {
        "revision": one.number,
        "image": one.canonical,
        "digest": one.digest,
        "created_at": words.iso(one.created_at),
        "creator": one.created_by,
        "newest": newest,
        "use": frame.urls.environment(of.id, "revision") if goes_back else None,
    }


def edited(
    values: Mapping[str, Any], checked: Checked | None, parts: Parts, check_url: str, kept: Revision | None
) -> View:
    """The form of an environment: its fields, and what was found of its image; *kept* is what stays pinned."""
    own = views_forms.own_image({"values": dict(values)}, checked, parts, kept)
    if own["verdict"]:
        own["verdict"] |= _with_credentials(own["verdict"], checked)
    icons = [{"value": "", "text": "usual"}, *({"value": word, "text": word} for word in ICONS)]
    return {"own": own, "check_url": check_url, "icons": icons, "renews": kept is not None and kept.tag is not None}


_CLOSED = "This image cannot be used: it does not exist, or the hub may not read it"
_OPEN_IT = (
    "Check the spelling of its name and tag. If it is private, the hub needs read credentials for its registry "
    "(Renku.registry_credentials), and the nodes need a pull secret."
)


def _with_credentials(verdict: View, checked: Checked | None) -> View:
    """What is said otherwise where the hub has asked with credentials of its own: nothing has shown it to be public."""
    if checked is not None and checked.verdict in (Verdict.NOT_FOUND, Verdict.DENIED):
        return {"title": _CLOSED, "text": _OPEN_IT}
    return {"steps": [each | {"text": each["text"].replace("Found and public", "Found")} for each in verdict["steps"]]}


def step(found: Whole, to: str, values: Mapping[str, Any], days: int, frame: Frame) -> View:
    """Everything of renku_environment_state.html but what is wrong."""
    environment, state = found.environment, State(to)
    same = environment.state is state
    verb = "Change" if same else _STEPS[state][1]
    effects = {
        State.ACTIVE: "It is offered in every project again.",
        State.DEPRECATED: "It goes on being offered and started; everybody who sees its sessions reads the message, "
        "and their editors are offered the successor.",
        State.ARCHIVED: "It is no longer offered and nothing new starts. Who has paused a session of it can resume it "
        f"for {words.counted(days, 'day')}; what runs goes on. Editors are offered the successor.",
    }
    return {
        "environment": _about(found, frame) | {"page": frame.urls.environment(environment.id), "use": use(found)},
        "to": to,
        "verb": verb,
        "effect": effects[state],
        "action": frame.urls.environment(environment.id, "state"),
        "values": dict(values),
        "successors": [
            {"id": heir.id, "name": heir.name, "checked": heir.id == values.get("successor")}
            for heir in found.successors
        ],
    }
