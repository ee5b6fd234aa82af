"""`renku-spawner check`: each thing a hub needs is there, or is named in a sentence."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from renku_spawner.persistence.migrate import get_schema_revision, upgrade_schema
from renku_spawner.spawners.kubernetes.api import METRICS_PERMISSIONS, PREPULLER_PERMISSIONS, REQUIRED_PERMISSIONS
from tests.cli.test_cli import Done, run, set_revision
from tests.fakes.gitlab import FakeGitLab
from tests.fakes.kube import FakeCluster
from tests.fakes.spawning import use
from tests.fixtures.ports import free_port
from tests.fixtures.registry import Registry, registry

from . import test_rights

__all__ = ["registry"]

CONFIG = """
from renku_spawner import RenkuSpawner, install
c.JupyterHub.spawner_class = RenkuSpawner
c.JupyterHub.db_url = "sqlite:///hub.sqlite"
c.RenkuSpawner.namespace = "sessions"
c.Renku.projects = "gitlab"
c.Renku.gitlab_url = "{gitlab}"
c.GitLabOAuthenticator.client_id = "renku"
c.GitLabOAuthenticator.client_secret = "secret"
c.Renku.environments = [
    {{"key": "there", "name": "There", "image": "{host}/check/there"}},
    {{"key": "absent", "name": "Absent", "image": "{host}/check/absent"}},
]
c.Renku.image_policy = {{"plain_http": ["{host}"]}}
{more}
install(c)
"""


@pytest.fixture
async def cluster(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeCluster]:
    async with FakeCluster(speed=20) as made:
        use(made, monkeypatch)
        test_rights.with_the_role(made)
        yield made


def configure(folder: Path, registry: Registry, gitlab: str, more: str = "") -> None:
    registry.push("check/there")
    text = CONFIG.format(host=registry.host, gitlab=gitlab, more=more)
    (folder / "jupyterhub_config.py").write_text(text)


async def checked(folder: Path, *arguments: str) -> Done:
    return await asyncio.to_thread(run, "check", *arguments, folder=folder, JUPYTERHUB_CRYPT_KEY="0" * 64)


def test_the_table_of_rights_is_that_of_the_role() -> None:
    table = {**REQUIRED_PERMISSIONS, **PREPULLER_PERMISSIONS, **METRICS_PERMISSIONS}
    assert {name: set(verbs) for name, verbs in table.items()} == test_rights.rights()


async def test_all_is_looked_at_and_told_in_words(cluster: FakeCluster, registry: Registry, tmp_path: Path) -> None:
    with FakeGitLab() as gitlab:
        configure(tmp_path, registry, gitlab.url)
        fresh = await checked(tmp_path)
        assert fresh.stdout.startswith("ok  database    There are no tables of Renku yet; the hub creates them")
        assert fresh.stderr == "renku-spawner: Failed checks: images.\n"
        assert "ok  cluster     The hub has all required rights in the namespace sessions.\n" in fresh.stdout
        url = f"sqlite:///{tmp_path}/hub.sqlite"
        assert get_schema_revision(url) is None
        upgrade_schema(url)
        set_revision(tmp_path / "hub.sqlite", "0001")
        cluster.rules["hub"]["sessions"]["pods"] -= {"delete"}
        del cluster.rules["hub"]["sessions"]["pods/log"]
        second = await checked(tmp_path)
    lines = second.stdout.splitlines()
    assert lines[0].startswith("no  database    Renku's tables are of revision 0001")
    assert lines[2] == f"ok  gitlab      {gitlab.url} answers."
    assert lines[3] == f"ok  images      there: {registry.host}/check/there:latest"
    assert lines[4].startswith("no  images      ")
    assert "may not: delete pods, get pods/log." in lines[5]
    assert [request for request in cluster.requests if request.verb not in ("create", "get")] == []


async def test_what_is_away_is_told_as_that(cluster: FakeCluster, registry: Registry, tmp_path: Path) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    configure(tmp_path, registry, nowhere)
    cluster.fault(lambda request: True, times=99, reset=True)
    done = await checked(tmp_path)
    assert f"no  gitlab      {nowhere} does not answer as a GitLab does." in done.stdout
    assert "no  cluster     The cluster does not report the hub's permissions." in done.stdout


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("c.Renku.gitlab_urk = 1", "gitlab_urk"),
        ("c.GitLabOAuthenticator.client_secret = ''", "c.GitLabOAuthenticator.client_secret is ''"),
        ("c.JupyterHub.spawner_class = 'simple'", "cannot run sessions"),
        ("raise RuntimeError('a slip')", "RuntimeError: a slip"),
    ],
)
async def test_a_setting_that_keeps_the_hub_from_starting_is_named(
    registry: Registry, tmp_path: Path, more: str, said: str
) -> None:
    configure(tmp_path, registry, "https://gitlab.example.org", more)
    done = await checked(tmp_path)
    assert done.returncode == 1
    [line] = [line for line in done.stdout.splitlines() if " settings " in line]
    assert line.startswith("no")
    assert said in line


async def test_it_finds_what_the_hubs_pod_has_from_any_folder(
    cluster: FakeCluster, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Zero to JupyterHub's chart lays it out: the configuration in one folder, the database in another."""
    etc, srv, elsewhere = (tmp_path / name for name in ("etc", "srv", "elsewhere"))
    for folder in (etc, srv, elsewhere):
        folder.mkdir()
    configure(etc, registry, "https://gitlab.example.org", 'c.Renku.projects = "hub"; print("Loading extra config")')
    upgrade_schema(f"sqlite:///{srv}/hub.sqlite")
    monkeypatch.setenv("RENKU_HUB_CONFIG", str(etc / "jupyterhub_config.py"))
    monkeypatch.setenv("RENKU_HUB_FOLDER", str(srv))
    for folder in (srv, etc, elsewhere):
        done = await asyncio.to_thread(run_program, "check", "--json", "--settings", folder=folder)
        assert [(found["what"], found["good"]) for found in json.loads(done.stdout)] == [
            ("database", True), ("settings", True),
        ], done.stderr  # fmt: skip
        assert "Renku's tables are up to date" in done.stdout
        looked = await asyncio.to_thread(run_program, "images", "probe", "there", folder=folder)
        assert (looked.returncode, looked.stdout[:7]) == (0, "there: "), looked.stderr
        assert [file.name for file in folder.iterdir()] == [
            *({srv: ["hub.sqlite"], etc: ["jupyterhub_config.py"]}.get(folder, []))
        ]


def run_program(*arguments: str, folder: Path) -> Done:
    command = [sys.executable, "-m", "renku_spawner.cli", *arguments]
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True, timeout=300)
    return Done(done.returncode, done.stdout, done.stderr)


def test_the_hubs_image_names_the_folders_that_its_command_and_the_chart_use() -> None:
    lines = (Path(__file__).parents[2] / "helm" / "image" / "Dockerfile").read_text()
    named = dict(re.findall(r"(RENKU_HUB_[A-Z]+)=(\S+)", lines))
    assert f'CMD ["jupyterhub", "--config", "{named["RENKU_HUB_CONFIG"]}"]' in lines
    assert f"WORKDIR {named['RENKU_HUB_FOLDER']}\n" in lines
