"""Each test has a GitLab of its own."""

from pathlib import Path

import pytest

from renku_spawner.projects import gitlab, gitlab_list
from tests.gitlab.worlds import place


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gitlab, "VIEW_WITHIN", 30.0)  # of a busy machine
    monkeypatch.setattr(gitlab_list, "_WITHIN", 30.0)
    async with place(tmp_path) as made:
        yield made
