"""`renku-spawner demo`: run a hub on this machine with example users and projects."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..demo.run import (
    DEMO_CONFIG_FILE,
    parse_demo_port,
    prepare_demo_data,
    require_free_ports,
    reset_demo_data,
    run_demo_hub,
    stop_stale_demo,
)
from .base import CommandError


def run_demo(parsed: argparse.Namespace) -> None:
    """Prepare and run the demo.

    The environment variables `PORT`, `DATA` and `PASSWORD` override the demo's defaults.

    Raises:
        CommandError: the hub failed.
        OSError, ValueError: the demo cannot be prepared.
    """
    environ = parsed.environ
    port = parse_demo_port(environ.get("PORT") or "8000")
    data = Path(environ.get("DATA") or DEMO_CONFIG_FILE.parent / "demo-data").resolve()
    if parsed.reset or not parsed.prepare:
        stop_stale_demo(data, port=port)
    if parsed.reset:
        reset_demo_data(data)
    prepare_demo_data(data, port=port)
    if not parsed.prepare:
        require_free_ports(port)
        if run_demo_hub(data, port=port, password=environ.get("PASSWORD") or "renku"):
            raise CommandError("The hub of the demo failed.")
