"""Three ways to patch, and what may not be changed afterwards."""

import json
from typing import Any

from .kube_admission import NO_RESIZE
from .kube_errors import ApiError, bad_request, cause, forbidden, invalid
from .quantity import parse

Object = dict[str, Any]
MERGE, STRATEGIC, JSON = (f"application/{name}" for name in (
    "merge-patch+json", "strategic-merge-patch+json", "json-patch+json"))  # fmt: skip
KEYS = {  # the field by which strategic merge tells the entries of a list apart
    "containers": "name", "initContainers": "name", "volumes": "name", "env": "name", "volumeMounts": "mountPath",
    "ports": "containerPort", "imagePullSecrets": "name", "conditions": "type", "ownerReferences": "uid",
}  # fmt: skip
POD_FIXED = (
    "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing "
    "tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
CLAIM_FIXED = (
    "Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName "
    "for bound claims"
)


def merge(old: Any, new: Any) -> Any:
    """Follow RFC 7386."""
    if not isinstance(new, dict):
        return new
    found = dict(old) if isinstance(old, dict) else {}
    for key, value in new.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = merge(found.get(key), value)
    return found


def strategic(old: Any, new: Any, key: str = "") -> Any:
    if isinstance(new, list):
        return listed(old or [], new, key)
    if not isinstance(new, dict):
        return new
    if new.get("$patch") == "replace":
        return {name: value for name, value in new.items() if name != "$patch"}
    base = old if isinstance(old, dict) else {}
    changed = {name: strategic(base.get(name), value, name) for name, value in new.items() if value is not None}
    return {name: value for name, value in base.items() if name not in new} | changed


def listed(old: list, new: list, key: str) -> list:
    if key in KEYS:
        return entries(old, new, KEYS[key])
    return [*old, *(one for one in new if one not in old)] if key == "finalizers" else new


def entries(old: list, new: list, key: str) -> list:
    found = {entry.get(key): entry for entry in old}
    for entry in new:
        name = entry.get(key)
        if entry.get("$patch") == "delete":
            found.pop(name, None)
        else:
            found[name] = strategic(found.get(name), entry)
    return list(found.values())


def pointer(value: Any, path: str) -> tuple[Any, str]:
    parts = [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]
    for part in parts[:-1]:
        value = value[int(part)] if isinstance(value, list) else value.setdefault(part, {})
    return value, parts[-1]


def step(document: Any, change: Object) -> None:
    place, last = pointer(document, change["path"])
    operation, value = change["op"], change.get("value")
    if operation == "test" and (place[int(last)] if isinstance(place, list) else place.get(last)) != value:
        raise invalid("", "", [cause("Invalid", change["path"], "testing value failed")])
    if operation == "remove":
        place.pop(int(last) if isinstance(place, list) else last)
    elif isinstance(place, list) and operation == "add":
        place.insert(len(place) if last == "-" else int(last), value)
    elif operation in {"add", "replace"}:
        place[int(last) if isinstance(place, list) else last] = value


def patched(old: Object, patch: Any, kind: str) -> Object:
    """Return the object after a patch of content type `kind`; raises ApiError(400, 415)."""
    if kind == MERGE:
        return merge(old, patch)
    if kind == STRATEGIC:
        return strategic(old, patch)
    if kind != JSON:
        known = ", ".join((JSON, MERGE, STRATEGIC))
        text = f"the body of the request was in an unknown format - accepted media types include: {known}"
        raise ApiError(415, text, "UnsupportedMediaType")
    document = json.loads(json.dumps(old))
    try:
        for change in patch:
            step(document, change)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise bad_request(f"error decoding patch: {error}") from error
    return document


def bare(pod: Object) -> Object:
    """Return the part of a pod's spec that may never change."""
    spec = {key: value for key, value in pod["spec"].items() if key not in {"activeDeadlineSeconds", "tolerations"}}
    for part in {"containers", "initContainers"} & spec.keys():
        spec[part] = [{key: value for key, value in one.items() if key != "image"} for one in spec[part]]
    return spec


def check_pod(old: Object, new: Object) -> None:
    kept = all(one in new["spec"].get("tolerations", []) for one in old["spec"].get("tolerations", []))
    if bare(old) != bare(new) or not kept:
        raise invalid("Pod", old["metadata"]["name"], [cause("Forbidden", "spec", POD_FIXED)])


def storage(claim: Object) -> Any:
    return parse(claim["spec"]["resources"]["requests"]["storage"]).value


def check_claim(old: Object, new: Object, growing: set[str]) -> None:
    """Refuse what a claim may not become; `growing`: storage classes that can resize."""
    name = old["metadata"]["name"]
    kind = "PersistentVolumeClaim"
    if {**old["spec"], "resources": {}, "volumeName": ""} != {**new["spec"], "resources": {}, "volumeName": ""}:
        raise invalid(kind, name, [cause("Forbidden", "spec", CLAIM_FIXED)])
    capacity = old["status"].get("capacity", {}).get("storage", "0")
    if storage(new) < storage(old) and storage(new) < parse(capacity).value:
        text = "Forbidden: field can not be less than status.capacity"
        raise invalid(kind, name, [cause("Forbidden", "spec.resources.requests.storage", text)])
    if storage(new) > storage(old) and old["spec"].get("storageClassName") not in growing:
        raise forbidden("persistentvolumeclaims", name, NO_RESIZE)
