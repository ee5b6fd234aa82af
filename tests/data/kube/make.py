"""Extract from recordings of a real cluster what the fake one must answer: `python -m tests.data.kube.make FOLDER`."""

import json
import re
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.fakes.compact import packed

Object = dict[str, Any]
HERE = Path(__file__).parent
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
HEADERS = {"Content-Type", "Retry-After", "Warning", "X-Content-Type-Options"}
BY_CLIENT = {"happy-path", "node-lost", "node-lost-taint-eviction"}  # deleted by whoever recorded, as are delete-*


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def write(name: str, value: Object) -> None:
    lines = ",\n".join(f"{json.dumps(key)}:{json.dumps(entry, separators=(',', ':'))}" for key, entry in value.items())
    (HERE / name).write_text("{\n" + lines + "\n}\n")


def answer(response: Object, base: Object) -> Object:
    headers = [pair for pair in response["headers"] if pair[0] in HEADERS]
    body = response["body"]
    if isinstance(body, dict) and body.get("kind") == "Pod":
        body = packed(base, body)
    if isinstance(body, dict) and "\n" in body.get("message", "") and body["code"] == 422:
        body["message"] = body["message"].partition("\n")[0]  # the rest is a dump of a Go struct
        body["details"]["causes"][0]["message"] = body["details"]["causes"][0]["message"].partition("\n")[0]
    return {"status": response["status"], "headers": headers, "body": body}


def asked(request: Object, base: Object) -> Object:
    found = {key: request[key] for key in ("method", "path", "contentType") if request.get(key)}
    body = request.get("body")
    if isinstance(body, dict) and body.get("kind") in {"Pod", "PersistentVolumeClaim"}:
        body = packed(base[body["kind"]], body)
    return found | ({"body": body} if body is not None else {})


def errors(folder: Path, base: Object) -> None:
    found = {}
    for path in sorted((folder / "errors").glob("[0-9]*.json")):
        case = read(path)
        found[path.stem] = {
            "request": asked(case["request"], {"Pod": base["request"], "PersistentVolumeClaim": base["claim"]}),
            "response": answer(case["response"], base["answer"]),
        }
    case = read(folder / "pods" / "service-account-missing.json")
    request = {"method": "POST", "path": "/api/v1/namespaces/sessions/pods", "body": case["request"]}
    found["403-service-account-missing"] = {
        "request": asked(request, {"Pod": base["request"]}),
        "response": case["createResponse"] | {"headers": [["Content-Type", "application/json"]]},
    }
    write("errors.json", found)


def lists(folder: Path) -> None:
    found = {}
    for path in sorted((folder / "list").glob("*.json")):
        case = read(path)
        body = case["response"]["body"]
        if "request" in case:
            names = [item["metadata"]["name"] for item in body.pop("items", [])]
            found[path.stem] = case | {"response": answer(case["response"], {}), "names": names}
            found[path.stem] = {key: found[path.stem][key] for key in ("request", "response", "names")}
    write("list.json", found)


def logs(folder: Path) -> None:
    found = {}
    for path in sorted((folder / "logs").glob("*.json")):
        case = read(path)
        found[path.stem] = {"request": case["request"], "response": answer(case["response"], {})}
    write("logs.json", found)


def line(text: str) -> Any:
    found = json.loads(text)
    told = found.get("object", {})
    if "metadata" not in told or "name" not in told["metadata"]:
        return found
    metadata = told["metadata"]
    labels = metadata.get("labels", {}).get("component", "")
    return [found["type"], metadata["name"], labels, "deletionTimestamp" in metadata, metadata["resourceVersion"]]


def watches(folder: Path) -> None:
    found = {}
    for path in sorted((folder / "watch").glob("*.meta.json")):
        name = path.name.removesuffix(".meta.json")
        if name == "bookmarks" or name.startswith("watchlist-"):
            continue  # not imitated
        meta = read(path)
        lines = (folder / "watch" / f"{name}.ndjson").read_text().splitlines()
        found[name] = {"request": meta["request"], "status": meta["status"], "closed": meta["closedAfterSeconds"]}
        found[name] |= {"times": meta["lineTimes"], "lines": [line(text) for text in lines if text.strip()]}
    write("watch.json", found)


