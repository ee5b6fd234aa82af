"""Runs rclone on a storage: how it is configured, and what it says when it lists a folder.

Nothing of a credential is in a command line: a remote is configured by the environment of its process
(https://rclone.org/docs/#config-file), and no configuration of the machine is read.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import secrets as random
import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from tempfile import NamedTemporaryFile

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from ..domain.host_keys import TYPES, HostKey
from ..domain.storage import Outcome, Storage
from ..domain.storage_kinds import Form, Option

REMOTE = "storage"  # what the remote is called in the environment
LOOK_SECONDS = 10.0
_SAID_LIMIT = 64 * 1024  # bytes of what it writes that are read
_SCAN_SECONDS = 5
_END = 2.0  # seconds between asking it to end and ending it
# Known to everybody: rclone obscures passwords against a glance over the shoulder (fs/config/obscure/obscure.go).
_KNOWN_KEY = bytes.fromhex("9c935b48730a554d6bfd7c63c886a92bd390198eb8128afbf4de162b8b95f638")
_FLAGS = (
    "--max-depth=1", "--retries=1", "--low-level-retries=1", "--contimeout=5s", "--timeout=8s", "--ask-password=false",
    "--log-level=ERROR", "--no-check-dest", "--transfers=1", "--checkers=1",
)  # fmt: skip
_NOT_FOUND = 3  # https://rclone.org/docs/#exit-code
# What backends say, and what it means; the first that is found counts.
_SAYINGS = (
    (Outcome.HOST_KEY, "knownhosts: key (?:mismatch|is unknown)"),
    (Outcome.OTHER_PROTOCOL, "SerializationError|XML syntax error|: 405 Method Not Allowed|: 501 "),
    (
        Outcome.NOT_FOUND,
        "NoSuchBucket|directory not found|ContainerNotFound|no_such_bucket|404 Not Found|status code: 404",
    ),
    (
        Outcome.DENIED,
        "AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|AuthenticationFailed|AuthorizationFailure|unauthorized|"
        "bad_auth_token|status code: 40[13]|40[13] (?:Forbidden|Unauthorized)|unable to authenticate|permission denied",
    ),
)


def program() -> str | None:
    """Where rclone is on this machine, None without it."""
    return shutil.which("rclone")


def obscured(secret: str) -> str:
    """As `rclone obscure` makes it, for the options that rclone reads in no other form."""
    start = random.token_bytes(16)
    encryptor = Cipher(algorithms.AES(_KNOWN_KEY), modes.CTR(start)).encryptor()
    sealed = start + encryptor.update(secret.encode()) + encryptor.finalize()
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()


def revealed(sealed: str) -> str:
    """What `obscured` was given."""
    known = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
    decryptor = Cipher(algorithms.AES(_KNOWN_KEY), modes.CTR(known[:16])).decryptor()
    return (decryptor.update(known[16:]) + decryptor.finalize()).decode()


def plain(storage: Storage, options: Mapping[str, str]) -> dict[str, str]:
    """*options* of it with nothing obscured, for those who do that themselves."""
    sealed = {option.name for option in storage.of_kind.options if option.obscured}
    return {name: revealed(value) if name in sealed else value for name, value in options.items()}


def options(storage: Storage, secrets: Mapping[str, str]) -> dict[str, str]:
    """The configuration of the remote that *storage* is, with *secrets* in it; empty for a volume."""
    kind = storage.of_kind
    if not kind.rclone:
        return {}
    known = {option.name: option for option in kind.credentials}
    sealed = {name: _written(known[name], value) for name, value in secrets.items() if name in known}
    ours = {option.name for option in kind.settings if option.ours}
    settings = {name: value for name, value in storage.settings.items() if name not in ours}
    # Older releases of rclone ignore it, and ask for the server's keys in the order of `host_keys.TYPES`.
    asked = {"host_key_algorithms": storage.host_key.algorithms} if storage.host_key else {}
    return {"type": kind.rclone, **kind.fixed, **settings, **asked, **sealed}


def _written(option: Option, value: str) -> str:
    if option.obscured:
        return obscured(value)
    return value.replace("\n", "\\n") if option.form is Form.KEY else value  # rclone's sftp reads it back


def environment(options: Mapping[str, str], *, proxy: str = "") -> dict[str, str]:
    """The whole environment of an rclone that knows one remote, `storage:`, and nothing else.

    *proxy* takes all requests that are made by HTTP.
    """
    said = {f"RCLONE_CONFIG_{REMOTE.upper()}_{name.upper()}": value for name, value in options.items()}
    ways = {"http_proxy": proxy, "https_proxy": proxy} if proxy else {}
    nowhere = {"RCLONE_CONFIG": os.devnull, "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}
    return {"PATH": os.environ.get("PATH", os.defpath), **nowhere, **ways, **said}


async def look(
    options: Mapping[str, str], path: str, *, seconds: float = LOOK_SECONDS, proxy: str = "", known_hosts: str = ""
) -> Outcome:
    """List the folder *path* of the remote; nothing of what is in it is kept.

    *known_hosts* are the lines by which the server of an SFTP remote is known; empty: it is not asked who it is.
    `not_checked` where there is no rclone, `slow` when it is not done after *seconds*.
    """
    rclone = program()
    if rclone is None:
        return Outcome.NOT_CHECKED
    with _known_hosts_file(known_hosts) as known:
        return await _look(rclone, {**options, **known}, path, seconds=seconds, proxy=proxy)


@contextmanager
def _known_hosts_file(lines: str) -> Iterator[dict[str, str]]:
    """The option by which rclone reads *lines*."""
    if not lines:
        yield {}
        return
    with NamedTemporaryFile("w", prefix="renku-known-hosts-") as file:
        file.write(lines)
        file.flush()
        yield {"known_hosts_file": file.name}


async def _look(rclone: str, options: Mapping[str, str], path: str, *, seconds: float, proxy: str) -> Outcome:
    process = await asyncio.create_subprocess_exec(
        rclone, "lsf", *_FLAGS, "--", f"{REMOTE}:{path}",
        env=environment(options, proxy=proxy), cwd="/", start_new_session=True,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(seconds):
            said = await _said(process)
            code = await process.wait()
    except TimeoutError:
        return Outcome.SLOW
    finally:
        await _end(process)
    return Outcome.FINE if code == 0 else _outcome(code, said)


async def _said(process: asyncio.subprocess.Process) -> str:
    """The beginning of what it complains about; the rest is read, so that it never waits, and left out."""
    assert process.stderr is not None
    said = bytearray()
    while chunk := await process.stderr.read(_SAID_LIMIT):
        said += chunk[: _SAID_LIMIT - len(said)]
    return said.decode(errors="replace")


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):  # it may end by itself at this very moment
            os.killpg(process.pid, signal.SIGKILL)
        async with asyncio.timeout(_END):
            await process.wait()


def _outcome(code: int, said: str) -> Outcome:
    if code == _NOT_FOUND:
        return Outcome.NOT_FOUND
    return next((outcome for outcome, words in _SAYINGS if re.search(words, said)), Outcome.UNREACHABLE)


async def scan_host_key(address: str, port: int, *types: str) -> HostKey | None:
    """Ask an SSH server for its host key, without logging in; None if it does not tell in time.

    Of several it is the one that rclone asks for first. *address* is an address and not a name, so that what is asked
    is what was judged. None, too, where this machine has no `ssh-keyscan`.
    """
    program = shutil.which("ssh-keyscan")
    if program is None:
        return None
    process = await asyncio.create_subprocess_exec(
        program, "-T", str(_SCAN_SECONDS), "-p", str(port), "-t", "ecdsa,rsa,ed25519", address,
        env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}, cwd="/", start_new_session=True,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(2 * _SCAN_SECONDS):
            printed = await process.stdout.read()
            await process.wait()
    except TimeoutError:
        return None
    finally:
        await _end(process)
    keys = []
    for line in printed.decode(errors="replace").splitlines():
        with suppress(ValueError):
            keys.append(HostKey.from_text(line.partition(" ")[2]))
    found = [key for kind in (*types, *TYPES) for key in keys if key.type == kind]
    return found[0] if found else None
