"""What is mounted into the hub's container is read by `install(c)`, and refused with a sentence where it is wrong."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from traitlets.config import Config

from renku_spawner import install
from renku_spawner.local import RenkuLocalSpawner
from renku_spawner.settings import SettingError
from tests.fixtures.ports import free_ports
from tests.fixtures.renku import until


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
        ("config/renku.json", "{", "renku.json is no JSON: "),
        ("config/renku.json", "[]", 'renku.json is no object of classes: {"Renku": {…}}.'),
        ("config/renku.json", '{"Renku": 3}', "renku.json: 'Renku' is no class with an object of its traits."),
        ("config/renku.json", '{"renku": {}}', "renku.json: 'renku' is no class with an object of its traits."),
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
    done = subprocess.run(command, cwd=place, check=False, timeout=60, capture_output=True, text=True)
    assert done.returncode == 1
    assert "renku.json is no JSON" in done.stderr.strip().splitlines()[-1]


async def test_a_hub_that_is_started_again_ends_when_what_is_mounted_changes(place: Path) -> None:
    put(place, "config/renku.json", json.dumps({"Renku": {"restart_on_change": True}}))
    port = free_ports(3)
    addresses = {"JupyterHub.bind_url": 0, "JupyterHub.hub_bind_url": 1, "ConfigurableHTTPProxy.api_url": 2}
    lines = [f"c.{setting} = 'http://127.0.0.1:{port + more}'" for setting, more in addresses.items()]
    (place / "config.py").write_text("\n".join(["from renku_spawner import install", *lines, "install(c)"]))
    with (place / "log").open("w") as log:
        command = [sys.executable, "-m", "jupyterhub", "-f", "config.py"]
        hub = subprocess.Popen(command, cwd=place, stdout=log, stderr=log)
        try:
            await until(lambda: "JupyterHub is now running" in (place / "log").read_text(), why="the hub serves")
            _exchange(place / "config", "renku.json", json.dumps({"Renku": {"clone_timeout": 600}}))
            await until(lambda: hub.poll() is not None, why="the hub has ended")
        finally:
            hub.kill()
    assert f"What is mounted in {place} has changed" in (place / "log").read_text()


def _exchange(folder: Path, name: str, text: str) -> None:
    """As the kubelet does it: a new folder, and one link that is moved at once."""
    (folder / "..2026_11_29").mkdir()
    (folder / "..2026_11_29" / name).write_text(text)
    (folder / "..new").symlink_to("..2026_11_29")
    (folder / "..new").rename(folder / "..data")
