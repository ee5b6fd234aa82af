"""The commands that pack a folder where the package is not (see `alone`), and the one of this machine run."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncGenerator
from functools import lru_cache
from pathlib import Path

PIECE = 1 << 16
_MODULES = ("zst", "tar", "pack")  # what the last one imports, each after those that it imports itself


@lru_cache(2)  # packing, handing
def _texts(last: str) -> tuple[tuple[str, str], ...]:
    folder = Path(__file__).parent
    names = ("alone", *_MODULES, last)
    return tuple((name, (folder / f"{name}.py").read_text(encoding="utf-8")) for name in names)


def command(last: str, argument: str, *, python: str = "python3") -> tuple[str, ...]:
    """What runs the module *last*, `packing` or `handing`, with its *argument*."""
    (_, alone), *modules = _texts(last)
    return (python, "-I", "-c", alone, argument, *(word for module in modules for word in module))


async def pieces(work: Path) -> AsyncGenerator[bytes, None]:
    """The archive of *work*, read by another process, which goes on only as fast as somebody takes it.

    Raises ChildProcessError if that has failed: what was given is not all.
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
            await process.communicate()  # what is left in the pipe: asyncio waits for its end, too
