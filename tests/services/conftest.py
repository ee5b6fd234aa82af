"""Parts of a house with a database of its own, and a real registry."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from renku_spawner.domain.policy import Policy
from renku_spawner.projects.hub import HubProjects
from renku_spawner.services.parts import Parts
from renku_spawner.store.database import Database

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture
def parts(sqlite_tables_url: str) -> Iterator[Parts]:
    database = Database(sqlite_tables_url)
    yield Parts(db=database, source=HubProjects(database), policy=Policy(classes=()), now=lambda: NOW)
    database.dispose()
