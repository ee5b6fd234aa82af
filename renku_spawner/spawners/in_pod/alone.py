"""Run modules of this package where it is not installed: `python3 -I -c <this> <argument> <name> <text> …`.

A module may import those before it, by relative imports. The last one has a `main` that takes the argument.
"""

import sys
from collections.abc import Iterable
from types import ModuleType

PACKAGE = "renku_alone"


def load(texts: Iterable[tuple[str, str]]) -> ModuleType:
    """Create modules from pairs of name and source text; return the last one."""
    module = sys.modules[PACKAGE] = ModuleType(PACKAGE)
    module.__path__ = []
    for name, text in texts:
        module = sys.modules[f"{PACKAGE}.{name}"] = ModuleType(f"{PACKAGE}.{name}")
        module.__package__ = PACKAGE
        exec(compile(text, f"{name}.py", "exec"), vars(module))
    return module


if __name__ == "__main__":
    load(zip(sys.argv[2::2], sys.argv[3::2], strict=True)).main(sys.argv[1])
