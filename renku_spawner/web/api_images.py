"""The API of images: what a registry says of one before it is saved, and what is installed in it."""

from __future__ import annotations

from ..services import builds, images, installed
from . import answers_image, throttle
from .answer_models_image import BuiltImageList, CheckedAnswer, SoftwareAnswer
from .base_api import RenkuAPIHandler
from .bodies_image import CheckBody
from .operations import BRANCH, PACKAGES, REPOSITORY, Operation
from .scopes import READ


class Check(RenkuAPIHandler):
    calls = {
        "post": Operation(
            summary="Ask about an image: whether it is there and public, what it is, and whether it can run here",
            scope=READ, body=CheckBody, answer=CheckedAnswer, errors=(422, 429),
        )
    }  # fmt: skip

    async def post(self) -> None:
        body = self.body(CheckBody)
        throttle.count_check(self.parts, self.person.name)
        self.answer(answers_image.checked(await images.check(self.parts, self.person, body.image, body.run.value())))


class Packages(RenkuAPIHandler):
    calls = {
        "get": Operation(
            summary="What is installed in the image that a session runs; 404 while nobody has looked",
            scope=READ, answer=SoftwareAnswer, query=(PACKAGES,),
        )
    }  # fmt: skip

    async def get(self, ref: str, session_id: str) -> None:
        session, found = await installed.shown(self.parts, self.person, self.ref(ref), session_id)
        self.answer(answers_image.software(found, session.revision, self.search()))


class Built(RenkuAPIHandler):
    calls = {
        "get": Operation(
            summary="Images that the CI of one of its repositories has built, for those who may add sessions",
            scope=READ, answer=BuiltImageList, query=(REPOSITORY, BRANCH), errors=(422, 503),
        )
    }  # fmt: skip

    async def get(self, ref: str) -> None:
        directory, branch = self.search("repository"), self.search("branch")
        repository, found = await builds.listed(self.parts, self.person, self.ref(ref), directory, branch)
        self.answer(answers_image.builds(repository.directory, found))
