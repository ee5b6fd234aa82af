"""A whole working directory is archived as it is, whatever is in it, by a program that needs nothing of ours."""

import gzip
import io
import json
import os
import secrets
import socket
import subprocess
import sys
import tarfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
import zstandard

from renku_spawner.domain.downloads import GZIP_ARCHIVE, ZSTD_ARCHIVE, detect_archive_format
from renku_spawner.spawners.in_pod import archive as archive_program
from renku_spawner.spawners.in_pod import build_program_command
from renku_spawner.spawners.in_pod.archive import EXCLUSION_LIST_NAME, TOP_NAME, write_archive
from tests.fixtures.archives import decompress

# Makes Zstandard impossible to import, as in an image whose Python does not have it.
HIDE_ZSTD = "import sys; sys.modules['zstandard'] = sys.modules['compression'] = None; "


def command(work: Path, *, zstd: bool = True) -> list[str]:
    options = json.dumps({"directory": str(work)})
    python, *flags, text, options = build_program_command("archive.py", options, python=sys.executable)
    return [python, *flags, text if zstd else HIDE_ZSTD + f"exec({text!r})", options]


def archived(work: Path, *, zstd: bool = True) -> bytes:
    return subprocess.run(command(work, zstd=zstd), capture_output=True, check=True, cwd="/", timeout=300).stdout


def entries(archive: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(decompress(archive))) as opened:
        return {info.name: info for info in opened}


def exclusions(archive: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(decompress(archive))) as opened:
        file = opened.extractfile(EXCLUSION_LIST_NAME)
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
    archive = archived(work)
    assert len(archive) < 1_000_000, "the holes of a file are none of its bytes"
    found = entries(archive)
    assert all(name == EXCLUSION_LIST_NAME or name.split("/")[0] == TOP_NAME for name in found)
    assert (found["work/out"].linkname, found["work/etc"].linkname) == (str(outside), "/etc/passwd")
    assert not [name for name in found if "secret" in name]
    assert {info.linkname for info in found.values() if info.islnk()} <= {"work/note.txt", "work/..evil/again"}
    assert found["work/holes"].size == 10 * 2**30
    listed = exclusions(archive)
    assert sorted(listed[:2]) == ['"work/pipe": a pipe', '"work/socket": a socket']
    assert listed[2].endswith('d": its path is too long')
    assert (len(listed), max(name.count("/d") for name in found)) == (3, 214)


def test_debians_tar_unpacks_it(work, tmp_path):
    (outside := tmp_path / "outside").mkdir()
    hostile(work, outside)
    (target := tmp_path / "target").mkdir()
    subprocess.run(
        ["tar", "-x", "-C", target], input=decompress(archived(work)), check=True, capture_output=True, timeout=60
    )
    assert Path(os.fsdecode(os.fsencode(target) + b"/work/b\xffd")).read_text() == "bytes"
    assert (target / "work/..evil/line\nbreak").read_text() == "n"
    assert (target / "work/left-out.txt").read_text() == "a decoy"
    assert os.path.samefile(target / "work/note.txt", target / "work/..evil/again")
    holes = target / "work/holes"
    assert (holes.stat().st_size, holes.stat().st_blocks < 100) == (10 * 2**30, True)
    with holes.open("rb") as file:
        file.seek(5 * 2**30)
        assert file.read(13) == b"in the middle"


def written_by(
    work: Path, monkeypatch: pytest.MonkeyPatch, before_read: Callable[[int, int], None] = lambda file, start: None
) -> tarfile.TarFile:
    """Archive *work* in this process, and open the archive; *before_read* is called before each read of a file."""
    pread, chunks = os.pread, bytearray()

    def read(file: int, count: int, start: int) -> bytes:
        before_read(file, start)
        return pread(file, count, start)

    monkeypatch.setattr(os, "pread", read)
    write_archive(str(work), chunks.extend)
    return tarfile.open(fileobj=io.BytesIO(decompress(bytes(chunks))))


def test_a_file_that_is_truncated_meanwhile_keeps_its_length_and_is_listed(work, monkeypatch):
    changing = work / "changing"
    changing.write_bytes(b"x" * (3 << 20))

    def truncate(file: int, start: int) -> None:
        if start > 1 << 20 and changing.stat().st_size > 2 << 20:
            os.truncate(changing, 2 << 20)

    with written_by(work, monkeypatch, truncate) as opened:
        content = opened.extractfile("work/changing").read()
        assert "work/changing" in opened.extractfile(EXCLUSION_LIST_NAME).read().decode()
        assert opened.extractfile("work/note.txt").read() == b"mine"
    assert (len(content), content.rstrip(b"\0")) == (3 << 20, b"x" * (2 << 20))


