"""What is mounted into the hub's container is read by `install(c)`, and refused with a sentence where it is wrong."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config

from renku_spawner import install
from renku_spawner.domain.errors import SettingError
from renku_spawner.spawners.local.spawner import RenkuLocalSpawner
from tests.faults.own_hub import ADMIN_TOKEN, OwnHub
from tests.faults.own_hub import until as wait
from tests.fixtures.ports import free_ports
from tests.spawners import ways

SUPERVISE = Path(__file__).parents[2] / "helm" / "image" / "supervise.py"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as Kubernetes mounts it: files are links into a hidden folder that is exchanged as a whole."""
    for name in ("config", "secret"):
        (tmp_path / name / "..2026_11_28").mkdir(parents=True)
        (tmp_path / name / "..data").symlink_to("..2026_11_28")
    monkeypatch.setenv("RENKU_CONFIG_DIR", str(tmp_path))
    return tmp_path


def put(place: Path, file: str, text: str | bytes) -> None:
    link = place / file
    link.symlink_to(Path("..data") / link.name)
    link.write_bytes(text if isinstance(text, bytes) else text.encode())


def test_settings_and_secrets_are_read(place: Path) -> None:
    put(place, "config/renku.json", json.dumps({"Renku": {"clone_timeout": 600, "image_policy": {"allowed": []}}}))
    put(place, "secret/Renku.webhook_secret", "sixteen characters at least\n")
    put(place, "secret/GitLabOAuthenticator.client_secret", "told once")
    put(place, "secret/.dockerconfigjson", "{}")
    c = Config()
    install(c)
    assert c.Renku.clone_timeout == 600
    assert c.Renku.image_policy == {"allowed": []}
    assert c.Renku.webhook_secret == "sixteen characters at least"
    assert c.GitLabOAuthenticator.client_secret == "told once"
    assert not [name for name in c if "docker" in name or name.startswith("..")]


def test_it_wins_over_what_was_set_before_and_is_kept_by_a_second_call(place: Path) -> None:
    put(
        place,
        "config/renku.json",
        json.dumps({"JupyterHub": {"last_activity_interval": 50, "template_vars": {"a": 1}}}),
    )
    c = Config({"JupyterHub": {"last_activity_interval": 60}, "KubeSpawner": {"namespace": "jupyter"}})
    install(c)
    hub = c.JupyterHub
    assert (hub.last_activity_interval, c.KubeSpawner.namespace) == (50, "jupyter")
    assert hub.template_vars["a"] == 1
    assert callable(hub.template_vars["renku_plain_servers"])
    hub.authenticator_class = "set after it"
    put(place, "secret/JupyterHub.authenticator_class", "dummy")
    install(c)
    assert hub.authenticator_class == "set after it"


