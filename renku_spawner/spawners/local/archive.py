"""Archive the files of a session in a child process of the hub."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncGenerator
from pathlib import Path

from ..in_pod import build_program_command

_CHUNK_BYTES = 1 << 16


async def stream_archive(directory: Path) -> AsyncGenerator[bytes, None]:
    """Iterate over the archive of *directory*, made by a child process that waits for its reader.

    Raises ChildProcessError if the archive is incomplete.
    """
    command = build_program_command("archive.py", json.dumps({"directory": str(directory)}), python=sys.executable)
    process = await asyncio.create_subprocess_exec(
        *command, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, cwd="/", env={"PATH": os.defpath}, limit=_CHUNK_BYTES
    )
    try:
        assert process.stdout is not None
        while chunk := await process.stdout.read(_CHUNK_BYTES):
            yield chunk
        if status := await process.wait():
            raise ChildProcessError(f"the program that archives them ended with status {status}")
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()  # drains the pipe: asyncio waits for its end, too
