"""Things to store: each function makes one, in words of what its test is about."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from renku_spawner.domain.access import Visibility
from renku_spawner.domain.ci_images import BranchImageStatus, CiState
from renku_spawner.domain.environments import Environment, EnvironmentState, NewEnvironment, NewRevision
from renku_spawner.domain.ids import create_id
from renku_spawner.domain.image_checks import InspectionResult
from renku_spawner.domain.image_updates import ImageStatus
from renku_spawner.domain.instances import Instance, Launch, mark_starting
from renku_spawner.domain.projects import NewProject, Project, Repository
from renku_spawner.domain.sessions import Session, SessionConfiguration
from renku_spawner.domain.software import ImageSoftware, PackageKind, SoftwareOrigin, SoftwarePackage
from renku_spawner.persistence.database import Transaction

NOW = datetime(2026, 11, 24, 9, 30, 15, 123456, tzinfo=UTC)
DIGEST = "sha256:" + "a" * 64
REPOSITORIES = (
    Repository(directory="analysis", url="https://example.org/analysis.git", ref="main"),
    Repository(directory="Data", url="https://example.org/data.git", lfs=True),
)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def project(
    tx: Transaction,
    path: str = "ada/climate",
    *,
    title: str = "Climate",
    description: str = "",
    public: bool = False,
    owner: str = "ada",
    repositories: Iterable[Repository] = (),
) -> Project:
    visibility = Visibility.PUBLIC if public else Visibility.PRIVATE
    new = NewProject(path=path, title=title, description=description, visibility=visibility)
    return tx.projects.add(new, id=create_id(), repositories=list(repositories), owner=owner, now=NOW)


def revision(digest: str | None = DIGEST, **more: object) -> NewRevision:
    facts = {"packages": ["numpy 2.3", "naïve"], "size": 5}
    values = {"image": "jupyter/minimal:7", "repository": "docker.io/jupyter/minimal", "tag": "7", "facts": facts}
    return NewRevision(**{**values, "digest": digest, **more})


def environment(
    tx: Transaction, name: str = "Python", *, state: EnvironmentState = EnvironmentState.ACTIVE, **more: object
) -> Environment:
    return tx.environments.add(NewEnvironment(name=name, **more), revision(), by="admin", now=NOW, state=state)


def session(
    tx: Transaction,
    where: Project,
    what: Environment,
    title: str = "Analysis",
    *,
    description: str = "",
    configuration: SessionConfiguration | None = None,
    now: datetime = NOW,
) -> Session:
    return tx.sessions.add(
        id=create_id(),
        project=where.id,
        environment=what,
        revision=what.revision,
        title=title,
        description=description,
        configuration=configuration or SessionConfiguration(),
        by="ada",
        now=now,
    )


def begun(instance: Instance, now: datetime = NOW) -> Instance:
    return mark_starting(
        instance,
        run=create_id(),
        claim=f"claim-{instance.id}",
        now=now,
        one_active=True,
        revision="r",
        fingerprint="f",
        resource_class="small",
        url=None,
        deadline=now + timedelta(minutes=5),
    )


def started(tx: Transaction, of: Session, username: str = "ada", now: datetime = NOW) -> Instance:
    fresh = tx.instances.get_or_create(of, username, now=now)
    return tx.instances.save(fresh, begun(fresh, now))


def launch(of: Session, username: str = "ada", *, at: datetime = NOW, seconds: float | None = None) -> Launch:
    return Launch(
        id=create_id(),
        session=of.id,
        project=of.project,
        username=username,
        revision=of.revision.id,
        resource_class="small",
        requested_at=at,
        outcome="launching" if seconds is None else "ended",
        ready_at=None if seconds is None else at + timedelta(seconds=seconds),
    )


def installed(
    *packages: tuple[str, str], origin: SoftwareOrigin = SoftwareOrigin.IMAGE, now: datetime = NOW
) -> ImageSoftware:
    found = tuple(SoftwarePackage(name=name, version=version, kind=PackageKind.PYTHON) for name, version in packages)
    return ImageSoftware(packages=found, interpreters={"Python": "3.12.4"}, cuda="12.4", origin=origin, found_at=now)


def sighting(reference: str = "docker.io/jupyter/minimal:7", **more: object) -> ImageStatus:
    values = {"verdict": InspectionResult.OK, "looked_at": NOW, "digest": DIGEST, "since": NOW, "facts": {"size": 5}}
    return ImageStatus(reference=reference, **{**values, **more})


def newest(ref: str = "main", **more: object) -> BranchImageStatus:
    values = {
        "source": "42", "image": "registry.example.org/a/b", "looked_at": NOW, "since": NOW, "commit": "b" * 40,
        "tag": "b" * 8, "digest": DIGEST, "pipeline": 7, "shas": ("b" * 40, "a" * 40),
        "statuses": {"b" * 40: "success"}, "facts": {"size": 5}, "state": CiState.FAILED, "link": "https://gitlab.example.org/jobs/1",
    }  # fmt: skip
    return BranchImageStatus(ref=ref, **{**values, **more})
