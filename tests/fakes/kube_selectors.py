"""Label and field selectors, as the API server reads them."""

import re
from collections.abc import Callable
from typing import Any

from .kube_errors import bad_request

Object = dict[str, Any]
Match = Callable[[Object], bool]
TOKEN = re.compile(r"\s*(?:(!=|==|=|!|\(|\)|,|>|<)|([^\s=!(),<>]+))")
SPEC = ["nodeName", "restartPolicy", "schedulerName", "serviceAccountName", "hostNetwork"]
INVOLVED = ["kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath"]
FIELDS = {
    "pods": [*(f"spec.{name}" for name in SPEC), "status.phase", "status.podIP", "status.nominatedNodeName"],
    "events": [*(f"involvedObject.{name}" for name in INVOLVED), "reason", "reportingComponent", "source", "type"],
    "secrets": ["type"],
    "namespaces": ["status.phase"],
}
OPERATORS = {"=", "==", "!=", "in", "notin", "!"}


def value_at(value: Any, path: str) -> str:
    for part in path.split("."):
        value = value.get(part, "") if isinstance(value, dict) else ""
    return "" if value is None or isinstance(value, dict) else str(value)


class Labels:
    """A parser of one label selector."""

    def __init__(self, text: str) -> None:
        self.tokens = [mark or word for mark, word in TOKEN.findall(text)]

    def next(self) -> str:
        return self.tokens.pop(0) if self.tokens else ""

    def identifier(self) -> str:
        token = self.next()
        if token in OPERATORS - {"in", "notin"} or token in {"(", ")", ",", ""}:
            raise bad_request(f"unable to parse requirement: found '{token}', expected: identifier")
        return token

    def values(self) -> set[str]:
        if (token := self.next()) != "(":
            raise bad_request(f"unable to parse requirement: found '{token}', expected: '('")
        found = {self.identifier()}
        while (token := self.next()) == ",":
            found.add(self.identifier())
        if token != ")":
            raise bad_request(f"unable to parse requirement: found '{token}', expected: ',' or ')'")
        return found

    def value(self) -> str:
        return "" if not self.tokens or self.tokens[0] == "," else self.identifier()

    def requirement(self) -> Match:
        if self.tokens[0] == "!":
            self.next()
            absent = self.identifier()
            return lambda found: absent not in labels(found)
        key = self.identifier()
        if not self.tokens or self.tokens[0] == ",":
            return lambda found: key in labels(found)
        return self.comparison(key, self.next())

    def comparison(self, key: str, operator: str) -> Match:
        if operator not in OPERATORS:
            raise bad_request(
                f"unable to parse requirement: found '{operator}', expected: in, notin, =, ==, !=, gt, lt"
            )
        wanted = self.values() if operator in {"in", "notin"} else {self.value()}
        if operator in {"!=", "notin"}:
            return lambda found: labels(found).get(key) not in wanted
        return lambda found: labels(found).get(key) in wanted

    def all(self) -> list[Match]:
        found = []
        while self.tokens:
            found.append(self.requirement())
            if self.tokens and (token := self.next()) != ",":
                raise bad_request(f"unable to parse requirement: found '{token}', expected: ',' or 'end of string'")
        return found


def labels(found: Object) -> dict[str, str]:
    return found["metadata"].get("labels") or {}


def by_field(resource: str, text: str) -> Match:
    path, unequal, wanted = text.partition("!=")
    if not unequal:
        path, _, wanted = text.partition("=")
        wanted = wanted.removeprefix("=")
    known = ["metadata.name", "metadata.namespace", *FIELDS.get(resource, [])]
    if path not in known:
        raise bad_request(f"field label not supported: {path}")
    return lambda found: (value_at(found, path) == wanted) != bool(unequal)


def selector(resource: str, label_selector: str, field_selector: str) -> Match:
    """Join both selectors into one question; raises ApiError(400)."""
    tests = Labels(label_selector).all()
    tests += [by_field(resource, part) for part in field_selector.split(",") if part]
    return lambda found: all(test(found) for test in tests)
