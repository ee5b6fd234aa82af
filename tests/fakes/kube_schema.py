"""Decode a body as the API server does: types are checked, unknown fields dropped, empty values left away."""

import json
import re
from typing import Any

from kubernetes_asyncio.client import models

from .kube_errors import ApiError, bad_request
from .quantity import BadQuantity, canonical

NAMES = {bool: "bool", int: "number", float: "number", str: "string", list: "array", dict: "object"}
SIMPLE = {"str": (str,), "int": (int,), "float": (int, float), "bool": (bool,)}
QUANTITIES = {"limits", "requests", "capacity", "hard", "used", "max", "min", "default", "defaultRequest"}
POINTERS = {  # a false, 0 or {} of these is kept, as Go keeps what a pointer points to
    "automountServiceAccountToken", "allowPrivilegeEscalation", "privileged", "runAsNonRoot", "readOnlyRootFilesystem",
    "runAsUser", "runAsGroup", "fsGroup", "priority", "enableServiceLinks", "optional", "shareProcessNamespace",
    "terminationGracePeriodSeconds", "activeDeadlineSeconds", "tolerationSeconds", "controller", "blockOwnerDeletion",
    "gracePeriodSeconds", "defaultMode", "mode", "immutable",
}  # fmt: skip
ALWAYS = {"name", "key", "containerPort"}  # fields that Go writes also when they are empty


class Decoder:
    """Collects, while it walks an object, the fields that nobody knows."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.unknown: list[str] = []

    def wrong(self, what: str) -> ApiError:
        return bad_request(f'{self.kind} in version "v1" cannot be handled as a {self.kind}: {what}')

    def walk(self, value: Any, wanted: str, path: str, owner: str = "") -> Any:
        if value is None or wanted in {"object", "datetime"}:
            return value
        if match := re.fullmatch(r"list\[(.+)\]", wanted):
            return self.items(value, match[1], path, owner)
        if match := re.fullmatch(r"dict\(str, (.+)\)", wanted):
            return self.entries(value, match[1], path, owner)
        if wanted in SIMPLE:
            return self.simple(value, wanted, path, owner)
        return self.model(value, wanted, path, owner)

    def check(self, value: Any, kinds: tuple[type, ...], shown: str, path: str, owner: str) -> None:
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            plain = re.sub(r"\[\d+\]", "", path)
            where = f"Go struct field {owner}.{plain}" if owner else "Go value"
            raise self.wrong(f"json: cannot unmarshal {NAMES[type(value)]} into {where} of type {shown}")

    def simple(self, value: Any, wanted: str, path: str, owner: str) -> Any:
        shown = {"str": "string", "int": "int32", "float": "float64", "bool": "bool"}[wanted]
        self.check(value, SIMPLE[wanted], shown, path, owner)
        return value

    def items(self, value: Any, inner: str, path: str, owner: str) -> list:
        self.check(value, (list,), f"[]v1.{inner.removeprefix('V1')}", path, owner)
        return [self.walk(item, inner, f"{path}[{index}]", owner) for index, item in enumerate(value)]

    def entries(self, value: Any, inner: str, path: str, owner: str) -> dict:
        self.check(value, (dict,), "map[string]string", path, owner)
        if path.rpartition(".")[2] in QUANTITIES:
            return {key: self.quantity(entry) for key, entry in value.items()}
        return {key: self.walk(entry, inner, f"{path}.{key}", owner) for key, entry in value.items()}

    def quantity(self, value: Any) -> str:
        try:
            return canonical(value)
        except BadQuantity as error:
            raise self.wrong(str(error)) from error

    def model(self, value: Any, wanted: str, path: str, owner: str) -> dict:
        model = getattr(models, wanted)
        name = re.sub("^(V1|Core)+", "", wanted)
        self.check(value, (dict,), f"v1.{name}", path, owner)
        fields = {model.attribute_map[field]: kind for field, kind in model.openapi_types.items()}
        found = {}
        for key, entry in value.items():
            where = f"{path}.{key}" if path else key
            if key not in fields:
                self.unknown.append(where)
                continue
            decoded = self.walk(entry, fields[key], where, name)
            if key == "sizeLimit" and decoded is not None:
                decoded = self.quantity(decoded)
            if kept(key, decoded, fields[key]):
                found[key] = decoded
        return found


def kept(key: str, value: Any, wanted: str) -> bool:
    if value is None or value == [] or (value == {} and wanted.startswith("dict")):
        return False
    if not value and not isinstance(value, dict):  # false, 0 or ""
        return key in POINTERS or key in ALWAYS
    return True


def parse(raw: bytes, kind: str) -> dict[str, Any]:
    """Read the JSON of a body and see that it is a `kind`; raises ApiError(400)."""
    try:
        value = json.loads(raw)
    except ValueError as error:
        text = raw.decode(errors="replace")
        position = getattr(error, "pos", 0)
        place = "object key string" if "property name" in str(error) else "value"
        found = f"invalid character '{text[position : position + 1]}' looking for beginning of {place}"
        raise bad_request(
            f"the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; "
            f"json parse error: {found} ({text[:40]})"
        ) from error
    given = value.get("kind", kind)
    if given != kind:
        raise bad_request(
            f'{given} in version "v1" cannot be handled as a {kind}: '
            f"converting (v1.{given}) to (core.{kind}): unknown conversion"
        )
    return value


def decode(value: dict[str, Any], kind: str) -> tuple[dict[str, Any], list[str]]:
    """Return the object without its kind, and the paths of unknown fields; raises ApiError(400)."""
    decoder = Decoder(kind)
    found = decoder.walk(value, f"V1{kind}", "")
    found.setdefault("metadata", {})
    return {key: entry for key, entry in found.items() if key not in {"kind", "apiVersion"}}, decoder.unknown
