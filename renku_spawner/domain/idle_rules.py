"""When sessions that nobody uses are paused, as an admin has settled it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class IdleRules:
    """In seconds: idle for how long, warned how long before, kept awake for how long at most, running for how long
    at most. 0 for `pause` and `run_max` is never. `processor` is in cores: whoever uses more of them is not idle, 0 is
    nobody."""

    pause: int = 0
    warning: int = 600
    awake_max: int = 86_400
    run_max: int = 0
    processor: float = 0.0
