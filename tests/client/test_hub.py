"""Client and commands as people and scripts use them, against one real hub."""

import contextlib
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import zstandard

from renku_spawner.client import Client, NotAllowed, NotFound, Refused
from renku_spawner.web.schemas import ConfigurationBody, ProjectBody, SessionBody, SessionChangeBody
from renku_spawner.web.sessions.schemas import SessionAnswer
from tests.client.conftest import environ_of, logged_in, login_file
from tests.client.typed import Run, typed, watched
from tests.docs import blocks
from tests.docs.blocks import Block
from tests.faults.own_hub import ADMIN_TOKEN, OwnHub
from tests.fixtures.ports import free_port
from tests.spawners import ways


def test_a_program_makes_a_project_and_a_session_starts_reads_pauses_and_deletes(hub: OwnHub, client: Client):
    assert client.whoami() == "alice"
    project = client.add_project(ProjectBody(path="alice/climate", title="Climate"))
    [entry] = client.projects("climate")
    assert (entry.id, entry.role) == (project.id, "owner")
    [environment] = client.environments()
    new = SessionBody(environment=environment.id, title="Explore")
    made = client.add_session("alice/climate", new)
    change = SessionChangeBody(version=made.version, description="Ice")
    assert client.change_session(project.id, made.id, change).description == "Ice"
    assert client.start("alice/climate", made.id).status in ("launching", "running")
    *_, told = client.until_settled("alice/climate", made.id)
    assert told.status == "running"
    assert [each.session for each in client.mine()] == [made.id]
    assert client.address(client.session(project.id, made.id).instance.url or "").startswith(client.url)
    assert client.pause(made.id).status in ("stopping", "paused")
    *_, told = client.until_settled("alice/climate", made.id)
    assert told.status == "paused"
    assert client.session_by_id(made.id).instance.status == "paused"
    looked = client.contents(made.id)
    assert (looked.known, looked.repositories, looked.loose) == (True, [], 0)
    client.delete_data(made.id)
    client.remove_session(project.id, made.id)
    assert list(client.sessions(project.id)) == []


def test_lists_go_on_from_page_to_page(hub: OwnHub, client: Client):
    paths = [client.add_project(ProjectBody(path=f"alice/many-{n}", title="Many")).path for n in range(3)]
    client._wire.most = 2
    assert sorted(each.path for each in client.projects("many")) == paths


def test_errors_say_what_the_hub_says(hub: OwnHub, client: Client):
    with pytest.raises(NotFound, match="no such page, or you have no access") as missing:
        client.project("alice/nothing")
    assert (missing.value.status, missing.value.code) == (404, "not_found")
    with pytest.raises(Refused) as wrong:
        client.add_project(ProjectBody(path="bob/climate", title=""))
    assert wrong.value.fields.keys() & {"path", "title"}
    with pytest.raises(NotFound):
        list(client.all_instances())


def test_a_token_that_is_unknown_is_neither_accepted_nor_shown(hub: OwnHub):
    secret = "s3cret-" + "x" * 20
    stranger = Client(hub.url, secret)
    with pytest.raises(NotAllowed) as refused:
        list(stranger.projects())
    assert secret not in f"{refused.value!r} {refused.value.__dict__} {stranger!r} {vars(stranger._wire)!r}"


# ---- commands -----------------------------------------------------------------------------------


def test_a_session_is_started_by_its_name_shown_paused_and_deleted(
    hub: OwnHub, run: Run, path: str, session: SessionAnswer, client: Client, tmp_path: Path
):
    started = run("start", f"{path}:explore")
    instance = client.session(path, session.id).instance
    assert (started.code, started.out) == (0, client.address(instance.url or "") + "\n")
    assert started.err.startswith("Explore: ")
    assert run("open", session.id).out == started.out
    [row] = run("sessions", "--json").json
    assert (row["session"], row["instance"]["status"]) == (session.id, "running")
    assert run("sessions").out.splitlines()[1].split()[:3] == [session.id, f"{path}:Explore", "running"]
    assert "\x1b[32mrunning\x1b[0m" in run("sessions", terminal=True).out
    assert run("start", path, "--json").json["status"] == "running"
    assert run("logs", "Expl").code == 0
    knows_itself(hub, session.id)
    assert run("download", session.id).code == 4
    assert run("keep-awake", session.id, "--for", "3w").code == 2
    assert run("keep-awake", session.id, "--off").out == "Explore is not kept awake.\n"
    assert run("pause", session.id).out in ("Explore: stopping\n", "Explore: paused\n")
    [*_] = client.until_settled(session.project, session.id)
    assert run("open", "Explore").code == 4
    assert run("pause", "--all").err == "You have no running sessions.\n"
    assert run("restore", "Explore").out == "Explore: paused\n"
    asked = run("delete-data", session.id)
    assert (asked.code, "--yes" in asked.err) == (2, True)
    [work] = hub.workspace.glob("*/work")
    (work / "notes.txt").write_text("Ice")
    downloaded(run, tmp_path)
    wrong = run("delete-data", session.id, stdin="explore\n", terminal=True)
    assert (wrong.code, "  files outside of repositories: 1\n" in wrong.err) == (4, True)
    done = run("delete-data", session.id, stdin="Explore\n", terminal=True)
    assert (done.code, done.out) == (0, "The files of Explore are deleted.\n")
    assert run("delete-data", session.id, "--yes").code == 3


