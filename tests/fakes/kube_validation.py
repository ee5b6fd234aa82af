"""What the API server refuses with 422 Invalid, in its order and its words."""

import re
from collections.abc import Iterator
from typing import Any

from .kube_errors import ApiError, cause, invalid
from .quantity import as_go, parse

Object = dict[str, Any]
Causes = Iterator[dict[str, str]]
SUBDOMAIN = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
LABEL = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?"
QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
BAD_NAME = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    f"and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{SUBDOMAIN}')"
)
BAD_LABEL = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    f"'{LABEL}')"
)
BAD_KEY = (
    "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    f"'{QUALIFIED}') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
)
BAD_ENV = "a valid environment variable name must consist only of printable ASCII characters other than '='"
STANDARD = {"cpu", "memory", "ephemeral-storage"}
LARGEST_ANNOTATIONS = 262_144  # bytes of all of them together
MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
PULL = ("Always", "IfNotPresent", "Never")
RESTART = ("Always", "OnFailure", "Never")


def value_error(field: str, value: Any, why: str) -> dict[str, str]:
    shown = f'"{value}"' if isinstance(value, str) else str(value)
    return cause("Invalid", field, f"Invalid value: {shown}: {why}")


def unsupported(field: str, value: str, known: tuple[str, ...]) -> dict[str, str]:
    names = ", ".join(f'"{name}"' for name in known)
    return cause("NotSupported", field, f'Unsupported value: "{value}": supported values: {names}')


def required(field: str, why: str = "") -> dict[str, str]:
    return cause("Required", field, f"Required value: {why}" if why else "Required value")


def metadata(given: Object) -> Causes:
    name = given.get("name", "")
    if not name:
        yield required("metadata.name", "name or generateName is required")
    elif len(name) > 253:
        yield value_error("metadata.name", name, "must be no more than 253 characters")
    elif not re.fullmatch(SUBDOMAIN, name):
        yield value_error("metadata.name", name, BAD_NAME)
    for key, value in given.get("labels", {}).items():
        yield from label(key, value)
    size = sum(len(key) + len(value.encode()) for key, value in given.get("annotations", {}).items())
    if size > LARGEST_ANNOTATIONS:
        yield cause("TooLong", "metadata.annotations", f"Too long: may not be more than {LARGEST_ANNOTATIONS} bytes")


def label(key: str, value: str) -> Causes:
    prefix, _, name = key.rpartition("/")
    if not re.fullmatch(QUALIFIED, name) or len(name) > 63 or (prefix and not re.fullmatch(SUBDOMAIN, prefix)):
        yield value_error("metadata.labels", key, BAD_KEY)
    if len(value) > 63:
        yield value_error("metadata.labels", value, "must be no more than 63 characters")
    elif not re.fullmatch(LABEL, value):
        yield value_error("metadata.labels", value, BAD_LABEL)


def volumes(spec: Object) -> Causes:
    seen: set[str] = set()
    for index, volume in enumerate(spec.get("volumes", [])):
        if volume["name"] in seen:
            yield cause("Duplicate", f"spec.volumes[{index}].name", f'Duplicate value: "{volume["name"]}"')
        seen.add(volume["name"])


def image(field: str, container: Object) -> Causes:
    name = container.get("image", "")
    if not name:
        yield required(f"{field}.image")
    elif name != name.strip():
        yield value_error(f"{field}.image", name, "must not have leading or trailing whitespace")


def ports(field: str, container: Object) -> Causes:
    for index, port in enumerate(container.get("ports", [])):
        number = port.get("containerPort", 0)
        if not 0 < number < 65536:
            where = f"{field}.ports[{index}].containerPort"
            yield value_error(where, number, "must be between 1 and 65535, inclusive")


def env(field: str, container: Object) -> Causes:
    for index, variable in enumerate(container.get("env", [])):
        if not re.fullmatch(r"[\x20-\x3c\x3e-\x7e]+", variable.get("name", "")):
            yield value_error(f"{field}.env[{index}].name", variable.get("name", ""), BAD_ENV)


def mounts(field: str, container: Object, names: set[str]) -> Causes:
    seen: set[str] = set()
    for index, mount in enumerate(container.get("volumeMounts", [])):
        where = f"{field}.volumeMounts[{index}]"
        if mount["name"] not in names:
            yield cause("NotFound", f"{where}.name", f'Not found: "{mount["name"]}"')
        if mount.get("mountPath", "") in seen:
            yield value_error(f"{where}.mountPath", mount["mountPath"], "must be unique")
        seen.add(mount.get("mountPath", ""))
        if ".." in mount.get("subPath", "").split("/"):
            yield value_error(f"{field}.volumeMounts.subPath", mount["subPath"], "must not contain '..'")


