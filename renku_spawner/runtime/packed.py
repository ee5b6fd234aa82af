"""The commands that pack a folder where the package is not (see `alone`)."""

from functools import cache
from pathlib import Path

_MODULES = ("zst", "pack")  # what the last one imports, each after those that it imports itself


@cache
def _texts(last: str) -> tuple[tuple[str, str], ...]:
    folder = Path(__file__).parent
    names = ("alone", *_MODULES, last)
    return tuple((name, (folder / f"{name}.py").read_text(encoding="utf-8")) for name in names)


def command(last: str, argument: str, *, python: str = "python3") -> tuple[str, ...]:
    """What runs the module *last*, `packing` or `handing`, with its *argument*."""
    (_, alone), *modules = _texts(last)
    return (python, "-I", "-c", alone, argument, *(word for module in modules for word in module))
