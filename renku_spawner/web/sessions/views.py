"""View models of the session pages: details, forms, launch, copy, environment replacement and described sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from ...context.app_context import AppContext
from ...context.session_file_offers import SessionFileOffer
from ...domain.access import Person, Role
from ...domain.configuration_fields import FieldKind
from ...domain.environments import Environment, EnvironmentKind, NewRevision, Revision, RunConfiguration
from ...domain.errors import RenkuError
from ...domain.image_checks import ImageInspection
from ...domain.image_metadata import find_image_user_problem, get_image_user_ids, parse_image_metadata_json
from ...domain.instances import STAGE_LABELS, Instance, InstanceStatus, Launch, ObservedState
from ...domain.policy import HubPolicy
from ...domain.projects import Project
from ...domain.quantities import format_cpu_quantity, format_size_quantity
from ...domain.reasons import REASONS_BY_CODE
from ...domain.resource_classes import (
    ResourceClass,
    ResourceRequirements,
    build_no_fitting_class_message,
    check_resource_requirements,
    find_unmet_requirements,
    list_fitting_classes,
    sort_resource_classes,
)
from ...domain.sessions import CONFIGURATION_FIELDS, OTHER_FIELDS, Session
from ...domain.storages import Storage
from ...usecases.images import get_revision_image, get_suggested_run
from ...usecases.instances import OwnedInstance
from ...usecases.session_files import PlanStep, PlanStepKind, SessionFilePlan
from ...usecases.session_queries import SessionPageData, SessionView
from ...usecases.sessions import (
    CopyTarget,
    EnvironmentChoices,
    EnvironmentReplacement,
    list_configuration_warnings,
    list_uncopied_variables,
)
from ..formatting import LAUNCH_OUTCOME_TEXTS, format_count, format_day_and_time, format_elapsed_time, format_iso_time
from ..forms import SessionForm, build_blank_session_fields
from ..images.views import (
    CISourceView,
    CommitListView,
    ComparisonRow,
    ImageCheckView,
    ImageRevisionView,
    ImageUpdateView,
    PackageChangesView,
    PackagesView,
    PropertyView,
    SessionImageView,
    SuggestedRunView,
    build_comparison_row,
    build_image_check_view,
    build_image_comparison_view,
    build_image_revision_view,
    build_image_update_view,
    build_property_view,
    build_session_image_view,
)
from ..page_context import PageContext, SessionLinkView, TabView
from ..projects.views import (
    KeywordLink,
    ProjectHeadView,
    RepositoryRow,
    build_described_sessions_url,
    build_keyword_links,
    build_project_head_view,
    build_repository_rows,
)
from ..schemas import validate_model
from ..storages.views import StorageRow, build_storages_view
from ..urls import add_query_parameters
from .cards import (
    BriefSessionView,
    SessionCardView,
    SessionEnvironmentView,
    build_brief_session_view,
    build_session_card_view,
    build_session_environment_view,
    list_masked_variables,
    needs_refresh,
)
from .forms import SessionEnvironmentForm

_STEP_ICONS_AND_LABELS = {
    PlanStepKind.ADD: ("fa-plus", "is added"),
    PlanStepKind.CHANGE: ("fa-pen", "changes"),
    PlanStepKind.SAME: ("fa-check", "is there already"),
    PlanStepKind.REMOVE: ("fa-trash", "is removed"),
    PlanStepKind.LEAVE: ("fa-minus", "stays as it is"),
}
_FIELD_LABELS = {
    **{each.name: each.label for each in CONFIGURATION_FIELDS}, "image": "Image", "environment": "Environment",
    "needs": "Needs at least", "title": "Title", "description": "Description", "default": "The default session",
    "kind": "Kind", "path": "Path", "credentials": "Whose credentials", "read_only": "Read only",
}  # fmt: skip


class DescribedSessionsView(TypedDict):
    project: ProjectHeadView
    directory: str
    content: str
    steps: list[PlanStepView]
    new: str
    only_new: bool
    possible: bool
    changes: bool
    forbidden: str | None
    action: str


class PlanStepView(TypedDict):
    title: str
    icon: str
    said: str
    rows: list[ComparisonRow]
    notes: list[str]
    refused: list[str]


def build_described_sessions_view(
    plan: SessionFilePlan, offer: SessionFileOffer, frame: PageContext
) -> DescribedSessionsView:
    """Build the view of renku_sessions_described.html, without errors."""
    steps = [step for step in plan.steps if step.path]
    return {
        "project": build_project_head_view(plan.project, frame),
        "directory": offer.directory,
        "content": offer.content,
        "steps": [_build_plan_step_view(step) for step in steps],
        "new": format_count(sum(step.kind is PlanStepKind.ADD and not step.storage for step in steps), "session"),
        "only_new": all(step.kind in (PlanStepKind.ADD, PlanStepKind.SAME) for step in steps),
        "possible": plan.has_changes and not plan.refusals and not plan.forbidden,
        "changes": plan.has_changes,
        "forbidden": plan.forbidden,
        "action": build_described_sessions_url(frame.urls, plan.project.path),
    }


def _build_plan_step_view(step: PlanStep) -> PlanStepView:
    icon, label = _STEP_ICONS_AND_LABELS[step.kind]
    return {
        "title": f"Storage {step.title}" if step.storage else step.title,
        "icon": icon,
        "said": label,
        "rows": [
            build_comparison_row(_FIELD_LABELS.get(change.field, change.field), change.old, change.new)
            for change in step.differences
        ],
        "notes": list(step.notes),
        "refused": list(step.refused.values()),
    }  # fmt: skip


class CopySessionView(TypedDict):
    project: ProjectHeadView
    session: CopiedSessionView
    ready_made: bool
    built: bool
    environment: str
    left_out: list[str]
    targets: list[CopyTargetView]
    search: str
    next: str | None
    action: str


class CopiedSessionView(SessionLinkView):
    copy: str
    version: int


class CopyTargetView(TypedDict):
    id: str
    title: str
    path: str
    here: bool


def build_copy_session_view(
    project: Project,
    session: Session,
    found: Sequence[CopyTarget],
    following: str | None,
    *,
    search: str,
    frame: PageContext,
) -> CopySessionView:
    """Build the view of renku_session_copy.html, without what was typed."""
    own = frame.urls.session(project.path, session.id)
    address = f"{own}/copy"
    return {
        "project": build_project_head_view(project, frame),
        "session": {"title": session.title, "page": own, "copy": address, "version": session.version},
        "ready_made": session.environment.kind is EnvironmentKind.DEFAULT,
        "built": session.environment.kind is EnvironmentKind.REPOSITORY,
        "environment": session.environment.name,
        "left_out": list_uncopied_variables(session),
        "targets": [
            {"id": target.id, "title": target.title, "path": target.path, "here": target.id == project.id}
            for target in found
        ],
        "search": search,
        "next": add_query_parameters(address, search=search, after=following) if following else None,
        "action": add_query_parameters(address, search=search),
    }


_CLASS_FIT_FIELDS = tuple(each.name for each in CONFIGURATION_FIELDS if each.kind is not FieldKind.DIRECTORIES)


class ClassFitView(TypedDict):
    classes: list[ClassRow]
    fit: str | None
    fit_text: str


class ConfigurationFormView(ClassFitView):
    values: dict[str, Any]
    amounts: list[AmountFieldView]
    repositories: list[RepositoryRow]
    storages: list[StorageChoice]
    all_storages: bool
    all_repositories: bool
    check_url: str


class AmountFieldView(TypedDict):
    name: str
    label: str
    hint: str


class StorageChoice(TypedDict):
    directory: str
    words: str


def build_configuration_form_view(
    project: Project, storages: Sequence[Storage], values: Mapping[str, Any], person: Person, policy: HubPolicy,
    check_url: str,
) -> ConfigurationFormView:  # fmt: skip
    """Build the `form` of renku_session_new.html and renku_session_edit.html; values may be invalid."""
    return {
        "values": dict(values),
        "amounts": [
            {"name": each.name, "label": each.label, "hint": each.hint}
            for each in CONFIGURATION_FIELDS
            if each.kind in (FieldKind.QUANTITY, FieldKind.NUMBER)
        ],
        "repositories": build_repository_rows(project.repositories),
        "storages": [{"directory": s.directory, "words": s.summary} for s in storages],
        "all_storages": values.get("which_storages", "all") != "some",
        "all_repositories": values.get("which", "all") != "some",
        "check_url": check_url,
        **build_class_fit_view(values, person, policy),
    }


def build_class_fit_view(values: Mapping[str, Any], person: Person, policy: HubPolicy) -> ClassFitView:
    """Build the classes, and the one that *person* would get for the needs in *values*."""
    try:
        form = validate_model(SessionForm, {key: values[key] for key in _CLASS_FIT_FIELDS if key in values})
        configuration = form.to_configuration()
        needs = check_resource_requirements(configuration.needs)
        warnings = list_configuration_warnings(policy, configuration)
    except RenkuError:
        return {
            "classes": _build_class_rows(policy, person, None),
            "fit": None,
            "fit_text": "Please correct what it needs first.",
        }
    usable = list_fitting_classes(policy.classes, person, needs)
    missing = " ".join(find_unmet_requirements(policy.classes, needs).values()) or build_no_fitting_class_message(needs)
    text = f"{usable[0].name} is the smallest of your classes with at least this much." if usable else missing
    return {
        "classes": _build_class_rows(policy, person, needs),
        "fit": usable[0].name if usable else None,
        "fit_text": " ".join([text, *warnings]),
    }


def _build_class_rows(policy: HubPolicy, person: Person, needs: ResourceRequirements | None) -> list[ClassRow]:
    best = next(iter(list_fitting_classes(policy.classes, person, needs)), None) if needs else None
    return [_build_class_row(c, needs, best) for c in sort_resource_classes(policy.classes)]


class ClassRow(TypedDict):
    name: str
    cpu: str
    memory: str
    gpu: int
    disk: str
    fits: bool
    best: bool


def _build_class_row(
    offered: ResourceClass, needs: ResourceRequirements | None, best: ResourceClass | None
) -> ClassRow:
    return {
        "name": offered.name,
        "cpu": format_cpu_quantity(offered.cpu),
        "memory": format_size_quantity(offered.memory),
        "gpu": offered.gpu,
        "disk": format_size_quantity(offered.disk),
        "fits": needs is not None and offered.meets_requirements(needs),
        "best": offered is best,
    }


class NewSessionView(TypedDict):
    project: ProjectHeadView
    action: str
    cancel: str
    tabs: list[TabView]
    form: ConfigurationFormView
    default_choice: bool


def build_new_session_view(
    project: Project, form: ConfigurationFormView, frame: PageContext, context: AppContext, kind: str = ""
) -> NewSessionView:
    """Build the part that all tabs of "Add a session" share."""
    sessions = frame.urls.sessions(project.path)
    return {
        "project": build_project_head_view(project, frame),
        "action": sessions,
        "cancel": frame.urls.project(project.path),
        "tabs": build_new_session_tabs(frame, project.path, kind, built=context.gitlab_ci is not None),
        "form": form,
        "default_choice": project.default_session is not None,
    }


def build_new_session_tabs(frame: PageContext, project: str, kind: str, *, built: bool) -> list[TabView]:
    """List the available tabs: without images in local mode, and only with GitLab *built* ones."""
    url = f"{frame.urls.sessions(project)}/new"
    tabs = [("", "Ready-made", "fa-box-open", url)]
    if not frame.local:
        tabs.append(("external", "Your own image", "fa-cube", add_query_parameters(url, kind="external")))
        if built:
            built_url = add_query_parameters(url, kind="repository")
            tabs.append(("repository", "Built from a repository", "fa-code-branch", built_url))
    found_url = add_query_parameters(frame.urls.session_search, into=project)
    tabs.append(("project", "From another project", "fa-magnifying-glass", found_url))
    return [
        {"text": text, "icon": icon, "url": address, "current": tab_kind == kind}
        for tab_kind, text, icon, address in tabs
    ]


class EnvironmentChoice(SessionEnvironmentView):
    here: bool
    checked: bool


def build_environment_choices(
    environments: Sequence[Environment], here: set[str], chosen: str
) -> list[EnvironmentChoice]:
    """List the ready-made environments; *here* are those that the project has already."""
    return [
        {**build_session_environment_view(e, e.revision), "here": e.id in here, "checked": e.id == chosen}
        for e in environments
    ]


class OwnImageFormView(TypedDict):
    values: Mapping[str, Any]
    verdict: ImageCheckView | None
    suggested: SuggestedRunView
    kept: KeptImageView | None
    platforms: Sequence[str]
    allowed: list[str]


class KeptImageView(TypedDict):
    revision: int
    image: str
    digest: str | None


def build_own_image_form_view(
    values: Mapping[str, Any], checked: ImageInspection | None, context: AppContext, kept: Revision | None = None
) -> OwnImageFormView:
    """Build the tab *Your own image* with its image check; *kept* is the revision that stays pinned."""
    policy = context.policy
    allowed = policy.images.allowed
    return {
        "values": values,
        "verdict": build_image_check_view(checked, policy.platforms, context.now()),
        "suggested": _build_suggested_run_view(checked, kept),
        "kept": {"revision": kept.number, "image": kept.canonical_reference, "digest": kept.digest} if kept else None,
        "platforms": policy.platforms,
        "allowed": [] if allowed in ((), ("*",)) else list(allowed),
    }


def _build_suggested_run_view(checked: ImageInspection | None, kept: Revision | None) -> SuggestedRunView:
    metadata = parse_image_metadata_json(kept.facts) if kept else checked.facts if checked else None
    image = get_revision_image(kept) if kept else checked.image if checked else None
    run = get_suggested_run(metadata, image) if image else RunConfiguration()
    return {
        "port": run.port,
        "default_url": run.default_url,
        "working_directory": run.working_directory,
        "uid": run.uid or 1000,
        "gid": run.gid or 100,
        "command": " ".join([*run.command, *run.arguments]),
        "from_image": metadata is not None,
    }


def build_keyword_filter_links(words: Sequence[str], current: str, address: str) -> list[KeywordLink]:
    """List all keywords as links, the first for all environments."""
    return [
        {"word": "all", "url": address, "current": not current},
        *build_keyword_links(words, current, address, "keyword"),
    ]


def fill_missing_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the submitted fields, with defaults for missing ones."""
    return build_blank_session_fields("") | dict(fields)