def test_a_hub_without_it_is_as_before(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RENKU_CONFIG_DIR", str(tmp_path / "nothing"))
    c = Config()
    install(c)
    assert c.JupyterHub.spawner_class is RenkuLocalSpawner
    assert not c.Renku


@pytest.mark.parametrize(
    ("file", "text", "sentence"),
    [
        ("config/renku.json", "{", "renku.json is not valid JSON: "),
        ("config/renku.json", "[]", 'renku.json is not an object of classes: {"Renku": {…}}.'),
        ("config/renku.json", '{"Renku": 3}', "renku.json: 'Renku' is not a class with an object of its traits."),
        ("config/renku.json", '{"renku": {}}', "renku.json: 'renku' is not a class with an object of its traits."),
        ("config/renku.json", b"\xff", "renku.json is not in UTF-8."),
        ("secret/Renku.webhook_secret", "\n", "secret/Renku.webhook_secret is empty."),
        ("secret/Renku.webhook_secret", b"secret\xff", "secret/Renku.webhook_secret is not in UTF-8."),
    ],
)
def test_a_wrong_file_is_named(place: Path, file: str, text: str | bytes, sentence: str) -> None:
    put(place, file, text)
    with pytest.raises(SettingError) as caught:
        install(Config())
    assert sentence in str(caught.value)
    assert str(place) in str(caught.value)


def test_a_folder_in_a_files_place_is_named(place: Path) -> None:
    (place / "secret" / "Renku.webhook_secret").mkdir()
    with pytest.raises(SettingError, match=r"Renku\.webhook_secret cannot be read: Is a directory\."):
        install(Config())


def test_the_hub_ends_with_the_sentence(place: Path) -> None:
    put(place, "config/renku.json", "{")
    (place / "config.py").write_text("from renku_spawner import install\ninstall(c)\n")
    command = [sys.executable, "-m", "jupyterhub", "-f", str(place / "config.py")]
    done = subprocess.run(command, cwd=place, check=False, timeout=300, capture_output=True, text=True)
    assert done.returncode == 1
    assert "renku.json is not valid JSON" in done.stderr.strip().splitlines()[-1]


class SupervisedHub(OwnHub):
    """A hub as its image runs it, with a proxy of its own process, as on a cluster."""

    def __init__(self, folder: Path) -> None:
        self.proxy_port = free_ports(2)
        more = f"""
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{self.proxy_port + 1}"
c.ConfigurableHTTPProxy.auth_token = "{"a" * 32}"
c.JupyterHub.bind_url = "http://127.0.0.1:{self.proxy_port}"
c.JupyterHub.cleanup_servers = False
c.Renku.restart_on_change = True
print("Loading extra config: zz-renku")  # as Zero to JupyterHub's configuration does
"""
        super().__init__(folder, more=more)
        self.url = f"http://127.0.0.1:{self.proxy_port}/hub/"
        command = ["configurable-http-proxy", "--ip", "127.0.0.1", "--port", str(self.proxy_port)]
        command += ["--api-ip", "127.0.0.1", "--api-port", str(self.proxy_port + 1), "--log-level", "error"]
        self.proxy = subprocess.Popen(command, env={**os.environ, "CONFIGPROXY_AUTH_TOKEN": "a" * 32})

    def command(self) -> list[str]:
        return [sys.executable, "-I", str(SUPERVISE), *super().command()]

    def hub_process(self) -> int:
        """Its process id; 0 between two of them."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0]) if children else 0

    def kill(self) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(60)

    def end(self) -> None:
        super().end()
        self.proxy.terminate()
        self.proxy.wait(60)


@pytest.fixture
def supervised(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupervisedHub]:
    hub = SupervisedHub(tmp_path_factory.mktemp("hub"))
    try:
        yield hub
    finally:
        hub.end()


def settings(**traits: Any) -> str:
    return json.dumps({"Renku": traits})


def health(hub: OwnHub) -> dict[str, Any]:
    return hub.ask("GET", "renku/health", token=hub.token("root")).json()


def test_a_reload_replaces_the_hubs_process_and_nothing_else(place: Path, supervised: SupervisedHub) -> None:
    put(place, "config/renku.json", settings(downloads=4))
    supervised.start()
    assert supervised.process is not None
    project = supervised.project()
    session = supervised.session(project, "Explore")
    supervised.act(project, session, "start")
    supervised.become({"Explore": "running"})
    programs = ways.servers(supervised.workspace)
    assert len(programs) == 1
    first = supervised.hub_process()
    _exchange(place / "config", "renku.json", settings(downloads=5, session_limits={"running": 1}))
    wait(lambda: supervised.hub_process() not in (0, first), seconds=180, why="another process is the hub")
    wait(supervised.serves, seconds=120, why="it serves")
    assert supervised.process.poll() is None
    assert supervised.proxy.poll() is None
    supervised.become({"Explore": "running"})
    assert ways.servers(supervised.workspace) == programs
    second = supervised.session(project, "Another")
    refused = supervised.ask("POST", f"renku/projects/{project}/sessions/{second}/start")
    assert refused.json()["code"] == "limit_user", "the new settings hold"
    supervised.process.terminate()
    assert supervised.process.wait(60) == 0


def test_settings_that_a_start_would_refuse_leave_the_hub_serving(place: Path, supervised: SupervisedHub) -> None:
    right = settings(downloads=4)
    put(place, "config/renku.json", right)
    supervised.start()
    first = supervised.hub_process()
    assert health(supervised)["refused_settings"] is None
    wrong = [{"name": "small", "cpu": "2000", "memory": "2Gi"}]
    _exchange(place / "config", "renku.json", settings(resource_classes=wrong))
    sentence = "between 0.01 (10m) and 1024 CPU"
    wait(lambda: sentence in str(health(supervised)["refused_settings"]), seconds=180, why="admins are told")
    assert supervised.ask("GET", "renku/health").json()["refused_settings"] is None, "for admins alone"
    assert f"Changed settings in {place} refused" in supervised.log()
    metrics = supervised.client.get(f"{supervised.url}metrics", headers={"Authorization": f"token {ADMIN_TOKEN}"})
    assert "renku_settings_refused 1.0" in metrics.text
    assert "Changed settings are not used." in supervised.page("renku/admin", name="root")
    assert supervised.hub_process() == first
    _exchange(place / "config", "renku.json", right, again=True)
    wait(lambda: health(supervised)["refused_settings"] is None, seconds=60, why="the old settings are there again")
    assert supervised.hub_process() == first


def test_without_a_supervisor_a_hub_ends_for_kubernetes_to_start_it_again(place: Path) -> None:
    put(place, "config/renku.json", settings(restart_on_change=True))
    port = free_ports(3)
    addresses = {"JupyterHub.bind_url": 0, "JupyterHub.hub_bind_url": 1, "ConfigurableHTTPProxy.api_url": 2}
    lines = [f"c.{setting} = 'http://127.0.0.1:{port + more}'" for setting, more in addresses.items()]
    (place / "config.py").write_text("\n".join(["from renku_spawner import install", *lines, "install(c)"]))
    with (place / "log").open("w") as log:
        command = [sys.executable, "-m", "jupyterhub", "-f", "config.py"]
        hub = subprocess.Popen(command, cwd=place, stdout=log, stderr=log)
        try:
            wait(lambda: "JupyterHub is now running" in (place / "log").read_text(), why="the hub serves")
            _exchange(place / "config", "renku.json", settings(clone_timeout=600))
            wait(lambda: hub.poll() is not None, seconds=180, why="the hub has ended")
        finally:
            hub.kill()
            hub.wait(60)
    assert f"Settings in {place} changed" in (place / "log").read_text()


def _exchange(folder: Path, name: str, text: str, *, again: bool = False) -> None:
    """As the kubelet does it: a new folder, and one link that is moved at once."""
    new = "..2026_11_30" if again else "..2026_11_29"
    (folder / new).mkdir()
    (folder / new / name).write_text(text)
    (folder / "..new").symlink_to(new)
    (folder / "..new").rename(folder / "..data")


# A hub in a few lines: it notes its start, and does what its argument says when a line is written to it.
PROGRAM = """
import os, signal, sys
print("starts", os.environ["RENKU_SUPERVISOR"] == str(os.getppid()), flush=True)
for line in sys.stdin:
    match line.split():
        case ["restart"]:
            os.kill(os.getppid(), signal.SIGUSR1)
            sys.exit(3)
        case ["end", status]:
            sys.exit(int(status))
        case ["die"]:
            os.kill(os.getpid(), signal.SIGKILL)
        case ["ask"]:
            os.kill(os.getppid(), signal.SIGUSR1)
            print("asked", flush=True)
"""


class Supervisor:
    def __init__(self, program: str = PROGRAM) -> None:
        command = [sys.executable, "-I", str(SUPERVISE), sys.executable, "-I", "-u", "-c", program]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def reads(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def say(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    made = Supervisor()
    assert made.reads() == "starts True"
    with made.process:
        yield made
        made.process.kill()


def test_a_hub_that_asks_for_it_is_started_again_and_again(supervisor: Supervisor) -> None:
    for _ in range(3):
        supervisor.say("restart")
        assert supervisor.reads() == "starts True"
    assert supervisor.process.poll() is None


@pytest.mark.parametrize(("word", "status"), [("end 0", 0), ("end 7", 7), ("die", 128 + 9)])
def test_a_hub_that_ends_unasked_ends_the_container_with_its_status(
    supervisor: Supervisor, word: str, status: int
) -> None:
    supervisor.say(word)
    assert supervisor.process.wait(30) == status


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_for_the_container_reaches_the_hub_and_ends_both(supervisor: Supervisor, signum: int) -> None:
    supervisor.process.send_signal(signum)
    assert supervisor.process.wait(30) in (128 + signum, 1), "SIGINT is an exception in Python"


def test_a_signal_that_the_container_was_started_to_ignore_reaches_the_hub() -> None:
    kept = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        made = Supervisor()
    finally:
        signal.signal(signal.SIGINT, kept)
    with made.process:
        assert made.reads() == "starts True"
        made.process.send_signal(signal.SIGINT)
        try:
            assert made.process.wait(30) in (128 + signal.SIGINT, 1)
        finally:
            made.process.kill()


def test_a_signal_for_the_container_wins_over_a_restart(supervisor: Supervisor) -> None:
    supervisor.say("ask")
    assert supervisor.reads() == "asked"
    supervisor.process.terminate()
    assert supervisor.process.wait(30) == 128 + signal.SIGTERM
    assert supervisor.reads() == ""


def test_only_the_hub_itself_can_ask_for_its_restart(supervisor: Supervisor) -> None:
    supervisor.process.send_signal(signal.SIGUSR1)
    supervisor.say("end 5")
    assert supervisor.process.wait(30) == 5
