"""Git over HTTP at the fake GitLab: who may fetch and push with which token, then git's own CGI program."""

import base64
import re
import subprocess
import time
from email.parser import BytesParser
from typing import TYPE_CHECKING

from .gitlab_call import Call, Refusal, Reply
from .gitlab_git import NONE, environment
from .gitlab_project import Project
from .gitlab_world import MAINTAINER, Token, User, stamp

if TYPE_CHECKING:
    from .gitlab import FakeGitLab

PATH = re.compile(r"/(?P<project>.+?)(?P<git>\.git)?/(?P<service>info/refs|git-upload-pack|git-receive-pack)")
DENIED = (
    "HTTP Basic: Access denied. If a password was provided for Git authentication, the password was incorrect or "
    "you're required to use a token instead of a password. If a token was provided, it was either incorrect, expired, "
    "or improperly scoped. See {url}/help/topics/git/troubleshooting_git.md#error-on-git-fetch-http-basic-access-denied"
)
HIDDEN = "The project you were looking for could not be found or you don't have permission to view it."
PLAIN = {"Content-Type": "text/plain; charset=utf-8"}
FAILURES, WITHIN = 30, 180  # logins, seconds; more ban the address for an hour
FETCH = {"read_repository", "write_repository", "read_api", "api"}
PUSH = {"write_repository", "api"}


def basic(call: Call) -> str | None:
    """The password that a request shows, None without any; the user's name is free."""
    kind, _, given = call.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "basic":
        return None
    return base64.b64decode(given).decode(errors="replace").partition(":")[2]


def login(call: Call, refusal: Refusal) -> Token | None:
    """The token with which somebody logs in, None for nobody; raises *refusal* for one that is no good, and after
    too many of those another one for everybody (GitLab bans the address)."""
    password = basic(call)
    recent = [at for at in call.lab.failures if time.monotonic() - at < WITHIN]
    if len(recent) >= FAILURES:
        raise Refusal(403, "Forbidden\n", Content_Type="text/plain")
    if password is None:
        return None
    token = call.lab.world.token(password)
    if token is None or token.revoked or token.expired or token.user.state == "blocked":
        call.lab.failures.append(time.monotonic())
        raise refusal
    return token


def denied(lab: "FakeGitLab") -> Refusal:
    refusal = Refusal(401, DENIED.format(url=lab.link_url))
    refusal.reply.headers = PLAIN | {"WWW-Authenticate": 'Basic realm="GitLab"'}
    return refusal


def refused(status: int, text: str) -> Refusal:
    refusal = Refusal(status, text)
    refusal.reply.headers = dict(PLAIN)
    return refusal


def git(call: Call) -> Reply:
    """Answer a fetch or a push."""
    match = PATH.fullmatch(call.path)
    assert match
    if not match["git"]:
        place = f"{call.lab.link_url}/{match['project']}.git/{match['service']}?{call.query_string}"
        raise Refusal(301, "", Location=place)
    pushing = "git-receive-pack" in (match["service"], call.query.get("service"))
    token = login(call, denied(call.lab))
    world = call.lab.world
    project = world.project_at(match["project"]) or world.moved(match["project"])
    _check(call.lab, project, token, pushing=pushing)
    assert project
    project.repository.make()
    if match["service"] != "git-receive-pack":
        return _cgi(call, project, match["service"])
    before, user = project.repository.refs(), token.user if token else None
    reply = _cgi(call, project, match["service"])
    told(project, before, user)
    return reply


def _check(lab: "FakeGitLab", project: Project | None, token: Token | None, *, pushing: bool) -> None:
    user = token.user if token else None
    if project is None or not project.visible(user) or (pushing and user is None):
        raise refused(404, HIDDEN) if user else denied(lab)
    if token and not (PUSH if pushing else FETCH) & set(token.scopes):
        raise refused(403, "You are not allowed to push code to this project.") if pushing else denied(lab)
    if not project.reads_code(user):
        raise refused(403, "You are not allowed to download code from this project.")
    if pushing and project.archived:
        raise refused(403, "You can't push code to a read-only project.")
    if pushing and not project.pushes(user):
        raise refused(403, "You are not allowed to push code to this project.")


def told(project: Project, before: dict[str, str], user: User | None) -> None:
    """Note what a push has changed, and tell who has asked to know."""
    after = project.repository.refs()
    changed = {ref for ref in before | after if before.get(ref) != after.get(ref)}
    if changed:
        project.last_activity = stamp()
    for ref in sorted(changed):
        project.lab.hooks.push(project, ref, before.get(ref, NONE), after.get(ref, NONE), user)


def _cgi(call: Call, project: Project, service: str) -> Reply:
    token = call.lab.world.token(basic(call) or "")
    member = project.member(token.user.id) if token else None
    master = member is not None and member.level >= MAINTAINER
    own = {
        "GIT_PROJECT_ROOT": str(project.repository.folder.parent),
        "GIT_HTTP_EXPORT_ALL": "1",
        "GIT_PROTOCOL": call.headers.get("Git-Protocol", ""),
        "REQUEST_METHOD": call.method,
        "PATH_INFO": f"/{project.repository.folder.name}/{service}",
        "QUERY_STRING": call.query_string,
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_USER": token.user.username if token else "",  # lets receive-pack run
        "CONTENT_TYPE": call.headers.get("Content-Type", ""),
        "CONTENT_LENGTH": str(len(call.body)),
        "HTTP_CONTENT_ENCODING": call.headers.get("Content-Encoding", ""),
        "GL_PROTECTED": "" if master else " ".join(f"refs/heads/{name}" for name in project.protected),
    }
    done = subprocess.run(
        ["git", "http-backend"], env=environment() | own, input=call.body, capture_output=True, check=False
    )
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    headers = dict(BytesParser().parsebytes(head + b"\r\n\r\n").items())
    status = int(str(headers.pop("Status", "200" if headers else "500")).split()[0])
    return Reply(body, status, {name: str(value) for name, value in headers.items()})
