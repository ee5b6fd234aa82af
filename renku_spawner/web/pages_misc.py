"""The way in, and the page for what is not there."""

from __future__ import annotations

from ..domain.errors import not_found
from .base_page import RenkuHandler
from .scopes import READ


class Home(RenkuHandler):
    scope = {"get": READ}

    async def get(self) -> None:
        self.redirect(self.urls.projects)


class ImageGuide(RenkuHandler):
    """What an image needs, in plain words."""

    scope = {"get": READ}

    async def get(self) -> None:
        self.show("renku_image_guide.html", "projects")


class CiGuide(RenkuHandler):
    """How CI builds an image that counts."""

    scope = {"get": READ}

    async def get(self) -> None:
        rules = self.parts.policy.ci
        pattern = rules.pattern.pattern if rules.pattern else ""
        self.show("renku_ci_guide.html", "projects", pattern=pattern, protected=rules.protected_only)


class Nowhere(RenkuHandler):
    """Any address below ours that is none: the same 404 as for what is hidden."""

    scope = dict.fromkeys(("get", "post", "put", "patch", "delete"), READ)

    async def admit(self) -> None:
        await super().admit()
        raise not_found()
