"""The client's calls are those of the API, no more and no less."""

import subprocess
import sys

import pytest
from pydantic.json_schema import models_json_schema

from renku_spawner.client import hub_client
from renku_spawner.client.connection import HubEndpoint
from renku_spawner.client.hub_client import EmptyAnswer
from renku_spawner.web.openapi import build_openapi_document
from renku_spawner.web.routes import API_ROUTES

DOCUMENT = build_openapi_document(API_ROUTES)
SCHEMAS = DOCUMENT["components"]["schemas"]
METHODS = {"get", "post", "put", "patch", "delete"}
OFFERED = {(path, method) for path, item in DOCUMENT["paths"].items() for method in item if method in METHODS}
CLIENTS = {
    (call.path, call.method.lower()): name for name, call in vars(hub_client).items() if isinstance(call, HubEndpoint)
}

# What the client leaves out, and why.
OWN = "the same as /sessions/{session}/…, which needs no right in the project"
LEFT_OUT = {
    ("/openapi.json", "get"): "the description of the API itself",
    ("/me", "post"): "said by the server of a session, of itself",
    ("/gitlab-hook", "post"): "asked by GitLab, with a secret of its own",
    ("/git-credential", "post"): "asked by git inside a session, with the session's own token",
    ("/projects/{project}/sessions/{session}/pause", "post"): OWN,
    ("/projects/{project}/sessions/{session}/instance", "delete"): OWN,
    ("/projects/{project}/sessions/{session}/logs", "get"): OWN,
}


def schema(reference: dict) -> dict:
    return SCHEMAS[reference["$ref"].rpartition("/")[2]]


def of(model: type, mode: str) -> dict:
    """The schema of a model with those inside it, as the document has it."""
    _, made = models_json_schema([(model, mode)], ref_template="#/components/schemas/{model}")
    return made["$defs"]


def test_every_call_of_the_api_is_in_the_client_or_left_out_for_a_reason():
    assert CLIENTS.keys() | LEFT_OUT.keys() == OFFERED
    assert not CLIENTS.keys() & LEFT_OUT.keys()


@pytest.mark.parametrize("name", CLIENTS.values())
def test_a_call_takes_and_gives_what_the_document_says(name: str):
    call = getattr(hub_client, name)
    operation = DOCUMENT["paths"][call.path][call.method.lower()]
    bodies = [body["content"]["application/json"]["schema"] for body in [operation.get("requestBody")] if body]
    assert [schema(body) for body in bodies] == ([of(call.body, "validation")[call.body.__name__]] if call.body else [])
    good = [answer.get("content", {}) for status, answer in operation["responses"].items() if status < "300"]
    for content in good:
        if "text/event-stream" in content:
            assert call.answer.__name__ in operation["responses"]["200"]["description"]
        elif "$ref" in (said := content.get("application/json", {}).get("schema", {})):
            assert schema(said) == of(call.answer, "serialization")[call.answer.__name__]
        else:  # what may also go on for a while (202) ends without a body
            assert call.answer is EmptyAnswer or len(good) > 1


def test_a_client_is_loaded_without_the_hub():
    heavy = "{'jupyterhub', 'tornado', 'sqlalchemy', 'traitlets', 'aiohttp', 'alembic', 'gitlab'}"
    code = f"import sys, renku_spawner.client; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout == "[]\n"
