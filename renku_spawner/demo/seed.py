"""Create the demo's projects, Git repositories and weather data."""

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
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from ..context.app_context import AppContext, read_transaction
from ..domain.access import Person, Role, Visibility
from ..domain.projects import NewProject, NewRepository, Project, ProjectChange, ProjectMember
from ..domain.storages import NewStorage
from ..usecases.projects import change_project, create_project
from ..usecases.storages import add_storage

_COMMIT_AUTHOR = {"name": "Alice", "email": "alice@localhost"}
_SESSIONS_FILE_TEMPLATE = """\
# Editors of a project without sessions can add these in one click: docs/sessions-as-code.md.
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
_COMMIT_DATE = "2026-01-12T09:00:00+0000"  # the same commits on every machine


def create_demo_repositories(folder: Path) -> None:
    """Create the missing repositories below *folder*, as bare repositories `<name>.git`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, files in build_repository_files().items():
        if not (folder / f"{name}.git").exists():
            _create_repository(folder, name, files)


def build_repository_files() -> dict[str, dict[str, str]]:
    """Build the files of each repository, by path."""
    return {
        "snow-analysis": _build_analysis_files("snow", "Snow depth in the Alps", "depth_cm", "cm"),
        "snow-data": _build_data_files(
            "snow", "Snow depth at Weissfluhjoch, simulated", "depth_cm", _build_snow_rows()
        ),
        "ice-analysis": _build_analysis_files("ice", "Ice cover of mountain lakes", "ice_days", "days"),
        "ice-data": _build_data_files("ice", "Days with ice on four lakes, simulated", "ice_days", _build_ice_rows()),
    }


def _build_snow_rows() -> list[tuple[str, str, float]]:
    chance = random.Random(1936)
    months = [(year, month) for year in range(1990, 2026) for month in range(1, 13)]
    return [
        ("Weissfluhjoch", f"{year}-{month:02}", _simulate_snow_depth(year, month, chance)) for year, month in months
    ]


def _simulate_snow_depth(year: int, month: int, chance: random.Random) -> float:
    """Simulate depth in cm: deepest in spring, zero in late summer, a little less each year."""
    season = 120 + 130 * math.cos(month / 6 * math.pi - 0.9)
    return round(max(0.0, season - (year - 1990) + chance.gauss(0, 20)), 1)


def _build_ice_rows() -> list[tuple[str, str, float]]:
    chance = random.Random(1864)
    lakes = {"St. Moritz": 150, "Silvaplana": 145, "Davos": 120, "Oeschinen": 165}
    return [
        (lake, str(year), round(days - 0.4 * (year - 1990) + chance.gauss(0, 6), 1))
        for lake, days in lakes.items()
        for year in range(1990, 2026)
    ]