_CLUSTER_ONLY_STAGES = (ObservedState.SCHEDULING, ObservedState.PULLING)


class SessionPageView(TypedDict):
    project: ProjectHeadView
    s: SessionCardView
    warnings: list[str]
    steps: list[LaunchStep]
    log: list[str]
    log_note: str
    facts: list[PropertyView]
    about: SessionImageView
    update: ImageUpdateView | None
    configuration: ConfigurationView
    launches: list[LaunchHistoryRow]
    revisions: list[ImageRevisionView]
    launch_link: str
    badge: str
    edit_url: str | None
    copy_url: str
    remove_url: str | None
    back: str
    refresh: bool


class SessionSoftwareView(TypedDict):
    """The part of a session's page that needs the packages and the commits of its image."""

    installed: PackagesView | None
    difference: PackageChangesView | None
    built: CISourceView | None
    commits: list[CommitListView]


def build_session_page_view(
    found: SessionPageData, log: str, warnings: Sequence[str], frame: PageContext
) -> SessionPageView:
    """Build the view of renku_session.html, without packages; *warnings* are for editors."""
    project, session, urls = found.project, found.view.session, frame.urls
    writes = found.can_write
    card = build_session_card_view(found.view, project, frame, may_write=writes, storages=found.storages)
    link = urls.site + urls.launch_page(project.path, session.id)
    numbers = {revision.id: revision.number for revision in found.revisions}
    return {
        "project": build_project_head_view(project, frame),
        "s": card,
        "warnings": list(warnings) if writes else [],
        "steps": build_launch_steps(found.view.instance, frame),
        "log": log.splitlines()[-200:],
        "log_note": "The end of what your session printed",
        "facts": build_run_rows(session.revision, local=frame.local),
        "about": build_session_image_view(session.revision, frame.now),
        "update": build_image_update_view(found.view.update, session.revision, card["url"], frame, writes=writes),
        "configuration": build_configuration_view(found.view, project, found.storages, frame),
        "launches": [build_launch_history_row(each, numbers, frame) for each in found.launches],
        "revisions": [
            build_image_revision_view(each, session.revision, card["url"], found.sightings, writes=writes)
            for each in found.revisions
        ],
        "launch_link": link,
        "badge": f"[![Start with Renku]({urls.badge()})]({link})",
        "edit_url": f"{card['url']}/edit" if writes else None,
        "copy_url": f"{card['url']}/copy",
        "remove_url": f"{card['url']}/delete" if writes else None,
        "back": add_query_parameters("session", path=frame.inside, query=frame.query),
        "refresh": needs_refresh([card["status"]]),
    }


