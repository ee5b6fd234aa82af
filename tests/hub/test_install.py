"""`install(c)` composes with what an admin has set, and a hub that cannot have Renku says why and ends."""

import asyncio
import gc
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jupyterhub.app import JupyterHub
from jupyterhub.handlers import BaseHandler
from jupyterhub.spawner import SimpleLocalProcessSpawner
from traitlets.config import Config

from renku_spawner import RenkuLocalSpawner, install, leave_sessions
from renku_spawner.config.renku import Renku
from renku_spawner.domain.errors import SettingError
from renku_spawner.hub.install import ADMIN_ROLE
from renku_spawner.hub.scopes import ADMIN_SCOPE, CUSTOM_SCOPES, GIT_SCOPE, LAUNCH_SCOPE, SESSION_SCOPE, WRITE_SCOPE
from renku_spawner.hub.startup import start_renku
from renku_spawner.persistence.migrate import get_head_schema_revision, get_schema_revision, upgrade_schema
from tests.fixtures import renku as live
from tests.fixtures.postgresql import free_port

renku_hub = live.renku_hub
HOME = SimpleNamespace(path_args=[])  # what a limit is asked with by a page that names no server
LOOPBACK = [
    "http://127.0.0.1:8000",
    "http://127.8.8.8:8000",
    "http://localhost",
    "http://[::1]:8000",
    "http+unix://%2Ftmp%2Fx",
]
OPEN = ["http://0.0.0.0:8000", "http://:8000", "http://[::]:8000", "http://10.0.0.1:8000", "https://hub.example"]


class Hello(BaseHandler):
    """An admin's own page."""

    def get(self) -> None:
        self.finish("hello")


class Own(RenkuLocalSpawner):
    """An admin's own spawner."""


def installed(**changes: dict[str, Any]) -> Config:
    """A configuration with *changes*, by class name, and then Renku."""
    c = Config()
    for section, values in changes.items():
        for name, value in values.items():
            c[section][name] = value
    install(c)
    return c


# ---- what an admin has set --------------------------------------------------------------------------


def test_a_bare_configuration_gets_all_that_renku_needs() -> None:
    hub = installed().JupyterHub
    assert hub.spawner_class is RenkuLocalSpawner
    assert hub.allow_named_servers is True
    assert {"/renku/projects", "/api/renku/projects"} <= {path for path, *_ in hub.extra_handlers}
    assert (Path(hub.template_paths[0]) / "renku_projects.html").exists()
    assert hub.custom_scopes == CUSTOM_SCOPES
    assert hub.extra_user_scopes == {GIT_SCOPE, LAUNCH_SCOPE, SESSION_SCOPE, WRITE_SCOPE}


def test_a_second_call_changes_nothing() -> None:
    c = installed(JupyterHub={"extra_handlers": [("/hello", Hello)]})
    before = dict(c.JupyterHub.items())
    install(c)
    assert dict(c.JupyterHub.items()) == before


async def test_an_admins_number_of_servers_stays() -> None:
    limit = installed(JupyterHub={"named_server_limit_per_user": 7}).JupyterHub.named_server_limit_per_user
    assert await limit(HOME) == 7


async def test_an_admins_callable_for_the_number_is_asked_too() -> None:
    async def later(handler: Any) -> int:
        await asyncio.sleep(0)
        return 5

    for theirs, number in ((lambda handler: 3, 3), (later, 5), (lambda handler: None, 0)):
        limit = installed(JupyterHub={"named_server_limit_per_user": theirs}).JupyterHub.named_server_limit_per_user
        assert await limit(HOME) == number


def test_an_admins_handlers_and_templates_come_first() -> None:
    hub = installed(JupyterHub={"extra_handlers": [("/hello", Hello)], "template_paths": ["/srv/ours"]}).JupyterHub
    assert hub.extra_handlers[0] == ("/hello", Hello)
    assert len(hub.extra_handlers) > 10
    assert hub.template_paths[0] == "/srv/ours"
    assert len(hub.template_paths) == 2


def test_what_an_admin_has_appended_is_kept_as_well() -> None:
    c = Config()
    c.JupyterHub.extra_handlers.append(("/hello", Hello))
    c.JupyterHub.template_paths.insert(0, "/srv/ours")
    install(c)
    assert c.JupyterHub.extra_handlers[0] == ("/hello", Hello)
    assert c.JupyterHub.template_paths[0] == "/srv/ours"


