"""Pack and compress a folder to standard output, in a process of its own next to the hub (see `alone`).

Exits with 0 only if all was written.
"""

import os
import sys

from .pack import NotTaken, pack
from .zst import compressor


def main(top: str) -> None:
    """Write the archive of *top* at low priority."""
    os.nice(10)
    made, out = compressor(), sys.stdout.buffer

    def write(data: bytes) -> None:
        out.write(made.compress(data))

    try:
        pack(top, write)
        out.write(made.flush())
        out.flush()
    except (NotTaken, BrokenPipeError):
        os._exit(1)  # skips flushing to the closed pipe
