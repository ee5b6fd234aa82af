"""View models of managed environments and of their images' node coverage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from ...context.app_context import AppContext
from ...context.prepulling import NodeCoverageSnapshot
from ...domain.administration import ImageNodeCoverage
from ...domain.environments import ENVIRONMENT_ICONS, Environment, EnvironmentState, Revision, is_same_revision_content
from ...domain.image_checks import ImageInspection, InspectionResult
from ...usecases.environments import ManagedEnvironment, ManagedEnvironmentDetails, ManagedEnvironmentsPage
from ..formatting import format_count, format_iso_time, format_time_ago, get_environment_icon
from ..images.views import ImageCheckView, PropertyView
from ..page_context import OptionView, PageContext, TabView
from ..projects.views import KeywordLink
from ..sessions.views import (
    OwnImageFormView,
    build_keyword_filter_links,
    build_own_image_form_view,
    build_run_rows,
)
from ..urls import add_query_parameters

_MAX_LISTED_NODES = 20


class NodeColumnView(TypedDict):
    prepulled: bool
    amiss: str


def build_node_column_view(known: NodeCoverageSnapshot | None) -> NodeColumnView:
    """Return whether the list has a column of nodes, and the problem with the coverage."""
    return {"prepulled": known is not None, "amiss": known.problem if known else ""}


class NodeCoverageSummaryView(TypedDict):
    text: str
    failed: int
    complete: bool


def build_node_coverage_summary_view(
    known: NodeCoverageSnapshot | None, of: Environment
) -> NodeCoverageSummaryView | None:
    """Return `2 of 3 nodes` and how many failed; None if the image is not pre-pulled or its nodes are unknown."""
    spread = known.spread.get(of.id) if known else None
    if spread is None:
        return None
    nodes = format_count(spread.node_count, "node")
    return {"text": f"{len(spread.here)} of {nodes}", "failed": len(spread.failed), "complete": spread.is_complete}


class NodeCoverageView(NodeColumnView):
    nodes: NodeCoverageSummaryView | None
    here: str
    coming: str
    failed: list[FailedNodeView]
    more_failed: int


class FailedNodeView(TypedDict):
    name: str
    text: str


def build_node_coverage_view(known: NodeCoverageSnapshot | None, of: Environment) -> NodeCoverageView:
    """Build the nodes that have the image of the newest revision, for the page of an environment."""
    spread = known.spread.get(of.id, ImageNodeCoverage()) if known else ImageNodeCoverage()
    return {
        **build_node_column_view(known),
        "nodes": build_node_coverage_summary_view(known, of),
        "here": _join_node_names(spread.here),
        "coming": _join_node_names(spread.coming),
        "failed": [{"name": node, "text": why} for node, why in list(spread.failed.items())[:_MAX_LISTED_NODES]],
        "more_failed": max(0, len(spread.failed) - _MAX_LISTED_NODES),
    }


def _join_node_names(nodes: Sequence[str]) -> str:
    rest = len(nodes) - _MAX_LISTED_NODES
    return ", ".join(nodes[:_MAX_LISTED_NODES]) + (f" and {rest} more" if rest > 0 else "")


_ENVIRONMENT_STATE_TEXTS = {
    EnvironmentState.DRAFT: ("fa-pen-ruler", "Only admins see it; it cannot be added to a project."),
    EnvironmentState.ACTIVE: ("fa-circle-check", "Offered in every project under Ready-made."),
    EnvironmentState.DEPRECATED: ("fa-circle-down", "Still offered and started; projects are told to move on."),
    EnvironmentState.ARCHIVED: ("fa-box-archive", "Not offered any more; nothing new starts."),
}
_ENVIRONMENT_FILTERS = {
    "": ("In use", "fa-layer-group"),
    "draft": ("Drafts", "fa-pen-ruler"),
    "active": ("Active", "fa-circle-check"),
    "deprecated": ("Deprecated", "fa-circle-down"),
    "archived": ("Archived", "fa-box-archive"),
}
_STATE_CHANGE_LABELS = {
    EnvironmentState.ACTIVE: ("Offer", "Offer it"),
    EnvironmentState.DEPRECATED: ("Deprecate …", "Deprecate"),
    EnvironmentState.ARCHIVED: ("Archive …", "Archive"),
}


class ManagedEnvironmentListView(NodeColumnView):
    rows: list[ManagedEnvironmentRow]
    filters: list[TabView]
    keywords: list[KeywordLink]
    next: str | None
    new_url: str
    filtered: bool


def build_managed_environments_view(
    found: ManagedEnvironmentsPage, frame: PageContext, state: str, keyword: str
) -> ManagedEnvironmentListView:
    """Build the view of renku_environments.html."""
    address, movable = frame.urls.environments, [] if state or keyword else found.movable
    chosen = add_query_parameters(address, state=state)
    return {
        "rows": [
            _build_managed_environment_row(
                item, frame, movable, build_node_coverage_summary_view(found.nodes, item.environment)
            )
            for item in found.items
        ],
        **build_node_column_view(found.nodes),
        "filters": [
            {
                "text": text,
                "icon": picture,
                "url": add_query_parameters(address, state=to, keyword=keyword),
                "current": to == state,
            }
            for to, (text, picture) in _ENVIRONMENT_FILTERS.items()
        ],
        "keywords": build_keyword_filter_links(found.keywords, keyword, chosen) if found.keywords else [],
        "next": add_query_parameters(address, state=state, keyword=keyword, after=found.next) if found.next else None,
        "new_url": f"{address}/new",
        "filtered": bool(state or keyword),
    }


class EnvironmentUsageView(TypedDict):
    """The part of an environment that the list and its page share."""

    id: str
    name: str
    icon: str
    keywords: list[str]
    image: str
    digest: str | None
    revision: int
    state: EnvironmentState
    state_icon: str
    meaning: str
    message: str
    successor: EnvironmentLink | None
    archived_at: str | None
    configured: bool
    sessions: int
    projects: int
    newest: int
    running: int
    starts: int
    failed: int
    last_used: str | None
    last_used_at: str | None


class EnvironmentLink(TypedDict):
    name: str
    page: str


class ManagedEnvironmentRow(EnvironmentUsageView):
    page: str
    step: StateChangeLink | None
    move_url: str | None
    up: bool
    down: bool
    nodes: NodeCoverageSummaryView | None


def _build_managed_environment_row(
    found: ManagedEnvironment, frame: PageContext, movable: Sequence[str], nodes: NodeCoverageSummaryView | None
) -> ManagedEnvironmentRow:
    environment = found.environment
    place = movable.index(environment.id) if environment.id in movable else None
    return {
        **_build_environment_usage_view(found, frame),
        "page": frame.urls.environment(environment.id),
        "step": next(
            (
                step
                for step in _build_state_change_links(environment, frame)
                if step["state"] not in ("active", environment.state)
            ),
            None,
        ),
        "move_url": frame.urls.environment(environment.id, "move") if place is not None else None,
        "up": place is not None and place > 0,
        "down": place is not None and place < len(movable) - 1,
        "nodes": nodes,
    }


def _build_environment_usage_view(found: ManagedEnvironment, frame: PageContext) -> EnvironmentUsageView:
    environment, usage = found.environment, found.usage
    picture, meaning = _ENVIRONMENT_STATE_TEXTS[environment.state]
    return {
        "id": environment.id,
        "name": environment.name,
        "icon": get_environment_icon(environment),
        "keywords": list(environment.keywords),
        "image": environment.revision.canonical_reference,
        "digest": environment.revision.digest,
        "revision": environment.revision.number,
        "state": environment.state,
        "state_icon": picture,
        "meaning": meaning,
        "message": environment.message,
        "successor": _build_environment_link(found.successor, frame) if found.successor else None,
        "archived_at": format_iso_time(environment.archived_at),
        "configured": environment.key is not None,
        "sessions": usage.sessions,
        "projects": usage.projects,
        "newest": usage.newest,
        "running": usage.running,
        "starts": usage.starts,
        "failed": usage.failed,
        "last_used": format_time_ago(usage.last_used, frame.now) if usage.last_used else None,
        "last_used_at": format_iso_time(usage.last_used),
    }


def _build_environment_link(found: Environment, frame: PageContext) -> EnvironmentLink:
    return {"name": found.name, "page": frame.urls.environment(found.id)}


class StateChangeLink(TypedDict):
    state: EnvironmentState
    text: str
    url: str


def _build_state_change_links(found: Environment, frame: PageContext) -> list[StateChangeLink]:
    """List the possible state changes; empty while the hub's configuration defines the environment."""
    if found.key is not None and found.state is not EnvironmentState.ARCHIVED:
        return []
    to = (
        [EnvironmentState.ARCHIVED]
        if found.key is not None
        else [state for state in EnvironmentState if found.state.can_become(state)]
    )
    url = frame.urls.environment(found.id, "state")
    return [
        {
            "state": state,
            "text": "Successor and message …" if state is found.state else _STATE_CHANGE_LABELS[state][0],
            "url": url if state is EnvironmentState.ACTIVE else add_query_parameters(url, to=str(state)),
        }
        for state in to
    ]


