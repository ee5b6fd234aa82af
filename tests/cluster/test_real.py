"""One life from end to end, on the fake cluster and, by `make test-cluster`, on a real one: they must be alike.

For the real one KUBECONFIG says where it is, RENKU_TEST_NAMESPACE names the namespace, RENKU_TEST_IMAGE an image with
python3. This machine must reach the addresses of pods, as a node of the cluster or a pod in it does.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kubespawner.spawner
import pytest
from kubernetes_asyncio.client import Configuration
from kubespawner.clients import load_config, shared_client

from renku_spawner.domain.instances import InstanceStatus
from renku_spawner.domain.sessions import Session
from renku_spawner.spawners.kubernetes.settings import RENKU_LABEL_PREFIX
from renku_spawner.spawners.kubernetes.spawner import RenkuSpawner
from tests.cluster.conftest import OnCluster
from tests.fixtures.renku import TINY, RenkuHub, stop_sessions, until

IMAGE = os.environ.get("RENKU_TEST_IMAGE", "docker.io/library/python:3.13")
PATIENCE = 300  # seconds; an image may have to be pulled
COUNT = """
with open("/work/starts", "a") as file:
    file.write("x")
    print("starts:", file.tell(), flush=True)
"""
REAL = pytest.param("real", marks=pytest.mark.cluster)


@dataclass
class Place:
    """A hub whose sessions are pods of some cluster."""

    hub: RenkuHub
    namespace: str

    async def names(self, kind: str, session: Session) -> list[str]:
        """What the cluster has of a session: `pod`, `persistent_volume_claim` or `secret`."""
        list_them = getattr(shared_client("CoreV1Api"), f"list_namespaced_{kind}")
        found = await list_them(self.namespace, label_selector=f"{RENKU_LABEL_PREFIX}session={session.id}")
        return [each.metadata.name for each in found.items]

    async def gone(self, kind: str, session: Session) -> None:
        async def none() -> bool:
            return not await self.names(kind, session)

        await until(none, seconds=PATIENCE, why=f"no {kind} of {session.title} is left")

    async def becomes(self, session: Session, how: str, status: InstanceStatus) -> Any:
        below = f"projects/{session.project}/sessions" if how == "start" else "sessions"
        answer = await self.hub.client("alice").post(f"api/renku/{below}/{session.id}/{how}")
        assert answer.status_code in (200, 202), answer.text
        return await self.hub.becomes(session, status, seconds=PATIENCE)

    async def log(self, session: Session) -> str:
        return (await self.hub.client("alice").get(f"api/renku/sessions/{session.id}/logs")).text


@pytest.fixture(params=["fake", REAL])
async def place(
    request: pytest.FixtureRequest,
    renku_hub: Callable[..., Awaitable[RenkuHub]],
    on_cluster: Callable[..., Awaitable[OnCluster]],
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Place]:
    program = f"{COUNT}\n{Path(TINY[-1]).read_text()}"
    spawner = {"cmd": ["python3", "-I", "-c", program], "clone_image": IMAGE, "poll_interval": 1}
    changes = {"Renku": {"environments": [{"key": "python", "name": "Python", "image": IMAGE}]}}
    if request.param == "fake":
        it = await on_cluster(RenkuSpawner=spawner, **changes)
        yield Place(it.hub, "sessions")
        return
    load_anew = load_config.__wrapped__  # it remembers that it has loaded
    monkeypatch.setattr(kubespawner.spawner, "load_config", load_anew)
    monkeypatch.setattr(Configuration, "_default", None)
    spawner["namespace"] = os.environ["RENKU_TEST_NAMESPACE"]
    hub = await renku_hub(JupyterHub={"spawner_class": RenkuSpawner}, RenkuSpawner=spawner, **changes)
    yield Place(hub, spawner["namespace"])
    await stop_sessions(hub)


async def test_one_life_from_the_first_start_to_the_end_of_the_data(place):
    session = await place.hub.session(await place.hub.project(), variables={"TINY_DELAY": "0"})
    first = await place.becomes(session, "start", InstanceStatus.RUNNING)
    assert len(await place.names("pod", session)) == 1
    assert len(await place.names("secret", session)) == 1
    (claim,) = await place.names("persistent_volume_claim", session)
    address = f"{first.url}{place.hub.user('alice').server_url(session.id)}"
    answer = await place.hub.client("alice").get(address)
    assert (answer.status_code, answer.text) == (200, f"hello from {session.id}")
    assert "starts: 1" in await place.log(session)

    await place.becomes(session, "pause", InstanceStatus.PAUSED)
    await asyncio.gather(place.gone("pod", session), place.gone("secret", session))
    second = await place.becomes(session, "start", InstanceStatus.RUNNING)
    assert second.claim == first.claim
    assert await place.names("persistent_volume_claim", session) == [claim]
    assert "starts: 2" in await place.log(session)

    answer = await place.hub.client("alice").delete(f"api/renku/sessions/{session.id}/instance")
    assert answer.status_code in (200, 202, 204), answer.text
    await place.hub.becomes(session, InstanceStatus.INACTIVE, seconds=PATIENCE)
    await asyncio.gather(place.gone("pod", session), place.gone("persistent_volume_claim", session))


async def test_a_program_that_ends_at_once_is_told_with_its_last_words(place):
    session = await place.hub.session(await place.hub.project(), variables={"TINY_EXIT": "3"})
    failed = await place.becomes(session, "start", InstanceStatus.FAILED)
    assert failed.message == "The program ended with code 3."
    log = await place.log(session)
    assert "a last word" in log
    assert "[hidden]" in log
    await place.gone("pod", session)
    await place.hub.client("alice").delete(f"api/renku/sessions/{session.id}/instance")
    await place.gone("persistent_volume_claim", session)
