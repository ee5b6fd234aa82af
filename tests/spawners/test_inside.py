"""What somebody finds inside a session: variables, repositories, packages, and what an edit changes when."""

import asyncio
import contextlib
import html
import os
import re
import shutil
import subprocess
import sys
import zipfile

import pytest

from renku_spawner.context.app_context import write_transaction
from renku_spawner.domain.errors import InvalidInputError
from renku_spawner.domain.instances import InstanceStatus
from renku_spawner.domain.projects import NewRepository
from renku_spawner.domain.resource_classes import ResourceRequirements
from renku_spawner.domain.sessions import SessionChange, SessionConfiguration
from renku_spawner.usecases.sessions import change_session
from tests.spawners import ways
from tests.spawners.local.conftest import git


async def changed(hub, session, **configuration):
    with hub.parts.db.read() as tx:
        version = tx.sessions.get(session.id).version
    change = SessionChange(version=version, configuration=SessionConfiguration(**configuration))
    return await change_session(hub.parts, hub.person("alice"), session.project, session.id, change)


async def running(hub, session, name="alice", **body):
    """Start it; return its working directory and its environment."""
    answer = await ways.start(hub, session, name, **body)
    assert answer.status_code in (200, 202), answer.text
    instance = await hub.becomes(session, InstanceStatus.RUNNING, name)
    folder = hub.parts.workspace / instance.claim
    (pid,) = ways.servers(folder)
    return folder / "work", ways.environ(pid)


async def paused(hub, session):
    await ways.pause(hub, session)
    await hub.becomes(session, InstanceStatus.PAUSED)


async def with_repositories(renku_hub, upstream, *repositories, **settings):
    """A hub and a session of a project with these repositories."""
    host = upstream.server.url.removeprefix("http://")
    settings.setdefault("Renku", {})["repository_hosts"] = {host}
    hub = await renku_hub(**settings)
    return hub, await hub.session(await hub.project(repositories=repositories))


# ---- variables -------------------------------------------------------------------------------------


async def test_a_session_knows_what_and_whose_it_is_and_where_it_works(renku_hub):
    hub = await renku_hub()
    project = await hub.project()
    session = await hub.session(project, "Ünder {title}", variables={"OWN": "a value"})
    work, variables = await running(hub, session, "carol")
    port = variables["JUPYTERHUB_SERVICE_URL"].split(":")[2].split("/")[0]
    expected = {
        "RENKU_WORK_DIR": str(work),
        "RENKU_WORKING_DIR": str(work),
        "RENKU_MOUNT_DIR": str(work),
        "RENKU_PROJECT_ID": project.id,
        "RENKU_PROJECT_PATH": "alice/climate",
        "RENKU_SESSION_ID": session.id,
        "RENKU_SESSION_TITLE": "Ünder {title}",
        "RENKU_USERNAME": "carol",
        "RENKU_BASE_URL_PATH": f"/@/space%20word/user/carol/{session.id}/",
        "RENKU_SESSION_PORT": port,
        "HOME": str(work.parent / "home"),
        "PYTHONUSERBASE": f"{work}/.local",
        "OWN": "a value",
    }
    assert {name: variables.get(name) for name in expected} == expected
    assert variables["PATH"].split(":")[0] == f"{work}/.local/bin"
    assert {name for name in variables if name.startswith("RENKU")} == {
        *[name for name in expected if name.startswith("RENKU")],
        "RENKU_INSTANCE_DIR",
    }
    (pid,) = ways.servers(hub.parts.workspace)
    assert os.readlink(f"/proc/{pid}/cwd") == str(work)


LITERAL = (
    "{username:>9999}", "{", "{}", "{0}", "{nope}", "%(x)s", "$HOME", "$(id)", "`id`", "a\nb", "ü\u202e'\" \\",
)  # fmt: skip
PLATFORM = ("JUPYTERHUB_API_TOKEN", "JPY_API_TOKEN", "RENKU_SESSION_ID", "PATH", "LD_PRELOAD", "PYTHONPATH", "HOME")


async def test_a_value_arrives_as_it_was_typed(renku_hub):  # H68, H69
    hub = await renku_hub()
    typed = {f"A{number}": value for number, value in enumerate(LITERAL)}
    session = await hub.session(await hub.project(), variables=typed)
    _, variables = await running(hub, session)
    assert {name: variables[name] for name in typed} == typed


