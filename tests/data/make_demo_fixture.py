"""Writes `demo-<version>.sql`: the demo's database as a release leaves it behind, for later ones to upgrade.

`python -m tests.data.make_demo_fixture` makes that of this release anew. Ids and times are the same each time.
"""

import asyncio
import random
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from jupyterhub import orm

import renku_spawner
from renku_spawner.config.renku import Renku
from renku_spawner.context.app_context import AppContext
from renku_spawner.demo.run import DEMO_USERS, build_demo_config, get_demo_git_url
from renku_spawner.demo.seed import seed_demo_projects
from renku_spawner.domain import ids
from renku_spawner.domain.access import Person
from renku_spawner.domain.instances import ObservedState
from renku_spawner.domain.sessions import NewSession, Session, SessionConfiguration
from renku_spawner.lifecycle.runs import (
    record_failure,
    record_ready,
    record_stage,
    record_stopped,
    request_start,
    request_stop,
)
from renku_spawner.usecases.environments import apply_configured_environments, list_offered_environments
from renku_spawner.usecases.instances import prepare_launch_spec
from renku_spawner.usecases.sessions import add_session
from renku_spawner.usecases.users import detect_recreated_user

BEGAN = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
PORT = 8000


def file(version: str) -> Path:
    """Where the database of a release is kept."""
    return Path(__file__).with_name(f"demo-{version}.sql")


@contextmanager
def _same_each_time() -> Iterator[None]:
    kept, ids.secrets = ids.secrets, random.Random(BEGAN.year)  # type: ignore[assignment]
    try:
        yield
    finally:
        ids.secrets = kept


def make() -> str:
    """The database as SQL: the hub's tables with the demo's users, and ours after people have worked."""
    with tempfile.TemporaryDirectory() as folder, _same_each_time():
        database = Path(folder, "jupyterhub.sqlite")
        _hub(f"sqlite:///{database}")
        config = build_demo_config(Path(folder), port=PORT)
        config.Renku.storage_check = False  # the spawner says which volumes there are, and there is none
        config.Renku.registries_asked = False  # nothing serves the repositories here
        renku = Renku(config=config)
        steps = count()
        parts = replace(renku.context, now=lambda: BEGAN + timedelta(seconds=next(steps)))
        asyncio.run(_fill(parts, renku))
        renku.context.db.dispose()
        with closing(sqlite3.connect(database)) as connection:
            return "\n".join(connection.iterdump()) + "\n"


def _hub(url: str) -> None:
    """The hub's own tables, at its own version, with the five users."""
    session = orm.new_session_factory(url)()
    for name in DEMO_USERS:
        session.add(
            orm.User(name=name, admin=name == "admin", created=BEGAN.replace(tzinfo=None), cookie_id=f"cookie-{name}")
        )
    session.commit()
    engine = session.get_bind()
    session.close()
    engine.dispose()


async def _fill(parts: AppContext, renku: Renku) -> None:
    """As `renku-spawner demo --prepare`, and then as people do."""
    await apply_configured_environments(parts, renku.configured)
    await seed_demo_projects(parts, git=get_demo_git_url(PORT))
    for name in DEMO_USERS:
        await detect_recreated_user(parts, _person(name))
    snow = await _session(
        parts, "alice/alpine-snow", "Snow, interactively", SessionConfiguration(variables={"STATION": "Weissfluhjoch"})
    )
    ice = await _session(
        parts, "alice/lake-ice", "Ice, interactively", SessionConfiguration(repositories=("ice-analysis",))
    )
    await _paused(parts, "alice", snow)
    await _failed(parts, "carol", ice)


def _person(name: str) -> Person:
    return Person(name=name, admin=name == "admin", since=BEGAN)


async def _session(parts: AppContext, path: str, title: str, configuration: SessionConfiguration) -> Session:
    [environment], _ = await list_offered_environments(parts, _person("bob"))
    owner = _person("bob")
    new = NewSession(environment=environment.id, title=title, configuration=configuration)
    return await add_session(parts, owner, path, new)


async def _paused(parts: AppContext, name: str, session: Session) -> None:
    """It ran and its owner paused it."""
    instance = await request_start(parts, await prepare_launch_spec(parts, _person(name), session.id))
    for step in (ObservedState.PREPARING, ObservedState.STARTING, ObservedState.WAITING):
        await record_stage(parts, instance, step)
    await record_ready(parts, instance, "http://127.0.0.1:40000")
    await request_stop(parts, name, session.id, ended_reason="stopped_by_user")
    await record_stopped(parts, name, session.id, log="Jupyter Server is running\n")


async def _failed(parts: AppContext, name: str, session: Session) -> None:
    """Its program ended before it answered."""
    instance = await request_start(parts, await prepare_launch_spec(parts, _person(name), session.id))
    await record_stage(parts, instance, ObservedState.WAITING)
    await record_failure(parts, name, session.id, reason="crash_exit", log="ImportError\n", values={"exit_code": 1})


def main() -> None:
    file(renku_spawner.__version__).write_text(make())


if __name__ == "__main__":
    main()
