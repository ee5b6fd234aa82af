"""Pages that are made from the code say what the code does."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from renku_spawner.domain.reasons import REASONS_BY_CODE, ReasonGroup

DOCS = Path(__file__).parents[2] / "docs"


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["api", "cli", "troubleshooting"])
def test_a_page_is_current(name: str) -> None:
    assert tool(name).page() == (DOCS / f"{name}.md").read_text(), "please run: make docs"


def test_the_document_of_openapi_is_current() -> None:  # that it is valid is tested on a live hub
    assert (DOCS / "openapi.json").read_text() == tool("api").openapi(), "please run: make docs"


def test_the_schema_of_sessions_as_code_is_current() -> None:
    assert (DOCS / "sessions.schema.json").read_text() == tool("api").schema(), "please run: make docs"


def test_every_reason_says_what_an_admin_does_and_no_other_stands_there() -> None:
    page = tool("troubleshooting")
    assert page.ADMIN.keys() == REASONS_BY_CODE.keys()
    assert page._GROUPS.keys() == set(ReasonGroup)


def test_a_reason_stands_once_on_the_page() -> None:
    text = (DOCS / "troubleshooting.md").read_text()
    assert [code for code in REASONS_BY_CODE if text.count(f"| `{code}` |") != 1] == []
