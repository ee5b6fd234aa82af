"""Extract from a pack of GitLab's exchanges what the fake one needs: `python -m tests.data.gitlab.make FOLDER`."""

import json
import sys
from pathlib import Path
from typing import Any

from tests.fakes.compact import packed

Object = dict[str, Any]
HERE = Path(__file__).parent
OF = "of"  # beside compact.MARK: the body from which the rest differs
# What bodies are made from, by the recording that shows all their fields.
BODIES = {
    "user": "user",
    "project": "project-42",
    "group": "groups",
    "branch": "branch-main",
    "commit": "commit-main-detail",
    "pipeline": "pipeline-90210",
    "job": "pipeline-jobs-failed",
    "tag": "registry-tag-detail",
    "repository": "registry-repository-310",
}


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def write(name: str, value: Object) -> None:
    lines = ",\n".join(f"{json.dumps(key)}:{json.dumps(entry, separators=(',', ':'))}" for key, entry in value.items())
    (HERE / name).write_text("{\n" + lines + "\n}\n")


def bodies(folder: Path) -> None:
    found = {}
    for name, recording in BODIES.items():
        body = read(folder / f"{recording}.json")
        found[name] = body[0] if isinstance(body, list) else body
    found["simple"] = list(read(folder / "projects-simple.json")[0])
    found["anonymous"] = list(read(folder / "project-63-anonymous.json"))
    write("bodies.json", found)


def smallest(value: Any, known: Object) -> Any:
    """An object as what differs from the body that is most like it, where that is shorter."""
    if isinstance(value, list):
        return [smallest(entry, known) for entry in value]
    if not isinstance(value, dict):
        return value
    ways = [value] + [packed(body, value) | {OF: name} for name, body in known.items() if isinstance(body, dict)]
    return min(ways, key=lambda way: len(json.dumps(way)))


def exchanges(folder: Path) -> None:
    """Each recording: its request, status, the headers that not all have, and its body."""
    known = read(HERE / "bodies.json")
    found: Object = {"headers": dict(recorded(folder, "version").items())}
    for path in sorted(folder.glob("*.headers.json")):
        name, case = path.name.removesuffix(".headers.json"), read(path)
        headers = case["headers"]
        if found["headers"].keys() <= headers.keys():
            headers = packed(found["headers"], headers)
        body = folder / case["body_file"] if case["body_file"] else None
        text = body.read_text() if body else ""
        shown = smallest(json.loads(text), known) if body and body.suffix == ".json" else text
        found[name] = [case["request"], case["status"], headers, shown]
    write("exchanges.json", found)


def recorded(folder: Path, name: str) -> Object:
    found: Object = read(folder / f"{name}.headers.json")["headers"]
    return found


if __name__ == "__main__":
    bodies(Path(sys.argv[1]))
    exchanges(Path(sys.argv[1]))