def resource_name(field: str, name: str) -> Causes:
    if "/" in name or name in STANDARD or name.startswith("hugepages-"):
        return
    for why in ("must be a standard resource type or fully qualified", "must be a standard resource for containers"):
        yield cause("Invalid", field, f"Invalid value: {name}: {why}")


def amount(field: str, name: str, value: str) -> Causes:
    yield from resource_name(field, name)
    number = parse(value).value
    if number < 0:
        yield value_error(field, value, "must be greater than or equal to 0")
    elif "/" in name and number != int(number):
        yield cause("Invalid", field, f"Invalid value: {as_go(value)}: must be an integer")


def amounts(field: str, container: Object) -> Causes:
    given = container.get("resources", {})
    limits, requests = given.get("limits", {}), given.get("requests", {})
    for part, values in (("limits", limits), ("requests", requests)):
        for name, value in values.items():
            yield from amount(f"{field}.resources.{part}[{name}]", name, value)
    for name, value in requests.items():
        yield from asked(f"{field}.resources", name, value, limits.get(name))


def asked(field: str, name: str, value: str, limit: str | None) -> Causes:
    if limit is None and "/" in name:
        yield required(f"{field}.limits", "Limit must be set for non overcommitable resources")
    elif limit is not None and parse(value).value > parse(limit).value:
        yield value_error(f"{field}.requests", value, f"must be less than or equal to {name} limit of {limit}")


def container(field: str, given: Object, names: set[str]) -> Causes:
    yield from image(field, given)
    yield from ports(field, given)
    yield from env(field, given)
    yield from mounts(field, given, names)
    if given["imagePullPolicy"] not in PULL:
        yield unsupported(f"{field}.imagePullPolicy", given["imagePullPolicy"], PULL)
    yield from amounts(field, given)


def tolerations(spec: Object) -> Causes:
    for index, found in enumerate(spec.get("tolerations", [])):
        if found.get("operator") == "Exists" and found.get("value"):
            why = "value must be empty when `operator` is 'Exists'"
            yield value_error(f"spec.tolerations[{index}].operator", found["value"], why)


def pod(given: Object) -> Causes:
    yield from metadata(given["metadata"])
    spec = given["spec"]
    yield from volumes(spec)
    names = {volume["name"] for volume in spec.get("volumes", [])}
    if not spec.get("containers"):
        yield required("spec.containers")
    for part in ("containers", "initContainers"):
        for index, found in enumerate(spec.get(part, [])):
            yield from container(f"spec.{part}[{index}]", found, names)
    if spec["restartPolicy"] not in RESTART:
        yield unsupported("spec.restartPolicy", spec["restartPolicy"], RESTART)
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and deadline < 1:
        yield value_error("spec.activeDeadlineSeconds", deadline, "must be between 1 and 2147483647, inclusive")
    yield from tolerations(spec)


def claim(given: Object) -> Causes:
    yield from metadata(given["metadata"])
    spec = given["spec"]
    for mode in spec.get("accessModes", []):
        if mode not in MODES:
            yield unsupported("spec.accessModes", mode, MODES)
    storage = spec.get("resources", {}).get("requests", {}).get("storage")
    if storage is None:
        yield required("spec.resources[storage]")
    elif parse(storage).value <= 0:
        yield value_error("spec.resources[storage]", storage, "must be greater than zero")


def check(resource: str, kind: str, given: Object) -> None:
    """Raise ApiError(422) with every fault that the object has."""
    checks = {"pods": pod, "persistentvolumeclaims": claim}
    causes = list(checks[resource](given) if resource in checks else metadata(given["metadata"]))
    if causes:
        raise invalid(kind, given["metadata"].get("name", ""), causes)


def warnings(resource: str, given: Object) -> list[str]:
    """Return what is accepted, but not without a word."""
    found = []
    name = given["metadata"]["name"]
    if resource == "pods" and len(name) > 63:
        found.append(
            "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; "
            "a DNS label is recommended: [must be no more than 63 characters]"
        )
    for index, one in enumerate(given.get("spec", {}).get("containers", []) if resource == "pods" else []):
        seen: set[str] = set()
        for place, variable in enumerate(one.get("env", [])):
            if variable["name"] in seen:
                where = f"spec.containers[{index}].env[{place}]"
                found.append(
                    f'{where}: hides previous definition of "{variable["name"]}", which may be dropped when using apply'
                )
            seen.add(variable["name"])
    return found


def log_options(name: str, tail: int | None, limit: int | None) -> ApiError | None:
    """Return the refusal of wrong log parameters."""
    causes = []
    if tail is not None and tail < 0:
        causes.append(value_error("tailLines", tail, "must be greater than or equal to 0"))
    if limit is not None and limit < 1:
        causes.append(value_error("limitBytes", limit, "must be greater than 0"))
    return invalid("PodLogOptions", name, causes) if causes else None
