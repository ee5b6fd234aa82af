"""Build the commands that pack a folder (see `alone`), and run one on the hub's machine."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncGenerator
from functools import lru_cache
from pathlib import Path

PIECE = 1 << 16
_MODULES = ("zst", "tar", "pack")  # imported by the last module, in the order of their imports


@lru_cache(2)  # packing, handing
def _texts(last: str) -> tuple[tuple[str, str], ...]:
    folder = Path(__file__).parent
    names = ("alone", *_MODULES, last)
    return tuple((name, (folder / f"{name}.py").read_text(encoding="utf-8")) for name in names)


def command(last: str, argument: str, *, python: str = "python3") -> tuple[str, ...]:
    """Build the command that runs the module *last*, `packing` or `handing`, with its *argument*."""
    (_, alone), *modules = _texts(last)
    return (python, "-I", "-c", alone, argument, *(word for module in modules for word in module))


async def pieces(work: Path) -> AsyncGenerator[bytes, None]:
    """Iterate over the archive of *work*, packed by a child process that waits for its reader.

    Raises ChildProcessError if packing failed: the archive is then incomplete.
    """
    process = await asyncio.create_subprocess_exec(
        *command("packing", str(work), python=sys.executable),
        stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, cwd="/", env={"PATH": os.defpath}, limit=PIECE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        while data := await process.stdout.read(PIECE):
            yield data
        if code := await process.wait():
            raise ChildProcessError(f"packing ended with {code}")
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()  # drains the pipe: asyncio waits for its end, too
