"""API of images: check an image, list its packages, and list the images that CI built."""

from __future__ import annotations

from ...hub.scopes import READ_SCOPE
from ...usecases.ci_images import list_ci_images
from ...usecases.images import check_image
from ...usecases.session_queries import get_session_software
from ..answers import to_built_image_list, to_checked_answer, to_software_answer
from ..base import RenkuAPIHandler
from ..operations import BRANCH_PARAMETER, PACKAGE_SEARCH_PARAMETER, REPOSITORY_PARAMETER, APIOperation
from ..rate_limits import LimitedRequest, count_request
from .schemas import BuiltImageList, CheckBody, CheckedAnswer, SoftwareAnswer


class CheckImageAPIHandler(RenkuAPIHandler):
    calls = {
        "post": APIOperation(
            summary="Check an image: whether it exists and is public, what it is, and whether it can run here",
            scope=READ_SCOPE, body=CheckBody, answer=CheckedAnswer, errors=(422, 429),
        )
    }  # fmt: skip

    async def post(self) -> None:
        body = self.parse_body(CheckBody)
        count_request(self.context, self.person.name, LimitedRequest.IMAGE_CHECK)
        self.write_answer(
            to_checked_answer(await check_image(self.context, self.person, body.image, body.run.to_run_overrides()))
        )


class SessionPackageListAPIHandler(RenkuAPIHandler):
    calls = {
        "get": APIOperation(
            summary="Packages in the image that a session runs; 404 while they are unknown",
            scope=READ_SCOPE, answer=SoftwareAnswer, query=(PACKAGE_SEARCH_PARAMETER,),
        )
    }  # fmt: skip

    async def get(self, ref: str, session_id: str) -> None:
        session, software = await get_session_software(
            self.context, self.person, self.check_project_ref(ref), session_id
        )
        self.write_answer(to_software_answer(software, session.revision, self.get_search_text()))


class CiImageListAPIHandler(RenkuAPIHandler):
    calls = {
        "get": APIOperation(
            summary="Images that the CI of one of its repositories has built, for those who may add sessions",
            scope=READ_SCOPE, answer=BuiltImageList, query=(REPOSITORY_PARAMETER, BRANCH_PARAMETER), errors=(422, 503),
        )
    }  # fmt: skip

    async def get(self, ref: str) -> None:
        directory, branch = self.get_search_text("repository"), self.get_search_text("branch")
        repository, images = await list_ci_images(
            self.context, self.person, self.check_project_ref(ref), directory, branch
        )
        self.write_answer(to_built_image_list(repository.directory, images))
