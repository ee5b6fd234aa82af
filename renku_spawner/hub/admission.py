"""Check every start before JupyterHub stores anything: who asks, with which options, for which session."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from jupyterhub.apihandlers.users import UserServerAPIHandler
from jupyterhub.scopes import needs_scope
from jupyterhub.utils import maybe_future
from tornado.httputil import HTTPServerRequest
from tornado.web import Finish, HTTPError

from ..config.renku import Renku
from ..domain.errors import MalformedInputError, RenkuError, UnavailableError
from ..domain.ids import is_valid_id
from ..domain.reasons import build_launch_refusal, format_reason_sentence
from ..domain.sessions import LaunchSpec
from ..domain.text import to_single_line
from ..lifecycle.runs import load_instance
from ..usecases.admission import admit_launch
from ..usecases.audit import record_audit_event, record_repeated_audit_event
from ..usecases.git_credentials import load_git_identity
from ..usecases.image_pull_credentials import resolve_pull_registry
from ..usecases.instances import find_server_project, prepare_launch_spec
from ..usecases.users import detect_recreated_user
from .jupyterhub import HubRequestHandler, HubUser, is_token_authenticated
from .users import to_person


async def add_gitlab_access(user: HubUser, spec: LaunchSpec) -> LaunchSpec:
    """Return *spec* with the user's Git identity and the registry that the user's own token can pull the image from.

    Raises:
        LaunchRefusedError, GitLabLoginRequired, UnavailableError: see
            `usecases.image_pull_credentials.resolve_pull_registry`.
    """
    context = Renku.instance().context
    if context.gitlab is None:
        return spec
    state = await user.get_auth_state() or {}
    known = state.get("gitlab_user") or {}
    person = to_person(user)
    git = await load_git_identity(context, person, spec, known)
    return replace(spec, git=git, pull=await resolve_pull_registry(context, person, spec))


MAX_START_BODY_BYTES = 16 * 1024  # of a request that starts a server through the hub's own API
_ALLOWED_OPTIONS = frozenset({"resource_class"})
_HUB_FORM_FIELDS = frozenset({"next", "_xsrf", "display_name"})  # fields that the hub's own pages send
audit_log = logging.getLogger("renku_spawner.audit")


def check_user_options(options: Mapping[str, Any] | None) -> str | None:
    """Return the resource class that a start requests; `user_options` may contain nothing else.

    Raises:
        MalformedInputError: `options_invalid`.
    """
    options = options or {}
    chosen = options.get("resource_class")
    foreign = set(options) - _ALLOWED_OPTIONS
    if foreign or not (chosen is None or isinstance(chosen, str)):
        audit_log.warning("Refused the options %s", to_single_line(", ".join(sorted(map(str, foreign)))))
        raise MalformedInputError(format_reason_sentence("options_invalid"), code="options_invalid")
    return chosen


async def admit_server_start(
    user: HubUser,
    name: str,
    options: Mapping[str, Any] | None,
    *,
    by: HubUser | None = None,
    seen: str = "",
    prepared: LaunchSpec | None = None,
) -> LaunchSpec:
    """Admit a start of the server *name* of the hub's *user*, and return what it runs.

    *seen* is the launch version that was shown to the user, empty for a start that showed nothing. *prepared* is the
    launch spec if the same request has just prepared it, so that it is not computed twice. *by* is the requesting
    user, None for the hub itself. A start by an admin on behalf of *user* is recorded in the audit log and
    shown to *user*.

    Raises:
        RenkuError: the start is refused; refused options are recorded in the audit log.
    """
    context, person = Renku.instance().context, to_person(user)
    await detect_recreated_user(context, person)
    actor = getattr(by, "name", None) or person.name
    try:
        chosen = check_user_options(options)
    except MalformedInputError:
        await record_repeated_audit_event(
            context, actor=actor, username=person.name, action="start refused", subject=name
        )
        raise
    spec = prepared or await prepare_launch_spec(context, person, name, chosen, seen=seen)
    spec = await add_gitlab_access(user, await admit_launch(context, person, spec))
    if actor == person.name:
        return spec
    await record_audit_event(context, actor=actor, username=person.name, action="start for somebody", subject=name)
    return replace(spec, started_by=actor)


def build_named_server_limit(theirs: int | Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a `JupyterHub.named_server_limit_per_user` that checks the request, then asks for the admin's own limit.

    The hub awaits it at each of its entry points, before it creates a row for the server.
    """

    async def before_row(handler: HubRequestHandler) -> int:
        await _check_start_request(handler)
        return await admins(handler)

    async def admins(handler: HubRequestHandler) -> int:
        value = await maybe_future(theirs(handler)) if callable(theirs) else theirs
        return int(value or 0)

    before_row.admins = admins  # type: ignore[attr-defined]
    return before_row