def test_what_cannot_be_read_is_zeros_and_listed(work, monkeypatch):
    (work / "broken").write_bytes(b"x" * 100_000)

    def fail(file: int, start: int) -> None:
        if os.fstat(file).st_size == 100_000 and start >= 1 << 14:
            raise OSError(5, "Input/output error")

    with written_by(work, monkeypatch, fail) as opened:
        content = opened.extractfile("work/broken").read()
        assert opened.extractfile(EXCLUSION_LIST_NAME).read().decode().startswith('"work/broken": it changed or could')
    assert content == b"x" * (1 << 14) + bytes(100_000 - (1 << 14))


def test_a_sparse_file_with_many_segments_comes_back(work, tmp_path):
    content = bytearray(1 << 20)
    with (work / "segments").open("wb") as file:
        for start in range(0, 1 << 20, 1 << 14):
            file.seek(start)
            file.write(data := secrets.token_bytes(4096))
            content[start : start + 4096] = data
        file.truncate(1 << 20)
    (target := tmp_path / "target").mkdir()
    subprocess.run(["tar", "-x", "-C", target], input=decompress(archived(work)), check=True, timeout=300)
    assert (target / "work/segments").read_bytes() == content


def test_a_storage_is_listed_and_not_entered(work, monkeypatch):
    (work / "storage").mkdir()
    (work / "kept").mkdir()
    usual, given = os.fstat, os.stat(work / "storage")

    def elsewhere(descriptor: int) -> os.stat_result:
        found = usual(descriptor)
        return os.stat_result((*found[:2], found.st_dev + 1, *found[3:])) if found.st_ino == given.st_ino else found

    monkeypatch.setattr(os, "fstat", elsewhere)
    with written_by(work, monkeypatch) as opened:
        assert sorted(opened.getnames()) == ["left-out.txt", "work", "work/kept", "work/note.txt"]
        listed = opened.extractfile(EXCLUSION_LIST_NAME).read().decode()
    assert listed == '"work/storage": another file system, such as a storage\n'


@pytest.mark.parametrize("zstd", [True, False])
def test_an_archive_that_was_cut_off_never_looks_whole(work, zstd):
    (work / "more").write_bytes(secrets.token_bytes(300_000))
    archive = archived(work, zstd=zstd)
    assert detect_archive_format(archive) is (ZSTD_ARCHIVE if zstd else GZIP_ARCHIVE)
    assert entries(archive)["work/more"].size == 300_000
    for end in (len(archive) - 1, len(archive) // 2):
        with pytest.raises((zstandard.ZstdError, EOFError)):
            decompress(archive[:end])
    assert subprocess.run(command(work / "gone", zstd=zstd), check=False, capture_output=True, timeout=300).returncode


@pytest.mark.parametrize("zstd", [True, False])
def test_what_is_sent_before_a_failure_never_looks_whole(work, monkeypatch, zstd):
    for number in range(3):
        (work / str(number)).write_bytes(secrets.token_bytes(1 << 20))
    if not zstd:
        monkeypatch.setattr(archive_program, "create_compressor", archive_program.create_gzip_compressor)
    chunks: list[bytes] = []

    def send(data: bytes) -> None:
        if sum(map(len, chunks)) > 1 << 20:
            raise BrokenPipeError
        chunks.append(data)

    with pytest.raises(archive_program.ReceiverGone):
        write_archive(str(work), send)
    with pytest.raises((zstandard.ZstdError, EOFError)):
        decompress(b"".join(chunks))


def test_both_compressions_have_a_checksum(work):
    (work / "more").write_bytes(bytes(3_000_000))
    archive = archived(work)
    assert zstandard.get_frame_parameters(archive).has_checksum
    damaged = bytearray(archived(work, zstd=False))
    assert max(len(archive), len(damaged)) < 30_000
    damaged[-8] ^= 1
    with pytest.raises(gzip.BadGzipFile, match="CRC"):
        gzip.decompress(damaged)


def serving(work: Path, secret: str) -> tuple[subprocess.Popen[str], int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    given = {
        "directory": str(work),
        "address": "127.0.0.1",
        "port": port,
        "secret": sha256(secret.encode()).hexdigest(),
    }
    words = build_program_command("archive.py", json.dumps(given), python=sys.executable)
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd="/")
    assert process.stdout is not None
    assert process.stdout.readline() == "Ready.\n"
    return process, port


def asked(port: int, secret: str) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=300) as connection:
        connection.sendall(f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {secret}\r\n\r\n".encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_it_is_handed_over_once_and_only_to_who_knows_the_secret(work):
    process, port = serving(work, "right")
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
    process, port = serving(work, "right")
    with socket.create_connection(("127.0.0.1", port), timeout=300) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nAuthorization: Bearer right\r\n\r\n")
        connection.recv(1000)
    assert process.wait(30) != 0
    process.stdout.close()