def knows_itself(hub: OwnHub, session: str) -> None:
    """With what is in the environment of the session's own processes."""
    found = [Path(f"/proc/{pid}/environ").read_text().split("\0") for pid in ways.marked(hub.workspace)]
    inside = next(each for each in found if f"RENKU_SESSION_ID={session}" in each)
    me = typed(
        "me", "--json", environ=dict(line.split("=", 1) for line in inside if line.startswith("JUPYTERHUB_"))
    ).json
    assert (me["session"], me["status"]) == (session, "running")


def downloaded(run: Run, folder: Path) -> None:
    archive = str(folder / "ice.tar.zst")
    assert run("download", "Explore", "-o", archive).err.startswith(f"Explore is in {archive} (")
    with zstandard.open(archive, "rb") as opened, tarfile.open(fileobj=opened, mode="r|") as packed:
        assert [each.name for each in packed if each.isfile()] == ["work/notes.txt"]
    assert run("download", "Explore", "-o", archive).code == 4
    with contextlib.chdir(folder):
        assert run("download", "Explore").err.startswith("Explore is in Explore.tar.zst (")
        assert run("download", "Explore").code == 4
    assert run("download", "Explore", "-o", archive, "--force").code == 0
    assert [each.name for each in folder.iterdir() if each.name.startswith(".")] == []


def test_a_start_that_fails_says_why_and_what_it_printed(run: Run, path: str, client: Client):
    [session] = client.sessions(path)
    change = ConfigurationBody(variables={"TINY_EXIT": "3"})
    client.change_session(path, session.id, SessionChangeBody(version=session.version, configuration=change))
    done = run("start", path, terminal=True)
    assert (done.code, done.out) == (6, "")
    assert done.err.splitlines()[-1].endswith(f"See its log: renku-spawner logs {session.id}")
    client.delete_data(session.id)


def test_ctrl_c_ends_the_waiting_and_not_the_start(
    hub: OwnHub, run: Run, path: str, session: SessionAnswer, client: Client, tmp_path: Path
):
    change = ConfigurationBody(variables={"TINY_WAIT": "1"})
    client.change_session(path, session.id, SessionChangeBody(version=session.version, configuration=change))
    with watched("start", path, environ=environ_of(tmp_path)) as start:
        start.until(rb"Explore: ")
        start.until(rb", [1-9][0-9]* s")  # the seconds go on by themselves
        assert (start.interrupt(), b"Traceback" in start.shown) == (130, False)
    assert client.session_by_id(session.id).instance.status == "launching"
    with watched("logs", "-f", session.id, environ=environ_of(tmp_path)) as logs:
        logs.until(b"tiny server starts")
        [work] = hub.workspace.glob("*/work")
        (work / "go").touch()
        assert client.start(path, session.id).status in ("launching", "running")
        assert (logs.interrupt(), b"Traceback" in logs.shown) == (130, False)


def test_what_several_fit_is_listed_and_nothing_is_done(run: Run, path: str, client: Client):
    environment = next(client.environments())
    client.add_session(path, SessionBody(environment=environment.id, title="Expand"))
    done = run("start", f"{path}:Exp")
    assert (done.code, done.out) == (2, "")
    assert "fits several sessions. Available: Explore (" in done.err
    assert run("start", f"{path}:Nothing").code == 3
    assert run("start", "a2a2a2a2a2a2").code == 3
    assert run("start", "Explore").code == 2
    assert run("start", "alice/nowhere").code == 3
    assert run("sessions", "alice/nowhere").code == 3
    assert list(client.mine()) == []


