"""How often a start asks the database, and how often it commits."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import event

from renku_spawner.domain.instances import ObservedState
from renku_spawner.lifecycle.runs import record_ready, record_stage, request_start
from renku_spawner.persistence.database import Database
from renku_spawner.usecases.instances import prepare_launch_spec

from .test_pins import ADA, House, house

__all__ = ["house"]


@contextmanager
def listening(db: Database) -> Iterator[list[str]]:
    """The statements that the database runs in this block, each transaction with its BEGIN."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    yield statements
    event.remove(db.engine, "before_cursor_execute", note)


def count_reads_of_the_row(statements: list[str]) -> int:
    """How often the instance was looked up by its session and its user."""
    return sum("WHERE renku_instances.session = ?" in statement for statement in statements)


async def test_a_launch_spec_takes_two_transactions_and_reads_the_instance_once(house: House) -> None:
    session = await house.ready_made("quay.io/cost/a:1")
    with listening(house.parts.db) as statements:
        await prepare_launch_spec(house.parts, ADA, session.id)
    assert [statement for statement in statements if statement.startswith("BEGIN")] == ["BEGIN"] * 2
    assert count_reads_of_the_row(statements) == 1


async def test_each_step_of_a_start_commits_once_and_reads_the_instance_once(house: House) -> None:
    session = await house.ready_made("quay.io/cost/b:1")
    spec = await prepare_launch_spec(house.parts, ADA, session.id)
    with listening(house.parts.db) as statements:
        instance = await request_start(house.parts, spec)
        await record_stage(house.parts, instance, ObservedState.SCHEDULING)
        await record_ready(house.parts, instance, "http://127.0.0.1:1")
    assert [statement for statement in statements if statement.startswith("BEGIN")] == ["BEGIN IMMEDIATE"] * 3
    assert count_reads_of_the_row(statements) == 3
