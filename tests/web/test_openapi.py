"""The description of the API: valid, complete, and the same as what the handlers check."""

import re

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from renku_spawner.web import bodies, routes, scopes
from renku_spawner.web.base_api import RenkuAPIHandler
from renku_spawner.web.openapi import document

DOCUMENT = document(routes.API)


def test_the_document_is_valid_openapi_3_1():
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_every_call_of_the_api_is_described():
    described = {
        (path, method) for path, item in DOCUMENT["paths"].items() for method in item if method != "parameters"
    }
    assert len(described) == sum(len(route.handler.calls) for route in routes.API)
    assert all(re.fullmatch(r"(/([a-z-]+|\{[a-z]+\}|openapi\.json))+", path) for path, _ in described)


def test_every_operation_has_a_name_of_its_own_and_documents_its_errors():
    operations = [op for item in DOCUMENT["paths"].values() for method, op in item.items() if method != "parameters"]
    assert len({op["operationId"] for op in operations}) == len(operations)
    for operation in operations:
        assert {"403", "404"} <= set(operation["responses"])
        assert ("requestBody" in operation) <= ({"400", "413", "415", "422", "429"} <= set(operation["responses"]))


def test_unknown_fields_are_refused_by_every_body():
    models = [model for model in vars(bodies).values() if isinstance(model, type) and issubclass(model, bodies.Body)]
    assert all(model.model_config["extra"] == "forbid" for model in models)


def test_a_handler_without_a_scope_cannot_be_made():
    with pytest.raises(TypeError, match="names no scope"):
        type("Open", (RenkuAPIHandler,), {"get": lambda self: None})


def test_every_route_names_a_scope_for_every_method_it_has():
    for route in routes.ROUTES:
        scope = getattr(route.handler, "scope", None)
        alone = {"api_gitlab_hook": scopes.SECRET, "api_health": scopes.ANYBODY}
        known = {alone[route.name]} if route.name in alone else set(scopes.SCOPES)
        assert route.name == "static" or (scope and set(scope.values()) <= known)


def test_no_two_routes_share_a_name_or_an_address():
    assert len({route.name for route in routes.ROUTES}) == len(routes.ROUTES)
    assert len({route.path for route in routes.ROUTES}) == len(routes.ROUTES)


@pytest.mark.parametrize("project", ["ada/climate", "group/sub/sub/climate", "a/b-/-c"])
@pytest.mark.parametrize(("rest", "name"), [("", "project"), ("/-/settings", "settings"), ("/-/sessions", "sessions")])
def test_a_project_may_lie_in_groups_of_groups(project: str, rest: str, name: str) -> None:
    found = [r.name for r in routes.PAGES if re.fullmatch(r.path, f"renku/projects/{project}{rest}")]
    assert found == [name]
