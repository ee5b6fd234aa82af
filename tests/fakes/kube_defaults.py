"""What the API server adds to an object that it is given."""

from base64 import b64encode
from typing import Any

from .quantity import parse

Object = dict[str, Any]
POD = {
    "restartPolicy": "Always",
    "terminationGracePeriodSeconds": 30,
    "dnsPolicy": "ClusterFirst",
    "serviceAccountName": "default",
    "securityContext": {},
    "schedulerName": "default-scheduler",
    "enableServiceLinks": True,
    "preemptionPolicy": "PreemptLowerPriority",
}
TOLERATIONS = [
    {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
    for key in ("not-ready", "unreachable")
]
PRIORITIES = {"": 0, "low": -10, "high": 1000, "system-cluster-critical": 2_000_000_000}  # of the classes there are
CONTAINER = {"resources": {}, "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}
PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}


def pull_policy(image: str) -> str:
    name = image.rpartition("/")[2]
    tag = name.partition("@")[0].partition(":")[2]
    return "Always" if "@" not in name and tag in {"", "latest"} else "IfNotPresent"


def probe(given: Object) -> Object:
    found = PROBE | given
    if "httpGet" in found:
        found["httpGet"] = {"path": "/", "scheme": "HTTP"} | found["httpGet"]
    return found


def resources(given: Object) -> Object:
    """Fill requests from limits, as the scheduler needs them."""
    limits = given.get("limits")
    return given | {"requests": limits | given.get("requests", {})} if limits else given


def variable(given: Object) -> Object:
    source = given.get("valueFrom", {})
    if "fieldRef" in source:
        return given | {"valueFrom": {"fieldRef": {"apiVersion": "v1"} | source["fieldRef"]}}
    return given


def container(given: Object) -> Object:
    found = CONTAINER | given
    found["resources"] = resources(found["resources"])
    found.setdefault("imagePullPolicy", pull_policy(found.get("image", "")))
    for name in {"readinessProbe", "livenessProbe", "startupProbe"} & found.keys():
        found[name] = probe(found[name])
    if "ports" in found:
        found["ports"] = [{"protocol": "TCP"} | port for port in found["ports"]]
    if "env" in found:
        found["env"] = [variable(entry) for entry in found["env"]]
    return found


def volume(given: Object) -> Object:
    return {
        key: {"defaultMode": 420} | value if key in {"secret", "configMap", "projected", "downwardAPI"} else value
        for key, value in given.items()
    }


def quality(spec: Object) -> str:
    """Return the class of service of a pod, by cpu and memory: Guaranteed, Burstable or BestEffort."""
    found = [one.get("resources", {}) for one in [*spec.get("containers", []), *spec.get("initContainers", [])]]
    counted = [
        [{name: one.get(part, {}).get(name) for name in ("cpu", "memory")} for part in ("limits", "requests")]
        for one in found
    ]
    if not any(value for parts in counted for part in parts for value in part.values()):
        return "BestEffort"
    guaranteed = all(limits == requests and all(limits.values()) for limits, requests in counted)
    return "Guaranteed" if guaranteed else "Burstable"


def pod(given: Object) -> Object:
    spec = POD | given.get("spec", {})
    spec["priority"] = PRIORITIES[spec.get("priorityClassName", "")]
    spec["serviceAccount"] = spec["serviceAccountName"]
    for key in ("containers", "initContainers"):
        if key in spec:
            spec[key] = [container(found) for found in spec[key]]
    if "volumes" in spec:
        spec["volumes"] = [volume(found) for found in spec["volumes"]]
    own = spec.get("tolerations", [])
    spec["tolerations"] = own + [found for found in TOLERATIONS if found["key"] not in {one.get("key") for one in own}]
    status = {"phase": "Pending", "qosClass": quality(spec)}
    return given | {"metadata": given["metadata"] | {"generation": 1}, "spec": spec, "status": status}


def claim(given: Object, storage_class: str) -> Object:
    spec = {"storageClassName": storage_class, "volumeMode": "Filesystem"} | given.get("spec", {})
    metadata = given["metadata"] | {"finalizers": ["kubernetes.io/pvc-protection"]}
    return given | {"metadata": metadata, "spec": spec, "status": {"phase": "Pending"}}


def secret(given: Object) -> Object:
    texts = given.get("stringData", {})
    encoded = {key: b64encode(text.encode()).decode() for key, text in texts.items()}
    rest = {key: value for key, value in given.items() if key != "stringData"}
    data = given.get("data", {}) | encoded
    return {"type": "Opaque"} | rest | ({"data": data} if data else {})


def namespace(given: Object) -> Object:
    labels = given["metadata"].get("labels", {}) | {"kubernetes.io/metadata.name": given["metadata"]["name"]}
    metadata = given["metadata"] | {"labels": labels}
    return given | {"metadata": metadata, "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}


def apply(resource: str, given: Object, storage_class: str) -> Object:
    """Return the object as the API server will keep it."""
    if resource == "persistentvolumeclaims":
        return claim(given, storage_class)
    return {"pods": pod, "secrets": secret, "namespaces": namespace}.get(resource, lambda same: same)(given)


def total(spec: Object, part: str, name: str) -> list[Any]:
    """Return what a pod's containers ask for (`part`: limits or requests) of one resource, as quantities."""
    found = [one.get("resources", {}).get(part, {}).get(name) for one in spec.get("containers", [])]
    return [parse(value) for value in found if value is not None]
