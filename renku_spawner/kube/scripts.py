"""The scripts of ours that containers run, as they stand in the package."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

CREDENTIAL = "credential.sh"  # by which git asks the hub for a password


@cache
def script() -> Mapping[str, str]:
    """The files of the script that clones, by name."""
    folder = files(__package__.partition(".")[0]) / "runtime" / "clone"
    found = [file for file in folder.iterdir() if file.name.endswith((".py", ".sh"))]
    return {file.name: file.read_text(encoding="utf-8") for file in found}
