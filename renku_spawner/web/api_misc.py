"""The API of what is offered to all: resource classes."""

from __future__ import annotations

from ..domain.errors import not_found
from ..domain.resources import ordered
from .answer_models import ResourceClassList
from .base_api import RenkuAPIHandler
from .operations import Operation
from .scopes import READ


class ResourceClasses(RenkuAPIHandler):
    calls = {
        "get": Operation(
            summary="The sizes in which sessions run, smallest first", scope=READ, answer=ResourceClassList
        )
    }

    async def get(self) -> None:
        found = ordered(self.parts.policy.classes)
        self.answer(ResourceClassList(items=[self.answers.resource_class(each) for each in found]))


class Nowhere(RenkuAPIHandler):
    """Any address below ours that is none: the same 404 as for what is hidden."""

    calls = dict.fromkeys(("get", "post", "put", "patch", "delete"), Operation(summary="", scope=READ))

    async def admit(self) -> None:
        await super().admit()
        raise not_found()
