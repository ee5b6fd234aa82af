"""All that lies in a working directory is packed as it is, whatever is in it, by a program that needs nothing of us."""

import io
import json
import os
import secrets
import socket
import subprocess
import sys
import tarfile
from hashlib import sha256
from pathlib import Path

import pytest
import zstandard

from renku_spawner.spawners.in_pod import packed as in_pod_packed
from renku_spawner.spawners.in_pod.pack import LEFT_OUT, pack
from renku_spawner.spawners.in_pod.tar import NAME
from renku_spawner.spawners.in_pod.zst import _of_library, _of_package


def packed(work: Path, **more) -> bytes:
    words = in_pod_packed.command("packing", str(work), python=sys.executable)
    return subprocess.run(words, capture_output=True, check=True, cwd="/", timeout=60, **more).stdout


def plain(archive: bytes) -> bytes:
    """What is in it; raises ZstdError for one that has been cut off."""
    made = zstandard.ZstdDecompressor().decompressobj()
    found = made.decompress(archive)
    assert made.eof
    return found


def entries(archive: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(plain(archive))) as opened:
        return {info.name: info for info in opened}


def left_out(archive: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(plain(archive))) as opened:
        file = opened.extractfile(LEFT_OUT)
        assert file is not None
        return file.read().decode().splitlines()


@pytest.fixture
def work(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "note.txt").write_text("mine")
    yield folder
    subprocess.run(["rm", "-rf", folder], check=True)  # deeper than pytest can remove


def hostile(work: Path, outside: Path) -> None:
    """Names, links and kinds of files that have broken packers before."""
    (outside / "secret").write_text("not mine")
    (work / "out").symlink_to(outside)
    (work / "etc").symlink_to("/etc/passwd")
    (work / "..evil").mkdir()
    (work / "..evil" / "line\nbreak").write_text("n")
    (work / "-rf").write_text("dash")
    (work / "left-out.txt").write_text("a decoy")
    Path(os.fsdecode(os.fsencode(work) + b"/b\xffd")).write_text("bytes")
    (work / "Gr\u00f6\u00dfe").write_text("u")
    os.link(work / "note.txt", work / "..evil" / "again")
    os.mkfifo(work / "pipe")
    with socket.socket(socket.AF_UNIX) as made:
        here = os.open(work, os.O_RDONLY)
        made.bind(f"/proc/self/fd/{here}/socket")
        os.close(here)
    with (work / "holes").open("wb") as file:
        file.truncate(10 * 2**30)
        file.seek(5 * 2**30)
        file.write(b"in the middle")


def deep(work: Path, names: list[str]) -> None:
    """Folders inside each other, deeper than any path can say."""
    folder = os.open(work, os.O_RDONLY)
    for name in names:
        os.mkdir(name, dir_fd=folder)
        inner = os.open(name, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)


def test_hostile_trees_come_back_as_they_are_and_what_cannot_is_named(work, tmp_path):
    (outside := tmp_path / "outside").mkdir()
    hostile(work, outside)
    deep(work, [*["d"] * 200, *["d" * 250] * 20])
    archive = packed(work)
    assert len(archive) < 1_000_000, "the holes of a file are none of its bytes"
    found = entries(archive)
    assert all(name == LEFT_OUT or name.split("/")[0] == NAME for name in found)
    assert (found["work/out"].linkname, found["work/etc"].linkname) == (str(outside), "/etc/passwd")
    assert not [name for name in found if "secret" in name]
    assert {info.linkname for info in found.values() if info.islnk()} <= {"work/note.txt", "work/..evil/again"}
    assert found["work/holes"].size == 10 * 2**30
    told = left_out(archive)
    assert sorted(told[:2]) == ['"work/pipe": a pipe', '"work/socket": a socket']
    assert told[2].endswith('d": its path is too long')
    assert (len(told), max(name.count("/d") for name in found)) == (3, 214)


def test_debians_tar_unpacks_it(work, tmp_path):
    (outside := tmp_path / "outside").mkdir()
    hostile(work, outside)
    (target := tmp_path / "target").mkdir()
    subprocess.run(["tar", "-x", "-C", target], input=plain(packed(work)), check=True, capture_output=True, timeout=60)
    assert Path(os.fsdecode(os.fsencode(target) + b"/work/b\xffd")).read_text() == "bytes"
    assert (target / "work/..evil/line\nbreak").read_text() == "n"
    assert (target / "work/left-out.txt").read_text() == "a decoy"
    assert os.path.samefile(target / "work/note.txt", target / "work/..evil/again")
    holes = target / "work/holes"
    assert (holes.stat().st_size, holes.stat().st_blocks < 100) == (10 * 2**30, True)
    with holes.open("rb") as file:
        file.seek(5 * 2**30)
        assert file.read(13) == b"in the middle"


