"""Below which names somebody makes projects (decision 24), and when the hub is asked for its groups."""

from collections.abc import Iterator

import pytest

from renku_spawner.domain.access import Person, Role
from renku_spawner.domain.errors import Forbidden
from renku_spawner.domain.policy import Policy
from renku_spawner.domain.project import Member, NewProject, Project, ProjectChange
from renku_spawner.projects.hub import HubProjects
from renku_spawner.services import projects
from renku_spawner.services.parts import Parts
from renku_spawner.store import migrate
from renku_spawner.store.database import Database

GROUPS = ["lab", "Ocean Group", "eve"]
OCEAN = "Ocean-Group---f01a7be6febc5e60"
ADA = Person(name="ada", groups=frozenset({"lab"}))
EVE = Person(name="eve", admin=True)


@pytest.fixture
def asked() -> list[str]:
    """A word for each time the hub is asked for its groups."""
    return []


@pytest.fixture
def parts(sqlite_url: str, asked: list[str]) -> Iterator[Parts]:
    def groups() -> list[str]:
        asked.append("asked")
        return GROUPS

    migrate.upgrade(sqlite_url)
    db = Database(sqlite_url)
    yield Parts(db=db, source=HubProjects(db), policy=Policy(), groups=groups)
    db.dispose()


async def make(parts: Parts, person: Person, path: str) -> Project:
    return await projects.create(parts, person, NewProject(path=path, title="Tides"))


async def refused(parts: Parts, person: Person, path: str) -> str:
    with pytest.raises(Forbidden) as refusal:
        await make(parts, person, path)
    assert refusal.value.fields == {"path": refusal.value.message}
    return refusal.value.message


async def test_anybody_makes_projects_below_their_own_name_alone(parts: Parts, asked: list[str]) -> None:
    assert projects.namespaces(parts, ADA) == ["ada"]
    assert (await make(parts, ADA, "Ada/tides")).path == "Ada/tides"
    for path in ("lab/tides", "eve/tides", f"{OCEAN}/tides", "nobody/tides"):
        assert await refused(parts, ADA, path) == "You can make projects below ada/ only."
    assert asked == []


async def test_an_admin_makes_them_below_any_groups_name_and_below_no_other(parts: Parts) -> None:
    assert projects.namespaces(parts, EVE) == ["eve", OCEAN, "lab"]
    for path in ("eve/tides", "lab/tides", "LAB/more", f"{OCEAN}/tides"):
        assert (await make(parts, EVE, path)).path == path
    for path in ("ada/tides", "nobody/tides", "labs/tides", "Ocean/tides"):
        assert await refused(parts, EVE, path) == (
            "You can make projects below eve/ and, as an admin, below the names of groups only."
        )


async def test_a_project_is_moved_by_the_same_rule(parts: Parts) -> None:
    made = await make(parts, EVE, "eve/tides")
    moved = await projects.change(parts, EVE, made.id, ProjectChange(version=made.version, path="lab/tides"))
    assert moved.path == "lab/tides"
    with pytest.raises(Forbidden):
        await projects.change(parts, EVE, made.id, ProjectChange(version=moved.version, path="ada/tides"))
    owners = tuple(Member(kind="user", name=name, role=Role.OWNER) for name in ("eve", "ada"))
    shared = await projects.change(parts, EVE, made.id, ProjectChange(version=moved.version, members=owners))
    with pytest.raises(Forbidden):
        await projects.change(parts, ADA, made.id, ProjectChange(version=shared.version, path="lab/other"))


async def test_the_hub_is_asked_only_when_an_admin_chooses_a_path(parts: Parts, asked: list[str]) -> None:
    made = await make(parts, EVE, "eve/tides")
    assert asked == ["asked"]
    changed = await projects.change(parts, EVE, made.id, ProjectChange(version=made.version, title="Tide tables"))
    same = await projects.change(parts, EVE, made.id, ProjectChange(version=changed.version, path="eve/tides"))
    await projects.show(parts, EVE, same.id)
    assert asked == ["asked"]
