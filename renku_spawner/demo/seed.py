"""The demo's projects: one that everybody sees and one for its members."""

from __future__ import annotations

from ..domain.access import Person, Role, Visibility
from ..domain.project import Member, NewProject, Project, ProjectChange
from ..domain.repository import NewRepository
from ..domain.storage import NewStorage
from ..services import projects, storages
from ..services.parts import Parts, read

ALICE = Person(name="alice")
_TEXTS = {
    "alpine-snow": (
        "Snow in the Alps",
        "How deep the snow lies, and for how long. Everybody may start its sessions.",
        Visibility.PUBLIC,
        "snow",
    ),
    "lake-ice": (
        "Ice on mountain lakes",
        "When lakes freeze and thaw. For members only.",
        Visibility.PRIVATE,
        "ice",
    ),
}
_MEMBERS = (
    Member(kind="user", name="alice", role=Role.OWNER),
    Member(kind="user", name="bob", role=Role.EDITOR),
    Member(kind="user", name="carol", role=Role.VIEWER),
)
_WEATHER = {"volume": "weather"}


async def seed(parts: Parts, *, git: str) -> None:
    """Make the projects that are missing; *git* is where the repositories are served now.

    What somebody has changed stays; only the address of the demo's own server follows
    the port on which it listens this time.
    """
    for slug in _TEXTS:
        project = await _present(parts, f"alice/{slug}")
        if project is None:
            await _make(parts, slug, git)
        else:
            await _follow(parts, project, git)


async def _present(parts: Parts, path: str) -> Project | None:
    return await read(parts, lambda tx: tx.projects.by_path(path))


async def _make(parts: Parts, slug: str, git: str) -> None:
    title, description, visibility, name = _TEXTS[slug]
    repositories = tuple(NewRepository(url=f"{git}/{name}-{part}.git") for part in ("analysis", "data"))
    new = NewProject(
        path=f"alice/{slug}",
        title=title,
        description=description,
        visibility=visibility,
        repositories=repositories,
    )
    project = await projects.create(parts, ALICE, new)
    await projects.change(
        parts, ALICE, project.id, ProjectChange(version=project.version, members=_MEMBERS, allow_unknown=True)
    )
    await storages.add(parts, ALICE, project.id, NewStorage(kind="volume", directory="weather", settings=_WEATHER))


async def _follow(parts: Parts, project: Project, git: str) -> None:
    moved = tuple(
        NewRepository(
            url=f"{git}/{r.url.rpartition('/')[2]}" if r.url.startswith("http://127.0.0.1:") else r.url,
            ref=r.ref,
            directory=r.directory,
            lfs=r.lfs,
            submodules=r.submodules,
        )
        for r in project.repositories
    )
    owner = next((m.name for m in project.members if m.kind == "user" and m.role is Role.OWNER), None)
    if owner and [r.url for r in moved] != [r.url for r in project.repositories]:
        change = ProjectChange(version=project.version, repositories=moved)
        await projects.change(parts, Person(name=owner), project.id, change)
