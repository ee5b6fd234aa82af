"""How a start goes, as long as one waits for it: a line drawn anew on a terminal, else a line for each step."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from .cli_show import safe
from .client.models import ProgressAnswer
from .domain.quantity import size_of

_CELLS = 20
_BLINK = 0.2  # seconds


class Bar:
    """Shows on stderr what was told last; on a terminal the seconds go on between two things that are told."""

    def __init__(self, title: str, *, drawn: bool) -> None:
        self._title, self._drawn = safe(title), drawn
        self._told: ProgressAnswer | None = None
        self._at, self._last = monotonic(), ""
        self._lock = threading.Lock()
        self._over = threading.Event()

    def tell(self, told: ProgressAnswer) -> None:
        with self._lock:
            self._told, self._at = told, monotonic()
        self.show()

    def show(self) -> None:
        with self._lock:
            if self._told is None:
                return
            if self._drawn:
                room = shutil.get_terminal_size().columns - 1
                print(f"\r\x1b[K{self._line(self._told)[:room]}", end="", file=sys.stderr, flush=True)
            elif (step := f"{self._title}: {_step(self._told)}") != self._last:
                self._last = step
                print(step, file=sys.stderr, flush=True)

    def _line(self, told: ProgressAnswer) -> str:
        full = _CELLS * told.progress // 100 if told.progress is not None else None
        bar = "" if full is None else f" [{'#' * full}{'.' * (_CELLS - full)}] about {told.progress} %"
        seconds = None if told.elapsed is None else told.elapsed + int(monotonic() - self._at)
        return f"{self._title}:{bar} {_step(told)}{_time(seconds, told.usual)}"

    def tick(self) -> None:
        while not self._over.wait(1):
            self.show()

    def end(self) -> None:
        self._over.set()
        if self._drawn and self._told is not None:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


@contextmanager
def bar(title: str) -> Iterator[Bar]:
    made = Bar(title, drawn=sys.stderr.isatty())
    clock = threading.Thread(target=made.tick, daemon=True)
    if sys.stderr.isatty():
        clock.start()
    try:
        yield made
    finally:
        made.end()


@contextmanager
def counter() -> Iterator[Callable[[int], None]]:
    """A function that shows on a terminal how many bytes have come so far."""
    drawn, last = sys.stderr.isatty(), [0.0]

    def show(size: int) -> None:
        if drawn and monotonic() - last[0] > _BLINK:
            last[0] = monotonic()
            print(f"\r\x1b[K{size_of(size)}", end="", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        if drawn:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _step(told: ProgressAnswer) -> str:
    """Of a start that waits in line the words have its place, too."""
    return safe(told.stage_text or told.status)


def _time(elapsed: int | None, usual: float | None) -> str:
    if elapsed is None:
        return ""
    return f", {elapsed} s" + (f" (usually {round(usual)} s)" if usual else "")