class ManagedEnvironmentView(TypedDict):
    environment: EnvironmentDetailsView
    steps: list[StateChangeLink]
    facts: list[PropertyView]
    revisions: list[EnvironmentRevisionRow]
    on: NodeCoverageView


class EnvironmentDetailsView(EnvironmentUsageView):
    description: str
    creator: str
    created_at: str
    version: int
    use: str
    state_url: str
    copy_url: str


def build_managed_environment_view(found: ManagedEnvironmentDetails, frame: PageContext) -> ManagedEnvironmentView:
    """Build the view of renku_environment.html for an existing environment, without the form."""
    environment = found.environment
    return {
        "environment": {
            **_build_environment_usage_view(found, frame),
            "description": environment.description,
            "creator": environment.created_by,
            "created_at": format_iso_time(environment.created_at),
            "version": environment.version,
            "use": format_environment_usage(found),
            "state_url": frame.urls.environment(environment.id, "state"),
            "copy_url": add_query_parameters(f"{frame.urls.environments}/new", copy=environment.id),
        },
        "steps": _build_state_change_links(environment, frame),
        "facts": build_run_rows(environment.revision, local=frame.local),
        "revisions": [_build_environment_revision_row(revision, environment, frame) for revision in found.revisions],
        "on": build_node_coverage_view(found.nodes, environment),
    }


