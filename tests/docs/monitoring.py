"""Write the tables of docs/monitoring.md from the code: `python -m tests.docs.monitoring` after a change."""

import re
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.metrics_core import Metric

from renku_spawner.observability.metrics import RENKU_REGISTRY

PAGE = Path(__file__).parents[2] / "docs" / "monitoring.md"
ALERTS = Path(__file__).parents[2] / "helm" / "renku-hub" / "alerts" / "renku.yaml"
_SUFFIXES = {"counter": "_total"}


def table() -> str:
    """Build the table of metrics with their kinds, labels and descriptions."""
    rows = [_row(family) for family in sorted(RENKU_REGISTRY.collect(), key=lambda family: family.name)]
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


def rules() -> list[dict[str, Any]]:
    """Read the alerts of the chart."""
    [group] = yaml.safe_load(ALERTS.read_text())["groups"]
    return list(group["rules"])


def alerts() -> str:
    """Build a section for each alert, with its meaning and what to do; other files link to its heading."""
    return "\n\n".join(_alert(rule) for rule in rules())


def _alert(rule: dict[str, Any]) -> str:
    said = rule["annotations"]
    lasting = f", when it lasts {rule['for']}" if "for" in rule else ""
    summary = re.sub(r"\{\{ \$labels\.(\w+) \}\}", r"*\1*", said["summary"])
    return f"### {rule['alert']}\n\n{summary} ({rule['labels']['severity']}{lasting})\n\n{said['description']}"


def page(text: str) -> str:
    """Return *text* of the page with its current generated parts."""
    for name, made in {"metrics": table(), "alerts": alerts()}.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = f"{before}{begin}\n\n{made}\n\n{end}{after}"
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
