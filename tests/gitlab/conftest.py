"""Each test has a GitLab of its own."""

from pathlib import Path

import pytest

from renku_spawner.gitlab.ci import Ci
from renku_spawner.gitlab.client import GitLab
from renku_spawner.projects import gitlab, gitlab_list
from renku_spawner.services import code_offer, pulls
from tests.fixtures.fair import stretched
from tests.gitlab.worlds import place


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give GitLab as much longer to answer as this machine is busier than a quiet one."""
    for call in (GitLab.get, GitLab.listed, Ci._get):
        monkeypatch.setitem(call.__kwdefaults__, "within", stretched(2.0))
    limits = ((gitlab, "VIEW_WITHIN"), (gitlab, "ACT_WITHIN"), (gitlab_list, "_WITHIN"), (pulls, "WITHIN"))
    for module, name in (*limits, (code_offer, "_WITHIN")):
        monkeypatch.setattr(module, name, stretched(getattr(module, name)))


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gitlab, "VIEW_WITHIN", 30.0)  # of a busy machine
    monkeypatch.setattr(gitlab_list, "_WITHIN", 30.0)
    async with place(tmp_path) as made:
        yield made
