"""A certificate of the cluster's API that is not accepted is told as that, to admins, when the hub starts."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes_asyncio.client import ApiClient, CoreV1Api

from renku_spawner.context.app_context import HubHealth, utcnow
from renku_spawner.jobs import table
from renku_spawner.jobs.dependency_health import check_cluster_certificate
from renku_spawner.jobs.runner import NEVER_AGAIN
from renku_spawner.spawners.kubernetes.errors import explain_tls_failure
from renku_spawner.spawners.kubernetes.spawner import RenkuSpawner
from renku_spawner.spawners.kubernetes.watch import PodInformer
from tests.fakes.kube import FakeCluster
from tests.fakes.spawning import forget_reflectors, use
from tests.fixtures.network import Authority
from tests.fixtures.renku import until

from .test_check import checked, configure, registry

__all__ = ["registry"]
UNKNOWN = "The certificate of the cluster's API is not accepted: unable to get local issuer certificate."
STRICT = ssl.create_default_context().verify_flags & ssl.VERIFY_X509_STRICT  # from Python 3.13 on


@pytest.fixture
async def served_by(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """A function that starts a cluster with a certificate of an authority; its clients trust *trusted*."""
    made: list[FakeCluster] = []

    async def serve(issuer: Authority, trusted: Authority | None) -> FakeCluster:
        cluster = FakeCluster(speed=20)
        cluster.tls, cluster.trusted = issuer.server("127.0.0.1"), str(trusted.file) if trusted else None
        made.append(await cluster.start())
        return cluster

    yield serve
    for cluster in made:
        await cluster.stop()


@pytest.fixture
def issuer(tmp_path: Path) -> Authority:
    (tmp_path / "issuer").mkdir()
    return Authority(tmp_path / "issuer")


async def test_the_check_says_that_the_authority_is_not_known(
    served_by: Callable[..., Any], issuer: Authority, registry: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(await served_by(issuer, trusted=None), monkeypatch)
    configure(tmp_path, registry, "https://gitlab.example.org", 'c.Renku.projects = "hub"; c.Renku.environments = []')
    done = await checked(tmp_path)
    assert f"no  cluster     {UNKNOWN}\n" in done.stdout


async def test_the_start_the_health_and_the_operators_page_say_it(
    served_by: Callable[..., Any],
    issuer: Authority,
    renku_hub: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(table, "CERTIFICATE_CHECK_INTERVAL_SECONDS", 0.2)
    cluster = await served_by(issuer, trusted=None)
    use(cluster, monkeypatch)
    hub = await renku_hub(JupyterHub={"spawner_class": RenkuSpawner}, Authenticator={"admin_users": {"root"}})
    hub.user("root", admin=True)

    async def told() -> bool:
        answer = (await hub.client("root").get("api/renku/health")).json()
        return any(each["kind"] == "kubernetes" and each["reason"] == UNKNOWN for each in answer["neighbours"])

    await until(told, seconds=60, why="admins are told")
    assert (await hub.client("alice").get("api/renku/health")).json()["neighbours"] is None
    assert UNKNOWN.replace("'", "&#39;") in (await (await hub.visitor("root")).get("renku/admin")).text
    loud = [record for record in caplog.records if record.levelno == logging.CRITICAL]
    assert [record.getMessage() for record in loud if UNKNOWN in record.getMessage()] == [
        f"{UNKNOWN} No session can start."
    ]
    await forget_reflectors()


async def test_it_is_told_no_more_once_it_is_accepted(served_by: Callable[..., Any], issuer: Authority) -> None:
    cluster = await served_by(issuer, trusted=issuer)
    parts: Any = SimpleNamespace(hub_health=HubHealth(cluster_problem="as before"), now=utcnow)
    async with ApiClient(cluster.configuration("hub-token")) as client:
        assert await check_cluster_certificate(parts, client) == NEVER_AGAIN
    assert (parts.hub_health.cluster_problem, parts.hub_health.cluster_problem_since) == (None, None)


async def test_a_watch_says_it_too(served_by: Callable[..., Any], issuer: Authority) -> None:
    cluster = await served_by(issuer, trusted=None)
    async with ApiClient(cluster.configuration("hub-token")) as client:
        watch = PodInformer(CoreV1Api(client), namespace="sessions", labels="", log=logging.getLogger("watch"))
        await until(lambda: watch.problem == UNKNOWN, seconds=60, why="it says so")
        await watch.stop()


async def test_an_authority_without_key_usage_is_refused_where_python_is_strict(
    served_by: Callable[..., Any], tmp_path: Path
) -> None:
    lax = Authority(tmp_path, key_usage=False)
    cluster = await served_by(lax, trusted=lax)
    parts: Any = SimpleNamespace(hub_health=HubHealth(), now=utcnow)
    async with ApiClient(cluster.configuration("hub-token")) as client:
        again = await check_cluster_certificate(parts, client)
    assert (again is None, parts.hub_health.cluster_problem is not None) == (bool(STRICT), bool(STRICT))
    strict = ssl.create_default_context(cafile=lax.file)
    strict.verify_flags |= ssl.VERIFY_X509_STRICT
    with pytest.raises(ssl.SSLError) as refused:
        await asyncio.open_connection(cluster.host, cluster.port, ssl=strict)
    assert "keyUsage in the certificate of a CA" in str(explain_tls_failure(refused.value))