async def require_named_server_room(handler: HubRequestHandler, user: HubUser, name: str) -> None:
    """Apply the admin's own named server limit to servers that Renku's pages and API create.

    Raises:
        LaunchRefusedError: `limit_servers`.
    """
    admins = getattr(handler.named_server_limit_per_user, "admins", None)
    if admins is None or name in user.orm_spawners:
        return
    limit_ = await admins(handler)
    if 0 < limit_ <= sum(1 for server in user.orm_spawners if server):
        raise build_launch_refusal("limit_servers", limit=limit_)


class SessionServerAPIHandler(UserServerAPIHandler):
    """The hub's server API, except that a session's server cannot be removed while the session has files.

    *Delete Server* on the hub's pages would delete only the hub's own row, which is created again at the next start.
    """

    @needs_scope("delete:servers")
    async def delete(self, user_name: str, server_name: str = "") -> None:
        body = self.get_json_body()
        if isinstance(body, dict) and body.get("remove") and is_valid_id(server_name):
            await _refuse_server_removal(user_name, server_name)
        await super().delete(user_name, server_name)


async def _refuse_server_removal(owner: str, name: str) -> None:
    instance = await load_instance(Renku.instance().context, owner, name)
    if instance is not None and instance.claim is not None:
        raise HTTPError(
            409,
            f"This session has files of {owner}. {owner} can delete them under My sessions with Delete data, which "
            "also removes the server.",
        )


def list_hub_handlers() -> list[tuple[str, type[Any]]]:
    """Return handlers that replace routes of the hub itself, below the hub's prefix."""
    return [(r"/api/users/([^/]+)/servers/([^/]*)", SessionServerAPIHandler)]


async def _check_start_request(handler: HubRequestHandler) -> None:
    """Raise unless the request names a server that may exist and has no unknown options.

    The hub's home page also reads the limit, without a server name. The owner is taken from the path, because an admin
    may start servers of other users.
    """
    if len(handler.path_args) < 2 or not handler.path_args[1]:
        return
    owner, name = handler.path_args[:2]
    _refuse_cross_site_request(handler)
    if len(handler.request.body) > MAX_START_BODY_BYTES:
        raise HTTPError(413, "This request is too large.")
    _refuse_foreign_options(handler.request)
    path = await _get_launch_path(handler, owner, name)
    if handler.request.method == "GET" and path is not None:
        handler.redirect(f"{handler.hub.base_url}renku/{path}")  # a link must not start anything without confirmation
        raise Finish


def _refuse_cross_site_request(handler: HubRequestHandler) -> None:
    """Refuse requests from other sites: the hub starts a server on a GET, so a link elsewhere could start one."""
    foreign = handler.request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site")
    if foreign and not is_token_authenticated(handler):
        raise HTTPError(403, "This request comes from another site. Start the session from its own page.")


async def _get_launch_path(handler: HubRequestHandler, owner: str, name: str) -> str | None:
    """Return the path of Renku's own page for the server, None for a plain server.

    Raises:
        HTTPError: 404 if no such server may exist, 503 if projects cannot be read now.
    """
    renku = Renku.instance()
    if renku.allow_plain_servers and not is_valid_id(name):
        return None
    user = handler.find_user(owner)
    if user is None:
        raise HTTPError(404, format_reason_sentence("not_found"))
    try:
        project = await find_server_project(renku.context, to_person(user), name)
    except UnavailableError as problem:
        error = HTTPError(503, problem.message)
        error.headers = {"Retry-After": str(problem.retry_after)}  # type: ignore[attr-defined]
        raise error from None
    except RenkuError:
        raise HTTPError(404, format_reason_sentence("not_found")) from None
    return f"launch/{quote(project.path)}/-/{name}" if project else "sessions"


def _refuse_foreign_options(request: HTTPServerRequest) -> None:
    files = [f"{key}_file" for key in request.files]  # as the hub would name them
    keys = {_strip_option_prefix(key) for key in [*request.query_arguments, *request.body_arguments, *files]}
    options = _parse_option_names(request)
    if (keys - _ALLOWED_OPTIONS - _HUB_FORM_FIELDS) or (options - _ALLOWED_OPTIONS):
        audit_log.warning("Refused the options %s", to_single_line(", ".join(sorted(keys | options))))
        raise HTTPError(400, format_reason_sentence("options_invalid"))


def _strip_option_prefix(key: str) -> str:
    return key.removeprefix("opt-")


def _parse_option_names(request: HTTPServerRequest) -> set[str]:
    """Return the keys of `user_options` in a JSON body. Without that key the hub uses the body itself as options."""
    if not request.body or request.body_arguments:
        return set()
    try:
        body = json.loads(request.body)
    except ValueError:
        return {"(not JSON)"}
    if not isinstance(body, dict):
        return {"(no object)"}
    options = body.get("user_options", {key: value for key, value in body.items() if key != "display_name"})
    return set(options) if isinstance(options, dict) else {"(no object)"}