def build_run_rows(revision: NewRevision, *, local: bool) -> list[PropertyView]:
    """List the run configuration, as far as the environment sets it."""
    run = revision.run
    rows = [
        ("Opens at", run.default_url),
        ("Port", str(run.port)),
        ("Command", " ".join([*run.command, *run.arguments])),
        ("Working directory", run.working_directory),
        ("User id", "" if run.uid is None else str(run.uid)),
    ]
    own = [build_property_view("User", _format_image_user(revision, local=local))] if run.image_user else []
    return [build_property_view(name, text, code=True) for name, text in rows if text] + own


def _format_image_user(revision: NewRevision, *, local: bool) -> str:
    if local:
        return "the image's own; not on this hub, where sessions are programs of the hub's own user"
    metadata, user_ids = parse_image_metadata_json(revision.facts), get_image_user_ids(revision)
    if user_ids is None:
        why = find_image_user_problem(metadata.user) if metadata else "It is not known yet: until then the usual one."
        return f"the image's own. {why}"
    return f"the image's own, {user_ids.uid}" + (f" in group {user_ids.gid}" if user_ids.gid is not None else "")


class LaunchStep(TypedDict):
    text: str | None
    state: Literal["done", "now", "next"]
    took: str | None


def build_launch_steps(instance: Instance | None, frame: PageContext) -> list[LaunchStep]:
    """List the steps of a running start; empty at any other time."""
    if instance is None or instance.status is not InstanceStatus.LAUNCHING:
        return []
    stages = [stage for stage in STAGE_LABELS if _is_stage_shown(stage, instance, frame)]
    now = stages.index(instance.observed) if instance.observed in stages else 0
    return [
        {
            "text": frame.stage(instance) if stage is ObservedState.QUEUED and number == now else STAGE_LABELS[stage],
            "state": "done" if number < now else "now" if number == now else "next",
            "took": _format_stage_duration(instance, frame) if number == now else None,
        }
        for number, stage in enumerate(stages)
    ]


