"""Handlers for the hub's health, resource classes, guides and unknown addresses."""

from __future__ import annotations

from tornado.web import HTTPError

from ..domain.administration import DependencyStatus
from ..domain.errors import UnavailableError, build_not_found_error
from ..domain.resource_classes import sort_resource_classes
from ..hub.scopes import ADMIN_SCOPE, ANONYMOUS_ACCESS, READ_SCOPE
from ..jobs.dependency_health import list_dependencies
from .base import RenkuAPIHandler, RenkuPageHandler
from .operations import APIOperation
from .request_parsing import check_query_parameters
from .schemas import HealthAnswer, NeighbourAnswer
from .sessions.schemas import ResourceClassList


class HealthAPIHandler(RenkuAPIHandler):
    """Report the hub's health from memory, so that requests never reach a dependency.

    The status is 200 while a dependency does not answer, because the rest of the hub works and its
    pages show the problem. Without the database it is 503.
    """

    calls = {
        "get": APIOperation(
            summary="Whether all services that Renku needs answer",
            scope=ANONYMOUS_ACCESS,
            answer=HealthAnswer,
            errors=(503,),
        )
    }

    async def authorize_request(self) -> None:
        """Allow requests without a login; only admins get the list of dependencies."""
        if self.request.method.lower() not in self.calls:
            raise HTTPError(405)
        check_query_parameters(self.request.query_arguments)

    async def get(self) -> None:
        dependencies = list_dependencies(self.context, self.settings["app"].spawner_class)
        detailed = self.has_scope(ADMIN_SCOPE)
        self.write_answer(_to_health_answer(dependencies, self.context.hub_health.refused_settings, detailed=detailed))


def _to_health_answer(found: list[DependencyStatus], refused: str | None, *, detailed: bool) -> HealthAnswer:
    """Build the answer. Raises UnavailableError without a database."""
    unreachable = {dependency.kind for dependency in found if dependency.away_since}
    if "database" in unreachable:
        raise UnavailableError("The database does not answer.", retry_after=5, code="database_away")
    return HealthAnswer(
        status="degraded" if unreachable else "ok",
        neighbours=[NeighbourAnswer.model_validate(dependency) for dependency in found] if detailed else None,
        refused_settings=refused if detailed else None,
    )


class ResourceClassListAPIHandler(RenkuAPIHandler):
    calls = {
        "get": APIOperation(
            summary="The sizes in which sessions run, smallest first", scope=READ_SCOPE, answer=ResourceClassList
        )
    }

    async def get(self) -> None:
        classes = sort_resource_classes(self.context.policy.classes)
        self.write_answer(
            ResourceClassList(
                items=[self.answer_builder.build_resource_class_answer(resource_class) for resource_class in classes]
            )
        )


class UnknownEndpointAPIHandler(RenkuAPIHandler):
    """Answer unknown addresses of the API with the 404 of hidden resources."""

    calls = dict.fromkeys(("get", "post", "put", "patch", "delete"), APIOperation(summary="", scope=READ_SCOPE))

    async def authorize_request(self) -> None:
        await super().authorize_request()
        raise build_not_found_error()


class RenkuHomeHandler(RenkuPageHandler):
    scope = {"get": READ_SCOPE}

    async def get(self) -> None:
        self.redirect(self.urls.projects)


class ImageGuideHandler(RenkuPageHandler):
    """The guide to the requirements of an image."""

    scope = {"get": READ_SCOPE}

    async def get(self) -> None:
        self.write_page("renku_image_guide.html", "projects")


class CiGuideHandler(RenkuPageHandler):
    """The guide to building images with CI."""

    scope = {"get": READ_SCOPE}

    async def get(self) -> None:
        rules = self.context.policy.ci
        pattern = rules.pattern.pattern if rules.pattern else ""
        self.write_page("renku_ci_guide.html", "projects", pattern=pattern, protected=rules.protected_only)


class UnknownPageHandler(RenkuPageHandler):
    """Answer unknown addresses of pages with the 404 of hidden resources."""

    scope = dict.fromkeys(("get", "post", "put", "patch", "delete"), READ_SCOPE)

    async def authorize_request(self) -> None:
        await super().authorize_request()
        raise build_not_found_error()
