"""Sessions that a repository describes, looked at and added; and a project's sessions as a file."""

from __future__ import annotations

from collections.abc import Mapping

from ..domain.access import Action
from ..services import code_export, code_offer
from . import documents, views_code
from .base_page import RenkuHandler
from .forms_code import DescribedForm
from .scopes import READ, WRITE


class Described(RenkuHandler):
    """What `.renku/sessions.yaml` of one of the project's repositories would change, and one click that does it."""

    scope = {"get": READ, "post": WRITE}

    async def form(self, ref: str, errors: Mapping[str, str]) -> None:
        project = await self.project(ref, Action.WRITE)
        offer, wanted = await code_offer.require(self.parts, self.person, project)
        plan = await documents.plan(self, project.id, wanted)
        view = views_code.page(plan, offer, self.frame)
        self.show("renku_sessions_described.html", "projects", errors=_of_the_page(errors), **view)

    async def get(self, ref: str) -> None:
        await self.form(ref, errors={})

    async def post(self, ref: str) -> None:
        seen = self.filled(DescribedForm).content
        project = await self.project(ref, Action.WRITE)
        _, wanted = await code_offer.require(self.parts, self.person, project, seen)
        await documents.apply(self, project.id, wanted)
        self.go(self.urls.project(project.path), "described")


def _of_the_page(errors: Mapping[str, str]) -> dict[str, str]:
    """What is wrong with a session stands beside it already; the rest is about the whole."""
    whole = [sentence for path, sentence in errors.items() if not path.startswith("sessions.")]
    return {"form": whole[0]} if whole else {}


class Exported(RenkuHandler):
    """The project's sessions as YAML, to be kept."""

    scope = {"get": READ}

    async def get(self, ref: str) -> None:
        _, found = await code_export.export(self.parts, self.person, self.ref(ref))
        kind, text = await documents.written(found, "")
        self.set_header("Content-Type", kind)
        self.set_header("Content-Disposition", 'attachment; filename="sessions.yaml"')
        self.write(text)
