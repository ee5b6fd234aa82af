"""Below which names somebody makes projects, and when the hub is asked for its groups."""

from collections.abc import Iterator

import pytest

from renku_spawner.context.app_context import AppContext
from renku_spawner.domain.access import Person, Role
from renku_spawner.domain.errors import ForbiddenError
from renku_spawner.domain.policy import HubPolicy
from renku_spawner.domain.projects import NewProject, Project, ProjectChange, ProjectMember
from renku_spawner.integrations.project_source import HubProjectSource
from renku_spawner.persistence.database import Database
from renku_spawner.persistence.migrate import upgrade_schema
from renku_spawner.usecases.projects import change_project, create_project, get_project, list_namespaces

GROUPS = ["lab", "Ocean Group", "eve"]
OCEAN = "Ocean-Group---f01a7be6febc5e60"
ADA = Person(name="ada", groups=frozenset({"lab"}))
EVE = Person(name="eve", admin=True)


@pytest.fixture
def asked() -> list[str]:
    """A word for each time the hub is asked for its groups."""
    return []


@pytest.fixture
def parts(sqlite_url: str, asked: list[str]) -> Iterator[AppContext]:
    def groups() -> list[str]:
        asked.append("asked")
        return GROUPS

    upgrade_schema(sqlite_url)
    db = Database(sqlite_url)
    yield AppContext(db=db, source=HubProjectSource(db), policy=HubPolicy(), list_groups=groups)
    db.dispose()


async def make(parts: AppContext, person: Person, path: str) -> Project:
    return await create_project(parts, person, NewProject(path=path, title="Tides"))


async def refused(parts: AppContext, person: Person, path: str) -> str:
    with pytest.raises(ForbiddenError) as refusal:
        await make(parts, person, path)
    assert refusal.value.fields == {"path": refusal.value.message}
    return refusal.value.message


async def test_users_create_projects_below_their_own_name(parts: AppContext, asked: list[str]) -> None:
    assert list_namespaces(parts, ADA) == ["ada"]
    assert (await make(parts, ADA, "Ada/tides")).path == "Ada/tides"
    assert asked == []


@pytest.mark.parametrize("path", ["lab/tides", "eve/tides", f"{OCEAN}/tides", "nobody/tides"])
async def test_users_create_no_projects_below_other_names(parts: AppContext, asked: list[str], path: str) -> None:
    assert await refused(parts, ADA, path) == "You can make projects below ada/ only."
    assert asked == []


@pytest.mark.parametrize("path", ["eve/tides", "lab/tides", "LAB/more", f"{OCEAN}/tides"])
async def test_an_admin_creates_projects_below_the_name_of_any_group(parts: AppContext, path: str) -> None:
    assert list_namespaces(parts, EVE) == ["eve", OCEAN, "lab"]
    assert (await make(parts, EVE, path)).path == path


@pytest.mark.parametrize("path", ["ada/tides", "nobody/tides", "labs/tides", "Ocean/tides"])
async def test_an_admin_creates_no_projects_below_other_names(parts: AppContext, path: str) -> None:
    message = "You can make projects below eve/ and, as an admin, below the names of groups only."
    assert await refused(parts, EVE, path) == message


async def test_a_project_is_moved_by_the_same_rule(parts: AppContext) -> None:
    made = await make(parts, EVE, "eve/tides")
    moved = await change_project(parts, EVE, made.id, ProjectChange(version=made.version, path="lab/tides"))
    assert moved.path == "lab/tides"
    with pytest.raises(ForbiddenError):
        await change_project(parts, EVE, made.id, ProjectChange(version=moved.version, path="ada/tides"))
    owners = tuple(ProjectMember(kind="user", name=name, role=Role.OWNER) for name in ("eve", "ada"))
    shared = await change_project(parts, EVE, made.id, ProjectChange(version=moved.version, members=owners))
    with pytest.raises(ForbiddenError):
        await change_project(parts, ADA, made.id, ProjectChange(version=shared.version, path="lab/other"))


async def test_the_hub_is_asked_only_when_an_admin_chooses_a_path(parts: AppContext, asked: list[str]) -> None:
    made = await make(parts, EVE, "eve/tides")
    assert asked == ["asked"]
    changed = await change_project(parts, EVE, made.id, ProjectChange(version=made.version, title="Tide tables"))
    same = await change_project(parts, EVE, made.id, ProjectChange(version=changed.version, path="eve/tides"))
    await get_project(parts, EVE, same.id)
    assert asked == ["asked"]
