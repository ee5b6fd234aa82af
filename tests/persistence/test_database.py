"""Transactions are whole, never wait for long, and survive a database that goes away."""

import asyncio
import re
import signal
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Column, MetaData, Table, insert, select, text
from sqlalchemy.exc import IntegrityError

from renku_spawner.domain.access import Role
from renku_spawner.domain.errors import UnavailableError
from renku_spawner.domain.projects import ProjectChange, ProjectMember
from renku_spawner.persistence.columns import UTCDateTime
from renku_spawner.persistence.database import Database, parse_database_url, retry_while_busy
from renku_spawner.persistence.statements import DatabaseBusy
from tests.fixtures.fair import Stopwatch
from tests.fixtures.postgresql import free_port

from .made import NOW, environment, project, session
from .together import together

ROOT = Path(__file__).parents[2]
DYING = """
import os, sys
from renku_spawner.persistence.database import Database
from tests.persistence.made import project
db = Database(sys.argv[1])
with db.write() as tx:
    project(tx, "ada/kept")
with db.write() as tx:
    project(tx, "ada/lost")
    os.kill(os.getpid(), 9)
"""


def test_what_is_raised_inside_undoes_everything(db: Database) -> None:
    with pytest.raises(KeyError), db.write() as tx:
        project(tx)
        raise KeyError
    with db.read() as tx:
        assert tx.projects.get_by_path("ada/climate") is None


def test_nothing_is_seen_before_its_transaction_ends(db: Database) -> None:
    with db.write() as tx:
        project(tx)
        with db.read() as other:
            assert other.projects.get_by_path("ada/climate") is None
    with db.read() as tx:
        assert tx.projects.get_by_path("ada/climate") is not None


def test_a_defect_is_not_taken_for_a_clash(db: Database) -> None:
    with db.write() as tx:
        made = session(tx, project(tx), environment(tx))
    with pytest.raises(IntegrityError), db.write() as tx:
        session(tx, project(tx, "ada/other"), made.environment)
        tx.sessions.add(
            id=made.id, project=made.project, environment=made.environment, revision=made.revision, title="New",
            description="", configuration=made.configuration, by="a", now=NOW,
        )  # fmt: skip


@pytest.mark.parametrize(
    "zone", [UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-9, minutes=-30))], ids=str
)
def test_times_come_back_in_utc_to_the_microsecond(database_url: str, zone: timezone) -> None:
    db = Database(database_url)
    table = Table("renku_try", MetaData(), Column("at", UTCDateTime))
    table.create(db.engine)
    times = [datetime(2026, 3, 29, 2, 30, 0, micro, tzinfo=zone) for micro in (0, 1, 999999)]
    with db.engine.begin() as connection:
        connection.execute(insert(table), [{"at": at} for at in (*times, None)])
        found = list(connection.execute(select(table.c.at)).scalars())
        assert list(connection.execute(select(table.c.at).where(table.c.at <= times[1])).scalars()) == times[:2]
    assert found == [*times, None]
    assert {at.tzinfo for at in found if at} == {UTC}
    db.dispose()


def test_a_time_without_a_zone_is_refused(db: Database) -> None:
    with pytest.raises(Exception, match="without a zone"), db.write() as tx:
        tx.known_users.record_user("ada", datetime(2026, 1, 1))


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file::memory:?uri=true", "mysql://h/d"])
def test_an_address_that_cannot_work_is_refused_with_the_reason(url: str) -> None:
    with pytest.raises(ValueError, match="Renku"):
        Database(url)


def test_addresses_are_read_as_jupyterhub_reads_them() -> None:
    assert str(parse_database_url("jupyterhub.sqlite")) == "sqlite:///jupyterhub.sqlite"
    assert str(parse_database_url("sqlite:////srv/memory/hub.sqlite")) == "sqlite:////srv/memory/hub.sqlite"
    assert parse_database_url("postgresql://u@h/d").drivername == "postgresql+psycopg"


