"""Convert domain values to the answer models of the API.

The models themselves are in the `schemas` modules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..context.start_queue import StartQueue
from ..domain.access import Person, Role
from ..domain.ci_images import CiImage, GitBranch
from ..domain.environments import Environment, Revision
from ..domain.idle import PlannedPause
from ..domain.image_checks import ImageInspection
from ..domain.image_metadata import (
    ImageMetadata,
    detect_image_kind,
    detect_run_configuration,
    parse_image_metadata_json,
    to_image_metadata_json,
)
from ..domain.image_updates import ImageUpdate
from ..domain.instances import Instance, InstanceStatus
from ..domain.notices import build_expiry_notices
from ..domain.policy import StoragePrice
from ..domain.projects import Project, ProjectEntry
from ..domain.reasons import REASONS_BY_CODE
from ..domain.resource_classes import ResourceClass
from ..domain.sessions import SessionConfiguration
from ..domain.software import ImageSoftware, search_packages
from ..spawners.in_pod.contents import ContentsInspection, UnsavedWork
from ..usecases.ci_images import BranchCIImages
from ..usecases.environments import ManagedEnvironmentDetails
from ..usecases.images import format_image_refusal
from ..usecases.instances import OwnedInstance
from ..usecases.session_queries import SessionView
from .environments.schemas import NodesAnswer, ReadyMadeAnswer, RunAnswer, UsageAnswer
from .formatting import compute_progress_percent, format_pause_warning
from .images.schemas import (
    BranchAnswer,
    BuiltAnswer,
    BuiltImageAnswer,
    BuiltImageList,
    CheckedAnswer,
    FactsAnswer,
    HintAnswer,
    PackageAnswer,
    PipelineAnswer,
    SoftwareAnswer,
    SuggestedAnswer,
    UpdateAnswer,
)
from .instances.schemas import (
    ContentsAnswer,
    InstanceAnswer,
    MyInstanceAnswer,
    NoticeAnswer,
    ProgressAnswer,
    WorkAnswer,
)
from .sessions.schemas import (
    ConfigurationAnswer,
    EnvironmentAnswer,
    MemberAnswer,
    ProjectAnswer,
    ProjectEntryAnswer,
    RepositoryAnswer,
    ResourceClassAnswer,
    RevisionAnswer,
    SessionAnswer,
    SuccessorAnswer,
)
from .urls import UrlBuilder


def to_checked_answer(found: ImageInspection) -> CheckedAnswer:
    metadata = found.facts
    return CheckedAnswer(
        image=found.image.canonical_reference,
        verdict=str(found.verdict),
        usable=not found.is_blocking,
        digest=found.image.digest,
        code=found.reason,
        message=format_image_refusal(found),
        likely=str(detect_image_kind(metadata, found.image)) if metadata else None,
        facts=_to_facts_answer(metadata) if metadata else None,
        hints=[HintAnswer.model_validate(warning) for warning in found.hints],
        suggested=_to_suggested_answer(found),
        checked_at=found.checked_at,
    )


def _to_facts_answer(known: ImageMetadata) -> FactsAnswer:
    return FactsAnswer.model_validate(to_image_metadata_json(known))


def to_stored_facts_answer(facts: Mapping[str, Any]) -> FactsAnswer | None:
    """Return the metadata stored with a revision; None if its image has not been checked."""
    metadata = parse_image_metadata_json(facts)
    return _to_facts_answer(metadata) if metadata else None


def _to_suggested_answer(found: ImageInspection) -> SuggestedAnswer | None:
    if found.facts is None:
        return None
    run = detect_run_configuration(found.facts, found.image)
    return SuggestedAnswer(
        default_url=run.default_url,
        port=run.port,
        command=list(run.command),
        working_directory=run.working_directory,
    )


def to_update_answer(found: ImageUpdate | None) -> UpdateAnswer | None:
    if found is None:
        return None
    return UpdateAnswer(
        revision=found.revision,
        image=found.image,
        digest=found.digest,
        created_at=found.since,
        commits=found.commits,
        commit=found.commit,
    )


def to_built_answer(revision: Revision) -> BuiltAnswer | None:
    build = revision.built
    if build is None:
        return None
    return BuiltAnswer(repository=build.url, branch=build.ref, commit=revision.commit or "", pipeline=build.pipeline)


def to_built_image_list(directory: str, found: BranchCIImages) -> BuiltImageList:
    return BuiltImageList(
        repository=directory,
        branch=found.branch.name if found.branch else None,
        state=str(found.state),
        log=found.job or None,
        branches=[_to_branch_answer(item, found) for item in found.branches],
        items=[_to_built_image_answer(item) for item in found.images],
    )


def _to_branch_answer(branch: GitBranch, found: BranchCIImages) -> BranchAnswer:
    newest = found.newest.get(branch.name)
    return BranchAnswer(
        name=branch.name,
        default=branch.default,
        protected=branch.protected,
        image=newest.tag.reference if newest else None,
    )


def _to_built_image_answer(each: CiImage) -> BuiltImageAnswer:
    commit, pipeline = each.commit, each.pipeline
    return BuiltImageAnswer(
        image=each.tag.reference,
        commit=commit.sha,
        title=commit.title,
        author=commit.author,
        committed_at=commit.at,
        url=commit.url,
        pipeline=PipelineAnswer(id=pipeline.id, status=pipeline.status, url=pipeline.url),
    )


def to_software_answer(found: ImageSoftware, revision: Revision, text: str) -> SoftwareAnswer:
    return SoftwareAnswer(
        image=revision.canonical_reference,
        digest=revision.digest,
        origin=str(found.origin),
        found_at=found.found_at,
        complete=found.complete,
        interpreters=dict(found.interpreters),
        cuda=found.cuda,
        packages=[PackageAnswer.model_validate(package) for package in search_packages(found, text)],
        more=found.more,
    )


_INSTANCE_ANSWER_FIELDS = (
    "resource_class", "last_activity", "last_seen", "paused_at", "deleted_on",
    "trashed_until", "disk_used", "disk_used_at",
)  # fmt: skip


def to_instance_answer(
    found: Instance | None,
    usual: float | None,
    *,
    urls: UrlBuilder,
    now: datetime,
    line: StartQueue,
    outlook: PlannedPause | None,
    price: StoragePrice | None = None,
) -> InstanceAnswer:
    if found is None:
        return InstanceAnswer(status=str(InstanceStatus.INACTIVE))
    elapsed = found.get_elapsed_seconds(now) if found.is_active else None
    launching = found.status is InstanceStatus.LAUNCHING
    comes_up = launching and found.turn is None
    opens = found.status is InstanceStatus.RUNNING or (
        found.status is InstanceStatus.UNKNOWN and found.ready_at is not None
    )
    return InstanceAnswer(
        status=str(found.status),
        stage=str(found.observed) if launching else None,
        stage_text=line.describe_stage(found),
        queue_position=line.get_position(found.username, found.session),
        progress=compute_progress_percent(elapsed, usual) if comes_up else None,
        elapsed=elapsed,
        usual=usual if comes_up else None,
        url=urls.session_server(found.session) if opens else None,
        notices=[
            NoticeAnswer(code=n["code"], title=n["title"], text=n["text"])
            for n in (*found.notices, *build_expiry_notices(found, now))
        ],
        started_at=found.requested_at,
        **_to_ending_fields(found),
        **_to_cost_fields(found, price),
        without_storages=list(found.without_storages) if found.is_active else [],
        failed_storages=list(found.failed_storages),
        awake_until=found.awake_until if found.awake_until and found.awake_until > now else None,
        pauses_at=outlook.at if outlook else None,
        pauses_because=format_pause_warning(found, outlook, now),
        **{name: getattr(found, name) for name in _INSTANCE_ANSWER_FIELDS},
    )


def _to_ending_fields(found: Instance) -> dict[str, Any]:
    """Return why the instance failed or was paused, in the words of its page."""
    paused = found.status is InstanceStatus.PAUSED and found.reason is None
    reason = REASONS_BY_CODE.get(found.ended_reason or "") if paused else None
    usual = reason if reason is not None and not found.message and "{" not in reason.text else None
    return {
        "reason": reason.code if reason else found.reason,
        "message": usual.text if usual else found.message,
        "advice": usual.advice or None if usual else found.advice,
    }


def _to_cost_fields(found: Instance, price: StoragePrice | None) -> dict[str, Any]:
    """Return the monthly cost; empty without a price, or before the session has reported its disk usage."""
    if price is None or found.disk_used is None or found.claim is None:
        return {}
    return {"cost_per_month": price.get_monthly_cost(found.disk_used), "currency": price.currency}


def to_progress_answer(
    found: Instance, usual: float | None, now: datetime, line: StartQueue, outlook: PlannedPause | None
) -> ProgressAnswer:
    """Build the data of one server-sent event."""
    elapsed = found.get_elapsed_seconds(now) if found.is_active else None
    launching = found.status is InstanceStatus.LAUNCHING
    comes_up = launching and found.turn is None
    return ProgressAnswer(
        session=found.session,
        status=str(found.status),
        stage=str(found.observed) if launching else None,
        stage_text=line.describe_stage(found),
        queue_position=line.get_position(found.username, found.session),
        progress=compute_progress_percent(elapsed, usual) if comes_up else None,
        elapsed=elapsed,
        usual=usual if comes_up else None,
        pauses_at=outlook.at if outlook else None,
        pauses_because=format_pause_warning(found, outlook, now),
    )


@dataclass(frozen=True)
class AnswerBuilder:
    """Convert domain values to answers for one user at one time."""

    urls: UrlBuilder
    person: Person
    now: datetime
    line: StartQueue
    outlook: Callable[[Instance], PlannedPause | None]
    price: StoragePrice | None = None

    def build_instance_answer(self, found: Instance | None, usual: float | None = None) -> InstanceAnswer:
        outlook = self.outlook(found) if found else None
        urls, now, line, price = self.urls, self.now, self.line, self.price
        return to_instance_answer(
            found, usual, urls=urls, now=now, line=line, outlook=outlook, price=price
        )  # fmt: skip

    def build_project_entry_answer(self, found: ProjectEntry, instance: Instance | None) -> ProjectEntryAnswer:
        return ProjectEntryAnswer.model_validate(vars(found) | {"instance": self.build_instance_answer(instance)})

    def build_project_answer(self, found: Project) -> ProjectAnswer:
        return ProjectAnswer(
            id=found.id,
            path=found.path,
            title=found.title,
            description=found.description,
            visibility=str(found.visibility),
            listed=found.listed,
            role=(found.get_role(self.person) or Role.VIEWER).label,
            default_session=found.default_session,
            repositories=[RepositoryAnswer.model_validate(repository) for repository in found.repositories],
            members=[MemberAnswer.model_validate(member) for member in found.members],
            archived=found.archived,
            web=found.web,
            stale=found.stale,
            version=found.version,
            created_by=found.created_by,
            created_at=found.created_at,
        )

    def build_session_answer(self, view: SessionView, *, default: str | None) -> SessionAnswer:
        session = view.session
        return SessionAnswer(
            id=session.id,
            project=session.project,
            title=session.title,
            description=session.description,
            is_default=session.id == default,
            environment=to_environment_answer(session.environment, session.revision),
            configuration=_to_configuration_answer(session.configuration),
            update=to_update_answer(view.update),
            successor=_to_successor_answer(view.successor),
            instance=self.build_instance_answer(view.instance, view.usual),
            version=session.version,
            launch_version=view.launch_version,
            created_by=session.created_by,
            created_at=session.created_at,
        )

    def build_my_instance_answer(self, found: OwnedInstance) -> MyInstanceAnswer:
        project = found.project
        return MyInstanceAnswer(
            session=found.instance.session,
            title=found.title,
            project=project.id if project else None,
            project_path=project.path if project else None,
            instance=self.build_instance_answer(found.instance),
        )

    def build_resource_class_answer(self, offered: ResourceClass) -> ResourceClassAnswer:
        return ResourceClassAnswer(
            name=offered.name,
            cpu=offered.cpu,
            memory=offered.memory,
            gpu=offered.gpu,
            disk=offered.disk,
            description=offered.description,
            usable=offered.is_usable_by(self.person),
        )


def to_environment_answer(found: Environment, revision: Revision) -> EnvironmentAnswer:
    return EnvironmentAnswer(
        id=found.id,
        kind=str(found.kind),
        name=found.name,
        description=found.description,
        keywords=list(found.keywords),
        image=revision.canonical_reference,
        digest=revision.digest,
        revision=revision.number,
        built=to_built_answer(revision),
        icon=found.icon,
        state=str(found.state),
        message=found.message,
        successor=found.successor,
        created_by=found.created_by,
        created_at=found.created_at,
    )


def _to_successor_answer(found: Environment | None) -> SuccessorAnswer | None:
    if found is None:
        return None
    return SuccessorAnswer(environment=found.id, name=found.name, revision=found.revision.number)


def to_revision_answer(found: Revision) -> RevisionAnswer:
    return RevisionAnswer(
        id=found.id,
        revision=found.number,
        image=found.canonical_reference,
        digest=found.digest,
        facts=to_stored_facts_answer(found.facts),
        built=to_built_answer(found),
        created_by=found.created_by,
        created_at=found.created_at,
    )


def _to_configuration_answer(found: SessionConfiguration) -> ConfigurationAnswer:
    return ConfigurationAnswer.model_validate(found.values)


def to_contents_answer(inspection: ContentsInspection) -> ContentsAnswer:
    contents = inspection.contents
    if contents is None:
        return ContentsAnswer(
            known=False, under_way=inspection.under_way, bytes=None, complete=False, repositories=[], more=0, loose=0
        )
    return ContentsAnswer(
        known=True,
        under_way=inspection.under_way,
        bytes=contents.total.bytes,
        complete=contents.total.complete and contents.loose.complete,
        repositories=[_to_work_answer(work) for work in contents.unsaved],
        more=contents.more,
        loose=contents.loose.files,
    )


def _to_work_answer(work: UnsavedWork) -> WorkAnswer:
    unread = work.problem is not None
    return WorkAnswer(
        directory=work.directory,
        branch=work.branch,
        lost=work.lost,
        changed=None if unread else work.changed + work.untracked,
        unpushed=None if unread else work.unpushed + work.stashes,
    )


def to_ready_made_answer(found: ManagedEnvironmentDetails) -> ReadyMadeAnswer:
    environment = found.environment
    coverage = found.nodes.spread.get(environment.id) if found.nodes else None
    return ReadyMadeAnswer(
        **vars(to_environment_answer(environment, environment.revision)),
        version=environment.version,
        configured=environment.is_configured,
        archived_at=environment.archived_at,
        run=RunAnswer.model_validate(environment.revision.run),
        usage=UsageAnswer.model_validate(found.usage),
        revisions=[to_revision_answer(revision) for revision in found.revisions],
        nodes=NodesAnswer.model_validate(coverage) if coverage else None,
        nodes_problem=found.nodes.problem if found.nodes else "",
    )
