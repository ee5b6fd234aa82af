"""Declare the operations of the API: scope, body, answer and query parameters.

Handlers and OpenAPI both use these declarations.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel


@dataclass(frozen=True)
class QueryParameter:
    """A query parameter of an operation."""

    name: str
    text: str
    kind: str = "string"


SEARCH_PARAMETER = QueryParameter("search", "Only entries that contain this text")
PACKAGE_SEARCH_PARAMETER = QueryParameter("search", "Only packages with this in their name, version or kind")
LIMIT_PARAMETER = QueryParameter("limit", "How many at most, 1 to 100; usually 20", "integer")
AFTER_PARAMETER = QueryParameter("after", "Where the list goes on; take it from `next`")
SORT_PARAMETER = QueryParameter("sort", "started (the usual order), used, name, size or expiry")
REPOSITORY_PARAMETER = QueryParameter(
    "repository", "The directory of a repository that lives in GitLab; the project's own if left out"
)
BRANCH_PARAMETER = QueryParameter("branch", "One of its branches; the default one if left out")
KEYWORD_PARAMETER = QueryParameter("keyword", "Only environments with this keyword")
STATE_PARAMETER = QueryParameter("state", "Only for admins: draft, active, deprecated, archived, or all")
DRY_RUN_PARAMETER = QueryParameter("dry_run", "Only say what would change", "boolean")
PRUNE_PARAMETER = QueryParameter(
    "prune", "Remove the sessions that are not in it too, unless other people have data in them", "boolean"
)
LINES_PARAMETER = QueryParameter("lines", "How many lines at most, 1 to 1000; usually 200", "integer")


@dataclass(frozen=True, kw_only=True)
class APIOperation:
    """One method of one address.

    `scope` is the scope that a token needs, `statuses` are the success codes, `errors` the error codes besides 403, 404
    and 405. `stream` marks server-sent events, `yaml` bodies and answers that may be YAML too; `files` are the media
    types of an answer that is a file.
    """

    summary: str
    scope: str
    body: type[BaseModel] | None = None
    answer: type[BaseModel] | None = None
    statuses: tuple[int, ...] = (200,)
    query: tuple[QueryParameter, ...] = ()
    errors: tuple[int, ...] = ()
    stream: bool = False
    yaml: bool = False
    files: tuple[str, ...] = ()
