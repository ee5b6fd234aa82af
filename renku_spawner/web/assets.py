"""Where templates and static files lie: beside the package in a checkout, inside it in a wheel."""

from __future__ import annotations

import hashlib
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
TEMPLATES = next(
    (folder for folder in (_PACKAGE / "templates", _PACKAGE.parent / "templates") if folder.is_dir()),
    _PACKAGE / "templates",
)
STATIC = TEMPLATES / "static"


def _version() -> str:
    """Changes with the files, so that browsers may keep them."""
    digest = hashlib.sha256()
    for file in sorted(STATIC.glob("*")):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:12]


VERSION = _version()
