"""What a call of the API takes and gives, said once: the handler is checked by it, OpenAPI is made from it."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel


@dataclass(frozen=True)
class Parameter:
    """A parameter of the address."""

    name: str
    text: str
    kind: str = "string"


SEARCH = Parameter("search", "Only what has this in its words")
PACKAGES = Parameter("search", "Only packages with this in their name, version or kind")
LIMIT = Parameter("limit", "How many at most, 1 to 100; usually 20", "integer")
AFTER = Parameter("after", "Where the list goes on; take it from `next`")
SORT = Parameter("sort", "started (the usual order), used, name, size or expiry")
REPOSITORY = Parameter(
    "repository", "The directory of a repository that lives in GitLab; the project's own if left out"
)
BRANCH = Parameter("branch", "One of its branches; the default one if left out")
KEYWORD = Parameter("keyword", "Only environments with this keyword")
STATE = Parameter("state", "Only for admins: draft, active, deprecated, archived, or all")
DRY_RUN = Parameter("dry_run", "Only say what would change", "boolean")
PRUNE = Parameter(
    "prune", "Remove the sessions that are not in it too, unless other people have data in them", "boolean"
)
LINES = Parameter("lines", "How many lines at most, 1 to 1000; usually 200", "integer")


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method of one address.

    `scope` is what a token needs, `statuses` are what it answers when all is well
    (several where that tells something), `errors` what it may answer besides 403, 404
    and 405; `stream` marks server-sent events, `yaml` what is taken or given as YAML, too;
    `file` is the type of what is no JSON.
    """

    summary: str
    scope: str
    body: type[BaseModel] | None = None
    answer: type[BaseModel] | None = None
    statuses: tuple[int, ...] = (200,)
    query: tuple[Parameter, ...] = ()
    errors: tuple[int, ...] = ()
    stream: bool = False
    yaml: bool = False
    file: str | None = None
