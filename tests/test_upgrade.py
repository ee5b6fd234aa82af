"""The database of each release is kept, and this release reads it."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

import renku_spawner
from renku_spawner.cli.main import command_line
from renku_spawner.config.parsing import parse_resource_classes_setting
from renku_spawner.context.app_context import AppContext
from renku_spawner.demo.run import DEMO_USERS
from renku_spawner.domain.access import Person, Role, Visibility
from renku_spawner.domain.environments import EnvironmentState
from renku_spawner.domain.instances import InstanceStatus
from renku_spawner.domain.policy import HubPolicy
from renku_spawner.integrations.project_source import HubProjectSource
from renku_spawner.persistence.database import Database
from renku_spawner.persistence.migrate import compare_schema, upgrade_schema
from renku_spawner.usecases.projects import list_projects
from renku_spawner.usecases.session_queries import load_project_page
from tests.data import make_demo_fixture

VERSIONS = sorted(
    path.stem.removeprefix("demo-") for path in Path(make_demo_fixture.__file__).parent.glob("demo-*.sql")
)
LATER = datetime(2026, 12, 1, tzinfo=UTC)


def load(sql: str, file: Path) -> str:
    """Make the database of which *sql* is the dump; returns its address."""
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(sql)
    return f"sqlite:///{file}"


def rows(file: Path) -> dict[str, list[tuple[object, ...]]]:
    """All that our tables hold."""
    with closing(sqlite3.connect(file)) as connection:
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'renku!_%' ESCAPE '!'"
        tables = [name for (name,) in connection.execute(query)]
        return {name: sorted(connection.execute(f"SELECT * FROM {name}"), key=repr) for name in tables}


@pytest.fixture(params=VERSIONS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The demo's database as a release left it behind."""
    return load(make_demo_fixture.file(request.param).read_text(), tmp_path / "hub.sqlite")


def test_the_database_of_this_release_is_kept() -> None:
    assert renku_spawner.__version__ in VERSIONS


def test_what_is_kept_is_what_this_release_makes(tmp_path: Path) -> None:
    load(make_demo_fixture.file(renku_spawner.__version__).read_text(), tmp_path / "kept.sqlite")
    load(make_demo_fixture.make(), tmp_path / "made.sqlite")
    made = rows(tmp_path / "made.sqlite")
    assert len(made["renku_sessions"]) == 2
    assert rows(tmp_path / "kept.sqlite") == made, "please run: python -m tests.data.make_demo_fixture"


def test_it_is_brought_up_to_date_and_the_hubs_own_tables_stay(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    command_line.main(["db", "upgrade", "--url", url], standalone_mode=False)
    command_line.main(["db", "check", "--url", url], standalone_mode=False)
    assert "up to date" in capsys.readouterr().out
    assert compare_schema(url) == []
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        users = connection.execute("SELECT name, admin FROM users ORDER BY id").fetchall()
        assert users == [(name, name == "admin") for name in DEMO_USERS]
        assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)


def test_everything_is_read_back(url: str) -> None:
    upgrade_schema(url)
    database = Database(url)
    with database.read() as tx:
        [environment] = tx.environments.list_offered()
        assert (environment.key, environment.state, environment.revision.number) == (
            "jupyter-python",
            EnvironmentState.ACTIVE,
            1,
        )
        assert environment.revision.canonical_reference == "quay.io/jupyter/scipy-notebook:2026-11-02"

        snow, ice = tx.projects.get_by_path("alice/alpine-snow"), tx.projects.get_by_path("alice/lake-ice")
        assert snow and ice
        assert (snow.visibility, ice.visibility) == (Visibility.PUBLIC, Visibility.PRIVATE)
        assert {member.name: member.role for member in ice.members} == {
            "alice": Role.OWNER,
            "bob": Role.EDITOR,
            "carol": Role.VIEWER,
        }
        assert [r.url for r in snow.repositories] == [
            "http://127.0.0.1:8003/snow-analysis.git",
            "http://127.0.0.1:8003/snow-data.git",
        ]

        [first], _ = tx.sessions.list_for_project(snow.id)
        [second], _ = tx.sessions.list_for_project(ice.id)
        assert (first.title, first.id, first.created_by) == ("Snow, interactively", snow.default_session, "bob")
        assert dict(first.configuration.variables) == {"STATION": "Weissfluhjoch"}
        assert [r.directory for r in second.configuration.select_repositories(ice.repositories)] == ["ice-analysis"]

        paused, failed = tx.instances.get(first.id, "alice"), tx.instances.get(second.id, "carol")
        assert paused and failed
        assert (paused.status, failed.status) == (InstanceStatus.PAUSED, InstanceStatus.FAILED)
        assert failed.message == "The program ended with code 1."
        [launch] = tx.launches.list_for_session(first.id, "alice")
        assert (launch.outcome, launch.reason) == ("ended", "stopped_by_user")
        [launch] = tx.launches.list_for_session(second.id, "carol")
        assert (launch.outcome, launch.log) == ("failed", "ImportError\n")
        assert tx.known_users.is_known("dave", make_demo_fixture.BEGAN)
    database.dispose()


def test_pages_can_be_made_of_it_and_people_can_work_on(url: str) -> None:
    upgrade_schema(url)
    database = Database(url)
    policy = HubPolicy(classes=parse_resource_classes_setting([{"name": "small", "cpu": "1", "memory": "2Gi"}]))
    parts = AppContext(db=database, source=HubProjectSource(database), policy=policy, now=lambda: LATER)
    carol = Person(name="carol", since=make_demo_fixture.BEGAN)

    async def work() -> None:
        listed, _ = await list_projects(parts, carol)
        assert {entry.path: instance and instance.status for entry, instance in listed} == {
            "alice/alpine-snow": None,
            "alice/lake-ice": InstanceStatus.FAILED,
        }
        page = await load_project_page(parts, carol, "alice/lake-ice")
        assert [view.session.title for view in page.sessions] == ["Ice, interactively"]

    asyncio.run(work())
    database.dispose()
