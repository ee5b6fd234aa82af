"""Domain values as the answers of the API."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from ..domain.access import Person, Role
from ..domain.environment import Environment, Revision
from ..domain.idle import Outlook
from ..domain.instance import Instance
from ..domain.price import Price
from ..domain.project import Project, ProjectEntry
from ..domain.resources import ResourceClass
from ..domain.session import Configuration
from ..services.instances import MyInstance
from ..services.line import Line
from ..services.looks import SessionView
from . import answers_image, answers_instance
from .answer_models import (
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
)  # fmt: skip
from .answer_models_instance import InstanceAnswer, MyInstanceAnswer
from .urls import Urls


@dataclass(frozen=True)
class Answers:
    """Domain values as answers, for one caller at one time."""

    urls: Urls
    person: Person
    now: datetime
    line: Line
    outlook: Callable[[Instance], Outlook | None]
    price: Price | None = None

    def instance(self, found: Instance | None, usual: float | None = None) -> InstanceAnswer:
        outlook = self.outlook(found) if found else None
        urls, now, line, price = self.urls, self.now, self.line, self.price
        return answers_instance.instance(
            found, usual, urls=urls, now=now, line=line, outlook=outlook, price=price
        )  # fmt: skip

    def entry(self, found: ProjectEntry, instance: Instance | None) -> ProjectEntryAnswer:
        return ProjectEntryAnswer(
            id=found.id,
            path=found.path,
            title=found.title,
            description=found.description,
            visibility=str(found.visibility),
            role=found.role.word,
            default_session=found.default_session,
            sessions=found.sessions,
            archived=found.archived,
            stale=found.stale,
            instance=self.instance(instance),
        )

    def project(self, found: Project) -> ProjectAnswer:
        return ProjectAnswer(
            id=found.id,
            path=found.path,
            title=found.title,
            description=found.description,
            visibility=str(found.visibility),
            role=(found.role_of(self.person) or Role.VIEWER).word,
            default_session=found.default_session,
            repositories=[RepositoryAnswer(**vars(r)) for r in found.repositories],
            members=[MemberAnswer(kind=m.kind, name=m.name, role=m.role.word) for m in found.members],
            archived=found.archived,
            web=found.web,
            stale=found.stale,
            version=found.version,
            created_by=found.created_by,
            created_at=found.created_at,
        )

    def session(self, view: SessionView, *, default: str | None) -> SessionAnswer:
        found = view.session
        return SessionAnswer(
            id=found.id,
            project=found.project,
            title=found.title,
            description=found.description,
            is_default=found.id == default,
            environment=environment(found.environment, found.revision),
            configuration=_configuration(found.configuration),
            update=answers_image.update(view.update),
            successor=_successor(view.successor),
            instance=self.instance(view.instance, view.usual),
            version=found.version,
            launch_version=view.launch_version,
            created_by=found.created_by,
            created_at=found.created_at,
        )

    def mine(self, found: MyInstance) -> MyInstanceAnswer:
        project = found.project
        return MyInstanceAnswer(
            session=found.instance.session,
            title=found.title,
            project=project.id if project else None,
            project_path=project.path if project else None,
            instance=self.instance(found.instance),
        )

    def resource_class(self, offered: ResourceClass) -> ResourceClassAnswer:
        return ResourceClassAnswer(
            name=offered.name,
            cpu=offered.cpu,
            memory=offered.memory,
            gpu=offered.gpu,
            disk=offered.disk,
            description=offered.description,
            usable=offered.usable(self.person),
        )


def environment(found: Environment, revision: Revision) -> EnvironmentAnswer:
    return EnvironmentAnswer(
        id=found.id,
        kind=str(found.kind),
        name=found.name,
        description=found.description,
        keywords=list(found.keywords),
        image=revision.canonical,
        digest=revision.digest,
        revision=revision.number,
        built=answers_image.built(revision),
        icon=found.icon,
        state=str(found.state),
        message=found.message,
        successor=found.successor,
        created_by=found.created_by,
        created_at=found.created_at,
    )


def _successor(found: Environment | None) -> SuccessorAnswer | None:
    if found is None:
        return None
    return SuccessorAnswer(environment=found.id, name=found.name, revision=found.revision.number)


def revision(found: Revision) -> RevisionAnswer:
    return RevisionAnswer(
        id=found.id,
        revision=found.number,
        image=found.canonical,
        digest=found.digest,
        facts=answers_image.stored(found.facts),
        built=answers_image.built(found),
        created_by=found.created_by,
        created_at=found.created_at,
    )


def _configuration(found: Configuration) -> ConfigurationAnswer:
    needs = found.needs
    return ConfigurationAnswer(
        cpu=needs.cpu,
        memory=needs.memory,
        gpu=needs.gpu,
        disk=needs.disk,
        repositories=None if found.repositories is None else list(found.repositories),
        storages=None if found.storages is None else list(found.storages),
        variables=dict(found.variables),
    )