def test_an_admins_spawner_landing_page_and_options_stay() -> None:
    def landing(handler: Any) -> str:
        return "/hub/home"

    def options(spawner: Any, given: Any) -> None:
        return None

    c = installed(
        JupyterHub={"spawner_class": Own, "default_url": landing, "jinja_environment_options": {"trim_blocks": True}},
        Spawner={"apply_user_options": options},
    )
    assert c.JupyterHub.spawner_class is Own
    assert c.JupyterHub.default_url is landing
    assert c.JupyterHub.jinja_environment_options["trim_blocks"] is True
    assert c.Spawner.apply_user_options is options


@pytest.mark.parametrize(
    ("spawner", "admin", "ends"),
    [
        ("renku", None, False),
        ("renku_spawner.RenkuSpawner", None, False),
        ("renku", True, True),
        (None, None, True),  # Ctrl-C ends all that runs on this machine
        (Own, False, False),
    ],
)
def test_sessions_on_a_cluster_outlive_the_hub_unless_an_admin_said_otherwise(
    spawner: Any, admin: bool | None, ends: bool
) -> None:
    said = {"spawner_class": spawner, "cleanup_servers": admin}
    c = installed(JupyterHub={name: value for name, value in said.items() if value is not None})
    assert JupyterHub(config=c).cleanup_servers is ends


def test_an_admins_jinja_extensions_come_first() -> None:
    options = {"extensions": ["jinja2.ext.do"]}
    extensions = installed(JupyterHub={"jinja_environment_options": options}).JupyterHub.jinja_environment_options
    assert extensions["extensions"][0] == "jinja2.ext.do"
    assert options == {"extensions": ["jinja2.ext.do"]}


def test_an_admins_scopes_and_roles_stay() -> None:
    role = {"name": "teacher", "scopes": ["custom:course:teach"], "users": ["alice"]}
    c = installed(
        JupyterHub={
            "custom_scopes": {"custom:course:teach": {"description": "Teach."}},
            "extra_user_scopes": {"custom:course:learn"},
            "load_roles": [role],
        },
        Authenticator={"admin_users": {"zoe", "admin"}},
    )
    assert {"custom:course:teach", *CUSTOM_SCOPES} == set(c.JupyterHub.custom_scopes)
    assert c.JupyterHub.extra_user_scopes == {
        "custom:course:learn",
        GIT_SCOPE,
        LAUNCH_SCOPE,
        SESSION_SCOPE,
        WRITE_SCOPE,
    }
    assert c.JupyterHub.load_roles[0] == role
    [ours] = c.JupyterHub.load_roles[1:]
    assert (ours["name"], ours["scopes"], ours["users"]) == (ADMIN_ROLE, [ADMIN_SCOPE], ["admin", "zoe"])


@pytest.mark.parametrize(
    ("login", "admins"),
    [("gitlab", ["alice"]), ("dummy", ["zoe"]), ("shared-password", ["zoe"]), ("no.such.Class", [])],
)
def test_admins_are_those_of_the_class_that_people_log_in_by(login: str, admins: list[str]) -> None:
    c = installed(
        JupyterHub={"authenticator_class": login},
        Authenticator={"admin_users": {"zoe"}},
        GitLabOAuthenticator={"admin_users": {"alice"}},
    )
    [ours] = c.JupyterHub.load_roles
    assert ours["users"] == admins


async def test_on_a_live_hub_both_are_at_work(
    renku_hub: Callable[..., Awaitable[live.RenkuHub]], tmp_path: Path
) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "error.html").write_text("ours: {{ status_code }}")
    hub = await renku_hub(
        JupyterHub={
            "extra_handlers": [("/hello", Hello)],
            "template_paths": [str(tmp_path / "templates")],
            "named_server_limit_per_user": 1,
            "load_roles": [{"name": "auditor", "scopes": ["list:users"], "users": ["alice"]}],
        },
        Authenticator={"admin_users": {"admin"}},
    )
    alice, admin = hub.client("alice"), hub.client("admin")
    assert (await alice.get("hello")).text == "hello"
    assert (await alice.get("nothing-here")).text == "ours: 404"
    assert (await alice.get("api/renku/projects")).status_code == 200
    assert (await alice.get("api/users")).status_code == 200
    scopes = {
        name: (await client.get("api/user")).json()["scopes"] for name, client in (("alice", alice), ("admin", admin))
    }
    assert {LAUNCH_SCOPE, WRITE_SCOPE} <= set(scopes["alice"])
    assert ADMIN_SCOPE not in scopes["alice"]
    assert ADMIN_SCOPE in scopes["admin"]

    project = await hub.project()
    first, second = await hub.session(project), await hub.session(project, "Second", key="r")
    start = "api/renku/projects/{}/sessions/{}/start"
    assert (await alice.post(start.format(project.id, first.id), json={})).status_code in (200, 202)
    await hub.becomes(first, live.InstanceStatus.RUNNING)
    refused = await alice.post(f"api/users/alice/servers/{second.id}")
    assert refused.status_code == 400
    assert "named servers" in refused.text
    assert await hub.status(second) is live.InstanceStatus.INACTIVE