def _format_csv(column: str, rows: list[tuple[str, str, float]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["place", "time", column])
    writer.writerows(rows)
    return text.getvalue()


def _build_data_files(name: str, title: str, column: str, rows: list[tuple[str, str, float]]) -> dict[str, str]:
    return {
        "README.md": f"# {title}\n\n`{name}.csv` has the columns `place`, `time` and `{column}`.\n",
        f"{name}.csv": _format_csv(column, rows),
    }


def _build_analysis_files(name: str, title: str, column: str, unit: str) -> dict[str, str]:
    code = [
        "import csv\nimport pathlib\nimport statistics\n",
        f'rows = list(csv.DictReader(pathlib.Path("../{name}-data/{name}.csv").open()))\nlen(rows)',
        f'values = [float(row["{column}"]) for row in rows]\n'
        f'print(f"{{len(values)}} values, mean {{statistics.mean(values):.1f}} {unit}")',
    ]
    return {
        ".renku/sessions.yaml": _SESSIONS_FILE_TEMPLATE.format(title=title),
        "README.md": f"# {title}\n\nOpen `analysis.ipynb`; it reads the data from `../{name}-data`.\n",
        "analysis.ipynb": _format_notebook(title, code),
    }


def _format_notebook(title: str, code: list[str]) -> str:
    heading = {"cell_type": "markdown", "id": "title", "metadata": {}, "source": f"# {title}"}
    cells = [heading, *(_build_code_cell(number, source) for number, source in enumerate(code))]
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    notebook = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(notebook, indent=1) + "\n"


def _build_code_cell(number: int, source: str) -> dict[str, Any]:
    cell = {"cell_type": "code", "id": f"code-{number}", "metadata": {}, "source": source}
    return {**cell, "outputs": [], "execution_count": None}


def _create_repository(folder: Path, name: str, files: Mapping[str, str]) -> None:
    """Create the repository under a temporary name and rename it, so that an interrupted run leaves no partial one."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".making-") as temporary:
        work, bare = Path(temporary, "work"), Path(temporary, "bare.git")
        _run_git("init", "--quiet", "--initial-branch=main", str(work))
        for path, text in files.items():
            (work / path).parent.mkdir(exist_ok=True)
            (work / path).write_text(text, encoding="utf-8")
        _run_git("-C", str(work), "add", "--all")
        _run_git("-C", str(work), "commit", "--quiet", "--message", "Begin")
        _run_git("-C", str(work), "tag", "v1")
        _run_git("clone", "--quiet", "--bare", str(work), str(bare))
        _run_git("-C", str(bare), "config", "uploadpack.allowFilter", "true")  # lets the hub fetch a single file
        os.rename(bare, folder / f"{name}.git")


def _run_git(*arguments: str) -> None:
    identity = {
        f"GIT_{role}_{key}": value
        for role in ("AUTHOR", "COMMITTER")
        for key, value in {
            "NAME": _COMMIT_AUTHOR["name"],
            "EMAIL": _COMMIT_AUTHOR["email"],
            "DATE": _COMMIT_DATE,
        }.items()
    }
    alone = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "PATH": os.defpath}
    subprocess.run(["git", *arguments], check=True, env={**alone, **identity}, stdin=subprocess.DEVNULL)


DEMO_OWNER = Person(name="alice")
_DEMO_PROJECTS = {
    "alpine-snow": (
        "Snow in the Alps",
        "How deep the snow lies, and for how long. All users may start its sessions.",
        Visibility.PUBLIC,
        "snow",
    ),
    "lake-ice": (
        "Ice on mountain lakes",
        "When lakes freeze and thaw. For members only.",
        Visibility.PRIVATE,
        "ice",
    ),
}
_DEMO_MEMBERS = (
    ProjectMember(kind="user", name="alice", role=Role.OWNER),
    ProjectMember(kind="user", name="bob", role=Role.EDITOR),
    ProjectMember(kind="user", name="carol", role=Role.VIEWER),
)
_WEATHER_STORAGE_SETTINGS = {"volume": "weather"}


async def seed_demo_projects(context: AppContext, *, git: str) -> None:
    """Create the missing projects; *git* is the present address of the demo's repositories.

    Existing projects keep the changes of their users. Only addresses of repositories follow the port of the demo's git
    server, which may differ from run to run.
    """
    for slug in _DEMO_PROJECTS:
        project = await _find_project(context, f"alice/{slug}")
        if project is None:
            await _create_project(context, slug, git)
        else:
            await _update_repository_urls(context, project, git)


async def _find_project(context: AppContext, path: str) -> Project | None:
    return await read_transaction(context, lambda tx: tx.projects.get_by_path(path))


async def _create_project(context: AppContext, slug: str, git: str) -> None:
    title, description, visibility, name = _DEMO_PROJECTS[slug]
    repositories = tuple(NewRepository(url=f"{git}/{name}-{part}.git") for part in ("analysis", "data"))
    new = NewProject(
        path=f"alice/{slug}",
        title=title,
        description=description,
        visibility=visibility,
        repositories=repositories,
    )
    project = await create_project(context, DEMO_OWNER, new)
    await change_project(
        context,
        DEMO_OWNER,
        project.id,
        ProjectChange(version=project.version, members=_DEMO_MEMBERS, allow_unknown=True),
    )
    await add_storage(
        context,
        DEMO_OWNER,
        project.id,
        NewStorage(kind="volume", directory="weather", settings=_WEATHER_STORAGE_SETTINGS),
    )


async def _update_repository_urls(context: AppContext, project: Project, git: str) -> None:
    moved = tuple(
        NewRepository(
            url=f"{git}/{r.url.rpartition('/')[2]}" if r.url.startswith("http://127.0.0.1:") else r.url,
            ref=r.ref,
            directory=r.directory,
            lfs=r.lfs,
            submodules=r.submodules,
        )
        for r in project.repositories
    )
    owner = next((m.name for m in project.members if m.kind == "user" and m.role is Role.OWNER), None)
    if owner and [r.url for r in moved] != [r.url for r in project.repositories]:
        change = ProjectChange(version=project.version, repositories=moved)
        await change_project(context, Person(name=owner), project.id, change)


WEATHER_DESCRIPTION = "Daily weather at four stations, simulated"
_STATION_ALTITUDES = {"Arosa": 1878, "Davos": 1594, "Saentis": 2501, "Zermatt": 1608}
_FIRST_DAY, _DAY_COUNT = date(2020, 1, 1), 1461


def create_weather_tables(folder: Path) -> None:
    """Write the missing tables, one for each station."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, altitude in _STATION_ALTITUDES.items():
        file = folder / f"{name.lower()}.csv"
        if not file.exists():
            _write_weather_table(file, name, altitude)


def _write_weather_table(file: Path, name: str, altitude: int) -> None:
    chance = random.Random(name)
    with file.open("w", newline="", encoding="utf-8") as opened:
        table = csv.writer(opened, lineterminator="\n")
        table.writerow(["day", "temperature_c", "precipitation_mm"])
        for number in range(_DAY_COUNT):
            season = -math.cos(2 * math.pi * (number - 15) / 365.25)
            warmth = 15 - altitude / 154 + 9 * season + chance.gauss(0, 3)
            rain = chance.expovariate(0.2) if chance.random() < 0.4 else 0.0
            table.writerow([_FIRST_DAY + timedelta(days=number), f"{warmth:.1f}", f"{rain:.1f}"])
