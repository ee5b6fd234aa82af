"""The page about the API says what the code does."""

import importlib.util
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "api.md"


def test_the_page_about_the_api_is_current():
    spec = importlib.util.spec_from_file_location("api_docs", PAGE.with_suffix(".py"))
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.page() == PAGE.read_text(), "run `python docs/api.py`"