async def test_what_the_platform_sets_is_not_overridden_however_it_was_stored(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    _, before = await running(hub, session)
    await paused(hub, session)
    for name in PLATFORM:
        with pytest.raises(InvalidInputError):
            await changed(hub, session, variables={name: "evil"})
    # Even a row that an older version or another hand wrote decides nothing of these.
    with hub.parts.db.write() as tx:
        stored = tx.sessions.get(session.id)
        values = SessionConfiguration(variables={**dict.fromkeys(PLATFORM, "evil"), "OWN": "fine"})
        tx.sessions.update(stored, SessionChange(version=stored.version, configuration=values), now=hub.parts.now())
    _, variables = await running(hub, session)
    assert [name for name, value in variables.items() if value == "evil"] == []
    assert set(variables) == {*before, "OWN"}


# ---- repositories ----------------------------------------------------------------------------------


async def test_repositories_are_cloned_at_branch_tag_and_commit(renku_hub, upstream):
    first = upstream.commit("code", data="1")
    git(upstream.source("code"), "tag", "v1")
    git(upstream.source("code"), "push", "--quiet", "--tags", "origin")
    upstream.commit("code", "side", data="2")
    upstream.commit("code", "side", data="3")
    url = upstream.url("code")
    refs = {"newest": None, "branch": "side", "tag": "v1", "commit": first}
    rows = [NewRepository(url=url, ref=ref, directory=directory) for directory, ref in refs.items()]
    hub, session = await with_repositories(renku_hub, upstream, *rows)
    work, _ = await running(hub, session)
    assert {d: (work / d / "data").read_text() for d in refs} == {
        "newest": "1", "branch": "3", "tag": "1", "commit": "1",
    }  # fmt: skip
    assert git(work / "branch", "symbolic-ref", "--short", "HEAD") == "side"
    assert git(work / "commit", "rev-parse", "HEAD") == first
    assert (await hub.instance(session)).notices == ()


async def test_only_the_chosen_repositories_are_cloned(renku_hub, upstream):
    upstream.commit("code", data="1")
    rows = [NewRepository(url=upstream.url("code"), directory=directory) for directory in ("one", "two")]
    hub, session = await with_repositories(renku_hub, upstream, *rows)
    await changed(hub, session, repositories=("two",))
    work, _ = await running(hub, session)
    assert sorted(path.name for path in work.iterdir()) == ["two"]


async def test_a_clone_that_fails_is_told_with_gits_words_and_tried_again_at_the_next_start(renku_hub, upstream):
    upstream.commit("code", data="1")
    rows = (
        NewRepository(url=upstream.url("later"), directory="later"),
        NewRepository(url=upstream.url("code"), directory="code", ref="nowhere"),
    )
    hub, session = await with_repositories(renku_hub, upstream, *rows)
    work, _ = await running(hub, session)
    notices = {notice["code"]: notice["title"] for notice in (await ways.shown(hub, session))["notices"]}
    assert set(notices) == {"clone_failed", "clone_ref"}
    assert notices["clone_failed"].startswith("The repository later could not be cloned: ")
    assert "not found" in notices["clone_failed"]
    assert notices["clone_ref"].startswith("The repository code has no nowhere: ")
    assert notices["clone_failed"] in await page(hub, session)
    assert not (work / "later").exists(), "a failure does not look like a repository"
    upstream.commit("later", data="there now")
    await paused(hub, session)
    await running(hub, session)
    assert (work / "later" / "data").read_text() == "there now"
    assert [notice["code"] for notice in (await hub.instance(session)).notices] == ["clone_ref"]


async def test_what_a_user_changed_is_never_overwritten(renku_hub, upstream):
    upstream.commit("code", data="1", other="1")
    hub, session = await with_repositories(renku_hub, upstream, NewRepository(url=upstream.url("code")))
    work, _ = await running(hub, session)
    code = work / "code"
    (code / "data").write_text("mine")
    (code / "new").write_text("mine")
    (code / "other").unlink()
    git(code, "checkout", "--quiet", "-b", "own")
    git(code, "commit", "--quiet", "--allow-empty", "-m", "mine")
    commit = git(code, "rev-parse", "HEAD")
    upstream.commit("code", data="2", other="2")
    await paused(hub, session)
    await running(hub, session)
    assert ((code / "data").read_text(), (code / "new").read_text()) == ("mine", "mine")
    assert not (code / "other").exists()
    assert git(code, "rev-parse", "HEAD") == commit
    assert git(code, "symbolic-ref", "--short", "HEAD") == "own"
    (work / "code" / ".git").rename(work / "code" / ".was-git")
    await paused(hub, session)
    await running(hub, session)
    assert (code / "data").read_text() == "mine"
    (notice,) = (await hub.instance(session)).notices
    assert notice["code"] == "clone_in_the_way"


@pytest.fixture
def small_disk(tmp_path, monkeypatch):
    """Sessions live on a file system of 1 MiB; who may mount none has a git that may write no larger file."""
    folder = tmp_path / "sessions"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    mount = subprocess.run(command, capture_output=True, check=False)
    if mount.returncode:
        limited = tmp_path / "bin" / "git"
        limited.parent.mkdir()
        limited.write_text(
            f'#!/bin/sh\n[ -z "$RENKU_INSTANCE_DIR" ] || ulimit -f 1024\nexec {shutil.which("git")} "$@"\n'
        )
        limited.chmod(0o755)
        monkeypatch.setenv("PATH", f"{limited.parent}:{os.environ['PATH']}")
    yield folder
    if not mount.returncode:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def test_a_clone_that_meets_a_full_disk_names_the_repository_and_the_session_starts(
    small_disk, renku_hub, upstream
):
    upstream.commit("big", data=os.urandom(3 * 1024**2))
    hub, session = await with_repositories(renku_hub, upstream, NewRepository(url=upstream.url("big")))
    work, _ = await running(hub, session)
    assert work.is_relative_to(small_disk)
    (notice,) = (await ways.shown(hub, session))["notices"]
    assert notice["title"] == "The repository big could not be cloned: The disk is full."
    assert notice["title"] in await page(hub, session)
    assert list(work.iterdir()) == [], "the disk is free again"
    await ways.pause(hub, session)
    await hub.becomes(session, InstanceStatus.PAUSED)


async def test_a_disk_that_is_full_before_the_program_runs_is_told_and_freed_it_starts(small_disk, renku_hub):  # R16
    if not os.path.ismount(small_disk):
        pytest.skip("only root can mount a small disk")
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    work, _ = await running(hub, session)
    home = work.parent / "home"
    await paused(hub, session)
    shutil.rmtree(home)
    fill(work / "data")
    await ways.start(hub, session)
    instance = await hub.becomes(session, InstanceStatus.FAILED)
    assert (instance.reason, instance.message) == ("crash_disk_full", "The disk is full.")
    assert instance.advice.endswith("delete your data.")
    assert ways.marked(hub.parts.workspace) == {}
    (work / "data").unlink()
    await running(hub, session)
    assert "alice" in (home / ".gitconfig").read_text(), "what was begun on a full disk is written anew"
    await paused(hub, session)


def fill(path):
    """Write until there is no room for another byte."""
    with contextlib.suppress(OSError), open(path, "wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


async def test_a_repository_that_leads_inside_is_told_and_the_session_starts(renku_hub, upstream):
    async with redirecting("https://127.0.0.1/code.git/info/refs?service=git-upload-pack") as host:
        upstream.commit("code", data="1")
        hosts = {upstream.server.url.removeprefix("http://"), host}
        hub = await renku_hub(Renku={"repository_hosts": hosts})
        rows = (NewRepository(url=upstream.url("code")), NewRepository(url=f"http://{host}/code.git", directory="away"))
        session = await hub.session(await hub.project(repositories=rows))
        work, _ = await running(hub, session)
    assert [path.name for path in work.iterdir()] == ["code"]
    (notice,) = (await ways.shown(hub, session))["notices"]
    assert notice["code"] == "clone_failed"
    assert "Connections to 127.0.0.1 are not allowed" in notice["title"] + notice["text"]
    await paused(hub, session)


@contextlib.asynccontextmanager
async def redirecting(target):
    """A host that leads everybody to *target*."""

    async def answer(reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1")
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()


# ---- packages --------------------------------------------------------------------------------------


def wheel(folder):
    """A package of one module and one command, built here."""
    path = folder / "tinypackage-1.0-py3-none-any.whl"
    info = "tinypackage-1.0.dist-info"
    files = {
        "tinypackage.py": "def main():\n    print('it works')\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: tinypackage\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\ntiny-command = tinypackage:main\n",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        archive.writestr(f"{info}/RECORD", "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"]))
    return path


async def test_what_plain_pip_installs_survives_pause_and_resume(renku_hub, tmp_path):
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    package = wheel(tmp_path)
    work, variables = await running(hub, session)

    async def inside(*command):
        return await asyncio.to_thread(
            subprocess.run, command, env=variables, cwd=work, capture_output=True, text=True, check=False
        )

    install = await inside(sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", str(package))
    assert install.returncode == 0, install.stderr
    await paused(hub, session)
    _, variables = await running(hub, session)
    said = await inside(sys.executable, "-c", "import tinypackage; tinypackage.main(); print(tinypackage.__file__)")
    assert said.stdout.splitlines()[0] == "it works", said.stderr
    assert said.stdout.splitlines()[1].startswith(f"{work}/.local/")
    assert (await inside("/bin/sh", "-c", "tiny-command")).stdout == "it works\n"
    outside = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", "import tinypackage"], capture_output=True)
    assert outside.returncode == 1, "the hub's own Python does not have it"


# ---- configuration ---------------------------------------------------------------------------------


async def test_variables_that_an_older_release_accepted_are_left_out_and_named(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project(), variables={"SEED": "1"})
    stored = {"SEED": "1", "PROMPT_COMMAND": "id > pwned", "https_proxy": "http://evil.example.org"}
    old = SessionChange(version=session.version, configuration=SessionConfiguration(variables=stored))
    await write_transaction(hub.parts, lambda tx: tx.sessions.update(session, old, hub.parts.now()))
    _, variables = await running(hub, session)
    assert variables["SEED"] == "1"
    assert not {"PROMPT_COMMAND", "https_proxy"} & variables.keys()
    (notice,) = (await hub.instance(session)).notices
    assert notice["title"] == "Started without the variables PROMPT_COMMAND, https_proxy: they cannot be set any more."
    assert notice["title"] in await page(hub, session)


STARTED = "This session was edited since you started it. Pause and resume to use the new configuration."
LAST_RAN = "This session was edited since you last ran it. The next start uses its present configuration"


async def page(hub, session):
    """The text of the session's page as alice reads it."""
    answer = await (await hub.visitor("alice")).get(f"renku/projects/alice/climate/-/sessions/{session.id}")
    assert answer.status_code == 200
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", answer.text)))


async def test_an_edit_takes_effect_at_the_next_start_and_the_page_says_so(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project(), variables={"A": "old"})
    work, variables = await running(hub, session)
    assert "edited since" not in await page(hub, session)
    await changed(hub, session, variables={"A": "new"}, needs=ResourceRequirements(memory="4Gi"))
    (pid,) = ways.servers(work.parent)
    assert ways.environ(pid)["A"] == "old"
    assert (await hub.instance(session)).resource_class == "small"
    assert STARTED in await page(hub, session)
    await paused(hub, session)
    assert LAST_RAN in await page(hub, session)
    _, variables = await running(hub, session)
    assert variables["A"] == "new"
    assert (await hub.instance(session)).resource_class == "medium"
    assert "edited since" not in await page(hub, session)


CLASSES = [
    {"name": "huge", "cpu": "16", "memory": "64Gi", "gpu": 1},
    {"name": "tiny", "cpu": "0.5", "memory": "1Gi"},
    {"name": "normal", "cpu": "2", "memory": "4Gi"},
    {"name": "theirs", "cpu": "1", "memory": "2Gi", "users": ["bob"]},
]


async def test_the_smallest_class_of_the_launching_user_is_taken_and_another_can_be_picked(renku_hub):
    hub = await renku_hub(Renku={"resource_classes": CLASSES})
    session = await hub.session(await hub.project(), needs=ResourceRequirements(cpu="1", memory="2Gi"))
    await running(hub, session, "alice")
    assert (await hub.instance(session)).resource_class == "normal"
    await running(hub, session, "bob")
    assert (await hub.instance(session, "bob")).resource_class == "theirs"
    await running(hub, session, "carol", resource_class="huge")
    assert (await hub.instance(session, "carol")).resource_class == "huge"
    hub.user("dave")
    await paused(hub, session)
    for wanted, code in (("tiny", "class_too_small"), ("theirs", "class_forbidden"), ("none", "class_gone")):
        answer = await ways.start(hub, session, resource_class=wanted)
        assert (answer.status_code, answer.json()["code"]) == (409, code)
    assert await hub.status(session) is InstanceStatus.PAUSED


async def test_who_has_no_class_that_is_large_enough_reads_what_is_missing(renku_hub):
    classes = [{**entry, "users": ["alice"]} if entry["name"] == "huge" else entry for entry in CLASSES]
    hub = await renku_hub(Renku={"resource_classes": classes})
    session = await hub.session(await hub.project(), needs=ResourceRequirements(gpu=1))
    answer = await ways.start(hub, session, "carol")
    assert (answer.status_code, answer.json()["code"]) == (409, "class_none")
    message = answer.json()["message"]
    assert message.startswith("None of your classes has ") and "1 GPU" in message and message.endswith("Ask an admin.")
    assert await hub.instance(session, "carol") is None
    await running(hub, session, "alice")
