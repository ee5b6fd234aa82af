"""Programs that run inside containers, where this package is not installed.

Each program is one file that imports only the standard library. Its text is sent in the command that runs it, so that a
pod needs no further object. The scripts in `clone/` are mounted as files instead.
"""

from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=8)  # one for each program
def read_program(name: str) -> str:
    """Return the text of a program, such as `archive.py`."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def build_program_command(name: str, argument: str, *, python: str = "python3") -> tuple[str, ...]:
    """Build the command that runs the program *name* with its *argument*."""
    return (python, "-I", "-c", read_program(name), argument)
