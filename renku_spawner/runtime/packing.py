"""Pack a folder and compress it, to standard output: run on its own (see `alone`), beside the hub and not in it.

Ends with 0 only if all was written.
"""

import os
import sys

from .pack import NotTaken, pack
from .zst import compressor


def main(top: str) -> None:
    """Write the archive of *top*, after whoever works on this machine."""
    os.nice(10)
    made, out = compressor(), sys.stdout.buffer

    def write(data: bytes) -> None:
        out.write(made.compress(data))

    try:
        pack(top, write)
        out.write(made.flush())
        out.flush()
    except (NotTaken, BrokenPipeError):
        os._exit(1)  # without another attempt to write what is left
