"""The same troubles on a plain KubeSpawner 7.1: it fails in all but one, which a new release of it may mend."""

import asyncio
from contextlib import suppress

import pytest
from jupyterhub.spawner import SpawnException
from kubernetes_asyncio.client import ApiException
from kubespawner import KubeSpawner

from tests.cluster.own import own_hub
from tests.fakes.kube import FakeCluster
from tests.fakes.kubelet import ScriptedKubelet
from tests.fakes.spawning import forget_reflectors, spawner, use
from tests.fixtures.renku import until

PATIENT = {"start_timeout": 10, "k8s_api_request_timeout": 3}


@pytest.fixture
async def plain(monkeypatch):
    KubeSpawner.reflectors.clear()
    async with FakeCluster(speed=20) as cluster:
        use(cluster, monkeypatch)
        ScriptedKubelet(cluster)
        yield cluster
        await forget_reflectors()


@pytest.mark.xfail(strict=True, raises=ApiException, reason="V1: a refusal of the API is an error of the hub")
async def test_a_full_quota_is_told(plain):
    plain.add("resourcequotas", "sessions", "full", spec={"hard": {"pods": "0"}})
    with pytest.raises(SpawnException):
        await spawner(**PATIENT).start()


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="V1: the manifest is logged with the server's token")
async def test_no_log_has_the_token(plain, caplog):
    plain.add("resourcequotas", "sessions", "full", spec={"hard": {"pods": "0"}})
    with pytest.raises(ApiException):
        await spawner(**PATIENT).start()
    assert "JUPYTERHUB_API_TOKEN" not in caplog.text


@pytest.mark.xfail(strict=True, raises=ApiException, reason="V2: a server that is busy once ends the start")
@pytest.mark.parametrize("status", [429, 503])
async def test_a_server_that_is_busy_once_is_asked_again(plain, status):
    plain.fault(lambda request: (request.verb, request.resource) == ("create", "pods"), status=status)
    await spawner(**PATIENT).start()


@pytest.mark.xfail(strict=True, raises=KeyError, reason="V10: user text is a template")
async def test_braces_in_a_variable_mean_nothing(plain):
    await spawner(**PATIENT, environment={"TEXT": "{nope}"}).get_pod_manifest()


class AsBefore(AssertionError):
    """Exactly the defect that is known; anything else fails the test that meets it."""


@pytest.mark.xfail(strict=True, raises=AsBefore, reason="V7: the reflectors give up and tell for ever what once was")
async def test_after_eighty_seconds_of_errors_it_is_right_again(plain, clock, monkeypatch):
    it = spawner(**PATIENT)
    starting = asyncio.ensure_future(it.start())
    await clock.until(starting.done, within=60)
    assert await it.poll() is None
    plain.fault(status=500, times=None)
    plain.break_connections()
    await clock.passes(80)
    (pod,) = plain.objects("pods", "sessions")
    plain.api.delete_pod(pod, 0)
    plain.faults.clear()
    await clock.passes(110)
    if await it.poll() is None:
        raise AsBefore("110 s after the errors a pod that has gone is still told to run")


HUB = """
c.JupyterHub.spawner_class = "kubespawner.KubeSpawner"
c.JupyterHub.allow_named_servers = True
c.JupyterHub.init_spawners_timeout = 1
c.JupyterHub.tornado_settings = {{"slow_spawn_timeout": 0.5}}
c.KubeSpawner.namespace = "sessions"
c.KubeSpawner.cmd = {cmd!r}
c.KubeSpawner.environment = {{"PATH": "/bin:/usr/bin", "RENKU_SESSION_ID": "plain"}}
c.KubeSpawner.start_timeout = 5
c.KubeSpawner.http_timeout = 3
c.KubeSpawner.consecutive_failure_limit = 5  # as the usual chart has it
"""


