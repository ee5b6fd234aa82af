"""What the measured hubs know before they start, written through the stores and, where it is much, as copied rows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from jupyterhub import orm, roles
from sqlalchemy import Connection, Table, insert, select

from renku_spawner.config.parsing import parse_environments_setting
from renku_spawner.context.app_context import AppContext
from renku_spawner.domain.access import Role, Visibility
from renku_spawner.domain.environments import Environment
from renku_spawner.domain.ids import create_id
from renku_spawner.domain.instances import Instance, Launch, ObservedState, mark_starting, mark_stopped
from renku_spawner.domain.policy import HubPolicy
from renku_spawner.domain.projects import NewProject, Project, ProjectChange, ProjectMember, Repository
from renku_spawner.domain.sessions import Session, SessionConfiguration
from renku_spawner.integrations.project_source import HubProjectSource
from renku_spawner.persistence import tables
from renku_spawner.persistence.database import Database, Transaction
from renku_spawner.persistence.migrate import prepare_schema
from renku_spawner.usecases.environments import apply_configured_environments

NOW = datetime.now(UTC)
ENVIRONMENTS = [
    {
        "key": key,
        "name": name,
        "image": image,
        "description": f"{name} with the packages that most people here begin with.",
        "keywords": words,
    }
    for key, name, image, words in (
        ("python", "Jupyter Python", "quay.io/jupyter/scipy-notebook:2026-11-02", ["python", "jupyter"]),
        ("r", "R and RStudio", "docker.io/rocker/geospatial:4.5.2", ["r", "maps"]),
        ("julia", "Julia", "quay.io/jupyter/julia-notebook:2026-11-02", ["julia"]),
        ("torch", "PyTorch", "registry.example.org:5050/science/torch:2.9-cuda12", ["python", "gpu"]),
    )
]
REPOSITORIES = [
    Repository(directory="analysis", url="https://example.org/climate/analysis.git"),
    Repository(directory="data", url="https://example.org/climate/data.git"),
]
_BATCH = 5000


def database(folder: Path) -> str:
    """The address of a new database in *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder}/hub.sqlite"


def hub(db_url: str, people: dict[str, Sequence[str]], more: int = 0) -> None:
    """The hub's own tables: *people* with their stopped named servers, and so many *more* users."""
    db = orm.new_session_factory(db_url)()
    for role in roles.get_default_roles():
        roles.create_role(db, role)
    for name, servers in people.items():
        user = orm.User(name=name)
        db.add(user)
        db.flush()
        roles.assign_default_roles(db, entity=user)
        db.add_all(
            orm.Spawner(user_id=user.id, name=server, last_activity=NOW.replace(tzinfo=None)) for server in servers
        )
    others = [{"name": f"somebody-{number}"} for number in range(more)]
    if others:
        db.execute(insert(orm.User), others)
    db.commit()
    db.get_bind().dispose()


def opened(db_url: str) -> AppContext:
    """The database with Renku's tables and the environments of `ENVIRONMENTS`."""
    prepare_schema(db_url, upgrade=False)
    db = Database(db_url)
    parts = AppContext(db=db, source=HubProjectSource(db), policy=HubPolicy(classes=()))
    asyncio.run(apply_configured_environments(parts, parse_environments_setting(ENVIRONMENTS)))
    return parts


def projects(
    parts: AppContext, sizes: Iterable[int], owner: str, member: Callable[[int], str]
) -> dict[int, list[Session]]:
    """A project for each size, at `<owner>/p<size>`, whose sessions its *member* has all paused."""
    with parts.db.write() as tx:
        offered = list(tx.environments.get_configured_by_key().values())
        made = {
            size: _filled(tx, project(tx, f"{owner}/p{size}", owner, member(size)), size, offered) for size in sizes
        }
        for size, sessions in made.items():
            for session in sessions:
                paused(tx, session, member(size))
    return made


def project(
    tx: Transaction, path: str, owner: str, *others: str, repositories: Sequence[Repository] = REPOSITORIES
) -> Project:
    new = NewProject(
        path=path, title=f"Climate of {path}", description="Daily means of two stations.", visibility=Visibility.PRIVATE
    )
    made = tx.projects.add(new, id=create_id(), repositories=repositories, owner=owner, now=NOW)
    editors = (ProjectMember(kind="user", name=name, role=Role.EDITOR) for name in others)
    change = ProjectChange(version=made.version, members=(*made.members, *editors))
    return tx.projects.update(made, change, repositories=None, now=NOW)


def _filled(tx: Transaction, where: Project, count: int, offered: Sequence[Environment]) -> list[Session]:
    sessions = [session(tx, where, offered[number % len(offered)], number) for number in range(count)]
    tx.projects.set_default_session(where.id, sessions[0].id)
    return sessions


