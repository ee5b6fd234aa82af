"""`renku-spawner demo`: a hub on this machine, with people and projects to try."""

from __future__ import annotations

import argparse
from pathlib import Path

from .demo import run


def demo(parsed: argparse.Namespace) -> None:
    """`PORT`, `DATA` and `PASSWORD` of the environment override the demo's own. Raises OSError, ValueError."""
    environ = parsed.environ
    port = run.port(environ.get("PORT") or "8000")
    data = Path(environ.get("DATA") or run.CONFIG.parent / "demo-data").resolve()
    if parsed.reset:
        run.reset(data)
    run.prepare(data, port=port)
    if not parsed.prepare:
        run.require_free(port)
        run.become_hub(data, port=port, password=environ.get("PASSWORD") or "renku")