async def test_no_collection_of_garbage_looks_at_what_was_loaded(
    renku_hub: Callable[..., Awaitable[live.RenkuHub]],
) -> None:
    """It would stop the loop for 0.1 s and more."""
    await renku_hub()
    assert gc.get_freeze_count() > 100_000


async def test_servers_from_before_live_on_and_can_be_stopped(
    renku_hub: Callable[..., Awaitable[live.RenkuHub]],
) -> None:
    command = [sys.executable, "-m", "jupyterhub.tests.mocksu"]
    hub = await renku_hub(Renku={"allow_plain_servers": True}, RenkuLocalSpawner={"cmd": command})
    alice, spawner = hub.client("alice"), hub.user("alice").spawner
    assert (await alice.post("api/users/alice/server")).status_code in (201, 202)
    await live.until(lambda: spawner.ready)
    Renku.instance().allow_plain_servers = False  # as on a hub that has just got Renku
    assert await spawner.poll() is None
    assert (await alice.delete("api/users/alice/server")).status_code in (202, 204)
    await live.until(lambda: not spawner.active)
    assert not Path(f"/proc/{spawner.pid}").exists() or spawner.pid == 0
    assert (await alice.post("api/users/alice/server")).status_code in (400, 404)
    assert not spawner.active


# ---- where Renku's tables stand -----------------------------------------------------------------------


@pytest.fixture
def alone() -> Any:
    """The two singletons are made by the test and gone after it."""
    yield
    for one in (Renku, JupyterHub):
        if one.initialized():
            one.clear_instance()


@pytest.mark.usefixtures("alone")
def test_the_tables_stand_in_the_hubs_database_unless_said_otherwise(tmp_path: Path) -> None:
    hub, own = f"sqlite:///{tmp_path}/hub.sqlite", f"sqlite:///{tmp_path}/own.sqlite"
    c = Config()
    c.JupyterHub.db_url = hub
    for given, expected in (({}, hub), ({"db_url": own}, own)):
        c.Renku = Config(given)
        made = Renku(parent=JupyterHub(config=c))
        made.context.db.dispose()
        assert made.context.db.url == expected
        assert get_schema_revision(expected) == get_head_schema_revision()


@pytest.mark.usefixtures("alone")
def test_the_hubs_file_is_set_to_write_ahead_logging_before_the_hub_opens_it(tmp_path: Path) -> None:
    installed(JupyterHub={"db_url": f"sqlite:///{tmp_path}/hub.sqlite"})
    assert (tmp_path / "hub.sqlite").read_bytes()[18:20] == b"\x02\x02"  # https://www.sqlite.org/fileformat.html


# ---- what is refused ------------------------------------------------------------------------------------


@pytest.fixture
async def begin(tmp_path: Path, alone: None) -> AsyncIterator[Callable[..., None]]:
    """Renku's part of the start of a hub with those changes of its configuration."""

    def begin(**changes: dict[str, Any]) -> None:
        changes.setdefault("JupyterHub", {}).setdefault("db_url", f"sqlite:///{tmp_path}/hub.sqlite")
        hub = JupyterHub(config=installed(**changes))
        hub.init_eventlog()  # as the hub does before it starts Renku
        start_renku(hub)

    yield begin
    if Renku.initialized():
        for task in Renku.instance().tasks:
            task.cancel()
        Renku.instance().context.db.dispose()


@pytest.mark.parametrize("setting", ["bind_url", "hub_bind_url"])
@pytest.mark.parametrize("url", OPEN)
async def test_the_local_spawner_refuses_a_hub_that_others_reach(
    begin: Callable[..., None], setting: str, url: str
) -> None:
    urls = {"bind_url": "http://127.0.0.1:8000", setting: url}
    with pytest.raises(SettingError, match=f"not isolate users.*c.JupyterHub.{setting} = .*c.Renku.allow_unisolated"):
        begin(JupyterHub=urls)


