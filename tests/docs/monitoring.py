"""Writes the tables of docs/monitoring.md from the code: `python -m tests.docs.monitoring` after a change."""

from pathlib import Path

from prometheus_client.metrics_core import Metric

from renku_spawner import metrics

PAGE = Path(__file__).parents[2] / "docs" / "monitoring.md"
BEGIN, END = "<!-- metrics: begin -->", "<!-- metrics: end -->"
_SUFFIXES = {"counter": "_total"}


def table() -> str:
    """Each metric with its kind, its labels and what it counts."""
    rows = [_row(family) for family in sorted(metrics.OURS.collect(), key=lambda family: family.name)]
    return "\n".join(["| metric | kind | labels | what it is |", "| --- | --- | --- | --- |", *rows])


def _row(family: Metric) -> str:
    values: dict[str, dict[str, None]] = {}
    for sample in family.samples:
        for label, value in sample.labels.items():
            if label != "le":
                values.setdefault(label, {})[value] = None
    labels = "; ".join(f"`{label}`: {_listed(list(found))}" for label, found in values.items())
    if family.name == "renku_build_info":
        labels = "`version`, `jupyterhub`, `spawner`"
    return f"| `{family.name}{_SUFFIXES.get(family.type, '')}` | {family.type} | {labels} | {family.documentation} |"


def _listed(values: list[str]) -> str:
    return ", ".join(value or "(none)" for value in values)


def page(text: str) -> str:
    """*text* of the page with the table as it should be."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
