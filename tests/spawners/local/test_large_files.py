"""Large files of git-lfs come when the repository's row says so, from its own server, and with nobody's credentials."""

import hashlib
import json
import os

import pytest

from renku_spawner.demo.git_http import _GitRequestHandler
from renku_spawner.spawners.local.clone import clone_repositories
from renku_spawner.spawners.local.folders import InstanceFolders

from .conftest import git

ENV = {"PATH": os.environ["PATH"]}
CONTENT = b"large\0" * 10_000
OID = hashlib.sha256(CONTENT).hexdigest()
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{OID}\nsize {len(CONTENT)}\n"
API = "/code.git/info/lfs/objects/batch"


@pytest.fixture
def folder(tmp_path):
    return InstanceFolders(tmp_path / "instances").create_folder("abcdefghijkl")


class LargeFiles:
    """What git-lfs has asked a server, and the status and place that it is answered with."""

    def __init__(self, url):
        self.place, self.status, self.asked = f"{url}/large/{OID}", 200, []


@pytest.fixture
def large(upstream):
    """The server of git repositories speaks git-lfs's API too, as its specification (docs/api/batch.md) has it."""
    told = LargeFiles(upstream.server.url)

    class Handler(_GitRequestHandler):
        def do_POST(self):
            if not self.path.startswith("/code.git/info/lfs/"):
                return super().do_POST()
            told.asked.append((self.path, self.headers.get("Authorization")))
            size = int(self.headers["Content-Length"])
            wanted = json.loads(self.rfile.read(size))["objects"]
            found = [{**each, "actions": {"download": {"href": told.place}}} for each in wanted]
            return self.answer(told.status, json.dumps({"transfer": "basic", "objects": found}).encode())

        def do_GET(self):
            if not self.path.startswith("/large/"):
                return super().do_GET()
            told.asked.append((self.path, self.headers.get("Authorization")))
            return self.answer(200 if self.path == f"/large/{OID}" else 404, CONTENT)

        def answer(self, status, body):
            self.send_response(status)
            self.send_header("Content-Type", "application/vnd.git-lfs+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    upstream.server.RequestHandlerClass = Handler
    upstream.commit("code", **{".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n", "data.bin": POINTER})
    return told


async def clone(folder, url, *, env=ENV, hosts=None, **more):
    asked = []

    async def vet(host, port):
        asked.append(f"{host}:{port}")
        if hosts is not None and f"{host}:{port}" not in hosts:
            raise PermissionError
        return [host]

    rows = [{"directory": "code", "url": url, "ref": None, "lfs": True, "submodules": False, **more}]
    (result,) = await clone_repositories(folder, rows, env=env, vet=vet)
    return result, asked


async def test_the_content_is_there_when_the_row_says_so_and_a_pointer_when_not(folder, upstream, large):
    result, _ = await clone(folder, upstream.url("code"), lfs=False)
    assert (result.outcome, large.asked) == ("cloned", [])
    assert (folder.work_dir / "code" / "data.bin").read_text() == POINTER
    (folder.work_dir / "code").rename(folder.work_dir / "pointers")
    result, _ = await clone(folder, upstream.url("code"))
    assert (result.outcome, result.message) == ("cloned", "")
    assert (folder.work_dir / "code" / "data.bin").read_bytes() == CONTENT
    assert git(folder.work_dir / "code", "status", "--porcelain") == ""


async def test_what_is_pulled_later_comes_with_its_content(folder, upstream, large):
    await clone(folder, upstream.url("code"))
    upstream.commit("code", **{"again.bin": POINTER})
    git(folder.work_dir / "code", "pull", "--quiet")
    assert (folder.work_dir / "code" / "again.bin").read_bytes() == CONTENT


async def test_nobodys_credentials_are_shown_to_a_server_of_large_files(folder, upstream, large, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login ada password hunter2\n")
    (tmp_path / ".gitconfig").write_text('[credential]\nhelper = "!echo username=ada; echo password=hunter2"\n')
    large.status = 401
    result, _ = await clone(folder, upstream.url("code"), env={**ENV, "HOME": str(tmp_path)})
    assert (result.outcome, result.code) == ("failed", "clone_auth")
    assert large.asked
    assert {credentials for _, credentials in large.asked} == {None}
    assert list(folder.work_dir.iterdir()) == []


async def test_large_files_come_from_where_one_may_connect(folder, upstream, large):
    large.place = f"http://large.inside:1/large/{OID}"
    host = upstream.server.url.removeprefix("http://")
    result, asked = await clone(folder, upstream.url("code"), hosts={host})
    assert set(asked) == {host, "large.inside:1"}
    assert (result.outcome, result.code) == ("failed", "clone_failed")
    assert result.message == "Connections to large.inside are not allowed: it is internal, or its port is not 443."
    assert list(folder.work_dir.iterdir()) == []


@pytest.mark.parametrize(
    "says",
    [
        "[lfs]\n\turl = file://{elsewhere}\n",
        '[lfs]\n\turl = "ssh://-oProxyCommand=touch {elsewhere}/canary/x"\n',
        '[remote "origin"]\n\tlfsurl = file://{elsewhere}\n',
        '[lfs "customtransfer.x"]\n\tpath = {elsewhere}/program\n[lfs]\n\tstandalonetransferagent = x\n',
    ],
)
async def test_what_the_repository_configures_leads_to_no_file_and_no_program(folder, upstream, large, tmp_path, says):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    program = elsewhere / "program"
    program.write_text(f"#!/bin/sh\ntouch {elsewhere}/canary\n")
    program.chmod(0o755)
    upstream.commit("code", **{".lfsconfig": says.format(elsewhere=elsewhere)})
    result, _ = await clone(folder, upstream.url("code"))
    assert (result.outcome, result.message) == ("cloned", "")
    assert [path for path, _ in large.asked] == [API, f"/large/{OID}"]
    assert list(elsewhere.iterdir()) == [program]


async def test_hooks_that_git_lfs_leaves_are_its_own(folder, upstream, large):
    await clone(folder, upstream.url("code"))
    hooks = {path.name: path.read_text() for path in (folder.work_dir / "code" / ".git" / "hooks").iterdir()}
    assert set(hooks) == {"post-checkout", "post-commit", "post-merge", "pre-push"}
    assert all("git lfs" in text for text in hooks.values())


async def test_a_machine_without_git_lfs_does_not_pass_for_success(folder, upstream, large, tmp_path):
    only = tmp_path / "bin"
    only.mkdir()
    for program in ("git", "sh"):
        (only / program).symlink_to(f"/usr/bin/{program}")
    result, _ = await clone(folder, upstream.url("code"), env={"PATH": str(only)})
    assert (result.outcome, result.message) == ("failed", "It needs git-lfs, which is not installed here.")
