"""What every test may ask for: databases, a browser; and the rule that nothing is skipped in silence."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy

# Else each hub in a process of its own compiles all of JupyterHub and of Kubernetes' client anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

pytest_plugins = [
    "pytester",
    "tests.fixtures.proxy",  # these three before those that import them
    "tests.fixtures.canaries",
    "tests.fixtures.quick",
    "tests.fixtures.browser",
    "tests.fixtures.clock",
    "tests.fixtures.hub",
    "tests.fixtures.network",
    "tests.fixtures.postgresql",
    "tests.fixtures.registry",
    "tests.fixtures.skips",
]

ROOT = Path(__file__).parents[1]
ALONE = "tests/faults/"
# The files that take longest, one worker each: begun last, they would be all that still runs at the end.
LONGEST = (
    "tests/persistence/test_migrations.py", "tests/cluster/test_restart.py", "tests/built/test_images.py",
    "tests/web/test_matrix.py", "tests/bench/test_bench.py", "tests/web/test_requests.py", "tests/hub/test_install.py",
    "tests/web/test_script.py", "tests/browser/test_every_page.py", "tests/web/test_hostile.py",
    "tests/test_wheel.py", "tests/browser/test_main_job.py",
)  # fmt: skip


def pytest_configure() -> None:
    """Find what make has installed, also without make, and the SQLAlchemy that `make test` means."""
    installed = [str(Path(sys.executable).parent), str(ROOT / "node_modules" / ".bin")]
    os.environ["PATH"] = os.pathsep.join([*installed, os.environ["PATH"]])
    wanted = os.environ.get("RENKU_TEST_SQLALCHEMY", sqlalchemy.__version__)
    if sqlalchemy.__version__ != wanted:
        raise pytest.UsageError(f"SQLAlchemy {wanted} is wanted, but {sqlalchemy.__version__} is in use.")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Mark what has bars of time and kills processes: it runs when nothing else does. The longest files come first."""
    for item in items:
        if item.nodeid.startswith(ALONE):
            item.add_marker("alone")
    yield
    items.sort(key=lambda item: item.nodeid.partition("::")[0] not in LONGEST)


def pytest_report_header() -> str:
    return f"SQLAlchemy {sqlalchemy.__version__}"