class Life:
    """One recorded life of a pod, with times counted from its creation and its own names left open."""

    def __init__(self, case: Object, usual: Object) -> None:
        """`usual`: a status from which each new one may also be written."""
        self.usual = usual
        self.case = case
        self.runs: dict[str, int] = {}
        self.addresses: dict[str, int] = {}
        made = case["createResponse"]["body"]
        self.start = datetime.fromisoformat(made["metadata"]["creationTimestamp"])
        metadata = made["metadata"]
        name, place = metadata["name"], metadata["namespace"]
        self.names = [(f"{place}/{name}", "<namespace>/<name>"), (f"{name}_{place}(", "<name>_<namespace>(")]
        self.names += [(metadata["uid"], "<uid>"), (name, "<name>")]
        images = [one["image"].strip() for one in made["spec"]["containers"]]
        self.names += [(images[0], "<image>")] if len(images[0]) > 6 else []

    def open(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self.open(entry) for key, entry in value.items()}
        if isinstance(value, list):
            return [self.open(entry) for entry in value]
        return self.text(value) if isinstance(value, str) else value

    def text(self, value: str) -> str:
        if TIME.fullmatch(value) and not value.startswith("1970"):
            return f"<+{int((datetime.fromisoformat(value) - self.start).total_seconds())}>"
        for given, shown in self.names:
            value = value.replace(given, shown)
        value = re.sub(r"\b10\.(244|88)\.\d+\.\d+\b", self.address, value)
        return re.sub("containerd://[0-9a-f]{64}", self.run, value)

    def address(self, found: re.Match[str]) -> str:
        """Return the token of an address; a pod whose sandbox is made again has a second one."""
        number = self.addresses.setdefault(found[0], len(self.addresses) + 1)
        return "<ip>" if number == 1 else f"<ip {number}>"

    def run(self, found: re.Match[str]) -> str:
        return f"<run {self.runs.setdefault(found[0], len(self.runs) + 1)}>"

    def steps(self) -> list[list[Any]]:
        """Return [seconds, "status", node, status, marks] and [seconds, "event", fields] in order of their versions."""
        found: list[tuple[int, float, list[Any]]] = []
        before: Object = {}
        for told in self.case["watch"]:
            status = self.open(told["status"])
            marks = {"grace": told["deletionGracePeriodSeconds"]} if "deletionTimestamp" in told else {}
            marks |= {"gone": True} if told["type"] == "DELETED" else {}
            own, usual = packed(before, status), {"usual": packed(self.usual, status)}
            shorter = usual if len(json.dumps(usual)) < len(json.dumps(own)) else own
            step = ["status", "spec.nodeName" in told, shorter, marks]
            found.append((int(told["resourceVersion"]), told["t"], step))
            before = status
        zero = next((told["t"] for told in self.case["watch"][1:]), 0)
        born = [self.born(event) for event in self.case["events"]]
        for event, at in zip(self.case["events"], born, strict=True):
            found.append(
                (self.place(event, at - min(born) + zero), at - min(born) + zero, ["event", self.event(event)])
            )
        found.sort(key=lambda step: step[0])
        latest, steps = 0.0, []
        for _, at, step in found:
            latest = max(latest, at)
            steps.append([round(latest, 3), *step])
        return steps

    def place(self, event: Object, at: float) -> int:
        """Return the version at which an event first came: its own one, unless it was counted up later."""
        if event.get("count", 1) == 1 and "series" not in event:
            return int(event["metadata"]["resourceVersion"])
        told = [int(told["resourceVersion"]) for told in self.case["watch"] if told["t"] <= at]
        return max(told, default=0)

    @staticmethod
    def born(event: Object) -> float:
        return int(event["metadata"]["name"].rpartition(".")[2], 16) / 1e9

    def event(self, event: Object) -> Object:
        kept = ("reason", "message", "type", "reportingComponent", "action", "count")
        found = {key: self.open(event[key]) for key in kept if event.get(key) not in {None, ""}}
        if path := event["involvedObject"].get("fieldPath"):
            found["path"] = path
        if event.get("count", 1) > 1:
            found["last"] = self.text(event["lastTimestamp"])
        if "series" in event:
            found |= {"series": event["series"]["count"], "last": self.text(event["series"]["lastObservedTime"])}
        if "uid" not in event["involvedObject"]:
            found["without_uid"] = True
        return found


def lives(folder: Path, base: Object) -> None:
    running = read(folder / "pods" / "image-large-pull.json")
    usual = Life(running, {}).open(running["watch"][2]["status"])
    found: Object = {"": usual}
    for path in sorted((folder / "pods").glob("*.json")):
        case = read(path)
        if "watch" not in case or "createResponse" not in case or case["createResponse"]["status"] != 201:
            continue
        life = Life(case, usual)
        case["createResponse"]["body"]["metadata"]["namespace"] = "sessions"  # some were recorded in another one
        found[path.stem] = {
            "request": packed(base["request"], case["request"]),
            "answer": packed(base["answer"], case["createResponse"]["body"]),
            "steps": life.steps(),
            "by_client": path.stem in BY_CLIENT or path.stem.startswith("delete-"),
        }
    write("lives.json", found)


def asking(one: Object) -> list[Any]:
    """Return verb, path, query, status of one request, and its body where that is short."""
    verb = "WATCH" if "watch" in one["method"] else one["method"]
    body = one.get("requestBody")
    short = body if isinstance(body, dict) and body.get("kind") == "DeleteOptions" else None
    return [verb, one["path"], one["query"], one["status"], short]


def phases(folder: Path) -> None:
    recorded = read(folder / "kubespawner-requests.json")["phases"]
    write(
        "phases.json",
        {
            phase["phase"]: [asking(one) for one in phase["requests"] if one["stage"] == "ResponseComplete"]
            for phase in recorded
        },
    )
    write("spawner.json", {key: read(folder / "kubespawner-pod-create.json")[key] for key in ("pod", "pvc")})


def main(folder: Path) -> None:
    dry = read(folder / "errors" / "201-dry-run.json")
    claim = read(folder / "errors" / "409-pvc-already-exists.json")["request"]["body"]
    base = {"request": dry["request"]["body"], "answer": dry["response"]["body"], "claim": claim}
    write("base.json", base)
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*json"))
    write("index.json", {name: None for name in names if "/" in name and not name.endswith(".meta.json")})
    errors(folder, base)
    lists(folder)
    logs(folder)
    watches(folder)
    lives(folder, base)
    phases(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