async def test_the_old_way_to_say_where_the_hub_listens_counts_too(begin: Callable[..., None]) -> None:
    with pytest.raises(SettingError, match=r"this hub listens on 0\.0\.0\.0"):
        begin(JupyterHub={"bind_url": "http://127.0.0.1:8000", "hub_ip": "0.0.0.0"})


@pytest.mark.parametrize("url", LOOPBACK)
async def test_the_local_spawner_runs_on_a_hub_of_this_machine(begin: Callable[..., None], url: str) -> None:
    begin(JupyterHub={"bind_url": url})
    assert Renku.initialized()


async def test_an_admin_may_trust_everybody(begin: Callable[..., None]) -> None:
    begin(JupyterHub={"bind_url": "http://0.0.0.0:8000"}, Renku={"allow_unisolated": True})
    assert Renku.initialized()


async def test_a_spawner_that_asks_nobody_is_refused(begin: Callable[..., None]) -> None:
    with pytest.raises(SettingError, match=r"spawner_class is SimpleLocalProcessSpawner, which cannot run sessions\."):
        begin(JupyterHub={"bind_url": "http://127.0.0.1", "spawner_class": SimpleLocalProcessSpawner})


def run_hub(folder: Path, *lines: str) -> subprocess.CompletedProcess[str]:
    """A real hub with those lines in its configuration; it has to end by itself."""
    (folder / "config.py").write_text(
        "\n".join(
            [
                "from renku_spawner import install",
                f"c.JupyterHub.bind_url = 'http://127.0.0.1:{free_port()}'",
                f"c.JupyterHub.hub_bind_url = 'http://127.0.0.1:{free_port()}'",
                *lines,
                "install(c)\n",
            ]
        )
    )
    command = [sys.executable, "-m", "jupyterhub", "-f", "config.py"]
    return subprocess.run(
        command,
        cwd=folder,
        check=False,
        timeout=300,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ,
    )


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            "c.Renku.resource_clases = []",
            "There is no setting Renku.resource_clases. Did you mean Renku.resource_classes?",
        ),
        (
            "c.JupyterHub.bind_url = 'http://0.0.0.0:8000'",
            "RenkuLocalSpawner does not isolate users from each other, and this hub listens on 0.0.0.0.",
        ),
    ],
)
def test_a_hub_that_cannot_have_renku_ends_with_a_sentence(line: str, sentence: str, tmp_path: Path) -> None:
    done = run_hub(tmp_path, line)
    assert done.returncode == 1, done.stdout
    assert f"Renku cannot start: {sentence}" in done.stdout.splitlines()[-1]
    assert "Traceback" not in done.stdout


def test_a_hub_refuses_tables_of_a_newer_release(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/jupyterhub.sqlite"
    upgrade_schema(url)
    set_revision(url, "9999")
    done = run_hub(tmp_path, f"c.JupyterHub.db_url = {url!r}")
    assert done.returncode == 1, done.stdout
    assert "Renku cannot start: Renku's tables are of revision 9999, which is newer" in done.stdout.splitlines()[-1]


def set_revision(url: str, revision: str) -> None:
    """What another release of Renku would have left."""
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE renku_alembic_version SET version_num = ?", (revision,))
    connection.close()


# ---- the idle culler, if there is one ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("flag", "refused"),
    [
        ("--remove-named-servers", True),
        ("--remove-named-servers=True", True),
        ("--IdleCuller.remove_named_servers=true", True),
        ("--remove-named-servers=False", False),
        ("--timeout=3600", False),
    ],
)
def test_a_culler_that_would_remove_what_is_paused_is_refused(flag: str, *, refused: bool) -> None:
    services = [{"name": "web", "url": "http://x"}, {"name": "cull", "command": ["python3", "-m", "culler", flag]}]
    if not refused:
        assert installed(JupyterHub={"services": services}).JupyterHub.services == services
        return
    with pytest.raises(SettingError, match="'cull' removes named servers"):
        installed(JupyterHub={"services": services})


@pytest.mark.parametrize(("name", "culled"), [("", True), ("work", True), ("abcdefghij22", False)])
def test_a_culler_with_our_hook_leaves_sessions_alone(name: str, *, culled: bool) -> None:
    asked = {"inactive_limit": 3600, "server": {"name": name, "state": {}, "last_activity": None}}  # as it asks
    assert leave_sessions(inactive=timedelta(hours=1), **asked) is culled
    assert leave_sessions(inactive=timedelta(minutes=59), **asked) is False
