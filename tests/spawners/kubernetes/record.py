"""Make tests/spawners/kubernetes/data/pods.json and refusals.json from recordings of a real Kubernetes API.

Run as `python tests/spawners/kubernetes/record.py FOLDER`, where FOLDER has `pods/CASE.json` (a pod's
watch and events) and `errors/CASE.json` (requests that were refused). Only what the code
may read is kept, so the files stay small and tests need no recordings.
"""

import json
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

Object = dict[str, Any]
DATA = Path(__file__).parent / "data"
CONDITIONS = ("PodScheduled", "Ready", "DisruptionTarget")


def pruned(pod: Object) -> Object:
    """The fields that the watch keeps."""
    metadata, spec, status = (pod.get(key) or {} for key in ("metadata", "spec", "status"))
    kept = picked(status, "phase", "reason", "message", "podIP")
    kept["conditions"] = [
        picked(c, "type", "status", "reason", "message")
        for c in status.get("conditions") or []
        if c["type"] in CONDITIONS
    ]
    for kind in ("initContainerStatuses", "containerStatuses"):
        if kind in status:
            kept[kind] = [
                {
                    **picked(c, "name", "ready", "restartCount"),
                    **{key: bare(c.get(key) or {}) for key in ("state", "lastState")},
                }
                for c in status[kind]
            ]
    return {
        "metadata": picked(metadata, "name", "uid", "deletionTimestamp"),
        "spec": picked(spec, "nodeName", "restartPolicy"),
        "status": {key: value for key, value in kept.items() if value != []},
    }


def bare(state: Object) -> Object:
    """A container's state without times and ids, which the code does not read."""
    return {kind: picked(said, "exitCode", "reason", "message") for kind, said in state.items()}


def picked(found: Object, *keys: str) -> Object:
    return {key: found[key] for key in keys if found.get(key) not in (None, {})}


def seen_at(event: Object, at: datetime) -> Object | None:
    """*event* as it was at that time; None if it had not happened."""
    first = event.get("firstTimestamp") or event.get("eventTime")
    last = event.get("lastTimestamp") or event.get("eventTime")
    if datetime.fromisoformat(first) > at:
        return None
    kept = picked(event, "reason", "message", "count", "firstTimestamp", "lastTimestamp", "eventTime")
    kept["involvedObject"] = picked(event["involvedObject"], "fieldPath")
    if datetime.fromisoformat(last) > at and kept.get("count", 1) > 1:
        share = (at - datetime.fromisoformat(first)) / (datetime.fromisoformat(last) - datetime.fromisoformat(first))
        kept["count"] = 1 + int((kept["count"] - 1) * share)
        kept["lastTimestamp"] = first
    return kept


def steps(case: Object) -> Iterator[Object]:
    events = [*case.get("events", []), *(case.get("pvc") or {}).get("events", [])]
    body = (case.get("createResponse") or {}).get("body") or {}
    for number, change in enumerate(case.get("watch", [])):
        began = datetime.fromisoformat(body["metadata"]["creationTimestamp"])
        last = number == len(case["watch"]) - 1
        at = began + timedelta(days=1) if last else began + timedelta(seconds=change["t"])
        metadata = {**body["metadata"], "deletionTimestamp": change.get("deletionTimestamp")}
        spec = {**body["spec"], "nodeName": change.get("spec.nodeName")}
        pod = {"metadata": metadata, "spec": spec, "status": change["status"]}
        happened = [event for event in (seen_at(event, at) for event in events) if event]
        yield {"pod": pruned(pod), "events": happened}
    for found in loose(case):
        yield {"pod": pruned(found), "events": []}


def loose(case: Object) -> Iterator[Object]:
    """Pods that a file holds beside a watch, or instead of one."""
    if case.get("kind") == "Pod":
        yield case
    for item in case.get("items", []):
        yield item.get("object", item)
    for key, found in case.items():
        if key.startswith("pod") and isinstance(found, dict) and "status" in found:
            yield found


def shared(found: Iterator[Object]) -> Object:
    """Each pod and each state of an event once; a step says which of them were there."""
    events: list[Object] = []
    kept: list[Object] = []
    for step in found:
        events += [event for event in step["events"] if event not in events]
        told = {"pod": step["pod"], "events": [events.index(event) for event in step["events"]]}
        kept += [] if told in kept else [told]
    return {"events": events, "steps": kept}


def refusal(case: Object) -> Object:
    response = case["response"]
    headers = dict(response["headers"])
    retry = {key: value for key, value in headers.items() if key.lower() == "retry-after"}
    return {"status": response["status"], "body": response["body"], "headers": retry}


def main(folder: Path) -> None:
    pods = {path.stem: shared(steps(json.loads(path.read_text()))) for path in sorted(folder.glob("pods/*.json"))}
    refusals = {
        path.stem: refusal(json.loads(path.read_text()))
        for path in sorted(folder.glob("errors/[45]*.json"))
        if json.loads(path.read_text())["request"]["method"] in ("POST", "PATCH")
    }
    missing = json.loads((folder / "pods" / "service-account-missing.json").read_text())["createResponse"]
    refusals["403-service-account"] = {**missing, "headers": {}}
    del pods["service-account-missing"]
    for name, found in (("pods", pods), ("refusals", refusals)):
        (DATA / f"{name}.json").write_text(
            json.dumps(found, indent=None, sort_keys=True).replace('}}, {"', '}},\n{"') + "\n"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
