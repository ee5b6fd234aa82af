"""Where GitLab tells that something has happened in a project."""

from __future__ import annotations

import hmac
from typing import Any

from ..domain.errors import not_found
from ..services import build_news
from . import entrance, reading
from .base_api import RenkuAPIHandler
from .operations import Operation
from .scopes import SECRET

_LIMIT = 1 << 20  # bytes; a pipeline of many jobs is told with all of them


class GitLabHook(RenkuAPIHandler):
    """A webhook of GitLab (https://docs.gitlab.com/user/project/integrations/webhooks/).

    It is in nobody's name, so there is no user, no scope and no XSRF token: what counts is
    the secret alone. All that it does is to let the next look at a project ask GitLab again.
    """

    calls = {"post": Operation(summary="Tell that something happened in GitLab", scope=SECRET, statuses=(204,))}

    def check_xsrf_cookie(self) -> None:
        """No cookie counts here."""

    @property
    def body_limit(self) -> int:  # type: ignore[override]
        return _LIMIT if self._has_secret() else reading.BODY_LIMIT

    async def admit(self) -> None:
        """Nobody need be logged in; whoever has not the secret is told nothing."""
        if not self._has_secret():
            raise not_found()
        entrance.check_kind(self)

    def _has_secret(self) -> bool:
        wanted = self.parts.policy.hook_secret.encode()
        given = self.request.headers.get("X-Gitlab-Token", "").encode()
        return bool(wanted) and hmac.compare_digest(wanted, given)

    async def post(self) -> None:
        number = project_of(reading.json_object(self.request.body))
        if number is not None:
            await build_news.expire(self.parts, str(number))
        self.set_status(204)


def project_of(event: dict[str, Any]) -> int | None:
    """The number of the project that an event is about; None for one of something else."""
    project = event.get("project")
    number = project.get("id") if isinstance(project, dict) else event.get("project_id")
    return number if isinstance(number, int) and not isinstance(number, bool) else None
