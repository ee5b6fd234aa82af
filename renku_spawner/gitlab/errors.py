"""The ways in which GitLab says no, in words for the person on whose behalf it was asked."""

from __future__ import annotations

from ..domain.errors import NOT_FOUND, Forbidden, NotFound, Unavailable


class LogInAgain(Forbidden):
    """GitLab does not take this person's token any more, or there is none (403)."""

    code = "log_in_again"

    def __init__(self) -> None:
        super().__init__("Your log-in at GitLab has ended. Please log in again.")


class Away(Unavailable):
    """GitLab does not answer, or not in time, or not with what was asked for (503)."""

    def __init__(self, *, retry_after: int = 10) -> None:
        super().__init__("GitLab does not answer at the moment.", retry_after=retry_after, code="gitlab_unavailable")


class Denied(Forbidden):
    """GitLab answered 403; `scope` is what the token would need, where GitLab says so."""

    def __init__(self, *, scope: str | None = None) -> None:
        super().__init__("GitLab does not allow you to do this.")
        self.scope = scope


class Missing(NotFound):
    """GitLab answered 404: it does not exist, or the person may not know that it does."""

    def __init__(self) -> None:
        super().__init__(NOT_FOUND)