def test_a_class_that_there_is_not_is_refused_in_the_words_of_the_hub(run: Run, path: str):
    done = run("start", path, "--class", "gigantic")
    assert (done.code, done.out) == (4, "")
    assert done.err.startswith("renku-spawner: ")
    assert "gigantic" in done.err


def test_projects_are_listed_and_searched(run: Run, path: str):
    slug = path.partition("/")[2]
    assert [row["path"] for row in run("projects", "--search", slug, "--json").json] == [path]
    head, row = run("projects", "--search", slug).out.splitlines()
    assert head.split() == ["PATH", "TITLE", "ROLE", "SESSIONS", "DEFAULT"]
    assert row.split() == [path, "Project", "owner", "1", "inactive"]
    nothing = run("projects", "--search", "xyzzy")
    assert (nothing.code, nothing.out) == (0, "")
    assert run("projects", "--search", "xyzzy", "--json").json == []


# ---- the login ----------------------------------------------------------------------------------


def test_the_token_is_kept_where_nobody_else_reads_it(hub: OwnHub, run: Run, tmp_path: Path):
    file = login_file(tmp_path)
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert [each.name for each in file.parent.iterdir()] == ["login.json"]
    file.chmod(0o640)
    refused = run("projects")
    assert (refused.code, "Others can read" in refused.err) == (7, True)
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    assert run("projects").code == 7
    assert run("logout").code == 0
    assert not file.is_symlink()
    assert "renku-spawner login" in run("projects").err


def test_a_login_with_a_wrong_token_keeps_nothing(hub: OwnHub, tmp_path: Path):
    done = typed("login", hub.url, stdin="wrong-token-1234\n", environ=environ_of(tmp_path))
    assert (done.code, done.out) == (7, "")
    assert "wrong-token-1234" not in done.err
    assert typed("login", hub.url, stdin="\n", environ=environ_of(tmp_path)).code == 2
    assert typed("login", "http://hub.example.org", stdin="abc\n", environ=environ_of(tmp_path)).code == 4
    assert not login_file(tmp_path).exists()


def test_a_token_that_was_revoked_says_to_log_in_again(hub: OwnHub, tmp_path: Path):
    run = logged_in(hub, "carol", tmp_path)
    [token] = hub.ask("GET", "users/carol/tokens", token=ADMIN_TOKEN).json()["api_tokens"]
    hub.ask("DELETE", f"users/carol/tokens/{token['id']}", token=ADMIN_TOKEN)
    done = run("projects")
    assert (done.code, done.out) == (7, "")
    assert f"renku-spawner login {hub.url.removesuffix('/hub/')}" in done.err


def test_a_token_that_may_only_read_starts_nothing(hub: OwnHub, path: str, tmp_path: Path):
    made = hub.ask("POST", "users/alice/tokens", {"scopes": ["custom:renku:read"]}, token=hub.alice())
    environ = {"JUPYTERHUB_API_URL": f"{hub.url}api", "JUPYTERHUB_API_TOKEN": made.json()["token"]}
    assert typed("sessions", path, environ=environ_of(tmp_path) | environ).code == 0
    done = typed("start", path, environ=environ_of(tmp_path) | environ)
    assert (done.code, done.err) == (4, "renku-spawner: This needs the scope custom:renku:launch.\n")


def test_a_session_says_what_its_own_token_may_not_do(hub: OwnHub, tmp_path: Path):
    made = hub.ask("POST", "users/alice/tokens", {"scopes": ["users:activity!user"]}, token=hub.alice())
    inside = environ_of(tmp_path) | {
        "JUPYTERHUB_API_URL": f"{hub.url}api",
        "JUPYTERHUB_API_TOKEN": made.json()["token"],
        "JUPYTERHUB_SERVICE_PREFIX": "/user/alice/a2a2a2a2a2a2/",
    }
    done = typed("projects", environ=inside)
    assert (done.code, "The token of a session may not do this." in done.err) == (4, True)
    assert typed("login", hub.url, stdin=f"{hub.alice()}\n", environ=inside).code == 0
    assert typed("projects", environ=inside).code == 0


def test_outside_of_a_session_there_is_no_me(run: Run):
    assert (run("me").code, run("me").err) == (4, "renku-spawner: This is not inside a session.\n")


def test_a_hub_that_is_away_has_a_status_of_its_own(tmp_path: Path):
    port = free_port()
    environ = {"JUPYTERHUB_API_URL": f"http://127.0.0.1:{port}/hub/api", "JUPYTERHUB_API_TOKEN": "s3cret"}
    done = typed("projects", environ=environ_of(tmp_path) | environ)
    assert (done.code, done.out) == (5, "")
    assert done.err == f"renku-spawner: 127.0.0.1:{port} cannot be reached. Please try again in a while.\n"