def test_a_lock_that_somebody_holds_is_busy_at_once(sqlite_db: Database, sqlite_tables_url: str) -> None:
    holder = sqlite3.connect(sqlite_tables_url.removeprefix("sqlite:///"), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    took = Stopwatch()
    with pytest.raises(DatabaseBusy), sqlite_db.write():
        pass
    assert took() < 0.5
    with sqlite_db.read() as tx:
        assert tx.projects.get("x") is None
    holder.execute("ROLLBACK")
    with sqlite_db.write() as tx:
        project(tx)
    holder.close()


def test_a_row_that_somebody_holds_is_busy_at_once(postgresql_db: Database) -> None:
    with postgresql_db.write() as tx:
        made = project(tx)
    with postgresql_db.write() as holder:
        holder.projects.set_default_session(made.id, "a")
        took = Stopwatch()
        with pytest.raises(DatabaseBusy), postgresql_db.write() as tx:
            tx.projects.set_default_session(made.id, "b")
        assert took() < 0.5
    with postgresql_db.read() as tx:
        assert tx.projects.get(made.id).default_session == "a"


async def test_a_writer_of_two_seconds_delays_a_request_and_not_the_loop(
    sqlite_db: Database, sqlite_tables_url: str
) -> None:
    holder = sqlite3.connect(sqlite_tables_url.removeprefix("sqlite:///"), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    loop = asyncio.get_running_loop()
    loop.call_later(2, holder.execute, "ROLLBACK")
    gaps, done = [], False

    async def heartbeat() -> None:
        while not done:
            took = Stopwatch()
            await asyncio.sleep(0.01)
            gaps.append(took())

    def unit() -> str:
        with sqlite_db.write() as tx:
            return project(tx).id

    beating = asyncio.create_task(heartbeat())
    began, took = time.monotonic(), Stopwatch()
    made = await retry_while_busy(unit)
    done = True
    await beating
    assert time.monotonic() - began >= 2
    assert took() < 3
    assert sorted(gaps)[int(0.99 * len(gaps))] < 0.15
    with sqlite_db.read() as tx:
        assert [entry.id for entry in tx.projects.list_visible(name="ada", groups=[])[0]] == [made]
    holder.close()


async def test_patience_ends_with_a_sentence(sqlite_db: Database, sqlite_tables_url: str) -> None:
    holder = sqlite3.connect(sqlite_tables_url.removeprefix("sqlite:///"), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")

    def unit() -> None:
        with sqlite_db.write() as tx:
            project(tx)

    with pytest.raises(UnavailableError) as refusal:
        await retry_while_busy(unit, seconds=0.3)
    assert refusal.value.message == "The database is busy. Nothing was changed; please try again."
    assert refusal.value.retry_after == 1
    holder.close()


def kill_backends(url: str) -> None:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_a_killed_connection_costs_one_attempt_at_most(postgresql_db: Database, postgresql_tables_url: str) -> None:
    with postgresql_db.write() as tx:
        made = project(tx)
    kill_backends(postgresql_tables_url)
    with postgresql_db.read() as tx:
        assert tx.projects.get(made.id) == made
    with pytest.raises(DatabaseBusy), postgresql_db.write() as tx:
        project(tx, "ada/lost")
        kill_backends(postgresql_tables_url)
        tx.projects.get(made.id)
    with postgresql_db.write() as tx:
        assert tx.projects.get_by_path("ada/lost") is None
        project(tx, "ada/next")


def test_a_server_that_is_away_is_busy(postgresql_url: str) -> None:
    db = Database(re.sub(r":\d+/", f":{free_port()}/", postgresql_url))
    with pytest.raises(DatabaseBusy), db.read():
        pass
    db.dispose()


def test_every_connection_in_use_is_busy(postgresql_url: str) -> None:
    db = Database(postgresql_url, pool_size=1, max_overflow=0, pool_timeout=0.05)
    with db.read(), pytest.raises(DatabaseBusy), db.read():
        pass
    db.dispose()


def test_of_two_edits_of_one_version_exactly_one_wins(db: Database) -> None:
    with db.write() as tx:
        old = project(tx)

    def edit(title: str) -> str:
        with db.write() as tx:
            tx.projects.update(old, ProjectChange(version=old.version, title=title), repositories=None, now=NOW)
        return title

    for _ in range(50):
        results = together(lambda: edit("one"), lambda: edit("two"))
        assert results.count("lost") == 1
        with db.read() as tx:
            old = tx.projects.get(old.id)
        assert old.title in results


def test_of_two_owners_who_leave_at_once_one_stays(db: Database) -> None:
    bob = ProjectMember(kind="user", name="bob", role=Role.OWNER)

    def leave(id: str, name: str) -> str:
        with db.write() as tx:
            tx.projects.remove_member(id, "user", name)
        return name

    for number in range(20):
        with db.write() as tx:
            made = project(tx, f"ada/p{number}")
            change = ProjectChange(version=1, members=(*made.members, bob))
            tx.projects.update(made, change, repositories=None, now=NOW)
        results = together(lambda id=made.id: leave(id, "ada"), lambda id=made.id: leave(id, "bob"))
        assert results.count("lost") == 1


def test_parallel_additions_get_positions_of_their_own_and_are_all_counted(db: Database) -> None:
    with db.write() as tx:
        where, what = project(tx), environment(tx)

    def add(title: str) -> int:
        with db.write() as tx:
            return session(tx, where, what, title).position

    positions = [place for n in range(10) for place in together(lambda n=n: add(f"a{n}"), lambda n=n: add(f"b{n}"))]
    assert sorted(positions) == list(range(1, 21))
    with db.read() as tx:
        assert tx.sessions.count_for_project(where.id) == 20


def test_of_two_sessions_with_one_title_exactly_one_is_added(db: Database) -> None:
    with db.write() as tx:
        where, what = project(tx), environment(tx)

    def add(title: str) -> str:
        with db.write() as tx:
            session(tx, where, what, title)
        return "added"

    for number in range(50):
        assert sorted(together(*[lambda n=number: add(f"t{n}")] * 2)) == ["added", "title"]


def test_sqlite_files_are_in_write_ahead_mode_with_references_checked(sqlite_db: Database) -> None:
    with sqlite_db.engine.connect() as connection:
        values = [connection.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "foreign_keys")]
    assert values == ["wal", 1]


def test_what_was_committed_survives_the_death_of_the_process(sqlite_db: Database) -> None:
    done = subprocess.run([sys.executable, "-c", DYING, sqlite_db.url], check=False, cwd=ROOT)
    assert done.returncode == -signal.SIGKILL
    with sqlite_db.write() as tx:
        assert tx.projects.get_by_path("ada/kept") is not None
        assert tx.projects.get_by_path("ada/lost") is None
