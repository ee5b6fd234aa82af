"""Show the progress of a launch or download: one line that is redrawn on a terminal, otherwise a line per step."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from ..domain.quantities import format_size
from ..web.instances.schemas import ProgressAnswer
from .output import escape_for_terminal

_PROGRESS_BAR_CELLS = 20
_REDRAW_INTERVAL_SECONDS = 0.2


class LaunchProgressBar:
    """Print the latest progress to stderr; on a terminal the elapsed seconds are updated between two answers."""

    def __init__(self, title: str, *, drawn: bool) -> None:
        self._title, self._drawn = escape_for_terminal(title), drawn
        self._told: ProgressAnswer | None = None
        self._at, self._last = monotonic(), ""
        self._lock = threading.Lock()
        self._over = threading.Event()

    def update(self, told: ProgressAnswer) -> None:
        with self._lock:
            self._told, self._at = told, monotonic()
        self.draw()

    def draw(self) -> None:
        with self._lock:
            if self._told is None:
                return
            if self._drawn:
                room = shutil.get_terminal_size().columns - 1
                print(f"\r\x1b[K{self._format_line(self._told)[:room]}", end="", file=sys.stderr, flush=True)
            elif (step := f"{self._title}: {_format_stage(self._told)}") != self._last:
                self._last = step
                print(step, file=sys.stderr, flush=True)

    def _format_line(self, told: ProgressAnswer) -> str:
        full = _PROGRESS_BAR_CELLS * told.progress // 100 if told.progress is not None else None
        bar = "" if full is None else f" [{'#' * full}{'.' * (_PROGRESS_BAR_CELLS - full)}] about {told.progress} %"
        seconds = None if told.elapsed is None else told.elapsed + int(monotonic() - self._at)
        return f"{self._title}:{bar} {_format_stage(told)}{_format_elapsed_time(seconds, told.usual)}"

    def redraw_until_closed(self) -> None:
        while not self._over.wait(1):
            self.draw()

    def close(self) -> None:
        self._over.set()
        if self._drawn and self._told is not None:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


@contextmanager
def show_launch_progress(title: str) -> Iterator[LaunchProgressBar]:
    bar = LaunchProgressBar(title, drawn=sys.stderr.isatty())
    clock = threading.Thread(target=bar.redraw_until_closed, daemon=True)
    if sys.stderr.isatty():
        clock.start()
    try:
        yield bar
    finally:
        bar.close()


@contextmanager
def show_byte_count() -> Iterator[Callable[[int], None]]:
    """Yield a function that shows the number of received bytes on a terminal."""
    drawn, last = sys.stderr.isatty(), [0.0]

    def show(size: int) -> None:
        if drawn and monotonic() - last[0] > _REDRAW_INTERVAL_SECONDS:
            last[0] = monotonic()
            print(f"\r\x1b[K{format_size(size)}", end="", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        if drawn:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _format_stage(told: ProgressAnswer) -> str:
    """Return the text of the current stage; for a queued start it includes the position."""
    return escape_for_terminal(told.stage_text or told.status)


def _format_elapsed_time(elapsed: int | None, usual: float | None) -> str:
    if elapsed is None:
        return ""
    return f", {elapsed} s" + (f" (usually {round(usual)} s)" if usual else "")