def _is_stage_shown(stage: ObservedState, instance: Instance, frame: PageContext) -> bool:
    if stage is ObservedState.QUEUED:
        return instance.turn is not None or str(stage) in (instance.spent or {})
    return not (frame.local and stage in _CLUSTER_ONLY_STAGES)


def _format_stage_duration(instance: Instance, frame: PageContext) -> str | None:
    return format_elapsed_time((frame.now - instance.stage_at).total_seconds()) if instance.stage_at else None


class ConfigurationView(TypedDict):
    needs: str
    more: list[PropertyView]
    fits: str
    repositories: list[RepositoryRow]
    storages: list[StorageRow]
    variables: list[str]


def build_configuration_view(
    view: SessionView, project: Project, storages: Sequence[Storage], frame: PageContext
) -> ConfigurationView:
    """Build the configuration of a session for its page and the launch page."""
    configuration = view.session.configuration
    smallest = view.classes[0] if view.classes else None
    return {
        "needs": configuration.needs.summary,
        "more": [
            build_property_view(each.label, each.format_value(getattr(configuration, each.name)))
            for each in OTHER_FIELDS
            if each.kind in (FieldKind.QUANTITY, FieldKind.NUMBER) and getattr(configuration, each.name) != each.default
        ],
        "fits": f"your smallest class for it is {smallest.name} ({smallest.size_label})" if smallest else "",
        "repositories": build_repository_rows(configuration.select_repositories(project.repositories)),
        "storages": build_storages_view(configuration.select_storages(storages), frame),
        "variables": list_masked_variables(configuration),
    }


