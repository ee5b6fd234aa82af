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
from renku_spawner.app import Renku
from renku_spawner.demo import run, seed
from renku_spawner.domain import names
from renku_spawner.domain.access import Person
from renku_spawner.domain.instance import Observed
from renku_spawner.domain.session import Configuration, NewSession, Session
from renku_spawner.services import environments, instances, people, runs, sessions
from renku_spawner.services.parts import Parts

BEGAN = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
PORT = 8000


def file(version: str) -> Path:
    """Where the database of a release is kept."""
    return Path(__file__).with_name(f"demo-{version}.sql")


@contextmanager
def _same_each_time() -> Iterator[None]:
    kept, names.secrets = names.secrets, random.Random(BEGAN.year)  # type: ignore[assignment]
    try:
        yield
    finally:
        names.secrets = kept


def make() -> str:
    """The database as SQL: the hub's tables with the demo's users, and ours after people have worked."""
    with tempfile.TemporaryDirectory() as folder, _same_each_time():
        database = Path(folder, "jupyterhub.sqlite")
        _hub(f"sqlite:///{database}")
        config = run.settings(Path(folder), port=PORT)
        config.Renku.storage_check = False  # the spawner says which volumes there are, and there is none
        renku = Renku(config=config)
        steps = count()
        parts = replace(renku.parts, now=lambda: BEGAN + timedelta(seconds=next(steps)))
        asyncio.run(_fill(parts, renku))
        renku.parts.db.dispose()
        with closing(sqlite3.connect(database)) as connection:
            return "\n".join(connection.iterdump()) + "\n"


def _hub(url: str) -> None:
    """The hub's own tables, at its own version, with the five users."""
    session = orm.new_session_factory(url)()
    for name in run.USERS:
        session.add(
            orm.User(name=name, admin=name == "admin", created=BEGAN.replace(tzinfo=None), cookie_id=f"cookie-{name}")
        )
    session.commit()
    engine = session.get_bind()
    session.close()
    engine.dispose()


async def _fill(parts: Parts, renku: Renku) -> None:
    """As `renku-spawner demo --prepare`, and then as people do."""
    await environments.configure(parts, renku.configured)
    await seed.seed(parts, git=run.git_url(PORT))
    for name in run.USERS:
        await people.seen(parts, _person(name))
    snow = await _session(
        parts, "alice/alpine-snow", "Snow, interactively", Configuration(variables={"STATION": "Weissfluhjoch"})
    )
    ice = await _session(parts, "alice/lake-ice", "Ice, interactively", Configuration(repositories=("ice-analysis",)))
    await _paused(parts, "alice", snow)
    await _failed(parts, "carol", ice)


def _person(name: str) -> Person:
    return Person(name=name, admin=name == "admin", since=BEGAN)


async def _session(parts: Parts, path: str, title: str, configuration: Configuration) -> Session:
    [environment], _ = await environments.offered(parts, _person("bob"))
    owner = _person("bob")
    new = NewSession(environment=environment.id, title=title, configuration=configuration)
    return await sessions.add(parts, owner, path, new)


async def _paused(parts: Parts, name: str, session: Session) -> None:
    """It ran and its owner paused it."""
    instance = await runs.begin(parts, await instances.prepare(parts, _person(name), session.id))
    for step in (Observed.PREPARING, Observed.STARTING, Observed.WAITING):
        await runs.stage(parts, instance, step)
    await runs.ready(parts, instance, "http://127.0.0.1:40000")
    await runs.stop(parts, name, session.id, ended_reason="stopped_by_user")
    await runs.stopped(parts, name, session.id, log="Jupyter Server is running\n")


async def _failed(parts: Parts, name: str, session: Session) -> None:
    """Its program ended before it answered."""
    instance = await runs.begin(parts, await instances.prepare(parts, _person(name), session.id))
    await runs.stage(parts, instance, Observed.WAITING)
    await runs.fail(parts, name, session.id, reason="crash_exit", log="ImportError\n", values={"exit_code": 1})


def main() -> None:
    file(renku_spawner.__version__).write_text(make())


if __name__ == "__main__":
    main()
