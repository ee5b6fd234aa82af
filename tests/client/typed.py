"""`renku-spawner` as somebody types it, without a process of its own, since that takes a while."""

import io
import json
import os
import re
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from renku_spawner.cli.main import main
from tests.fixtures.fair import Stopwatch

_ABSENT = ("JUPYTERHUB_API_TOKEN", "JUPYTERHUB_API_URL", "JUPYTERHUB_SERVICE_PREFIX", "DISPLAY", "WAYLAND_DISPLAY")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@dataclass
class Watched:
    """`renku-spawner` in a terminal of its own, for what only a process and a terminal show."""

    process: "subprocess.Popen[bytes]"
    terminal: int
    shown: bytes = b""

    def until(self, pattern: bytes, *, seconds: float = 60) -> None:
        """Wait until it has shown *pattern*; what it has shown before is forgotten."""
        took = Stopwatch()
        while not (found := re.search(pattern, self.shown)):
            assert took() < seconds, self.shown
            if select.select([self.terminal], [], [], 0.1)[0]:
                self.shown += os.read(self.terminal, 10_000)
        self.shown = self.shown[found.end() :]

    def interrupt(self) -> int:
        """Ctrl-C; return its exit status. What it shows then is `shown`."""
        os.write(self.terminal, b"\x03")
        code = self.process.wait(60)
        with suppress(OSError):  # Linux says so at the end
            while select.select([self.terminal], [], [], 0)[0] and (piece := os.read(self.terminal, 10_000)):
                self.shown += piece
        return code


@contextmanager
def watched(*arguments: str, environ: dict[str, str]) -> Iterator[Watched]:
    terminal, inside = os.openpty()
    # Where a shell has begun all this in the background, Ctrl-C is ignored, and programs inherit that.
    command = [
        "env",
        "--default-signal=INT",
        "setsid",
        "--ctty",
        str(Path(sys.executable).with_name("renku-spawner")),
        *arguments,
    ]
    process = subprocess.Popen(command, env=os.environ | environ, stdin=inside, stdout=inside, stderr=inside)
    os.close(inside)
    try:
        yield Watched(process, terminal)
    finally:
        process.kill()
        process.wait()
        os.close(terminal)


@dataclass
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


Run = Callable[..., Done]


def typed(*arguments: str, environ: dict[str, str], stdin: str = "", terminal: bool = False) -> Done:
    """*terminal*: all three are one, else pipes."""
    kind = Terminal if terminal else io.StringIO
    out, err, code = kind(), kind(), 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        for name in (*_ABSENT, "BROWSER", "NO_COLOR"):
            patch.delenv(name, raising=False)
        for name, value in environ.items():
            patch.setenv(name, value)
        patch.setattr("sys.stdin", kind(stdin))
        try:
            main(list(arguments))
        except SystemExit as end:
            code = int(end.code or 0)
    assert "Traceback" not in err.getvalue()
    return Done(code, out.getvalue(), err.getvalue())