class LaunchHistoryRow(TypedDict):
    when: str
    when_at: str
    outcome: str
    failed: bool
    class_name: str | None
    took: str | None
    ran: str | None
    revision: int | str


def build_launch_history_row(each: Launch, numbers: dict[str, int], frame: PageContext) -> LaunchHistoryRow:
    reason = REASONS_BY_CODE.get(each.reason or "")
    explanation = each.message or (reason.text if reason and "{" not in reason.text else "")
    outcome = LAUNCH_OUTCOME_TEXTS.get(each.outcome, each.outcome)
    return {
        "when": format_day_and_time(each.requested_at, frame.now),
        "when_at": format_iso_time(each.requested_at),
        "outcome": f"{outcome}: {explanation}" if explanation else outcome,
        "failed": each.outcome == "failed",
        "class_name": each.resource_class,
        "took": format_elapsed_time((each.ready_at - each.requested_at).total_seconds()) if each.ready_at else None,
        "ran": _format_run_duration(each, frame),
        "revision": numbers.get(each.revision, ""),
    }


def _format_run_duration(each: Launch, frame: PageContext) -> str | None:
    if each.ready_at is None:
        return None
    end = each.ended_at or (frame.now if each.outcome == "running" else None)
    return format_elapsed_time((end - each.ready_at).total_seconds()) if end else None


