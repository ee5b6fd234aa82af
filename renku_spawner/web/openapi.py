"""The description of the API, made from the table of routes and the models: OpenAPI 3.1."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from .answer_models import ErrorAnswer
from .answer_models_instance import ProgressAnswer
from .base_api import RenkuAPIHandler
from .bodies import Nothing
from .operations import Operation
from .scopes import ANYBODY, READ, SCOPES, SECRET

_REF = "#/components/schemas/{model}"
_PARAMETERS = {
    "project": "The id of a project, or its path with %2F for the slash",
    "session": "The id of a session",
    "environment": "The id of a ready-made environment",
    "name": "A user name",
    "storage": "The id of a storage; below its project also its directory",
}
_ERRORS = {
    400: "The body cannot be read",
    403: "No login, a token without the scope, or no right to do this",
    404: "There is no such thing, or you may not see it",
    405: "No such method",
    409: "It clashes with what is there, or somebody else was faster (`changed`)",
    413: "More than 64 kB",
    415: "Not application/json",
    422: "Well-formed, but not possible: see `fields`",
    429: "More changes in a minute than an admin allows (`too_many`); see Retry-After",
    503: "Not now; see Retry-After",
}
_OTHERS = {SECRET: "Header `X-Gitlab-Token`: the secret token.", ANYBODY: "No login is needed."}
_GOOD = {200: "Done", 201: "Made", 202: "Under way", 204: "Done"}


class OpenAPI(RenkuAPIHandler):
    calls = {"get": Operation(summary="This description of the API", scope=READ)}

    def initialize(self, table: Callable[[], Iterable[Any]]) -> None:
        super().initialize()
        self._table = table

    async def get(self) -> None:
        self.finish(document(self._table(), self.urls.base))


def document(routes: Iterable[Any], base: str = "/hub/") -> dict[str, Any]:
    """The document for the API below the hub's prefix *base*."""
    described = [route for route in routes if issubclass(route.handler, RenkuAPIHandler)]
    refs, schemas = _schemas(described)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Renku",
            "version": "1",
            "description": "Projects and the sessions people work in. `Authorization: token …`, or the hub's cookie "
            "with the header `X-XSRFToken`. What you may not see does not exist (404); unknown fields are refused.",
        },
        "servers": [{"url": f"{base}api/renku"}],
        "security": [{"token": []}, {"cookie": []}],
        "paths": {_path(route.path): _item(route, refs) for route in described},
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "apiKey", "in": "header", "name": "Authorization",
                    "description": f"`token …`, of a user of the hub; scopes: {', '.join(SCOPES)}",
                },
                "cookie": {"type": "apiKey", "in": "cookie", "name": "jupyterhub-hub-login"},
            },
        },
    }  # fmt: skip


def _schemas(routes: Iterable[Any]) -> tuple[dict[Any, Any], dict[str, Any]]:
    """References to all models, and the models."""
    calls = [call for route in routes for call in route.handler.calls.values()]
    bodies: set[type[BaseModel]] = {call.body for call in calls if call.body and call.body is not Nothing}
    answers: set[type[BaseModel]] = {call.answer for call in calls if call.answer} | {ErrorAnswer, ProgressAnswer}
    wanted: list[tuple[type[BaseModel], Any]] = [(model, "validation") for model in _sorted(bodies)]
    wanted += [(model, "serialization") for model in _sorted(answers)]
    refs, definitions = models_json_schema(wanted, ref_template=_REF)
    return {model: ref for (model, _), ref in refs.items()}, definitions["$defs"]


def _sorted(models: Iterable[type[BaseModel]]) -> list[type[BaseModel]]:
    return sorted(models, key=lambda model: model.__name__)


def _path(pattern: str) -> str:
    """`/projects/{project}/sessions/{session}` from a regular expression of the table."""
    path = pattern.removeprefix("api/renku").replace("\\.", ".")
    path = path.replace("/environments/([a-z][a-z2-7]{11})", "/environments/{environment}")
    path = re.sub(r"/storages/(\(\[a-z\]\[a-z2-7\]\{11\}\)|\(\[\^/\]\+\))", "/storages/{storage}", path)
    path = path.replace("([a-z][a-z2-7]{11})", "{session}").replace("/members/([^/]+)", "/members/{name}")
    return path.replace("([^/]+)", "{project}")


def _item(route: Any, refs: dict[Any, Any]) -> dict[str, Any]:
    names = re.findall(r"\{(\w+)\}", _path(route.path))
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}, "description": _PARAMETERS[name]}
        for name in names
    ]
    operations = {
        method: _operation(f"{method}_{route.name}", call, refs) for method, call in route.handler.calls.items()
    }
    return ({"parameters": parameters} if parameters else {}) | operations


def _operation(id: str, call: Operation, refs: dict[Any, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": id.replace("_api_", "_"),
        "summary": call.summary,
        "description": _needs(call),
        "responses": {str(status): _good(status, call, refs) for status in call.statuses}
        | {str(status): _bad(status, refs) for status in _failures(call)},
    }
    if call.query:
        described["parameters"] = [
            {"name": p.name, "in": "query", "schema": {"type": p.kind}, "description": p.text} for p in call.query
        ]
    if call.body and call.body is not Nothing:
        described["requestBody"] = {"content": _content(refs[call.body], yaml=call.yaml)}
    return described


def _needs(call: Operation) -> str:
    return _OTHERS.get(call.scope, f"Scope: `{call.scope}`.")


def _failures(call: Operation) -> list[int]:
    reading = (400, 413, 415, 422, 429) if call.body else (400,)
    return sorted({403, 404, *reading, *call.errors})


def _good(status: int, call: Operation, refs: dict[Any, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {"description": _GOOD[status]}
    if call.stream:
        text = "Events `data: {json}` of ProgressAnswer; in silence `event: ping` every 8 s"
        return {"description": text, "content": {"text/event-stream": {"schema": {"type": "string"}}}}
    if call.file:
        return {"description": "The file", "content": {call.file: {"schema": {"type": "string", "format": "binary"}}}}
    if status != 204:
        schema = refs[call.answer] if call.answer else {"type": "object"}
        said["content"] = _content(schema, yaml=call.yaml and call.body is None)
    return said


def _content(schema: Any, *, yaml: bool) -> dict[str, Any]:
    kinds = ("application/json", "application/yaml") if yaml else ("application/json",)
    return {kind: {"schema": schema} for kind in kinds}


def _bad(status: int, refs: dict[Any, Any]) -> dict[str, Any]:
    return {"description": _ERRORS[status], "content": {"application/json": {"schema": refs[ErrorAnswer]}}}
