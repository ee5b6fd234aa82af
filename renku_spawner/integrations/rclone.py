"""Configure and run rclone to probe a storage, and scan SSH host keys.

Mounting is in spawners.local.mounts and spawners.kubernetes.storages.
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
from pathlib import Path
from tempfile import NamedTemporaryFile

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from ..domain.storages import HOST_KEY_TYPES, HostKey, OptionFormat, Storage, StorageOption, StorageProbeOutcome

RCLONE_REMOTE_NAME = "storage"  # the remote's name in the environment variables
RCLONE_PROBE_TIMEOUT_SECONDS = 10.0
_MAX_ERROR_OUTPUT_BYTES = 64 * 1024  # of stderr that are kept
_KEYSCAN_TIMEOUT_SECONDS = 5
_RCLONE_KILL_TIMEOUT_SECONDS = 2.0  # wait for the process to exit after SIGKILL
# Public key of rclone's `obscure` (fs/config/obscure/obscure.go): it only hides passwords from view.
_OBSCURE_KEY = bytes.fromhex("9c935b48730a554d6bfd7c63c886a92bd390198eb8128afbf4de162b8b95f638")
_LSF_FLAGS = (
    "--max-depth=1", "--retries=1", "--low-level-retries=1", "--contimeout=5s", "--timeout=8s", "--ask-password=false",
    "--log-level=ERROR", "--no-check-dest", "--transfers=1", "--checkers=1",
)  # fmt: skip
_EXIT_DIRECTORY_NOT_FOUND = 3  # https://rclone.org/docs/#exit-code
# Outcomes by error message of the backends; the first match counts.
_ERROR_PATTERNS = (
    (StorageProbeOutcome.HOST_KEY, "knownhosts: key (?:mismatch|is unknown)"),
    (StorageProbeOutcome.OTHER_PROTOCOL, "SerializationError|XML syntax error|: 405 Method Not Allowed|: 501 "),
    (
        StorageProbeOutcome.NOT_FOUND,
        "NoSuchBucket|directory not found|ContainerNotFound|no_such_bucket|404 Not Found|status code: 404",
    ),
    (
        StorageProbeOutcome.DENIED,
        "AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|AuthenticationFailed|AuthorizationFailure|unauthorized|"
        "bad_auth_token|status code: 40[13]|40[13] (?:Forbidden|Unauthorized)|unable to authenticate|permission denied",
    ),
)


def find_rclone() -> str | None:
    """Return the path of the rclone executable, or None if it is not installed."""
    return shutil.which("rclone")


def obscure_secret(secret: str) -> str:
    """Obscure *secret* as `rclone obscure` does, for options that rclone only reads in this form."""
    start = random.token_bytes(16)
    encryptor = Cipher(algorithms.AES(_OBSCURE_KEY), modes.CTR(start)).encryptor()
    sealed = start + encryptor.update(secret.encode()) + encryptor.finalize()
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()


def reveal_secret(sealed: str) -> str:
    """Reverse `obscure_secret`."""
    data = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
    decryptor = Cipher(algorithms.AES(_OBSCURE_KEY), modes.CTR(data[:16])).decryptor()
    return (decryptor.update(data[16:]) + decryptor.finalize()).decode()


def reveal_options(storage: Storage, options: Mapping[str, str]) -> dict[str, str]:
    """Return *options* with all secrets in plain text, for programs that obscure them themselves."""
    sealed = {option.name for option in storage.storage_kind.options if option.obscured}
    return {name: reveal_secret(value) if name in sealed else value for name, value in options.items()}


def build_remote_options(storage: Storage, secrets: Mapping[str, str]) -> dict[str, str]:
    """Return the rclone options of *storage*, including *secrets*; empty for a volume."""
    kind = storage.storage_kind
    if not kind.rclone:
        return {}
    known = {option.name: option for option in kind.credentials}
    sealed = {name: _format_option(known[name], value) for name, value in secrets.items() if name in known}
    ours = {option.name for option in kind.settings if option.ours}
    settings = {name: value for name, value in storage.settings.items() if name not in ours}
    # Older releases of rclone ignore this option, and prefer the server's keys in the order of `HOST_KEY_TYPES`.
    host_key = {"host_key_algorithms": storage.host_key.algorithms} if storage.host_key else {}
    return {"type": kind.rclone, **kind.fixed, **settings, **host_key, **sealed}


def _format_option(option: StorageOption, value: str) -> str:
    if option.obscured:
        return obscure_secret(value)
    # rclone's sftp backend expects a PEM key on one line with escaped line breaks.
    return value.replace("\n", "\\n") if option.form is OptionFormat.KEY else value


def build_rclone_environment(options: Mapping[str, str], *, proxy: str = "") -> dict[str, str]:
    """Return the complete environment of an rclone process that only knows the remote `storage:`.

    *proxy* is the URL of a proxy for all HTTP requests.
    """
    remote = {f"RCLONE_CONFIG_{RCLONE_REMOTE_NAME.upper()}_{name.upper()}": value for name, value in options.items()}
    proxies = {"http_proxy": proxy, "https_proxy": proxy} if proxy else {}
    isolation = {"RCLONE_CONFIG": os.devnull, "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}
    return {"PATH": os.environ.get("PATH", os.defpath), **isolation, **proxies, **remote}


async def probe_remote(
    options: Mapping[str, str],
    path: str,
    *,
    seconds: float = RCLONE_PROBE_TIMEOUT_SECONDS,
    proxy: str = "",
    known_hosts: str = "",
) -> StorageProbeOutcome:
    """List the folder *path* of the remote, and return only the outcome.

    *known_hosts* are the known_hosts lines of an SFTP server; if empty, its host key is not verified. The outcome is
    `NOT_CHECKED` without rclone, and `SLOW` if the listing takes longer than *seconds*.
    """
    rclone = find_rclone()
    if rclone is None:
        return StorageProbeOutcome.NOT_CHECKED
    with _write_known_hosts_file(known_hosts) as known_hosts_option:
        return await _run_lsf(rclone, {**options, **known_hosts_option}, path, seconds=seconds, proxy=proxy)


@contextmanager
def _write_known_hosts_file(lines: str) -> Iterator[dict[str, str]]:
    """Write *lines* to a temporary file, and yield the rclone option that names it."""
    if not lines:
        yield {}
        return
    with NamedTemporaryFile("w", prefix="renku-known-hosts-") as file:
        file.write(lines)
        file.flush()
        yield {"known_hosts_file": file.name}


async def _run_lsf(
    rclone: str, options: Mapping[str, str], path: str, *, seconds: float, proxy: str
) -> StorageProbeOutcome:
    process = await asyncio.create_subprocess_exec(
        rclone, "lsf", *_LSF_FLAGS, "--", f"{RCLONE_REMOTE_NAME}:{path}",
        env=build_rclone_environment(options, proxy=proxy), cwd="/", start_new_session=True,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(seconds):
            output = await _read_error_output(process)
            code = await process.wait()
    except TimeoutError:
        return StorageProbeOutcome.SLOW
    finally:
        await _kill_process_group(process)
    return StorageProbeOutcome.FINE if code == 0 else _classify_failure(code, output)


async def _read_error_output(process: asyncio.subprocess.Process) -> str:
    """Return the beginning of stderr; read and discard the rest, so that the process does not block."""
    assert process.stderr is not None
    output = bytearray()
    while chunk := await process.stderr.read(_MAX_ERROR_OUTPUT_BYTES):
        output += chunk[: _MAX_ERROR_OUTPUT_BYTES - len(output)]
    return output.decode(errors="replace")


async def _kill_process_group(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):  # the process may have exited in the meantime
            os.killpg(process.pid, signal.SIGKILL)
        async with asyncio.timeout(_RCLONE_KILL_TIMEOUT_SECONDS):
            await process.wait()


def _classify_failure(code: int, output: str) -> StorageProbeOutcome:
    if code == _EXIT_DIRECTORY_NOT_FOUND:
        return StorageProbeOutcome.NOT_FOUND
    return next(
        (outcome for outcome, words in _ERROR_PATTERNS if re.search(words, output)), StorageProbeOutcome.UNREACHABLE
    )


async def scan_host_key(address: str, port: int, *types: str) -> HostKey | None:
    """Return the host key of an SSH server, without logging in; None without an answer or without `ssh-keyscan`.

    Of several keys, return the one that rclone prefers, those of *types* first. *address* must be an IP address and
    not a name, so that the scan connects to the address that was checked.
    """
    program = shutil.which("ssh-keyscan")
    if program is None:
        return None
    process = await asyncio.create_subprocess_exec(
        program, "-T", str(_KEYSCAN_TIMEOUT_SECONDS), "-p", str(port), "-t", "ecdsa,rsa,ed25519", address,
        env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}, cwd="/", start_new_session=True,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(2 * _KEYSCAN_TIMEOUT_SECONDS):
            printed = await process.stdout.read()
            await process.wait()
    except TimeoutError:
        return None
    finally:
        await _kill_process_group(process)
    keys = []
    for line in printed.decode(errors="replace").splitlines():
        with suppress(ValueError):
            keys.append(HostKey.from_text(line.partition(" ")[2]))
    preferred = [key for kind in (*types, *HOST_KEY_TYPES) for key in keys if key.type == kind]
    return preferred[0] if preferred else None


_FUSE_DEVICE = Path("/dev/fuse")


def can_mount_remotes() -> bool:
    """Return whether this machine can mount remotes: rclone, fusermount3 and /dev/fuse are available."""
    return find_rclone() is not None and shutil.which("fusermount3") is not None and os.access(_FUSE_DEVICE, os.R_OK)
