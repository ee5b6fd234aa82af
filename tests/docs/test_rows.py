"""Every row of the table of reliability that sessions on Kubernetes answer for is named by a test of it."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
ROW = re.compile(r"\b[VR][0-9]{1,2}\b")
ROWS = [*(f"V{n}" for n in (1, 2, 3, 4, 5, 6, 7, 8, 10, 11)), *(f"R{n}" for n in (*range(1, 19), 36, 37, 38, 41, 42))]
ON_PLAIN = ["V1", "V2", "V3", "V4", "V5", "V6", "V7", "V8", "V10", "V11"]


def named(function: ast.AST) -> set[str]:
    """The rows in a test's docstring, and in the texts that it is marked with."""
    if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) or not function.name.startswith("test_"):
        return set()
    marks = [node for mark in function.decorator_list for node in ast.walk(mark)]
    texts = [str(node.value) for node in marks if isinstance(node, ast.Constant)]
    return set(ROW.findall(" ".join([ast.get_docstring(function) or "", *texts])))


@cache
def rows(file: Path) -> set[str]:
    return set().union(*map(named, ast.parse(file.read_text()).body))


@pytest.mark.parametrize("row", ROWS)
def test_the_row_has_a_test(row: str) -> None:
    assert any(row in rows(file) for file in TESTS.rglob("test_*.py")), f"no test names {row}"


@pytest.mark.parametrize("row", ON_PLAIN)
def test_the_row_is_tried_on_a_plain_kubespawner(row: str) -> None:
    assert row in rows(TESTS / "cluster" / "test_plain.py")


def test_a_row_that_only_a_sentence_beside_the_tests_names_is_none() -> None:
    text = '"""R1"""\ndef helper():\n    """R2"""\ndef test_it():\n    """R3."""\n'
    assert set().union(*map(named, ast.parse(text).body)) == {"R3"}
