"""The verbs of the API on objects: create, change, delete, each with everything that may be said against it."""

import json
import random
import string
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from . import kube_admission, kube_defaults, kube_patch, kube_validation
from .kube_errors import ApiError, bad_request, conflict, wrong_uid
from .kube_schema import decode, parse
from .kube_store import KINDS, Store, parse_stamp, stamp

Object = dict[str, Any]
LARGEST_BODY, LARGEST_OBJECT = 3 * 1024 * 1024, 1_500_000  # bytes
KEPT = (
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "generation",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)
FINISHED = {"Succeeded", "Failed"}
SHOWN_WHEN_DELETED = {"pods", "persistentvolumeclaims"}


class Api:
    """Verbs on one store. `classes`: storage classes by name, with what each can."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.classes: dict[str, dict[str, bool]] = {
            "hostpath": {}, "wait": {"wait": True}, "growing": {"grow": True},
            "csi-rclone-secret-annotation": {"secret": True},
        }  # fmt: skip
        self.default_class = "hostpath"

    def read(self, raw: bytes, resource: str, query: Mapping[str, str]) -> tuple[Object, list[str]]:
        """Return what a body says, and warnings; raises ApiError(400, 413, 500)."""
        if len(raw) > LARGEST_BODY:
            raise ApiError(413, f"Request entity too large: limit is {LARGEST_BODY}", "RequestEntityTooLarge")
        kind = KINDS[resource]
        given, unknown = decode(parse(raw, kind), kind)
        warnings = [f'unknown field "{path}"' for path in unknown]
        validation = query.get("fieldValidation", "Warn")
        if warnings and validation == "Strict":
            text = f'{kind} in version "v1" cannot be handled as a {kind}: strict decoding error: '
            raise bad_request(text + ", ".join(warnings))
        return given, warnings if validation == "Warn" else []

    def create(self, resource: str, namespace: str, raw: bytes, query: Mapping[str, str]) -> tuple[Object, list[str]]:
        """Return the new object and warnings."""
        given, warnings = self.read(raw, resource, query)
        if given["metadata"].get("namespace", namespace) != namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        metadata = {key: value for key, value in given["metadata"].items() if key not in {"uid", "resourceVersion"}}
        if "generateName" in metadata and "name" not in metadata:
            metadata["name"] = metadata["generateName"] + "".join(random.choices(string.ascii_lowercase, k=5))
        given = given | {"metadata": metadata | ({"namespace": namespace} if namespace else {})}
        if namespace:
            kube_admission.living_namespace(self.store, resource, namespace, metadata.get("name", ""))
        given = self.mutated(resource, namespace, given)
        kube_validation.check(resource, KINDS[resource], given)
        warnings += kube_validation.warnings(resource, given) + self.admitted(resource, namespace, given)
        if len(raw) > LARGEST_OBJECT:
            raise ApiError(500, "etcdserver: request is too large")
        return self.store.create(resource, given, keep=query.get("dryRun") != "All"), warnings

    def mutated(self, resource: str, namespace: str, given: Object) -> Object:
        if resource == "pods":
            kube_admission.check_names(self.store, namespace, given)
        given = kube_defaults.apply(resource, given, self.default_class)
        if resource == "pods":
            given = kube_admission.limited(self.store, namespace, given)
            given["status"]["qosClass"] = kube_defaults.quality(given["spec"])
        return given

    def admitted(self, resource: str, namespace: str, given: Object) -> list[str]:
        warnings = []
        if resource in {"pods", "persistentvolumeclaims"}:
            kube_admission.check_limits(self.store, namespace, resource, given)
            if resource == "pods":
                warnings = kube_admission.pod_security(self.store, namespace, given)
            kube_admission.check_quota(self.store, namespace, resource, given)
        return warnings

    def update(self, resource: str, old: Object, new: Object, *, keep: bool = True) -> Object:
        """Put the wanted form of an object; raises ApiError(403, 409, 422)."""
        name = old["metadata"]["name"]
        version = new["metadata"].get("resourceVersion", "")
        if version and version != old["metadata"]["resourceVersion"]:
            raise conflict(resource, name)
        own = {key: old["metadata"][key] for key in KEPT if key in old["metadata"]}
        new = new | {"metadata": new["metadata"] | own | {"resourceVersion": old["metadata"]["resourceVersion"]}}
        if "status" in old:
            new = new | {"status": old["status"]}
        kube_validation.check(resource, KINDS[resource], new)
        self.check(resource, old, new)
        if new == old:
            return old
        if resource == "pods" and new["spec"] != old["spec"]:
            new["metadata"]["generation"] = old["metadata"].get("generation", 1) + 1
        return self.written(resource, new) if keep else new

    def check(self, resource: str, old: Object, new: Object) -> None:
        if resource == "pods":
            kube_patch.check_pod(old, new)
        if resource == "persistentvolumeclaims":
            growing = {name for name, can in self.classes.items() if can.get("grow")}
            kube_patch.check_claim(old, new, growing)

    def written(self, resource: str, new: Object) -> Object:
        metadata = new["metadata"]
        if "deletionTimestamp" in metadata and not metadata.get("finalizers") and resource != "pods":
            return self.store.remove(resource, new)
        return self.store.put(resource, new)

    def replace(self, resource: str, old: Object, raw: bytes, query: Mapping[str, str]) -> tuple[Object, list[str]]:
        new, warnings = self.read(raw, resource, query)
        new = {key: value for key, value in new.items() if key != "status"}
        if resource == "pods":
            new = kube_defaults.pod(new)
        return self.update(resource, old, new, keep=query.get("dryRun") != "All"), warnings

    def patch(self, resource: str, old: Object, raw: bytes, kind: str, query: Mapping[str, str]) -> Object:
        wanted = kube_patch.patched(old, json.loads(raw), kind)
        new, _ = decode(wanted, KINDS[resource])
        return self.update(resource, old, new, keep=query.get("dryRun") != "All")

    def delete(self, resource: str, old: Object, options: Object) -> tuple[int, Object]:
        """Begin or finish the deletion; returns the status and what is shown."""
        wanted = options.get("preconditions", {})
        metadata = old["metadata"]
        if wanted.get("uid", metadata["uid"]) != metadata["uid"]:
            raise wrong_uid(KINDS[resource], metadata["name"], wanted["uid"], metadata["uid"])
        if wanted.get("resourceVersion", metadata["resourceVersion"]) != metadata["resourceVersion"]:
            raise conflict(resource, metadata["name"])
        if "All" in options.get("dryRun", []):
            return 200, old
        if resource == "pods":
            return 200, self.delete_pod(old, options.get("gracePeriodSeconds"))
        if metadata.get("finalizers"):
            return 200, self.store.put(resource, dying(old, 0)) if "deletionTimestamp" not in metadata else old
        gone = self.store.remove(resource, old)
        details = {"name": metadata["name"], "kind": resource, "uid": metadata["uid"]}
        success = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
        return 200, gone if resource in SHOWN_WHEN_DELETED else success

    def delete_pod(self, old: Object, grace: int | None) -> Object:
        metadata = old["metadata"]
        if grace is None:
            grace = old["spec"].get("terminationGracePeriodSeconds", 30)
        if "nodeName" not in old["spec"] or old["status"]["phase"] in FINISHED:
            grace = 0
        if "deletionTimestamp" in metadata and metadata["deletionGracePeriodSeconds"] <= grace and grace:
            return old
        marked = self.store.put("pods", dying(old, grace))
        return marked if grace or metadata.get("finalizers") else self.store.remove("pods", marked)


def dying(old: Object, grace: int) -> Object:
    """Return the object with the marks of a deletion after `grace` seconds."""
    metadata = old["metadata"]
    start = datetime.now(UTC)
    if "deletionTimestamp" in metadata:  # the earlier request counts
        start = parse_stamp(metadata["deletionTimestamp"]) - timedelta(seconds=metadata["deletionGracePeriodSeconds"])
    marks: Object = {
        "deletionTimestamp": stamp(start + timedelta(seconds=grace)),
        "deletionGracePeriodSeconds": grace,
    }
    if "generation" in metadata and "deletionTimestamp" not in metadata:
        marks["generation"] = metadata["generation"] + 1
    return old | {"metadata": metadata | marks}