class SessionRemovalView(TypedDict):
    project: ProjectHeadView
    session: RemovedSessionView
    others: bool
    successors: list[DefaultSessionChoice]
    action: str


class RemovedSessionView(SessionLinkView):
    default: bool


class DefaultSessionChoice(TypedDict):
    id: str
    title: str
    checked: bool


def build_session_removal_view(found: SessionPageData, frame: PageContext) -> SessionRemovalView:
    """Build the view of renku_session_remove.html, without what was typed."""
    session, project = found.view.session, found.project
    default = project.default_session == session.id
    rest = [(id, title) for id, title in found.siblings if id != session.id]
    url = frame.urls.session(project.path, session.id)
    return {
        "project": build_project_head_view(project, frame),
        "session": {"title": session.title, "page": url, "default": default},
        "others": found.others_have_data,
        "successors": [
            {"id": id, "title": title, "checked": number == 0} for number, (id, title) in enumerate(rest) if default
        ],
        "action": f"{url}/delete",
    }


class LaunchProjectView(ProjectHeadView):
    owner: str | None


class LaunchPageView(TypedDict):
    project: LaunchProjectView
    s: SessionCardView
    configuration: ConfigurationView
    action: str
    path: str | None
    ignored: list[str]
    changed: str


def build_launch_page_view(
    view: SessionView, project: Project, storages: Sequence[Storage], frame: PageContext, ignored: Sequence[str],
    changed: str = "",
) -> LaunchPageView:  # fmt: skip
    """Build the view of renku_launch.html; *changed* says what differs from the page shown before."""
    owners = ", ".join(member.name for member in project.members if member.role is Role.OWNER)
    return {
        "project": {
            **build_project_head_view(project, frame),
            "owner": (owners or project.created_by) if project.is_hub_project else None,
        },
        "s": build_session_card_view(view, project, frame, may_write=False),
        "configuration": build_configuration_view(view, project, storages, frame),
        "action": add_query_parameters(frame.urls.launch_page(project.path, view.session.id), path=frame.inside),
        "path": frame.inside or None,
        "ignored": list(ignored),
        "changed": changed,
    }


class OwnedInstanceView(BriefSessionView):
    project_title: str
    project_page: str | None
    pause_url: str
    resume_url: str | None


def build_owned_instance_view(found: OwnedInstance, frame: PageContext) -> OwnedInstanceView:
    """Build the user's own instance for *My sessions*.

    Project and session are left out if the user may not see them.
    """
    instance, urls, project = found.instance, frame.urls, found.project
    id = instance.session
    is_visible = project is not None and found.session is not None
    page = urls.session(project.path, id) if is_visible and project else None
    return {
        **build_brief_session_view(id, found.title, page or urls.my_sessions, instance, frame),
        "page": page,
        "project_title": project.title if project else "Another project",
        "project_page": urls.project(project.path) if project else None,
        "pause_url": urls.instance_action(id, "pause"),
        "resume_url": urls.instance_action(id, "resume") if is_visible else None,
        "launch_version": found.launch_version,
    }


class StoppedSessionView(TypedDict):
    title: str
    failed: bool
    message: str | None
    kept: bool
    resume_url: str | None
    project_page: str | None
    launch_version: str
    back: str


def build_stopped_session_view(found: OwnedInstance, frame: PageContext) -> StoppedSessionView:
    """Build the view of the page that users see at the address of their own stopped session."""
    instance, urls, project = found.instance, frame.urls, found.project
    is_visible = project is not None and found.session is not None
    failed = instance.status is InstanceStatus.FAILED
    return {
        "title": "Your session" if found.title == instance.session else found.title,
        "failed": failed,
        "message": instance.message if failed else None,
        "kept": instance.claim is not None,
        "resume_url": urls.instance_action(instance.session, "resume") if is_visible else None,
        "project_page": urls.project(project.path) if project else None,
        "launch_version": found.launch_version,
        "back": add_query_parameters("session", path=frame.inside, query=frame.query),
    }


