"""A fake cluster and a client for it; the fake GitLab with the recorded world in it."""

import aiohttp
import httpx
import pytest

from tests.fakes import gitlab_conformance
from tests.fakes.conformance import Client
from tests.fakes.gitlab import FakeGitLab
from tests.fakes.kube import FakeCluster


@pytest.fixture
async def cluster():
    async with FakeCluster(speed=20) as cluster:
        yield cluster


@pytest.fixture
async def client(cluster):
    async with aiohttp.ClientSession() as session:
        yield Client(cluster, session)


@pytest.fixture(scope="session")
def gitlab_world():
    """The fake GitLab, and the recorded names of its commits by their real ones."""
    with FakeGitLab(trusted=True) as lab:
        yield lab, gitlab_conformance.furnish(lab)


@pytest.fixture
async def gitlab_client(gitlab_world):
    """Sends recorded requests to it."""
    lab, names = gitlab_world
    async with httpx.AsyncClient(base_url=lab.url, trust_env=False, timeout=300) as http:
        yield gitlab_conformance.Client(lab, names, http)
    lab.mode = "ok"
    lab.failures.clear()
