"""What the pages of one session show: everything about it, one's launches, what would run."""

from __future__ import annotations

from collections.abc import Sequence

from ..domain import facts, image_user
from ..domain.access import Role
from ..domain.environment import Revision
from ..domain.instance import STAGES, Instance, Observed, Status
from ..domain.launch import Launch
from ..domain.project import Project
from ..domain.reasons import REASONS
from ..domain.storage import Storage
from ..services.instances import MyInstance
from ..services.looks import SessionPage, SessionView
from . import views_image, views_storages, words
from .urls import query
from .views import brief, card, list_variables, refresh
from .views_frame import Frame, View
from .views_projects import head, repositories

_CLUSTER_ONLY = (Observed.SCHEDULING, Observed.PULLING)


def page(found: SessionPage, log: str, warnings: Sequence[str], frame: Frame) -> View:
    """renku_session.html but what is installed; *warnings* are for those who may change the session."""
    project, session, urls = found.project, found.view.session, frame.urls
    writes = found.writes
    shown = card(found.view, project, frame, may_write=writes, storages=found.storages)
    link = urls.site + urls.launch(project.path, session.id)
    numbers = {revision.id: revision.number for revision in found.revisions}
    return {
        "project": head(project, frame),
        "s": shown,
        "warnings": list(warnings) if writes else [],
        "steps": steps(found.view.instance, frame),
        "log": log.splitlines()[-200:],
        "log_note": "The end of what your session printed",
        "facts": run_facts(session.revision, local=frame.local),
        "about": views_image.about(session.revision, frame.now),
        "update": views_image.update(found.view.update, session.revision, shown["url"], frame, writes=writes),
        "configuration": configuration(found.view, project, found.storages, frame),
        "launches": [launch(each, numbers, frame) for each in found.launches],
        "revisions": [
            views_image.revision(each, session.revision, shown["url"], found.sightings, writes=writes)
            for each in found.revisions
        ],
        "launch_link": link,
        "badge": f"[![Start with Renku]({urls.badge()})]({link})",
        "edit_url": f"{shown['url']}/edit" if writes else None,
        "copy_url": f"{shown['url']}/copy",
        "remove_url": f"{shown['url']}/delete" if writes else None,
        "back": query("session", path=frame.inside),
        "refresh": refresh([shown["status"]]),
    }


def run_facts(revision: Revision, *, local: bool) -> list[View]:
    """How the image is run, as far as its environment says."""
    run = revision.run
    said = [
        ("Opens at", run.default_url),
        ("Port", str(run.port)),
        ("Command", " ".join([*run.command, *run.arguments])),
        ("Working directory", run.working_directory),
        ("User id", "" if run.uid is None else str(run.uid)),
    ]
    own = [views_image.fact("User", _own_user(revision, local=local))] if run.image_user else []
    return [views_image.fact(name, text, code=True) for name, text in said if text] + own


def _own_user(revision: Revision, *, local: bool) -> str:
    if local:
        return "the image's own; not on this hub, where sessions are programs of the hub's own user"
    found, own = facts.from_json(revision.facts), image_user.of(revision)
    if own is None:
        why = image_user.problem(found.user) if found else "It is not known yet: until then the usual one."
        return f"the image's own. {why}"
    return f"the image's own, {own.uid}" + (f" in group {own.gid}" if own.gid is not None else "")


def steps(instance: Instance | None, frame: Frame) -> list[View]:
    """The steps of a start that is under way; empty at any other time."""
    if instance is None or instance.status is not Status.LAUNCHING:
        return []
    stages = [stage for stage in STAGES if _is_gone_through(stage, instance, frame)]
    now = stages.index(instance.observed) if instance.observed in stages else 0
    return [
        {
            "text": frame.stage(instance) if stage is Observed.QUEUED and number == now else STAGES[stage],
            "state": "done" if number < now else "now" if number == now else "next",
            "took": _took(instance, frame) if number == now else None,
        }
        for number, stage in enumerate(stages)
    ]


