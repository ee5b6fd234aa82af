"""The fake GitLab's registry, on a port of its own, and the service that gives out tokens for it (`/jwt/auth`)."""

import base64
import hashlib
import hmac
import json
import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .gitlab_call import Call, Refusal, Reply
from .gitlab_git_http import DENIED, login
from .gitlab_images import Images, Tag
from .gitlab_world import DEVELOPER, Token, User

if TYPE_CHECKING:
    from .gitlab import FakeGitLab
    from .gitlab_project import Project

Object = dict[str, Any]
SERVICE = "container_registry"
LIFE = 300  # seconds
KEY = b"only this process checks these tokens"
PULL, PUSH = {"read_registry", "read_api", "api"}, {"write_registry", "api"}
JSON = {"Content-Type": "application/json; charset=utf-8", "X-Content-Type-Options": "nosniff"}
JSON["Cache-Control"] = "max-age=0, private, must-revalidate"
VERSION = {"Docker-Distribution-Api-Version": "registry/2.0", "X-Content-Type-Options": "nosniff"}


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def signed(claims: Object) -> str:
    head = encoded(json.dumps({"typ": "JWT", "alg": "HS256"}).encode())
    text = f"{head}.{encoded(json.dumps(claims).encode())}"
    return f"{text}.{encoded(hmac.digest(KEY, text.encode(), hashlib.sha256))}"


def claims(token: str) -> Object:
    """What a token says; raises ValueError if it is not one of ours."""
    text, _, signature = token.rpartition(".")
    if not hmac.compare_digest(encoded(hmac.digest(KEY, text.encode(), hashlib.sha256)), signature):
        raise ValueError("not signed by GitLab")
    found: Object = json.loads(decoded(text.partition(".")[2]))
    return found


# the token service


def auth(call: Call) -> Reply:
    """A token for what the caller may do of what they ask; whatever they may not is left out."""
    if call.query.get("service") != SERVICE:
        raise Refusal(404, "", Content_Type="text/html")
    refusal = Refusal(401, {"errors": [{"code": "UNAUTHORIZED", "message": DENIED.format(url=call.lab.link_url)}]})
    refusal.reply.headers = dict(JSON)
    token = login(call, refusal)
    if token and not (PULL | PUSH) & set(token.scopes):
        denied = {"errors": [{"code": "DENIED", "message": "access forbidden"}], "http_status": 403}
        return Reply(denied, 403, dict(JSON))
    now = int(time.time())
    wanted = [value for key, value in call.pairs if key == "scope"]
    access = [found for scope in wanted if (found := _access(call.lab, scope, token))]
    said: Object = {"access": access, "jti": str(uuid.uuid4()), "aud": SERVICE, "iss": "gitlab-issuer"}
    said |= {"sub": token.user.username if token else "", "iat": now, "nbf": now - 5, "exp": now + LIFE}
    return Reply({"token": signed(said | {"auth_type": "oauth" if token else "none"})}, headers=dict(JSON))


def _access(lab: "FakeGitLab", scope: str, token: Token | None) -> Object | None:
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    project = owner_of(lab, name)
    if kind != "repository" or project is None:
        return None
    allowed = [action for action in actions.split(",") if _may(project, token, action)]
    if not allowed:
        return None
    top = list(project.group.line())[-1].id if project.group else project.owner.namespace_id if project.owner else 0
    about = {"project_path": project.path.lower(), "project_id": project.id, "root_namespace_id": top}
    return {"type": "repository", "name": name, "actions": allowed, "meta": about}


def _may(project: "Project", token: Token | None, action: str) -> bool:
    user: User | None = token.user if token else None
    needed = {"pull": PULL, "push": PUSH}.get(action, set())
    if token and not needed & set(token.scopes):
        return False
    if not project.visible(user):
        return False
    if action == "push":
        return project.pushes(user) and project.may(user, "", DEVELOPER, "private")
    return project.reads_images(user)


def owner_of(lab: "FakeGitLab", name: str) -> "Project | None":
    """The project in whose part of the registry *name* is."""
    for project in lab.world.projects.values():
        own = project.path.lower()
        if name == own or (name.startswith(f"{own}/") and name.count("/") - own.count("/") <= 2):
            return project
    return None


# the registry itself


def challenge(lab: "FakeGitLab", name: str, error: str = "") -> Refusal:
    said = f'Bearer realm="{lab.link_url}/jwt/auth",service="{SERVICE}"'
    said += f',scope="repository:{name}:pull"' if name else ""
    said += f',error="{error}"' if error else ""
    asked = [{"Type": "repository", "Class": "", "Name": name, "Action": "pull"}] if name else None
    body = {"errors": [{"code": "UNAUTHORIZED", "message": "authentication required", "detail": asked}]}
    refusal = Refusal(401, body)
    refusal.reply.headers = VERSION | {"Content-Type": "application/json", "WWW-Authenticate": said}
    return refusal


def missing(code: str, text: str, detail: Object) -> Reply:
    body = {"errors": [{"code": code, "message": text, "detail": detail}]}
    return Reply(body, 404, VERSION | {"Content-Type": "application/json"})


def registry(call: Call) -> Reply:
    """Answer what a client of the registry asks, by the token that it got from `auth`."""
    parts = call.path.removeprefix("/v2").strip("/").split("/")
    at = next((at for at, part in enumerate(parts) if part in {"manifests", "blobs", "tags"}), 0)
    name, kind, reference = "/".join(parts[:at]), parts[at], parts[-1]
    given = call.headers.get("Authorization", "")
    if not given.lower().startswith("bearer "):
        raise challenge(call.lab, name)
    _check(call.lab, name, given[7:])
    if not name:
        return Reply({}, headers=VERSION | {"Content-Type": "application/json"})
    project = owner_of(call.lab, name)
    found = next((one for one in project.images if one.path == name), None) if project else None
    if found is None:
        return missing("NAME_UNKNOWN", "repository name not known to registry", {"name": name})
    if kind == "tags":
        return Reply({"name": name, "tags": sorted(found.tags)}, headers=VERSION | {"Content-Type": "application/json"})
    return _manifest(found, reference) if kind == "manifests" else _blob(found, reference)


def _check(lab: "FakeGitLab", name: str, token: str) -> None:
    said: Object = {}
    with suppress(ValueError):
        said = claims(token)
    if not said or said["exp"] < time.time():
        raise challenge(lab, name, "invalid_token")
    if name and not any(one["name"] == name and "pull" in one["actions"] for one in said["access"]):
        raise challenge(lab, name, "insufficient_scope")


def _made(found: Images) -> list[Tag]:
    return [tag for tag in found.tags.values() if tag.made]


def _manifest(found: Images, reference: str) -> Reply:
    digest = found.tags[reference].digest if reference in found.tags else reference
    for tag in _made(found):
        if tag.made and digest in tag.made.manifests:
            body, kind = tag.made.manifests[digest]
            own = {"Content-Type": kind, "Docker-Content-Digest": digest, "Etag": f'"{digest}"'}
            return Reply(body, headers=VERSION | own)
    detail = {"revision": reference} if ":" in reference else {"Tag": reference}
    return missing("MANIFEST_UNKNOWN", "manifest unknown", detail)


def _blob(found: Images, digest: str) -> Reply:
    for tag in _made(found):
        if tag.made and digest in tag.made.blobs:
            own = {"Content-Type": "application/octet-stream", "Docker-Content-Digest": digest}
            return Reply(tag.made.blobs[digest], headers=VERSION | own)
    return missing("BLOB_UNKNOWN", "blob unknown to registry", {"digest": digest})
