"""Webhook through which GitLab reports events of a project."""

from __future__ import annotations

import hmac
from typing import Any

from ..domain.errors import build_not_found_error
from ..hub.scopes import SECRET_ACCESS
from ..usecases.ci_images import expire_ci_image_status
from .base import RenkuAPIHandler
from .operations import APIOperation
from .request_parsing import MAX_BODY_BYTES, parse_json_object
from .security import check_content_type

_MAX_WEBHOOK_BODY_BYTES = 1 << 20  # an event about a pipeline lists all its jobs


class GitLabWebhookAPIHandler(RenkuAPIHandler):
    """Webhook of GitLab (https://docs.gitlab.com/user/project/integrations/webhooks/).

    It has no user, no scope and no XSRF token: only the secret authorizes it. It expires the
    CI image status of a project, so that the next query asks GitLab again.
    """

    calls = {
        "post": APIOperation(summary="Tell that something happened in GitLab", scope=SECRET_ACCESS, statuses=(204,))
    }

    def check_xsrf_cookie(self) -> None:
        """Skip the check, because no cookie is used."""

    @property
    def body_limit(self) -> int:  # type: ignore[override]
        return _MAX_WEBHOOK_BODY_BYTES if self._has_webhook_secret() else MAX_BODY_BYTES

    async def authorize_request(self) -> None:
        """Authorize by the secret, without a login. Raises NotFoundError without the secret."""
        if not self._has_webhook_secret():
            raise build_not_found_error()
        check_content_type(self)

    def _has_webhook_secret(self) -> bool:
        wanted = self.context.policy.hook_secret.encode()
        given = self.request.headers.get("X-Gitlab-Token", "").encode()
        return bool(wanted) and hmac.compare_digest(wanted, given)

    async def post(self) -> None:
        number = parse_project_number(parse_json_object(self.request.body))
        if number is not None:
            await expire_ci_image_status(self.context, str(number))
        self.set_status(204)


def parse_project_number(event: dict[str, Any]) -> int | None:
    """Return the number of the project that *event* is about; None for other events."""
    project = event.get("project")
    number = project.get("id") if isinstance(project, dict) else event.get("project_id")
    return number if isinstance(number, int) and not isinstance(number, bool) else None