def _is_gone_through(stage: Observed, instance: Instance, frame: Frame) -> bool:
    if stage is Observed.QUEUED:
        return instance.turn is not None or str(stage) in (instance.spent or {})
    return not (frame.local and stage in _CLUSTER_ONLY)


def _took(instance: Instance, frame: Frame) -> str | None:
    return words.lasting((frame.now - instance.stage_at).total_seconds()) if instance.stage_at else None


def configuration(view: SessionView, project: Project, storages: Sequence[Storage], frame: Frame) -> View:
    """What a session gets, as its page and the launch page say it."""
    wanted = view.session.configuration
    smallest = view.classes[0] if view.classes else None
    return {
        "needs": wanted.needs.words,
        "fits": f"your smallest class for it is {smallest.name} ({smallest.size})" if smallest else "",
        "repositories": repositories(wanted.chosen(project.repositories)),
        "storages": views_storages.rows(wanted.mounts(storages), frame),
        "variables": list_variables(wanted),
    }


def launch(each: Launch, numbers: dict[str, int], frame: Frame) -> View:
    reason = REASONS.get(each.reason or "")
    told = each.message or (reason.text if reason and "{" not in reason.text else "")
    outcome = words.OUTCOMES.get(each.outcome, each.outcome)
    return {
        "when": words.day(each.requested_at, frame.now),
        "when_at": words.iso(each.requested_at),
        "outcome": f"{outcome}: {told}" if told else outcome,
        "failed": each.outcome == "failed",
        "class_name": each.resource_class,
        "took": words.lasting((each.ready_at - each.requested_at).total_seconds()) if each.ready_at else None,
        "ran": _ran(each, frame),
        "revision": numbers.get(each.revision, ""),
    }


def _ran(each: Launch, frame: Frame) -> str | None:
    if each.ready_at is None:
        return None
    end = each.ended_at or (frame.now if each.outcome == "running" else None)
    return words.lasting((end - each.ready_at).total_seconds()) if end else None


def removal(found: SessionPage, frame: Frame) -> View:
    """Everything of renku_session_remove.html but what was typed."""
    session, project = found.view.session, found.project
    default = project.default_session == session.id
    rest = [(id, title) for id, title in found.siblings if id != session.id]
    url = frame.urls.session(project.path, session.id)
    return {
        "project": head(project, frame),
        "session": {"title": session.title, "page": url, "default": default},
        "others": found.others_have_data,
        "successors": [
            {"id": id, "title": title, "checked": number == 0} for number, (id, title) in enumerate(rest) if default
        ],
        "action": f"{url}/delete",
    }


def launching(
    view: SessionView, project: Project, storages: Sequence[Storage], frame: Frame, ignored: Sequence[str],
    changed: str = "",
) -> View:  # fmt: skip
    """Everything of renku_launch.html: what would run, from which image, by whom; *changed* says that it is something
    else than was shown before."""
    owners = ", ".join(member.name for member in project.members if member.role is Role.OWNER)
    return {
        "project": head(project, frame) | {"owner": (owners or project.created_by) if project.ours else None},
        "s": card(view, project, frame, may_write=False),
        "configuration": configuration(view, project, storages, frame),
        "action": query(frame.urls.launch(project.path, view.session.id), path=frame.inside),
        "path": frame.inside or None,
        "ignored": list(ignored),
        "changed": changed,
    }


def mine(found: MyInstance, frame: Frame) -> View:
    """One's own instance in the list of all; project and session are left out where one may not see them."""
    instance, urls, project = found.instance, frame.urls, found.project
    id = instance.session
    seen = project is not None and found.session is not None
    page = urls.session(project.path, id) if seen and project else None
    return brief(id, found.title, page or urls.mine, instance, frame) | {
        "page": page,
        "project_title": project.title if project else "Another project",
        "project_page": urls.project(project.path) if project else None,
        "pause_url": urls.instance(id, "pause"),
        "resume_url": urls.instance(id, "resume") if seen else None,
        "launch_version": found.launch_version,
    }