class EnvironmentChoicesView(TypedDict):
    project: ProjectHeadView
    session: SessionLinkView
    action: str
    version: int
    kind: str
    tabs: list[TabView]
    earlier: list[ReplacementChoice]
    offered: list[ReplacementChoice]


class ReplacementChoice(SessionEnvironmentView):
    review_url: str


def list_replacement_kinds(context: AppContext) -> list[str]:
    """List the ways to replace an environment; empty is a ready-made one, the only way where no images are run."""
    if context.policy.local:
        return [""]
    return ["", "external", *(["repository"] if context.gitlab_ci else [])]


_REPLACEMENT_TABS = {
    "": ("Ready-made", "fa-box-open"),
    "external": ("Your own image", "fa-cube"),
    "repository": ("Built from a repository", "fa-code-branch"),
}


def build_environment_choices_view(
    found: SessionPageData, choices: EnvironmentChoices, kind: str, frame: PageContext, context: AppContext
) -> EnvironmentChoicesView:
    """Build the view of renku_session_environment.html, without the forms of images."""
    session, project = found.view.session, found.project
    page = frame.urls.session(project.path, session.id)
    url = f"{page}/environment"

    def build_choice(environment: Environment, revision: Revision) -> ReplacementChoice:
        query = {"environment": environment.id, "revision": str(revision.number)}
        shown = build_session_environment_view(environment, revision)
        return {**shown, "review_url": add_query_parameters(url, **query)}

    return {
        "project": build_project_head_view(project, frame),
        "session": {"title": session.title, "page": page},
        "action": url,
        "version": session.version,
        "kind": kind,
        "tabs": [
            {
                "text": text,
                "icon": icon,
                "url": add_query_parameters(url, kind=each),
                "current": each == kind,
            }
            for each in list_replacement_kinds(context)
            for text, icon in [_REPLACEMENT_TABS[each]]
        ],
        "earlier": [build_choice(*each) for each in choices.earlier],
        "offered": [build_choice(each, each.revision) for each in choices.offered],
    }


class EnvironmentReplacementView(TypedDict):
    project: ProjectHeadView
    session: SessionLinkView
    old: ReplacedEnvironmentView
    new: ReplacingEnvironmentView
    rows: list[ComparisonRow]
    others: bool
    fields: list[HiddenField]
    action: str


class ReplacedEnvironmentView(TypedDict):
    name: str
    message: str


class ReplacingEnvironmentView(TypedDict):
    name: str
    description: str
    keywords: list[str]


class HiddenField(TypedDict):
    name: str
    value: str


def build_environment_replacement_view(
    found: SessionPageData, wanted: EnvironmentReplacement, form: SessionEnvironmentForm, frame: PageContext
) -> EnvironmentReplacementView:
    """Build the view of renku_session_replacement.html, without the changes of packages and the check of the image."""
    session, project, new = found.view.session, found.project, wanted.environment
    page = frame.urls.session(project.path, session.id)
    reviewed: dict[str, Any] = {"digest": wanted.revision.digest or "", "reviewed": "yes"}
    if isinstance(wanted.revision, Revision):
        reviewed["revision"] = str(wanted.revision.number)
    return {
        "project": build_project_head_view(project, frame),
        "session": {"title": session.title, "page": page},
        "old": {"name": session.environment.name, "message": session.environment.message},
        "new": {"name": new.name, "description": new.description, "keywords": list(new.keywords)},
        "rows": [
            *build_image_comparison_view(session.revision, wanted.revision),
            *_build_run_difference_rows(session.revision, wanted.revision, frame),
        ],
        "others": found.others_have_data,
        "fields": [{"name": name, "value": value} for name, value in (form.model_dump() | reviewed).items() if value],
        "action": f"{page}/environment",
    }


def _build_run_difference_rows(old: NewRevision, new: NewRevision, frame: PageContext) -> list[ComparisonRow]:
    """List the differences of the two run configurations."""
    before, after = (
        {fact["name"]: fact["text"] for fact in build_run_rows(revision, local=frame.local)} for revision in (old, new)
    )
    return [
        build_comparison_row(name, before.get(name, "as usual"), after.get(name, "as usual"), code=True)
        for name in {**before, **after}
        if before.get(name) != after.get(name)
    ]