class PlainHub:
    """A hub without Renku whose servers are started by its own API."""

    def __init__(self, own):
        self.own, self.cluster, self.hub = own, own.cluster, own.hub

    async def do(self, what, *arguments):
        return await asyncio.to_thread(what, *arguments)

    async def start(self, server):
        answer = await self.do(self.hub.ask, "POST", f"users/alice/servers/{server}")
        assert answer.status_code in (201, 202, 400, 500), answer.text

    async def active(self):
        return set((await self.do(self.hub.ask, "GET", "users/alice")).json()["servers"])

    def pods(self, server):
        return [pod for pod in self.cluster.objects("pods", "sessions") if pod["metadata"]["name"].endswith(server)]

    async def killed_while_it_pulls(self):
        """Whether the pod was deleted before its download was over."""
        downloaded = {"Pulled": asyncio.Event()}  # never
        self.own.kubelet.plan("image-large-pull", lambda pod: pod["metadata"]["name"].endswith("pull"), held=downloaded)
        await self.start("pull")
        await until(lambda: self.pods("pull"))
        await self.own.restart()
        with suppress(AssertionError):
            await until(lambda: not self.pods("pull"), seconds=40)
        return not self.pods("pull")

    async def killed_while_it_starts(self):
        """What a second click is answered by the next hub, and whether that takes up the server."""
        await self.start("work")
        await until(lambda: self.pods("work"))
        await self.do(self.hub.kill)
        await until(lambda: self.pods("work")[0]["status"]["phase"] == "Running")
        await self.do(self.hub.start)
        again = await self.do(self.hub.ask, "POST", "users/alice/servers/work")
        with suppress(AssertionError):
            await until(self.ready)
        return again.status_code, await self.ready() and len(self.pods("work")) == 1

    async def ready(self):
        servers = (await self.do(self.hub.ask, "GET", "users/alice")).json()["servers"]
        return servers.get("work", {}).get("ready")

    async def started_without_a_cluster(self):
        """Whether what ran is an orphan."""
        await self.do(self.hub.kill)
        async with self.cluster.outage():
            await self.do(self.hub.start)
            with suppress(AssertionError):
                await until(self.forgotten)
        await asyncio.sleep(2)
        return await self.forgotten() and bool(self.pods("work"))

    async def forgotten(self):
        return "work" not in await self.active()

    async def large_options(self):
        """Whether 20 MB of a request are kept."""
        body = {"anything": "x" * 20_000_000}
        await self.do(self.hub.ask, "POST", "users/alice/servers/large", body)
        return len((await self.do(self.hub.ask, "GET", "users/alice")).content) > 20_000_000

    async def settled(self):
        await asyncio.sleep(1)  # each answer has the 20 MB that were kept: the hub needs time for its own work
        servers = (await self.do(self.hub.ask, "GET", "users/alice")).json()["servers"].values()
        return not any(server["pending"] for server in servers)

    async def five_bad_images(self):
        """Whether the hub has ended."""
        await until(
            self.settled, seconds=180, why="a start that succeeds in between sets the hub's count of failures back"
        )
        self.own.kubelet.plan("image-invalid-name")
        await asyncio.gather(*(self.start(f"bad{number}") for number in range(5)), return_exceptions=True)
        try:
            await until(lambda: self.hub.process.poll() is not None)
        except AssertionError:
            return False
        return True


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What became of a plain hub in these troubles, by row."""

    async def live():
        with pytest.MonkeyPatch.context() as patch:
            async with own_hub(tmp_path_factory.mktemp("plain"), patch, HUB, plain=True) as own:
                it = PlainHub(own)
                again, recovered = await it.killed_while_it_starts()
                return {
                    "V4": again,
                    "V5": recovered,
                    "V6": await it.killed_while_it_pulls(),
                    "V8": await it.started_without_a_cluster(),
                    "V11": await it.large_options(),
                    "V3": await it.five_bad_images(),
                }

    return asyncio.run(live())


@pytest.mark.xfail(strict=True, raises=AsBefore, reason="V4: once the hub was restarted a second click is an error")
def test_two_clicks_with_a_restart_between_them_are_one_start(seen):
    if seen["V4"] == 400:
        raise AsBefore("the second click is refused")
    assert seen["V4"] in (200, 201, 202)


def test_a_start_that_came_up_while_the_hub_was_away_is_taken_up(seen):
    """Works there, and we keep it."""
    assert seen["V5"]


@pytest.mark.xfail(strict=True, raises=AsBefore, reason="V6: what is still pulled after http_timeout is deleted")
def test_a_hub_killed_during_a_long_download_goes_on_with_the_start(seen):
    if seen["V6"]:
        raise AsBefore("the pod was deleted")


@pytest.mark.xfail(strict=True, raises=AsBefore, reason="V8: what nobody can ask for is stopped, and its pod forgotten")
def test_a_hub_that_finds_no_cluster_takes_up_what_ran(seen):
    if seen["V8"]:
        raise AsBefore("the server is stopped and its pod runs")


@pytest.mark.xfail(strict=True, raises=AsBefore, reason="V3: a bad image takes the full time, the fifth ends the hub")
def test_five_bad_images_leave_the_hub_as_it_was(seen):
    if seen["V3"]:
        raise AsBefore("the hub has ended")


@pytest.mark.xfail(strict=True, raises=AsBefore, reason="V11: whatever a request brings is kept")
def test_large_options_are_not_kept(seen):
    if seen["V11"]:
        raise AsBefore("20 MB are stored, and told to whoever asks for the user")
