"""A request to the fake GitLab as its handlers see it, what they answer, and which handler it goes to."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from .gitlab_world import Token, User

if TYPE_CHECKING:
    from .gitlab import FakeGitLab
    from .gitlab_project import Project

YES = {"true", "1", "t", "yes", "on"}
READ = ("api", "read_api")


@dataclass
class Reply:
    """`body`: an object is sent as JSON, text and bytes as they are."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def raw(self) -> bytes:
        if isinstance(self.body, str | bytes):
            return self.body if isinstance(self.body, bytes) else self.body.encode()
        return json.dumps(self.body, separators=(",", ":"), ensure_ascii=False).encode()


class Refusal(Exception):
    """An answer that ends the handling of a request."""

    def __init__(self, status: int, body: Any, **headers: str) -> None:
        super().__init__(status, body)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        self.reply = Reply(body, status, names)


def message(status: int, text: str) -> Refusal:
    """What most refusals look like."""
    return Refusal(status, {"message": f"{status} {text}"})


def wrong(text: str, status: int = 400) -> Refusal:
    """What parameters that make no sense are told."""
    return Refusal(status, {"error": text})


@dataclass
class Call:
    """`args` are the parts of the path that the route names, decoded; `query` keeps the last of equal keys."""

    lab: "FakeGitLab"
    method: str
    path: str  # raw, without the query
    query_string: str
    headers: Mapping[str, str]
    body: bytes = b""
    args: dict[str, str] = field(default_factory=dict)
    token: Token | None = None

    @property
    def user(self) -> User | None:
        return self.token.user if self.token else None

    @cached_property
    def pairs(self) -> list[tuple[str, str]]:
        return parse_qsl(self.query_string, keep_blank_values=True)

    @cached_property
    def query(self) -> dict[str, str]:
        return dict(self.pairs)

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(errors="replace"), keep_blank_values=True))

    def asks(self, name: str) -> bool:
        return self.query.get(name, "").lower() in YES

    def many(self, name: str) -> list[str]:
        """An array, however it is written: `a[]=1&a[]=2` or `a=1,2`."""
        found = [value for key, value in self.pairs if key == f"{name}[]"]
        return found or [value for value in self.query.get(name, "").split(",") if value]

    @property
    def project(self) -> "Project":
        """The project of the path, by number or full path; raises Refusal if the caller may not know of it."""
        given, world = self.args["id"], self.lab.world
        found: Project | None = None
        if re.fullmatch(r"-?\d+", given):
            found = world.projects.get(int(given))
        elif "/" in given:
            found = world.project_at(given)
            if found is None and (moved := world.moved(given)) and moved.visible(self.user):
                raise self.elsewhere(moved)
        if found is None or not found.visible(self.user):
            raise message(404, "Project Not Found")
        return found

    def elsewhere(self, project: "Project") -> Refusal:
        """Where a moved project is now: the same path with the number, on the host that was asked."""
        if self.method not in {"GET", "HEAD"}:
            return Refusal(405, {"message": "Non GET methods are not allowed for moved projects"})
        rest = re.sub(r"(/api/v4/projects/)[^/]+", rf"\g<1>{project.id}", self.path)
        place = f"http://{self.headers.get('Host', '')}{rest}" + (f"?{self.query_string}" if self.query_string else "")
        return Refusal(301, f"This resource has been moved permanently to {place}", Location=place)

    def signed_in(self) -> User:
        if self.user is None:
            raise message(401, "Unauthorized")
        return self.user


Handler = Callable[[Call], Reply]


@dataclass(frozen=True)
class Route:
    """`slow`: it asks git, and runs beside the others."""

    method: str
    pattern: re.Pattern[str]
    scopes: tuple[str, ...]
    slow: bool
    handler: Handler


ROUTES: list[Route] = []


def route(path: str, *, method: str = "GET", scopes: tuple[str, ...] = READ, slow: bool = False) -> Any:
    """Handle requests to *path* below `/api/v4`, where `:name` is one part of the path, encoded or not."""
    pattern = re.compile("/api/v4" + re.sub(r":(\w+)", r"(?P<\1>[^/]+)", path))

    def keep(handler: Handler) -> Handler:
        ROUTES.append(Route(method, pattern, scopes if method == "GET" else ("api",), slow, handler))
        return handler

    return keep


def routed(call: Call) -> Route:
    """The route of a call, whose args are filled in; raises Refusal where there is none."""
    method = "GET" if call.method == "HEAD" else call.method
    for one in ROUTES:
        if one.method == method and (match := one.pattern.fullmatch(call.path)):
            call.args = {name: unquote(part) for name, part in match.groupdict().items()}
            return one
    raise Refusal(404, {"error": "404 Not Found"})
