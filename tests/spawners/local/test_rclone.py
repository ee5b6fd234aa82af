"""rclone, from Debian, against servers of its own: what a look at a storage finds."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from renku_spawner.domain.storages import (
    STORAGE_KINDS_BY_NAME,
    HostKey,
    Storage,
    StorageCredentials,
    StorageProbeOutcome,
)
from renku_spawner.integrations.rclone import (
    build_rclone_environment,
    build_remote_options,
    obscure_secret,
    probe_remote,
    scan_host_key,
)
from tests.fixtures.ports import free_port
from tests.fixtures.remotes import PASSWORD, USER, make_host_key, served


def storage(kind: str, **settings: str) -> Storage:
    return Storage(
        id="storageaaaaa", project="projectaaaaa", position=0, directory="data", kind=kind, settings=settings, path="",
        credentials=StorageCredentials.PROJECT, read_only=True, created_by="ada", created_at=datetime.now(UTC),
    )  # fmt: skip


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Storage]]:
    folder = tmp_path_factory.mktemp("data")
    (folder / "sub").mkdir()
    with served("webdav", folder) as webdav, served("sftp", folder) as sftp:
        yield {
            "webdav": storage("webdav", url=f"http://127.0.0.1:{webdav}"),
            "sftp": storage("sftp", host="127.0.0.1", port=str(sftp)),
        }


def keys(password: str = PASSWORD) -> dict[str, str]:
    return {"user": USER, "pass": password}


@pytest.mark.parametrize("kind", ["webdav", "sftp"])
async def test_a_look_tells_what_is_there(servers: dict[str, Storage], kind: str) -> None:
    right, wrong = build_remote_options(servers[kind], keys()), build_remote_options(servers[kind], keys("guessed"))
    looks = (probe_remote(right, ""), probe_remote(right, "sub"), probe_remote(right, "gone"), probe_remote(wrong, ""))
    assert await asyncio.gather(*looks) == [
        StorageProbeOutcome.FINE,
        StorageProbeOutcome.FINE,
        StorageProbeOutcome.NOT_FOUND,
        StorageProbeOutcome.DENIED,
    ]


async def test_a_server_that_is_not_there_and_one_that_never_answers_are_told_apart() -> None:
    dead = build_remote_options(storage("webdav", url=f"http://127.0.0.1:{free_port()}"), keys())
    assert await probe_remote(dead, "") is StorageProbeOutcome.UNREACHABLE
    closing = asyncio.Event()

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await closing.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    mute = build_remote_options(storage("webdav", url=f"http://127.0.0.1:{port}"), keys())
    assert await probe_remote(mute, "", seconds=1) is StorageProbeOutcome.SLOW
    closing.set()
    server.close()
    await server.wait_closed()


async def test_without_rclone_nothing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert await probe_remote({"type": "webdav"}, "") is StorageProbeOutcome.NOT_CHECKED


def test_rclone_knows_every_option_and_reads_back_what_is_obscured() -> None:
    said = subprocess.run(["rclone", "config", "providers"], capture_output=True, check=True).stdout
    known = {each["Name"]: {option["Name"] for option in each["Options"]} for each in json.loads(said)}
    for kind in STORAGE_KINDS_BY_NAME.values():
        if kind.rclone:
            assert {*kind.fixed, *(option.name for option in kind.options if not option.ours)} <= known[kind.rclone]
    password = "pass wörd+\\n"
    shown = subprocess.run(["rclone", "reveal", obscure_secret(password)], capture_output=True, check=True)
    assert shown.stdout.decode().rstrip("\n") == password
    assert obscure_secret(password) != obscure_secret(password)


def test_a_remote_is_configured_by_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the hub")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent")
    made = build_rclone_environment(
        build_remote_options(storage("s3", provider="AWS"), {"secret_access_key": "s3cret"})
    )
    assert made["RCLONE_CONFIG_STORAGE_SECRET_ACCESS_KEY"] == "s3cret"
    assert made["RCLONE_CONFIG_STORAGE_ENV_AUTH"] == "false"
    assert not {"AWS_SECRET_ACCESS_KEY", "SSH_AUTH_SOCK"} & made.keys()
    assert build_remote_options(storage("volume", volume="x"), {}) == {}


async def test_the_host_key_that_a_server_shows_is_the_one_that_rclone_goes_by(tmp_path: Path) -> None:
    for name in ("mine", "other"):
        (tmp_path / name).mkdir()
    ed25519, ecdsa = (make_host_key(tmp_path / "mine", kind) for kind in ("ed25519", "ecdsa"))
    other = make_host_key(tmp_path / "other", "ecdsa").with_suffix(".pub").read_text()
    with served("sftp", tmp_path, f"--key={ed25519}", f"--key={ecdsa}") as port:
        shown = await scan_host_key("127.0.0.1", port)
        assert shown == HostKey.from_text(ecdsa.with_suffix(".pub").read_text())
        printed = subprocess.run(["ssh-keygen", "-lf", f"{ecdsa}.pub"], capture_output=True, check=True, text=True)
        assert shown and shown.fingerprint in printed.stdout
        assert (await scan_host_key("127.0.0.1", port, "ssh-ed25519")).type == "ssh-ed25519"  # type: ignore[union-attr]
        for key, outcome in (
            (shown.text, StorageProbeOutcome.FINE),
            (HostKey.from_text(other).text, StorageProbeOutcome.HOST_KEY),
        ):
            pinned = storage("sftp", host="127.0.0.1", port=str(port), host_key=key)
            options = build_remote_options(pinned, keys())
            assert "host_key" not in options
            assert await probe_remote(options, "", known_hosts=pinned.known_hosts_text) is outcome
    assert await scan_host_key("127.0.0.1", port) is None


async def test_a_private_key_opens_what_a_password_would(servers: dict[str, Storage], tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    with served("sftp", tmp_path, f"--authorized-keys={key}.pub") as port:
        opened = build_remote_options(
            storage("sftp", host="127.0.0.1", port=str(port)), {"user": USER, "key_pem": key.read_text()}
        )
        assert await probe_remote(opened, "") is StorageProbeOutcome.FINE
