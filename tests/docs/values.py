"""Write the table of the chart's values from its schema: `python -m tests.docs.values` after a change."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "cluster.md"
CHART = ROOT / "helm" / "renku-hub"
SETTINGS = {"environments", "resourceClasses", "policy"}  # they contain the keys of settings
BEGIN, END = "<!-- values: begin -->", "<!-- values: end -->"


def _rows(schema: Mapping[str, Any], values: Any, path: str) -> Iterator[str]:
    """Iterate over rows: one for each value, and one for each key of an entry of a list."""
    for key, each in schema["properties"].items():
        name, given = f"{path}{key}", values.get(key) if isinstance(values, dict) else None
        if "properties" in each and key not in SETTINGS:
            yield from _rows(each, given, f"{name}.")
            continue
        yield _row(name, given, each["description"])
        if key in SETTINGS:
            inner = "items" in each
            yield from _rows(each["items"] if inner else each, None, f"{name}[]." if inner else f"{name}.")


def _row(name: str, given: Any, description: str) -> str:
    return f"| `{name}` | {_default(given)} | {description.replace('|', chr(92) + '|')} |"


def _default(given: Any) -> str:
    if isinstance(given, list) and given and isinstance(given[0], dict):
        return ", ".join(f"`{each['name']}`" for each in given)
    return "" if given in (None, "", [], {}) else f"`{json.dumps(given)}`"


def table() -> str:
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]["renku"]
    values = yaml.safe_load((CHART / "values.yaml").read_text())["renku"]
    return "\n".join(["| value | default | what it is |", "| --- | --- | --- |", *_rows(schema, values, "renku.")])


def page(text: str) -> str:
    """Return *text* of the page with the current table."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