def session(tx: Transaction, where: Project, environment: Environment, number: int) -> Session:
    return tx.sessions.add(
        id=create_id(), project=where.id, environment=environment, revision=environment.revision,
        title=f"Explore the stations, part {number}", description="Reads the daily means and draws them by month.",
        configuration=SessionConfiguration(), by=where.created_by, now=NOW,
    )  # fmt: skip


def started(tx: Transaction, session: Session, username: str, at: datetime) -> Instance:
    """An instance that was asked for at *at* and is on its way; no process belongs to it."""
    fresh = tx.instances.get_or_create(session, username, now=at)
    begun = mark_starting(
        fresh,
        run=create_id(),
        claim=f"{username}/{session.id}",
        now=at,
        one_active=False,
        revision=session.revision.id,
        fingerprint=session.fingerprint,
        resource_class="small",
        url=None,
        deadline=at + timedelta(days=1),
    )
    return tx.instances.save(fresh, replace(begun, observed=ObservedState.PREPARING))


def paused(tx: Transaction, session: Session, username: str) -> None:
    instance = started(tx, session, username, NOW - timedelta(hours=3))
    tx.instances.save(instance, mark_stopped(instance, now=NOW))


def history(tx: Transaction, session: Session, username: str, count: int) -> None:
    """So many starts that came to their end, for the usual time of a start."""
    for number in range(count):
        at = NOW - timedelta(hours=number + 1)
        tx.launches.add(_launch(session, username, at))


def _launch(of: Session, username: str, at: datetime) -> Launch:
    return Launch(
        id=create_id(), session=of.id, project=of.project, username=username, revision=of.revision.id,
        resource_class="small", requested_at=at, outcome="ended", ready_at=at + timedelta(seconds=12),
        ended_at=at + timedelta(hours=2),
    )  # fmt: skip


def more(parts: AppContext, stored: int, others: int) -> None:
    """*stored* further sessions in *others* projects, each with an instance and a past start of somebody else."""
    with parts.db.write() as tx:
        offered = list(tx.environments.get_configured_by_key().values())
        where = project(tx, "somebody-0/first", "somebody-0")
        one = session(tx, where, offered[0], 0)
        paused(tx, one, "somebody-0")
        tx.launches.add(_launch(one, "somebody-0", NOW))
    with parts.db.engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        _copies(connection, where, one, stored - 1, others - 1, [e.id for e in offered])
        connection.commit()


def _copies(connection: Connection, where: Project, one: Session, stored: int, others: int, offered: list[str]) -> None:
    """Rows like those of *where* and of *one*."""
    t = tables
    project = _row(connection, t.projects, t.projects.c.id == where.id)
    member = _row(connection, t.members, t.members.c.project == where.id)
    kept = {table: _row(connection, table, column == one.id) for table, column in (
        (t.sessions, t.sessions.c.id), (t.instances, t.instances.c.session), (t.launches, t.launches.c.session),
    )}  # fmt: skip
    ids = [where.id, *(create_id() for _ in range(others))]
    per = -(-stored // len(ids))
    _fill(connection, t.projects, (
        {**project, "id": id, "source_id": id, "path": f"somebody-{n}/p", "folded_path": f"somebody-{n}/p",
         "folded_title": f"climate {n:06}", "session_count": per}
        for n, id in enumerate(ids) if n
    ))  # fmt: skip
    _fill(connection, t.members, ({**member, "project": id, "name": f"somebody-{n}"} for n, id in enumerate(ids) if n))
    sessions = [(create_id(), n, ids[n % len(ids)], n % len(ids)) for n in range(stored)]
    _fill(connection, t.sessions, (
        {**kept[t.sessions], "id": id, "project": project_id, "title": f"Explore {n}", "folded_title": f"explore {n}",
         "position": n + 2}
        for n, (id, _, project_id, _) in enumerate(sessions)
    ))  # fmt: skip
    for table in (t.instances, t.launches):
        _fill(connection, table, (
            {**kept[table], "id": create_id(), "session": id, "project": project_id, "username": f"somebody-{who}"}
            for id, _, project_id, who in sessions
        ))  # fmt: skip


def _row(connection: Connection, table: Table, condition: Any) -> dict[str, Any]:
    return dict(connection.execute(select(table).where(condition)).mappings().one())


def _fill(connection: Connection, table: Table, rows: Iterable[dict[str, Any]]) -> None:
    batch: list[dict[str, Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _BATCH:
            connection.execute(insert(table), batch)
            batch = []
    if batch:
        connection.execute(insert(table), batch)
