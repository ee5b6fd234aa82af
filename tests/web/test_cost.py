"""What a page costs: statements and bytes, counted on a live hub."""

from threading import current_thread, main_thread

import pytest
import sqlalchemy

from renku_spawner.domain.instances import InstanceStatus
from tests.fixtures.renku import xsrf

STATEMENTS, BYTES = 8, 80_000


@pytest.fixture
def counted():
    """Statements of our own database since the fixture was made, without COMMIT, and without those of the thread that
    looks at the database now and then."""
    seen = []

    def note(*args):
        if current_thread() is main_thread():
            seen.append(args[2])

    def listen(engine):
        sqlalchemy.event.listen(engine, "before_cursor_execute", note)

    yield seen, listen


async def test_a_page_of_twenty_cards_takes_eight_statements_and_80_kb(renku_hub, counted):
    statements, listen = counted
    hub = await renku_hub()
    project = await hub.project()
    for number in range(25):
        await hub.session(
            project, f"{number} A title of the usual length for a session", key="python" if number % 2 else "r"
        )
    session = await hub.session(project, "Running")
    alice = await hub.visitor("alice")
    await alice.post(f"renku/projects/alice/climate/-/sessions/{session.id}/start", data={"_xsrf": xsrf(alice)})
    await hub.becomes(session, InstanceStatus.RUNNING)
    listen(hub.parts.db.engine)
    for address, transactions in (
        ("renku/projects/alice/climate", 1), ("renku/projects/alice/climate?search=usual", 1), ("renku/projects", 3),
        ("renku/sessions", 5), (f"renku/projects/alice/climate/-/sessions/{session.id}", 1),
        (f"renku/launch/alice/climate/-/{session.id}", 3), ("renku/projects/alice/climate/-/sessions/new", 2),
    ):  # fmt: skip
        await alice.get(address)
        statements.clear()
        page = await alice.get(address)
        assert page.status_code == 200
        begun = sum(statement.startswith("BEGIN") for statement in statements)
        assert begun <= transactions, (address, begun, statements)
        assert len(statements) - begun <= STATEMENTS, (address, statements)
        assert len(page.content) <= BYTES, address