def test_a_file_that_changes_meanwhile_keeps_its_length_and_the_archive_its_form(work):
    changing, written = work / "changing", bytearray()
    changing.write_bytes(b"x" * (3 << 20))

    def write(data: bytes) -> None:
        if data.startswith(b"xxx") and changing.stat().st_size > 2 << 20:
            os.truncate(changing, 2 << 20)
        written.extend(data)

    pack(str(work), write)
    with tarfile.open(fileobj=io.BytesIO(bytes(written))) as opened:
        content = opened.extractfile("work/changing").read()
        assert "work/changing" in opened.extractfile(LEFT_OUT).read().decode()
    assert (len(content), content.rstrip(b"\0")) == (3 << 20, b"x" * (2 << 20))


def test_a_storage_and_what_cannot_be_read_are_left_out_by_name(work, monkeypatch):
    (work / "storage").mkdir()
    (work / "kept").mkdir()
    usual, given = os.fstat, os.stat(work / "storage")

    def elsewhere(descriptor: int) -> os.stat_result:
        found = usual(descriptor)
        return os.stat_result((*found[:2], found.st_dev + 1, *found[3:])) if found.st_ino == given.st_ino else found

    monkeypatch.setattr(os, "fstat", elsewhere)
    written = bytearray()
    pack(str(work), written.extend)
    with tarfile.open(fileobj=io.BytesIO(bytes(written))) as opened:
        assert sorted(opened.getnames()) == ["left-out.txt", "work", "work/kept", "work/note.txt"]
        told = opened.extractfile(LEFT_OUT).read().decode()
    assert told == '"work/storage": another file system, such as a storage\n'


def test_nobody_takes_what_was_cut_off_for_the_whole(work):
    (work / "more").write_bytes(secrets.token_bytes(300_000))
    archive = packed(work)
    plain(archive)
    for end in (len(archive) - 1, len(archive) // 2):
        with pytest.raises((zstandard.ZstdError, AssertionError)):
            plain(archive[:end])
    words = in_pod_packed.command("packing", str(work / "gone"), python=sys.executable)
    assert subprocess.run(words, check=False, capture_output=True, cwd="/", timeout=60).returncode != 0


@pytest.mark.parametrize("make", [_of_package, _of_library])
def test_each_way_to_compress_gives_one_frame_with_a_checksum(make):
    data = secrets.token_bytes(400_000) + bytes(3_000_000)
    made = make()
    archive = b"".join([*(made.compress(data[at : at + 99_999]) for at in range(0, len(data), 99_999)), made.flush()])
    assert plain(archive) == data
    assert zstandard.get_frame_parameters(archive).has_checksum
    assert len(archive) < 410_000


def handing(work: Path, secret: str) -> tuple[subprocess.Popen[str], int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    given = {"work": str(work), "address": "127.0.0.1", "port": port, "secret": sha256(secret.encode()).hexdigest()}
    words = in_pod_packed.command("handing", json.dumps(given), python=sys.executable)
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd="/")
    assert process.stdout is not None
    assert process.stdout.readline() == "Ready.\n"
    return process, port


def asked(port: int, secret: str) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {secret}\r\n\r\n".encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_it_is_handed_over_once_and_only_to_who_knows_the_secret(work):
    process, port = handing(work, "right")
    for wrong in ("wrong", "", "right\u00e9"):
        assert asked(port, wrong).startswith(b"HTTP/1.1 403 ")
    answer = asked(port, "right")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n0\r\n\r\n")
    assert process.wait(30) == 0
    with pytest.raises(ConnectionRefusedError):
        asked(port, "right")
    process.stdout.close()


def test_what_nobody_takes_any_more_ends_without_a_last_chunk(work):
    (work / "large").write_bytes(secrets.token_bytes(20 << 20))
    process, port = handing(work, "right")
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nAuthorization: Bearer right\r\n\r\n")
        connection.recv(1000)
    assert process.wait(30) != 0
    process.stdout.close()
