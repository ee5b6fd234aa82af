"""The clock of everything that waits for the cluster."""

from __future__ import annotations

import asyncio


def now() -> float:
    """Seconds that never go back, by the clock that the loop's own waits follow: a test can let ten minutes pass."""
    return asyncio.get_running_loop().time()
