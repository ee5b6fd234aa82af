"""Clone an instance's repositories from the hub's machine, and read what came of it."""

import asyncio
import json
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM
from typing import Any

from .door import Vet, door
from .folders import Folder
from .launcher import MARKER

SCRIPT = Path(__file__).parent / "clone"
HELPER = SCRIPT / "credential.sh"  # git's credential helper; it asks the hub with the session's own token


@dataclass(frozen=True, kw_only=True)
class Cloned:
    """What came of one repository: ``cloned``, ``kept`` or ``failed``; *code* is one of Renku's reasons, else None."""

    directory: str
    outcome: str
    code: str | None
    message: str
    seconds: float
    commit: str | None


async def clone(
    folder: Folder,
    rows: Sequence[Mapping[str, Any]],
    *,
    env: Mapping[str, str],
    vet: Vet,
    protocols: Collection[str] = ("https", "http"),
    timeout: float = 900,
    credentials: str | None = None,
) -> list[Cloned]:
    """Clone *rows* (``{directory, url, ref, lfs, submodules}``) into the working directory, *timeout* seconds each.

    *env* needs a PATH; *vet* says where git may connect to; *credentials* is the address of the GitLab for which the
    hub is asked, with the token in *env*. Failures are in the answer; cancelling ends git too.
    Raises RuntimeError if the script itself failed.
    """
    options = [
        "--protocols",
        ",".join(protocols),
        "--timeout",
        f"{timeout:g}",
        *(("--credentials", credentials) if credentials else ()),
    ]
    async with door(vet) as proxy:
        output = await _run(folder, rows, [*options, "--proxy", proxy], env)
    return _parse(output.splitlines()[-1])


async def _run(folder: Folder, rows: Sequence[Mapping[str, Any]], options: list[str], env: Mapping[str, str]) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        str(SCRIPT),
        str(folder.work),
        str(folder.report),
        *options,
        env={**env, MARKER: str(folder.path.resolve())},  # so that stopping the instance ends a clone that lost its hub
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, complaint = await process.communicate(json.dumps(list(rows)).encode())
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):  # it has just ended
            process.send_signal(SIGTERM)  # the script ends its gits
        await process.wait()
        raise
    if process.returncode:
        raise RuntimeError(complaint.decode(errors="replace")[-500:])
    return output.decode()


def read(folder: Folder) -> list[Cloned]:
    """Return what the last run reported so far; empty if there was none or it is unreadable."""
    try:
        return _parse(folder.report.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return []


def _parse(text: str) -> list[Cloned]:
    return [Cloned(**row) for row in json.loads(text)]
