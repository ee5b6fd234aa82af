"""Parts of a house with a database of its own, and a real registry."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from renku_spawner.context.app_context import AppContext
from renku_spawner.domain.policy import HubPolicy
from renku_spawner.integrations.project_source import HubProjectSource
from renku_spawner.persistence.database import Database

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture
def parts(sqlite_tables_url: str) -> Iterator[AppContext]:
    database = Database(sqlite_tables_url)
    yield AppContext(db=database, source=HubProjectSource(database), policy=HubPolicy(classes=()), now=lambda: NOW)
    database.dispose()
