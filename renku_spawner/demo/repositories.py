"""The demo's git repositories: two analyses with their data, made once."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import random
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_WHO = {"name": "Alice", "email": "alice@localhost"}
_SESSIONS = """\
# Offered to who may add sessions, while the project has none: docs/sessions-as-code.md.
version: 1
sessions:
- title: Look around
  default: true
  description: "{title}: the notebook, with what it needs."
  environment:
    ready_made: jupyter-python
- title: Compute
  description: The same with more of everything.
  environment:
    ready_made: jupyter-python
  configuration:
    cpu: 1
    memory: 2Gi
    variables:
      OMP_NUM_THREADS: 1
"""
_WHEN = "2026-01-12T09:00:00+0000"  # the same commits on every machine


def make(folder: Path) -> None:
    """Make the repositories that are missing below *folder*, as bare repositories `<name>.git`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, files in contents().items():
        if not (folder / f"{name}.git").exists():
            _make(folder, name, files)


def contents() -> dict[str, dict[str, str]]:
    """The files of each repository."""
    return {
        "snow-analysis": _analysis("snow", "Snow depth in the Alps", "depth_cm", "cm"),
        "snow-data": _data("snow", "Snow depth at Weissfluhjoch, simulated", "depth_cm", _snow()),
        "ice-analysis": _analysis("ice", "Ice cover of mountain lakes", "ice_days", "days"),
        "ice-data": _data("ice", "Days with ice on four lakes, simulated", "ice_days", _ice()),
    }


def _snow() -> list[tuple[str, str, float]]:
    chance = random.Random(1936)
    months = [(year, month) for year in range(1990, 2026) for month in range(1, 13)]
    return [("Weissfluhjoch", f"{year}-{month:02}", _depth(year, month, chance)) for year, month in months]


def _depth(year: int, month: int, chance: random.Random) -> float:
    """Deepest in spring, bare in late summer, a little less each year."""
    season = 120 + 130 * math.cos(month / 6 * math.pi - 0.9)
    return round(max(0.0, season - (year - 1990) + chance.gauss(0, 20)), 1)


def _ice() -> list[tuple[str, str, float]]:
    chance = random.Random(1864)
    lakes = {"St. Moritz": 150, "Silvaplana": 145, "Davos": 120, "Oeschinen": 165}
    return [
        (lake, str(year), round(days - 0.4 * (year - 1990) + chance.gauss(0, 6), 1))
        for lake, days in lakes.items()
        for year in range(1990, 2026)
    ]


def _table(column: str, rows: list[tuple[str, str, float]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["place", "time", column])
    writer.writerows(rows)
    return text.getvalue()


def _data(name: str, title: str, column: str, rows: list[tuple[str, str, float]]) -> dict[str, str]:
    return {
        "README.md": f"# {title}\n\n`{name}.csv` has the columns `place`, `time` and `{column}`.\n",
        f"{name}.csv": _table(column, rows),
    }


def _analysis(name: str, title: str, column: str, unit: str) -> dict[str, str]:
    code = [
        "import csv\nimport pathlib\nimport statistics\n",
        f'rows = list(csv.DictReader(pathlib.Path("../{name}-data/{name}.csv").open()))\nlen(rows)',
        f'values = [float(row["{column}"]) for row in rows]\n'
        f'print(f"{{len(values)}} values, mean {{statistics.mean(values):.1f}} {unit}")',
    ]
    return {
        ".renku/sessions.yaml": _SESSIONS.format(title=title),
        "README.md": f"# {title}\n\nOpen `analysis.ipynb`; it reads the data from `../{name}-data`.\n",
        "analysis.ipynb": _notebook(title, code),
    }


def _notebook(title: str, code: list[str]) -> str:
    heading = {"cell_type": "markdown", "id": "title", "metadata": {}, "source": f"# {title}"}
    cells = [heading, *(_cell(number, source) for number, source in enumerate(code))]
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    notebook = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(notebook, indent=1) + "\n"


def _cell(number: int, source: str) -> dict[str, Any]:
    cell = {"cell_type": "code", "id": f"code-{number}", "metadata": {}, "source": source}
    return {**cell, "outputs": [], "execution_count": None}


def _make(folder: Path, name: str, files: Mapping[str, str]) -> None:
    """Complete under another name first: a seed that was interrupted begins anew."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".making-") as temporary:
        work, bare = Path(temporary, "work"), Path(temporary, "bare.git")
        _git("init", "--quiet", "--initial-branch=main", str(work))
        for path, text in files.items():
            (work / path).parent.mkdir(exist_ok=True)
            (work / path).write_text(text, encoding="utf-8")
        _git("-C", str(work), "add", "--all")
        _git("-C", str(work), "commit", "--quiet", "--message", "Begin")
        _git("-C", str(work), "tag", "v1")
        _git("clone", "--quiet", "--bare", str(work), str(bare))
        _git("-C", str(bare), "config", "uploadpack.allowFilter", "true")  # so that one file can be asked for
        os.rename(bare, folder / f"{name}.git")


def _git(*arguments: str) -> None:
    identity = {
        f"GIT_{role}_{key}": value
        for role in ("AUTHOR", "COMMITTER")
        for key, value in {"NAME": _WHO["name"], "EMAIL": _WHO["email"], "DATE": _WHEN}.items()
    }
    alone = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "PATH": os.defpath}
    subprocess.run(["git", *arguments], check=True, env={**alone, **identity}, stdin=subprocess.DEVNULL)
