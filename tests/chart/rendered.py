"""Renders the chart `helm/renku-hub`, with a stand-in for the chart that it depends on."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "renku-hub"
Z2JH = ROOT / "tests" / "data" / "z2jh"
HELMS = ["helm-3", "helm-4"]
SETS = ["trying-out", "production", "own-namespace"]
_NOTES = """{{- define "test.notes" }}%s{{ end -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: the-notes
data:
  notes: {{ include "test.notes" . | toJson }}
"""
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Done:
    """What Helm has said."""

    ok: bool
    out: str
    err: str

    def objects(self) -> list[dict[str, Any]]:
        return [each for each in yaml.load_all(self.out, LOADER) if each]

    def one(self, kind: str, name: str) -> dict[str, Any]:
        (found,) = [each for each in self.objects() if (each["kind"], each["metadata"]["name"]) == (kind, name)]
        return found

    def settings(self) -> dict[str, Any]:
        return json.loads(self.one("ConfigMap", "renku-hub")["data"]["renku.json"])

    def given(self) -> dict[str, Any]:
        """The values that the chart of JupyterHub was given."""
        return json.loads(self.one("ConfigMap", "given-to-jupyterhub")["data"]["values.json"])

    def notes(self) -> str:
        return self.one("ConfigMap", "the-notes")["data"]["notes"]


@cache
def chart() -> Path:
    """A copy of the chart that has what it depends on, and whose notes are rendered too."""
    folder = Path(tempfile.mkdtemp(prefix="renku-chart-")) / "renku-hub"
    shutil.copytree(CHART, folder)
    depended = folder / "charts" / "jupyterhub"
    shutil.copytree(Path(__file__).parent / "stub", depended)
    for name in ("values.yaml", "values.schema.json"):
        shutil.copy(Z2JH / name, depended)
    notes = (folder / "templates" / "NOTES.txt").read_text()
    (folder / "templates" / "the-notes.yaml").write_text(_NOTES % notes)
    return folder


def fetch_dependency(folder: Path, charts: str | None) -> str:
    """Put the chart that ours depends on into *folder*, a copy of ours; return why it cannot be had, or nothing.

    *charts* is a folder with `jupyterhub-*.tgz` or the unpacked chart `jupyterhub` (RENKU_TEST_CHARTS); without one it
    is fetched from its repository.
    """
    if not charts:
        done = run(HELMS[0], "dependency", "build", str(folder))
        return "" if done.ok else done.err.strip().splitlines()[-1]
    target, unpacked = folder / "charts", Path(charts) / "jupyterhub"
    target.mkdir(exist_ok=True)
    if unpacked.is_dir():
        shutil.copytree(unpacked, target / "jupyterhub")
        return ""
    for archive in sorted(Path(charts).glob("jupyterhub-*.tgz")):
        shutil.copy(archive, target)
        return ""
    return f"there is neither jupyterhub-*.tgz nor jupyterhub in {charts}"


def values_of(name: str) -> Path:
    return CHART / "ci" / f"{name}-values.yaml"


@cache
def rendered(helm: str, name: str, *more: str) -> Done:
    """The value set *name* with further arguments of `helm template`."""
    return run(helm, "template", "try", str(chart()), "-n", "jupyter", "-f", str(values_of(name)), *more)


def changed(helm: str, values: Mapping[str, Any], name: str = "trying-out") -> Done:
    """The value set *name* with other *values*, by path: `{"renku.projects": "gitlab"}`."""
    said = [f"{path}={json.dumps(value)}" for path, value in values.items()]
    return rendered(helm, name, *(part for each in said for part in ("--set-json", each)))


def run(*command: str) -> Done:
    done = subprocess.run(command, check=False, timeout=120, capture_output=True, text=True)
    return Done(ok=done.returncode == 0, out=done.stdout, err=done.stderr)
