"""Build the OpenAPI 3.1 document from the route table and the request and response models."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from ..hub.scopes import ANONYMOUS_ACCESS, CUSTOM_SCOPES, READ_SCOPE, SECRET_ACCESS
from .base import RenkuAPIHandler
from .instances.schemas import ProgressAnswer
from .operations import APIOperation
from .schemas import EmptyBody
from .sessions.schemas import ErrorAnswer

_SCHEMA_REF_TEMPLATE = "#/components/schemas/{model}"
_PATH_PARAMETER_TEXTS = {
    "project": "The id of a project, or its path with %2F for the slash",
    "session": "The id of a session",
    "environment": "The id of a ready-made environment",
    "name": "A user name",
    "storage": "The id of a storage; below its project also its directory",
}
_ERROR_RESPONSE_TEXTS = {
    400: "The body cannot be read",
    403: "No login, a token without the scope, or no right to do this",
    404: "There is no such thing, or you may not see it",
    405: "No such method",
    409: "It conflicts with existing data or with a concurrent change (`changed`)",
    413: "More than 64 kB",
    415: "Not application/json",
    422: "Well-formed, but not possible: see `fields`",
    429: "More changes in a minute than an admin allows (`too_many`); see Retry-After",
    503: "Not now; see Retry-After",
}
_TOKENLESS_ACCESS_TEXTS = {
    SECRET_ACCESS: "Header `X-Gitlab-Token`: the secret token.",
    ANONYMOUS_ACCESS: "No login is needed.",
}
_SUCCESS_RESPONSE_TEXTS = {200: "Done", 201: "Made", 202: "Under way", 204: "Done"}


class OpenAPIDocumentAPIHandler(RenkuAPIHandler):
    calls = {"get": APIOperation(summary="This description of the API", scope=READ_SCOPE)}

    def initialize(self, table: Callable[[], Iterable[Any]]) -> None:
        super().initialize()
        self._table = table

    async def get(self) -> None:
        self.finish(build_openapi_document(self._table(), self.urls.base))


def build_openapi_document(routes: Iterable[Any], base: str = "/hub/") -> dict[str, Any]:
    """Build the document for the API below the hub's prefix *base*."""
    described = [route for route in routes if issubclass(route.handler, RenkuAPIHandler)]
    refs, schemas = _collect_schemas(described)
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
        "paths": {_to_openapi_path(route.path): _build_path_item(route, refs) for route in described},
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "apiKey", "in": "header", "name": "Authorization",
                    "description": f"`token …`, of a user of the hub; scopes: {', '.join(CUSTOM_SCOPES)}",
                },
                "cookie": {"type": "apiKey", "in": "cookie", "name": "jupyterhub-hub-login"},
            },
        },
    }  # fmt: skip


def _collect_schemas(routes: Iterable[Any]) -> tuple[dict[Any, Any], dict[str, Any]]:
    """Return the references to all models, and the models."""
    calls = [call for route in routes for call in route.handler.calls.values()]
    bodies: set[type[BaseModel]] = {call.body for call in calls if call.body and call.body is not EmptyBody}
    answers: set[type[BaseModel]] = {call.answer for call in calls if call.answer} | {ErrorAnswer, ProgressAnswer}
    models: list[tuple[type[BaseModel], Any]] = [(model, "validation") for model in _sort_models(bodies)]
    models += [(model, "serialization") for model in _sort_models(answers)]
    refs, definitions = models_json_schema(models, ref_template=_SCHEMA_REF_TEMPLATE)
    return {model: ref for (model, _), ref in refs.items()}, definitions["$defs"]


def _sort_models(models: Iterable[type[BaseModel]]) -> list[type[BaseModel]]:
    return sorted(models, key=lambda model: model.__name__)


def _to_openapi_path(pattern: str) -> str:
    """Return `/projects/{project}/sessions/{session}` for a regular expression of the route table."""
    path = pattern.removeprefix("api/renku").replace("\\.", ".")
    path = path.replace("/environments/([a-z][a-z2-7]{11})", "/environments/{environment}")
    path = re.sub(r"/storages/(\(\[a-z\]\[a-z2-7\]\{11\}\)|\(\[\^/\]\+\))", "/storages/{storage}", path)
    path = path.replace("([a-z][a-z2-7]{11})", "{session}").replace("/members/([^/]+)", "/members/{name}")
    return path.replace("([^/]+)", "{project}")


def _build_path_item(route: Any, refs: dict[Any, Any]) -> dict[str, Any]:
    names = re.findall(r"\{(\w+)\}", _to_openapi_path(route.path))
    parameters = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string"},
            "description": _PATH_PARAMETER_TEXTS[name],
        }
        for name in names
    ]
    operations = {
        method: _build_operation(f"{method}_{route.name}", call, refs) for method, call in route.handler.calls.items()
    }
    return ({"parameters": parameters} if parameters else {}) | operations


def _build_operation(id: str, call: APIOperation, refs: dict[Any, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": id.replace("_api_", "_"),
        "summary": call.summary,
        "description": _describe_required_access(call),
        "responses": {str(status): _build_success_response(status, call, refs) for status in call.statuses}
        | {str(status): _build_failure_response(status, refs) for status in _list_error_statuses(call)},
    }
    if call.query:
        described["parameters"] = [
            {"name": p.name, "in": "query", "schema": {"type": p.kind}, "description": p.text} for p in call.query
        ]
    if call.body and call.body is not EmptyBody:
        described["requestBody"] = {"content": _build_media_types(refs[call.body], yaml=call.yaml)}
    return described


def _describe_required_access(call: APIOperation) -> str:
    return _TOKENLESS_ACCESS_TEXTS.get(call.scope, f"Scope: `{call.scope}`.")


def _list_error_statuses(call: APIOperation) -> list[int]:
    reading = (400, 413, 415, 422, 429) if call.body else (400,)
    return sorted({403, 404, *reading, *call.errors})


def _build_success_response(status: int, call: APIOperation, refs: dict[Any, Any]) -> dict[str, Any]:
    response: dict[str, Any] = {"description": _SUCCESS_RESPONSE_TEXTS[status]}
    if call.stream:
        text = "Events `data: {json}` of ProgressAnswer; in silence `event: ping` every 8 s"
        return {"description": text, "content": {"text/event-stream": {"schema": {"type": "string"}}}}
    if call.files:
        schema = {"type": "string", "format": "binary"}
        return {"description": "The file", "content": {kind: {"schema": schema} for kind in call.files}}
    if status != 204:
        schema = refs[call.answer] if call.answer else {"type": "object"}
        response["content"] = _build_media_types(schema, yaml=call.yaml and call.body is None)
    return response


def _build_media_types(schema: Any, *, yaml: bool) -> dict[str, Any]:
    kinds = ("application/json", "application/yaml") if yaml else ("application/json",)
    return {kind: {"schema": schema} for kind in kinds}


def _build_failure_response(status: int, refs: dict[Any, Any]) -> dict[str, Any]:
    return {
        "description": _ERROR_RESPONSE_TEXTS[status],
        "content": {"application/json": {"schema": refs[ErrorAnswer]}},
    }