def format_environment_usage(found: ManagedEnvironment) -> str:
    """Format the use: `212 sessions in 40 projects, 200 on the newest revision, 3 running.`"""
    usage = found.usage
    if not usage.sessions:
        return "No session uses it" + (f"; {usage.running} of removed ones still run." if usage.running else ".")
    text = f"{format_count(usage.sessions, 'session')} in {format_count(usage.projects, 'project')}"
    return f"{text}, {usage.newest} on the newest revision, {usage.running} running."


class EnvironmentRevisionRow(TypedDict):
    revision: int
    image: str
    digest: str | None
    created_at: str
    creator: str
    newest: bool
    use: str | None


def _build_environment_revision_row(one: Revision, of: Environment, frame: PageContext) -> EnvironmentRevisionRow:
    newest = one.id == of.revision.id
    goes_back = of.key is None and not (
        is_same_revision_content(one, of.revision) or one.is_unpinned_copy_of(of.revision)
    )
    return {
        "revision": one.number,
        "image": one.canonical_reference,
        "digest": one.digest,
        "created_at": format_iso_time(one.created_at),
        "creator": one.created_by,
        "newest": newest,
        "use": frame.urls.environment(of.id, "revision") if goes_back else None,
    }


class EnvironmentFormView(TypedDict):
    own: OwnImageFormView
    check_url: str
    icons: list[OptionView]
    renews: bool


def build_environment_form_view(
    values: Mapping[str, Any],
    checked: ImageInspection | None,
    context: AppContext,
    check_url: str,
    kept: Revision | None,
) -> EnvironmentFormView:
    """Build the form of an environment with its image check; *kept* is the revision that stays pinned."""
    own = build_own_image_form_view(values, checked, context, kept)
    if own["verdict"]:
        own["verdict"] = _adapt_to_hub_credentials(own["verdict"], checked)
    icons: list[OptionView] = [{"value": "", "text": "usual"}]
    icons += [{"value": word, "text": word} for word in ENVIRONMENT_ICONS]
    return {"own": own, "check_url": check_url, "icons": icons, "renews": kept is not None and kept.tag is not None}


_UNREADABLE_IMAGE_TITLE = "This image cannot be used: it does not exist, or the hub may not read it"
_UNREADABLE_IMAGE_ADVICE = (
    "Check the spelling of its name and tag. If it is private, the hub needs read credentials for its registry "
    "(Renku.registry_credentials), and the nodes need a pull secret."
)


def _adapt_to_hub_credentials(verdict: ImageCheckView, checked: ImageInspection | None) -> ImageCheckView:
    """Replace the texts that differ for a check with the hub's credentials, as the image need not be public."""
    if checked is not None and checked.verdict in (InspectionResult.NOT_FOUND, InspectionResult.DENIED):
        return {**verdict, "title": _UNREADABLE_IMAGE_TITLE, "text": _UNREADABLE_IMAGE_ADVICE}
    steps = verdict["steps"]
    return {**verdict, "steps": [{**step, "text": step["text"].replace("Found and public", "Found")} for step in steps]}


class EnvironmentStateView(TypedDict):
    environment: ChangedEnvironmentView
    to: str
    verb: str
    effect: str
    action: str
    values: dict[str, Any]
    successors: list[EnvironmentSuccessorChoice]


class ChangedEnvironmentView(EnvironmentUsageView):
    page: str
    use: str


class EnvironmentSuccessorChoice(TypedDict):
    id: str
    name: str
    checked: bool


def build_environment_state_view(
    found: ManagedEnvironmentDetails, to: str, values: Mapping[str, Any], days: int, frame: PageContext
) -> EnvironmentStateView:
    """Build the view of renku_environment_state.html, without errors."""
    environment, state = found.environment, EnvironmentState(to)
    same = environment.state is state
    verb = "Change" if same else _STATE_CHANGE_LABELS[state][1]
    effects = {
        EnvironmentState.ACTIVE: "It is offered in every project again.",
        EnvironmentState.DEPRECATED: "It is still offered and started. All users who see its sessions read the "
        "message, and their editors are offered the successor.",
        EnvironmentState.ARCHIVED: "It is no longer offered and nothing new starts. Paused sessions can be resumed "
        f"for {format_count(days, 'day')}; running ones go on. Editors are offered the successor.",
    }
    return {
        "environment": {
            **_build_environment_usage_view(found, frame),
            "page": frame.urls.environment(environment.id),
            "use": format_environment_usage(found),
        },
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
