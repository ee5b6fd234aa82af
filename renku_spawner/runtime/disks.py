"""What is mounted below a folder (proc(5), mountinfo), and how it is taken away again."""

import os
import re
import shutil
import subprocess
from pathlib import Path

_SECONDS = 5.0  # for one unmount
_OCTAL = re.compile(r"\\([0-7]{3})")
_WAYS = (("fusermount3", "-u"), ("fusermount3", "-uz"), ("umount", "-l"))  # lazily once it is still in use


class StillMounted(OSError):
    """Something is mounted there and cannot be taken away."""


def below(folder: Path) -> list[Path]:
    """The mount points below *folder*, the deepest first; also those whose server has died."""
    top = f"{os.path.realpath(folder)}/"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        points = [_OCTAL.sub(lambda found: chr(int(found[1], 8)), line.split(" ", 5)[4]) for line in lines]
    return sorted((Path(point) for point in points if point.startswith(top)), reverse=True)


def clear(folder: Path) -> None:
    """Unmount all that is mounted below *folder*. Raises StillMounted."""
    for way in _WAYS:
        for point in below(folder):
            _try(*way, str(point))
    if left := below(folder):
        raise StillMounted(f"{left[0]} cannot be unmounted")


def _try(program: str, option: str, point: str) -> None:
    if shutil.which(program):
        command = [program, option, "--", point] if program == "umount" else [program, option, point]
        try:
            subprocess.run(command, capture_output=True, check=False, timeout=_SECONDS, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            return