# ---- admins -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        "instances list",
        "instances pause bob a2a2a2a2a2a2",
        "instances pause --all",
        "orphans",
        "environments list --state all",
    ],
)
def test_what_is_for_admins_is_refused_to_others(run: Run, command: str):
    done = run(*command.split())
    assert (done.code, done.out) == (4, "")


def test_an_admin_sees_and_pauses_what_others_run(hub: OwnHub, run: Run, path: str, client: Client, tmp_path: Path):
    assert run("start", path).code == 0
    root = logged_in(hub, "root", tmp_path / "root")
    [row] = root("instances", "list", "--owner", "alice", "--json").json
    assert (row["username"], row["status"], row["project_path"]) == ("alice", "running", path)
    assert root("instances", "pause", "alice", row["session"]).code == 0
    [*_] = client.until_settled(path, row["session"])
    assert root("instances", "list", "--status", "paused").out.splitlines()[1].split()[0] == "alice"
    client.delete_data(row["session"])


def test_an_admin_pauses_all_after_a_dry_run_and_sees_it_through(
    hub: OwnHub, run: Run, path: str, client: Client, tmp_path: Path
):
    assert run("start", path).code == 0
    root = logged_in(hub, "root", tmp_path / "root")
    for wrong in ((), ("alice", "--all"), ("--node", "n1", "--all")):
        assert root("instances", "pause", *wrong).code == 2
    assert root("instances", "pause", "--node", "n1").out == "0 sessions run or start on n1.\n"
    tried = root("instances", "pause", "--all", "--dry-run")
    assert (tried.code, tried.out) == (0, "1 session runs or starts on this hub.\n")
    assert root("instances", "pause", "--all").code == 2, "nobody at a terminal can confirm it"
    [row] = root("instances", "list", "--owner", "alice", "--json").json
    assert row["status"] == "running"
    done = root("instances", "pause", "--all", "--yes")
    assert (done.code, done.out.splitlines()[-1]) == (0, "All are paused.")
    [row] = root("instances", "list", "--owner", "alice", "--json").json
    assert (row["status"], row["reason"]) == ("paused", "stopped_for_all")
    client.delete_data(row["session"])


def test_an_admin_lists_and_archives_environments(hub: OwnHub, tmp_path: Path):
    root = logged_in(hub, "root", tmp_path)
    listed = root("environments", "list", "--state", "all")
    assert listed.out.splitlines()[1].split()[1:3] == ["Python", "active"]
    assert root("environments", "archive", "Nothing").code == 3
    configured = root("environments", "archive", "python", "--message", "Old")
    assert (configured.code, "configuration" in configured.err) == (4, True)


def test_an_admin_removes_orphans_after_a_word(hub: OwnHub, tmp_path: Path):
    root = logged_in(hub, "root", tmp_path)
    none = root("orphans", "--kind", "folder")
    assert (none.code, none.out, none.err) == (0, "", "There are no orphans.\n")
    assert root("orphans", "--remove").err == "There is nothing that can be removed.\n"


# ---- what docs/cli.md shows ---------------------------------------------------------------------

HUB = "https://hub.example.org"
REASON = "asks a hub; tests/client/test_hub.py runs it with one"
SHOWN = [block for block in blocks.everywhere() if blocks.not_run().get(block.name) == REASON]
PROGRAMS = {"sh": ["sh", "-euc"], "python": [sys.executable, "-W", "error", "-c"]}


@pytest.fixture(scope="module")
def variables(hub: OwnHub, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A machine on which nobody has logged in yet."""
    hub.session(hub.project("docs"), "Explore")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {"HOME": str(tmp_path_factory.mktemp("home")), "PATH": path}


@pytest.mark.parametrize("block", SHOWN, ids=lambda block: f"line-{block.line}")
def test_what_the_page_shows_is_done(block: Block, hub: OwnHub, variables: dict[str, str]) -> None:
    own = {"JUPYTERHUB_API_URL": f"{hub.url}api", "JUPYTERHUB_API_TOKEN": hub.alice()}
    text = block.text.replace(HUB, hub.url).replace("ada/climate", "alice/docs")
    done = subprocess.run(
        [*PROGRAMS[block.language], text],
        env=variables | (own if block.language == "python" or "login" in text else {}),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    if block.language == "python":
        assert done.stdout.splitlines()[-1].startswith(hub.url.removesuffix("/hub/"))
