"""The API of a project's sessions as a document."""

from __future__ import annotations

import asyncio

from ..as_code.model import DocumentPart
from ..services import code_export
from . import documents
from .answer_models_code import PlanAnswer
from .base_api import RenkuAPIHandler
from .operations import DRY_RUN, PRUNE, Operation
from .scopes import READ, WRITE


class Export(RenkuAPIHandler):
    calls = {
        "get": Operation(
            summary="The sessions of a project as a document, which can be applied to it or to another",
            scope=READ, answer=DocumentPart, yaml=True,
        )
    }  # fmt: skip

    async def get(self, ref: str) -> None:
        _, found = await code_export.export(self.parts, self.person, self.ref(ref))
        kind, text = await documents.written(found, self.request.headers.get("Accept", ""))
        self.set_header("Content-Type", kind)
        self.set_header("Vary", "Accept")
        self.finish(text)


class Apply(RenkuAPIHandler):
    kinds = (documents.JSON, documents.YAML)
    calls = {
        "post": Operation(
            summary="Make a project's sessions what a document says; a second time changes nothing",
            scope=WRITE, body=DocumentPart, answer=PlanAnswer, query=(DRY_RUN, PRUNE), errors=(409, 503), yaml=True,
        )
    }  # fmt: skip

    async def post(self, ref: str) -> None:
        arguments = self.request.query_arguments
        dry, prune = documents.flag(arguments, "dry_run"), documents.flag(arguments, "prune")
        wanted = await documents.sent(self.request.headers.get("Content-Type", ""), self.request.body)
        do = documents.plan if dry else documents.apply
        planned = await do(self, self.ref(ref), wanted, prune=prune)
        self.finish(await asyncio.to_thread(documents.answer_json, planned, applied=not dry))
