"""Pages ask little, however much is stored."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, event, text

from renku_spawner.persistence.database import Database, Transaction
from renku_spawner.persistence.tables import metadata

from .made import NOW, REPOSITORIES, environment, later, launch, project, session, started

Ask = Callable[[Transaction], Any]


class Asked:
    """The statements that a database has run, with their values."""

    def __init__(self, db: Database) -> None:
        self.statements: list[tuple[str, Any]] = []
        event.listen(db.engine, "before_cursor_execute", self._remember)

    def _remember(self, _connection, _cursor, statement: str, parameters: Any, _context, _many) -> None:
        if not statement.startswith("BEGIN"):
            self.statements.append((statement, parameters))


def page_queries(db: Database) -> dict[str, tuple[int, Ask]]:
    """What pages ask, each with how many statements it may take."""
    with db.write() as tx:
        where = project(tx, public=True, repositories=REPOSITORIES)
        what = environment(tx, keywords=("ml",))
        of = [session(tx, where, what, str(n)) for n in range(25)]
        mine = started(tx, of[0])
        tx.launches.add(launch(of[0], seconds=1))
        tx.known_users.record_user("ada", NOW)
        _, after = tx.sessions.list_for_project(where.id)
        started(tx, session(tx, where, environment(tx, "R"), "r"), now=later(-1))
        _, after_mine = tx.instances.list_for_user("ada", limit=1)
        project(tx, "ada/z", title="zzz")
        _, after_project = tx.projects.list_visible(name="ada", groups=["lab"], limit=1)
    assert after and after_mine and after_project
    ids, name = [one.id for one in of[:20]], "ada"
    return {
        "project": (2, lambda tx: tx.projects.get(where.id)),
        "project by path": (2, lambda tx: tx.projects.get_by_path(where.path)),
        "project by old path": (2, lambda tx: tx.projects.get_by_path("ada/none")),
        "projects": (2, lambda tx: tx.projects.list_visible(name=name, groups=["lab", "x"])),
        "further projects": (2, lambda tx: tx.projects.list_visible(name=name, groups=[], after=after_project)),
        "searched projects": (2, lambda tx: tx.projects.list_visible(name=name, groups=["lab"], search="clim")),
        "sessions": (1, lambda tx: tx.sessions.list_for_project(where.id)),
        "further sessions": (1, lambda tx: tx.sessions.list_for_project(where.id, after=after)),
        "searched sessions": (1, lambda tx: tx.sessions.list_for_project(where.id, keyword="ml", search="1")),
        "session": (1, lambda tx: tx.sessions.get(of[0].id)),
        "count": (1, lambda tx: tx.sessions.count_for_project(where.id)),
        "oldest": (1, lambda tx: tx.sessions.find_oldest_except(where.id, but=of[0].id)),
        "titles": (1, lambda tx: tx.sessions.list_ids_and_titles(where.id)),
        "environments": (1, lambda tx: tx.environments.list_offered()),
        "revisions": (1, lambda tx: tx.environments.list_revisions(what.id)),
        "keywords": (1, lambda tx: tx.environments.list_keywords()),
        "instance": (1, lambda tx: tx.instances.get(of[0].id, name)),
        "instances of a page": (1, lambda tx: tx.instances.get_for_sessions(name, ids)),
        "my instances": (1, lambda tx: tx.instances.list_for_user(name)),
        "my further instances": (1, lambda tx: tx.instances.list_for_user(name, after=after_mine)),
        "slot": (1, lambda tx: tx.instances.find_in_slot(name, mine.slot)),
        "active": (1, lambda tx: tx.instances.list_active()),
        "active of one": (1, lambda tx: tx.instances.count_running(name)),
        "kept of one": (1, lambda tx: tx.instances.count_kept(name)),
        "others": (1, lambda tx: tx.instances.has_data_of_others(of[0].id, name)),
        "launches": (1, lambda tx: tx.launches.list_for_session(of[0].id, name)),
        "usual": (1, lambda tx: tx.launches.get_usual_seconds_by_revision([what.revision.id])),
        "person": (1, lambda tx: tx.known_users.is_known(name, NOW)),
        "events": (1, lambda tx: tx.audit.list_recent(20)),
    }


def fill(db: Database, number: int) -> None:
    """*number* more sessions in one project, as many paused instances of ada's and launches of the same image."""
    name = "printf('a%011d', n)"
    session_ = {"id": name, "title": name, "folded_title": name, "position": "100 + n", "deleted_at": "NULL"}
    with db.engine.begin() as connection:
        copy(connection, "renku_sessions", number, session_)
        copy(connection, "renku_instances", number, {"id": name, "session": name, "slot": "NULL", "active": "0"})
        copy(connection, "renku_launches", number, {"id": name, "session": name})
        connection.execute(
            text("UPDATE renku_projects SET session_count = session_count + :number"), {"number": number}
        )


def copy(connection: Connection, table: str, number: int, changed: dict[str, str]) -> None:
    """Copies of a table's first row, in which some columns differ."""
    columns = [column.name for column in metadata.tables[table].columns]
    values = ", ".join(changed.get(column, column) for column in columns)
    connection.execute(
        text(
            "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :number) "
            f"INSERT INTO {table} ({', '.join(columns)}) "
            f"SELECT {values} FROM numbers, (SELECT * FROM {table} ORDER BY id LIMIT 1)"
        ),
        {"number": number},
    )


BY_NATURE = {"titles", "kept of one"}  # what they answer grows with what is stored


def test_a_hundred_thousand_rows_take_no_more_statements_and_hardly_more_steps(sqlite_db: Database) -> None:
    """Steps of SQLite's machine are counted, not seconds: they are the same on every computer."""
    queries = page_queries(sqlite_db)
    few = {name: cost(sqlite_db, ask) for name, (_, ask) in queries.items()}
    fill(sqlite_db, 100_000)
    many = {name: cost(sqlite_db, ask) for name, (_, ask) in queries.items()}
    assert {name: statements for name, (statements, _) in few.items()} == {
        name: statements for name, (statements, _) in many.items()
    }
    for name, (allowed, _) in queries.items():
        assert few[name][0] <= allowed, name
        if name not in BY_NATURE and "searched" not in name:
            assert many[name][1] <= 1.5 * few[name][1] + 2000, name
    assert many["titles"][1] > 100_000  # so the counting counts


def cost(db: Database, ask: Ask) -> tuple[int, int]:
    """Statements, and steps of SQLite's machine in hundreds rounded down, times hundred."""
    ticks = [0]

    def tick() -> None:
        ticks[0] += 1

    with db.read() as tx:
        ask(tx)  # what is read once for all
    asked = Asked(db)
    with db.read() as tx:
        raw = tx._statements._connection.connection.dbapi_connection
        raw.set_progress_handler(tick, 100)
        ask(tx)
        raw.set_progress_handler(None, 100)
    event.remove(db.engine, "before_cursor_execute", asked._remember)
    return len(asked.statements), 100 * ticks[0]
