"""Each test has a GitLab of its own."""

from pathlib import Path

import pytest

from tests.gitlab.worlds import place


@pytest.fixture
async def world(tmp_path: Path):
    async with place(tmp_path) as made:
        yield made
