"""Every command and every configuration in the documents is run, or listed with a reason."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from jupyter_events import EventLogger
from jupyterhub.app import JupyterHub
from traitlets.config import Config

from renku_spawner import install
from renku_spawner.config.renku import Renku
from renku_spawner.hub.startup import start_renku
from renku_spawner.persistence.migrate import upgrade_schema
from renku_spawner.spawners.kubernetes.spawner import RenkuSpawner
from tests.data import make_demo_fixture
from tests.docs import blocks
from tests.docs.blocks import ROOT, RUN, Block
from tests.fixtures import postgresql as server
from tests.test_upgrade import load

EVERY = blocks.everywhere()
NOT_RUN = blocks.not_run()
TO_RUN = [block for block in EVERY if block.language in RUN and block.name not in NOT_RUN]
CONFIGURATIONS = [block for block in TO_RUN if block.language == "python" and "c." in block.text]
CONFIGURATIONS += [found for block in EVERY if block.language == "yaml" for found in blocks.in_values(block)]
COMMANDS = [block for block in TO_RUN if block not in CONFIGURATIONS]
Z2JH = ROOT / "tests/data/z2jh"
PROGRAMS = {"sh": ["sh", "-euc"], "bash": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-c"]}
# What an admin has in the environment of the hub.
ENVIRONMENT = {"GITLAB_CLIENT_ID": "renku", "GITLAB_CLIENT_SECRET": "s" * 8, "JUPYTERHUB_CRYPT_KEY": "0" * 64}


def name_of(block: Block) -> str:
    return f"{block.page}:{block.line}"


# ---- the list -------------------------------------------------------------------------------------------


def test_every_line_of_the_list_is_a_block() -> None:
    assert set(NOT_RUN) - {block.name for block in EVERY} == set()


def test_every_block_says_what_it_is() -> None:
    odd = [name_of(block) for block in EVERY if block.language not in {*RUN, *blocks.DATA, ""}]
    assert odd == []
    hidden = [
        name_of(block) for block in EVERY if not block.language and block.text.lstrip().startswith(("$ ", "make"))
    ]
    assert hidden == []


def test_a_block_in_a_list_is_found_and_called_by_its_first_line() -> None:
    [block] = blocks.of_text("docs/a.md", "1. Do:\n\n   ```sh\n   make lint   # all\n   make docs\n   ```\n")
    assert (block.name, block.line, block.text) == ("docs/a.md: make lint", 3, "make lint   # all\nmake docs\n")


# ---- commands -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hub_database(postgresql: str) -> Iterator[str]:
    """A PostgreSQL with our tables, as the programs of PostgreSQL call it."""
    with server.database(postgresql) as url:
        upgrade_schema(url)
        yield url.replace("+psycopg", "")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a hub is: its database with people's projects and its configuration, and what a checkout has."""
    load(make_demo_fixture.file("0.1.0").read_text(), tmp_path / "jupyterhub.sqlite")
    [config] = [block for block in EVERY if block.page == "README.md" and block.language == "python"]
    (tmp_path / "jupyterhub_config.py").write_text(config.text)
    for name in ("helm", "docs"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


@pytest.mark.parametrize("block", COMMANDS, ids=name_of)
def test_a_command_does_what_it_says(block: Block, folder: Path, hub_database: str) -> None:
    path = [
        str(Path(sys.executable).parent),
        str(ROOT / "node_modules/.bin"),
        str(server.programs()),
        os.environ["PATH"],
    ]
    variables = {"HOME": str(folder), "PATH": ":".join(path), "HUB_DATABASE": hub_database}
    done = subprocess.run(
        [*PROGRAMS[block.language], block.text],
        cwd=folder, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}{done.stderr}Where it cannot run, tests/docs/not_run.toml says why."


# ---- configurations -------------------------------------------------------------------------------------


@pytest.fixture
def alone() -> Iterator[None]:
    """The two singletons are made by the test and gone after it."""
    yield
    if Renku.initialized():
        for task in Renku.instance().tasks:
            task.cancel()
        Renku.instance().context.db.dispose()
    for one in (Renku, JupyterHub):
        if one.initialized():
            one.clear_instance()


def configured(block: Block, folder: Path) -> JupyterHub:
    """A hub with what it makes of an empty configuration; a fragment that does not install stands in one that does."""
    c = Config()
    whole = "install(c)" in block.text
    if not whole:
        c.JupyterHub.bind_url = "http://127.0.0.1:8000"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # the address of the database is relative
        exec(compile(block.text, name_of(block), "exec"), {"c": c, "get_config": lambda: c})
        c.JupyterHub.db_url = "sqlite:///jupyterhub.sqlite"  # and no other can be reached here
        install(c)
    c.JupyterHub.db_url = f"sqlite:///{folder}/jupyterhub.sqlite"
    hub = JupyterHub(config=c)
    hub.db = None  # its authenticator is given it, and does not look at it
    return hub


def unknown(hub: Any) -> list[str]:
    """Settings that nothing has."""
    made = (*hub.classes, Renku, RenkuSpawner, EventLogger, type(hub), hub.authenticator_class)
    classes = {one.__name__: one for one in made}
    classes |= {parent.__name__: parent for one in classes.values() for parent in one.__mro__}
    return [
        f"{section}.{name}"
        for section, values in hub.config.items()
        for name in values
        if section not in classes or name not in classes[section].class_trait_names(config=True)
    ]


@pytest.mark.parametrize("block", CONFIGURATIONS, ids=name_of)
@pytest.mark.usefixtures("alone")
async def test_a_hub_can_have_the_configuration(block: Block, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    hub = configured(block, folder)
    hub.init_eventlog()  # as the hub does before it starts Renku
    start_renku(hub)
    assert Renku.initialized()
    assert unknown(hub) == []


def merged(values: dict[str, Any], default: dict[str, Any]) -> dict[str, Any]:
    """As Helm does it."""
    both = {name: merged(values[name], default[name]) for name in values if isinstance(default.get(name), dict)}
    return {**default, **values, **both}


def test_the_usual_chart_takes_the_values() -> None:
    [block] = [block for block in EVERY if block.page == "docs/install.md" and block.language == "yaml"]
    default = yaml.safe_load((Z2JH / "values.yaml").read_text())
    schema = json.loads((Z2JH / "values.schema.json").read_text())
    jsonschema.validate(merged(yaml.safe_load(block.text), default), schema)
    assert blocks.in_values(block)


@pytest.mark.usefixtures("alone")
async def test_a_setting_that_there_is_not_is_noticed(folder: Path) -> None:
    text = 'c.JupyterHub.bind_adress = "http://127.0.0.1"\nc.RenkuSpawner.storage_clas = "fast"\nc.Renk.push = True\n'
    hub = configured(Block(page="", line=1, language="python", text=text), folder)
    assert unknown(hub) == ["JupyterHub.bind_adress", "RenkuSpawner.storage_clas", "Renk.push"]
