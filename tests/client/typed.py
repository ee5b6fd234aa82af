"""`renku-spawner` as somebody types it, without a process of its own, since that takes a while."""

import io
import json
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

import pytest

from renku_spawner.cli import main

_ABSENT = ("JUPYTERHUB_API_TOKEN", "JUPYTERHUB_API_URL", "JUPYTERHUB_SERVICE_PREFIX", "DISPLAY", "WAYLAND_DISPLAY")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


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
