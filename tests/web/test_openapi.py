"""The description of the API: valid, complete, and the same as what the handlers check."""

import re

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from renku_spawner.hub.scopes import ANONYMOUS_ACCESS, CUSTOM_SCOPES, SECRET_ACCESS
from renku_spawner.web import schemas
from renku_spawner.web.base import RenkuAPIHandler
from renku_spawner.web.openapi import build_openapi_document
from renku_spawner.web.routes import ALL_ROUTES, API_ROUTES, PAGE_ROUTES
from renku_spawner.web.schemas import BaseBody

DOCUMENT = build_openapi_document(API_ROUTES)


def test_the_document_is_valid_openapi_3_1():
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_every_call_of_the_api_is_described():
    described = {
        (path, method) for path, item in DOCUMENT["paths"].items() for method in item if method != "parameters"
    }
    assert len(described) == sum(len(route.handler.calls) for route in API_ROUTES)
    assert all(re.fullmatch(r"(/([a-z-]+|\{[a-z]+\}|openapi\.json))+", path) for path, _ in described)


def test_every_operation_has_a_name_of_its_own_and_documents_its_errors():
    operations = [op for item in DOCUMENT["paths"].values() for method, op in item.items() if method != "parameters"]
    assert len({op["operationId"] for op in operations}) == len(operations)
    for operation in operations:
        assert {"403", "404"} <= set(operation["responses"])
        assert ("requestBody" in operation) <= ({"400", "413", "415", "422", "429"} <= set(operation["responses"]))


def test_unknown_fields_are_refused_by_every_body():
    models = [model for model in vars(schemas).values() if isinstance(model, type) and issubclass(model, BaseBody)]
    assert all(model.model_config["extra"] == "forbid" for model in models)


def test_a_handler_without_a_scope_cannot_be_made():
    with pytest.raises(TypeError, match="names no scope"):
        type("Open", (RenkuAPIHandler,), {"get": lambda self: None})


def test_every_route_names_a_scope_for_every_method_it_has():
    for route in ALL_ROUTES:
        scope = getattr(route.handler, "scope", None)
        alone = {"api_gitlab_hook": SECRET_ACCESS, "api_health": ANONYMOUS_ACCESS}
        known = {alone[route.name]} if route.name in alone else set(CUSTOM_SCOPES)
        assert route.name == "static" or (scope and set(scope.values()) <= known)


def test_no_two_routes_share_a_name_or_an_address():
    assert len({route.name for route in ALL_ROUTES}) == len(ALL_ROUTES)
    assert len({route.path for route in ALL_ROUTES}) == len(ALL_ROUTES)


@pytest.mark.parametrize("project", ["ada/climate", "group/sub/sub/climate", "a/b-/-c"])
@pytest.mark.parametrize(("rest", "name"), [("", "project"), ("/-/settings", "settings"), ("/-/sessions", "sessions")])
def test_a_project_may_lie_in_groups_of_groups(project: str, rest: str, name: str) -> None:
    found = [r.name for r in PAGE_ROUTES if re.fullmatch(r.path, f"renku/projects/{project}{rest}")]
    assert found == [name]
