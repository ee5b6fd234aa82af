"""Clone an instance's repositories on the hub's machine and read the report.

The clone script itself is in `spawners.in_pod.clone`.
"""

import asyncio
import json
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM
from typing import Any

from ...integrations.net.socks_proxy import AllowedAddressResolver, open_git_proxy
from .folders import InstanceFolder
from .launcher import INSTANCE_MARKER_VARIABLE

CLONE_SCRIPT_PATH = Path(__file__).parents[1] / "in_pod" / "clone"
# git's credential helper, which asks the hub with the session's own token
CREDENTIAL_HELPER_PATH = CLONE_SCRIPT_PATH / "credential.sh"


@dataclass(frozen=True, kw_only=True)
class CloneResult:
    """The outcome for one repository: ``cloned``, ``kept`` or ``failed``; *code* is one of Renku's reasons, or None."""

    directory: str
    outcome: str
    code: str | None
    message: str
    seconds: float
    commit: str | None


async def clone_repositories(
    folder: InstanceFolder,
    rows: Sequence[Mapping[str, Any]],
    *,
    env: Mapping[str, str],
    vet: AllowedAddressResolver,
    protocols: Collection[str] = ("https", "http"),
    timeout: float = 900,
    credentials: str | None = None,
) -> list[CloneResult]:
    """Clone *rows* (``{directory, url, ref, lfs, submodules}``) into the working directory, *timeout* seconds each.

    *env* needs a PATH. *vet* decides where git may connect to. *credentials* is the address of the GitLab for which the
    hub supplies credentials, by the token in *env*. Cancelling stops git too.

    Raises:
        RuntimeError: the script itself failed; a failed clone is only reported in the result.
    """
    options = [
        "--protocols",
        ",".join(protocols),
        "--timeout",
        f"{timeout:g}",
        *(("--credentials", credentials) if credentials else ()),
    ]
    async with open_git_proxy(vet) as proxy:
        output = await _run_clone_script(folder, rows, [*options, "--proxy", proxy], env)
    return _parse_clone_results(output.splitlines()[-1])


async def _run_clone_script(
    folder: InstanceFolder, rows: Sequence[Mapping[str, Any]], options: list[str], env: Mapping[str, str]
) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        str(CLONE_SCRIPT_PATH),
        str(folder.work_dir),
        str(folder.clone_report_file),
        *options,
        # The marker lets a stop of the instance find a clone whose hub has died.
        env={**env, INSTANCE_MARKER_VARIABLE: str(folder.path.resolve())},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, complaint = await process.communicate(json.dumps(list(rows)).encode())
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):  # the script has just ended
            process.send_signal(SIGTERM)  # the script then stops its git processes
        await process.wait()
        raise
    if process.returncode:
        raise RuntimeError(complaint.decode(errors="replace")[-500:])
    return output.decode()


def read_clone_report(folder: InstanceFolder) -> list[CloneResult]:
    """Return the report of the last run so far; empty if there is none or it is unreadable."""
    try:
        return _parse_clone_results(folder.clone_report_file.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return []


def _parse_clone_results(text: str) -> list[CloneResult]:
    return [CloneResult(**row) for row in json.loads(text)]
