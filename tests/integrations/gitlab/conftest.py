"""Each test has a GitLab of its own."""

from pathlib import Path

import pytest

from renku_spawner.integrations.gitlab import projects
from renku_spawner.integrations.gitlab.ci import GitLabCI
from renku_spawner.integrations.gitlab.client import GitLabClient
from renku_spawner.usecases import image_pull_credentials, session_files
from tests.fixtures.fair import stretched
from tests.integrations.gitlab.worlds import place


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give GitLab as much longer to answer as this machine is busier than a quiet one."""
    for call in (GitLabClient.get, GitLabClient.list_objects, GitLabCI._get_cached):
        monkeypatch.setitem(call.__kwdefaults__, "within", stretched(2.0))
    limits = (
        (projects, "VIEW_TIMEOUT_SECONDS"),
        (projects, "ACTION_TIMEOUT_SECONDS"),
        (projects, "_LIST_TIMEOUT_SECONDS"),
        (image_pull_credentials, "PULL_REGISTRY_TIMEOUT_SECONDS"),
    )
    for module, name in (*limits, (session_files, "_GITLAB_FILE_TIMEOUT_SECONDS")):
        monkeypatch.setattr(module, name, stretched(getattr(module, name)))


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(projects, "VIEW_TIMEOUT_SECONDS", 30.0)  # of a busy machine
    monkeypatch.setattr(projects, "_LIST_TIMEOUT_SECONDS", 30.0)
    async with place(tmp_path) as made:
        yield made
