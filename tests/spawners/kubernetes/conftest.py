"""Expected objects as files, renewed by `pytest tests/spawners/kubernetes --update-data`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

DATA = Path(__file__).parent / "data"

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-data", action="store_true", help="write the expected objects anew")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, Any], None]:
    """Compares with a file of tests/spawners/kubernetes/data, or writes it."""

    def compare(name: str, found: Any) -> None:
        path = DATA / f"{name}.json"
        if request.config.getoption("--update-data", default=False):
            path.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
        assert found == json.loads(path.read_text())

    return compare
