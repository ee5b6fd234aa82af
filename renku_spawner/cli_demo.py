"""`renku-spawner demo`: a hub on this machine, with people and projects to try."""

from __future__ import annotations

import argparse
from pathlib import Path

from .cli_base import Ended
from .demo import run


def demo(parsed: argparse.Namespace) -> None:
    """Prepare and run the demo. Raises OSError, ValueError, Ended: the hub failed.

    `PORT`, `DATA` and `PASSWORD` of the environment override the demo's own.
    """
    environ = parsed.environ
    port = run.port(environ.get("PORT") or "8000")
    data = Path(environ.get("DATA") or run.CONFIG.parent / "demo-data").resolve()
    if parsed.reset or not parsed.prepare:
        run.end_left_over(data, port=port)
    if parsed.reset:
        run.reset(data)
    run.prepare(data, port=port)
    if not parsed.prepare:
        run.require_free(port)
        if run.run_hub(data, port=port, password=environ.get("PASSWORD") or "renku"):
            raise Ended("The demo's hub has failed.")
