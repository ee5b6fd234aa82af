"""One file of a stranger's repository is read without the rest of it, and nothing that a server sends is believed."""

import hashlib
import zlib
from contextlib import suppress

import pytest

from renku_spawner.integrations.git_server import _TREE_MODES, GitServerClient, RepositoryNotFound, _find_tree_entry
from renku_spawner.integrations.net.errors import ConnectionNotAllowed, RemoteUnreachable
from tests.fakes.registry import FakeRegistry, Reply, Request
from tests.integrations.registry.conftest import PUBLIC
from tests.spawners.local.conftest import Upstream, git, upstream

__all__ = ["upstream"]
FILE = (".renku", "sessions.yaml")
OTHER = "2" * 40


def begin(upstream: Upstream) -> None:
    upstream.commit("code", README="x" * 10_000)
    source = upstream.source("code")
    (source / ".renku").mkdir()
    (source / ".renku" / "link.yaml").symlink_to("/etc/passwd")
    upstream.commit("code", **{".renku/sessions.yaml": "version: 1\n", ".renku/large.yaml": "#" * 70_000})
    upstream.commit("code", branch="other", **{".renku/sessions.yaml": "other"})
    git(upstream.folder / "code.git", "tag", "--annotate", "--message", "x", "v1", "main")
    git(upstream.folder / "code.git", "config", "uploadpack.allowFilter", "true")


async def test_a_file_of_a_real_repository_is_found_where_it_is(loopback: GitServerClient, upstream: Upstream) -> None:
    begin(upstream)
    url, commit = upstream.url("code"), git(upstream.folder / "code.git", "rev-parse", "main")
    for ref, found in ((None, b"version: 1\n"), ("main", b"version: 1\n"), ("v1", b"version: 1\n"),
                       (commit, b"version: 1\n"), ("other", b"other"), ("none", None)):  # fmt: skip
        assert await loopback.read_file(url, ref, FILE, 64 * 1024) == found
    for path in ((".renku", "absent"), ("absent", "x"), (".renku",), ("README", "x"), (".renku", "link.yaml")):
        assert await loopback.read_file(url, None, path, 64 * 1024) is None
    with pytest.raises(RemoteUnreachable):
        await loopback.read_file(url, None, (".renku", "large.yaml"), 64 * 1024)
    git(upstream.folder / "code.git", "config", "uploadpack.allowFilter", "false")
    with pytest.raises(RemoteUnreachable, match="whole repositories"):
        await loopback.read_file(url, None, FILE, 64 * 1024)
    with pytest.raises(RepositoryNotFound):
        await loopback.read_file(upstream.url("absent"), None, FILE, 64 * 1024)
    with pytest.raises(ConnectionNotAllowed):
        await loopback.read_file("https://169.254.169.254/x.git", None, FILE, 64 * 1024)


def packet(data: bytes) -> bytes:
    return f"{len(data) + 4:04x}".encode() + data


def entry(number: int, content: bytes, size: int | None = None) -> bytes:
    length = len(content) if size is None else size
    head, rest = number << 4 | length & 15, length >> 4
    found = bytearray()
    while rest:
        found.append(head | 128)
        head, rest = rest & 127, rest >> 7
    return bytes([*found, head]) + zlib.compress(content)


def pack(*entries: bytes, count: int | None = None) -> bytes:
    number = len(entries) if count is None else count
    return b"PACK\0\0\0\2" + number.to_bytes(4, "big") + b"".join(entries) + b"\0" * 20


def answer(sent: bytes) -> bytes:
    return packet(b"packfile\n") + b"".join(packet(b"\1" + sent[n : n + 60_000]) for n in range(0, len(sent), 60_000))


COMMIT = f"tree {OTHER}\n\n".encode()
HOSTILE = {
    "another object": answer(pack(entry(1, COMMIT + b"x"))),
    "another kind": answer(pack(entry(3, COMMIT))),
    "a difference": answer(pack(entry(7, COMMIT))),
    "a bomb": answer(pack(entry(1, b"\0" * (1 << 22)))),
    "less than it says": answer(pack(entry(1, COMMIT, len(COMMIT) + 1))),
    "more than it says": answer(pack(entry(1, COMMIT, len(COMMIT) - 1))),
    "a size without an end": answer(b"PACK\0\0\0\2\0\0\0\1" + b"\xff" * 40),
    "no pack": answer(b"PACKET"),
    "no zlib": answer(b"PACK\0\0\0\2\0\0\0\1\x15" + b"no"),
    "four thousand million objects": answer(pack(count=2**32 - 1)),
    "an error": packet(b"packfile\n") + packet(b"\3no"),
    "no answer": b"",
    "no packets": b"zzzz",
    "a packet beyond the end": b"ffff",
    "much": answer(b"\0" * (3 << 20)),
}


ASKED = hashlib.sha1(b"commit %d\0%s" % (len(COMMIT), COMMIT)).hexdigest()
SAID = packet(b"version 2\n") + packet(b"fetch=shallow filter\n") + b"0000"
KIND = "application/x-git-upload-pack-{}"


@pytest.mark.parametrize("sent", HOSTILE.values(), ids=HOSTILE)
async def test_what_a_server_makes_up_is_no_file(servers: GitServerClient, fake: FakeRegistry, sent: bytes) -> None:
    def answers(request: Request) -> Reply:
        first = request.method == "GET"
        kind = KIND.format("advertisement" if first else "result")
        return Reply(headers={"Content-Type": kind}, body=SAID if first else sent)

    fake.answer = answers
    with pytest.raises(RemoteUnreachable):
        await servers.read_file(f"https://{PUBLIC}/ada/code.git", ASKED, FILE, 64 * 1024)
    assert [asked.method for asked in fake.requests] == ["GET", "POST"]


@pytest.mark.parametrize("folder", [b"40000 .renku", b"40000 .renku\0short", b"\0", b"40000\0" + b"\0" * 20])
def test_a_folder_that_is_cut_off_leads_nowhere(folder: bytes) -> None:
    with suppress(RemoteUnreachable):
        assert _find_tree_entry(folder, "x", _TREE_MODES) is None
