"""Write docs/api.md, openapi.json and sessions.schema.json from the handlers; a test keeps them current."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from renku_spawner.domain.session_files import DocumentPart
from renku_spawner.hub.scopes import CUSTOM_SCOPES
from renku_spawner.web.openapi import build_openapi_document
from renku_spawner.web.routes import API_ROUTES

PAGE = Path(__file__).with_name("api.md")
_TOP = """# The API

This page is made from the code (`python docs/api.py`). All paths are below `{hub}/api/renku`. The same as OpenAPI 3.1
is in [openapi.json](openapi.json), which a hub serves at `{hub}/api/renku/openapi.json`.

Send `Authorization: token …` with a JupyterHub API token, or the hub's cookie with the header `X-XSRFToken`. Request
bodies are JSON objects of at most 64 kB with `Content-Type: application/json`; fields that are not listed here are
refused. `{project}` is the id of a project, or its path with `%2F` for the slash. An object that you may not see does
not exist (404).

Errors look like `{"status": 422, "code": "invalid", "message": "…", "fields": {"cpu": "…"}}`. Lists look like
`{"items": […], "next": "<address>" | null}`. A change sends the `version` that was read. If another user has changed
the object since, the response is 409 with the code `changed`. After 429 (more changes in a minute than an admin
allows) and 503, retry after the time in `Retry-After`.
"""


def page() -> str:
    """Build the page."""
    described = build_openapi_document(API_ROUTES)
    parts = [_TOP, _scopes(), "## Calls\n", *_calls(described), "## Objects\n", *_objects(described)]
    return "\n".join(parts).rstrip() + "\n"


def openapi() -> str:
    """Build the OpenAPI document that a hub serves."""
    return json.dumps(build_openapi_document(API_ROUTES), indent=1, ensure_ascii=False) + "\n"


def _scopes() -> str:
    rows = "\n".join(f"| `{name}` | {scope['description']} |" for name, scope in CUSTOM_SCOPES.items())
    return f"## Scopes of tokens\n\n| scope | allows |\n| --- | --- |\n{rows}\n"


def _calls(described: dict[str, Any]) -> Iterator[str]:
    for path, item in described["paths"].items():
        for method, call in item.items():
            if method != "parameters":
                yield "\n".join(_call(path, method, call)) + "\n"


def _call(path: str, method: str, call: dict[str, Any]) -> Iterator[str]:
    yield f"### {method.upper()} {path}\n"
    yield f"{call['summary']}. {call['description']}\n"
    for parameter in call.get("parameters", []):
        yield f"- `?{parameter['name']}=`: {parameter['description']}"
    if "requestBody" in call:
        yield f"- body: {_named(call['requestBody'])}"
    for status, answer in call["responses"].items():
        if status < "400":
            yield f"- {status}: {_named(answer)}"
    yield f"- also {', '.join(status for status in call['responses'] if status >= '400')}"


def _named(answer: dict[str, Any]) -> str:
    kinds = answer.get("content", {})
    if "text/event-stream" in kinds:
        return "server-sent events, `data:` is a [ProgressAnswer](#progressanswer)"
    if kinds and "application/json" not in kinds:
        return f"a file, `{next(iter(kinds))}`"
    return _type(kinds["application/json"]["schema"]) if kinds else "nothing"


def _objects(described: dict[str, Any]) -> Iterator[str]:
    for name, schema in sorted(described["components"]["schemas"].items()):
        yield f"### {name}\n"
        if "description" in schema:
            yield f"{' '.join(schema['description'].split())}\n"
        yield "| field | | |\n| --- | --- | --- |\n" + "\n".join(_fields(schema)) + "\n"


def _fields(schema: dict[str, Any]) -> Iterable[str]:
    required = schema.get("required", [])
    for name, field in schema.get("properties", {}).items():
        said = field.get("description", "")
        words = (
            [said] if name in required else [said, f"`{_default(field)}` if left out"] if "default" in field else [said]
        )
        yield f"| `{name}` | {_type(field)} | {'; '.join(word for word in words if word)} |"


def _default(field: dict[str, Any]) -> str:
    return json.dumps(field["default"])


def _type(field: dict[str, Any]) -> str:
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "enum" in field:
        return " \\| ".join(f"`{value}`" for value in field["enum"])
    if "anyOf" in field:
        return " \\| ".join(_type(each) for each in field["anyOf"])
    if field.get("type") == "array":
        return f"list of {_type(field['items'])}"
    return str(field.get("format") or field.get("type") or "any")


def schema() -> str:
    """Build the JSON schema of the file that docs/sessions-as-code.md describes."""
    made = {"$schema": "https://json-schema.org/draft/2020-12/schema", **DocumentPart.model_json_schema()}
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
    PAGE.with_name("openapi.json").write_text(openapi())
    PAGE.with_name("sessions.schema.json").write_text(schema())
