"""Parts of a house with a database of its own, and a real registry."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from renku_spawner.domain.policy import Policy
from renku_spawner.projects.hub import HubProjects
from renku_spawner.services.parts import Parts
from renku_spawner.store import migrate
from renku_spawner.store.database import Database

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    url = f"sqlite:///{tmp_path / 'renku.sqlite'}"
    migrate.upgrade(url)
    database = Database(url)
    yield Parts(db=database, source=HubProjects(database), policy=Policy(classes=()), now=lambda: NOW)
    database.dispose()
