"""The gate before the hub stores anything: unknown servers and foreign options leave no row behind."""

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
from tornado.web import Finish, HTTPError

from .app import Renku
from .domain.errors import Malformed, RenkuError, Unavailable
from .domain.names import is_id
from .domain.reasons import sentence
from .domain.session import SessionSpec
from .domain.text import one_line
from .inside import at_gitlab
from .people import person_of
from .services import admission, instances, people, records, runs
from .services.taking import refused

BODY_LIMIT = 16 * 1024  # bytes of a request that starts a server by the hub's own API
_ALLOWED = frozenset({"resource_class"})
_OURS = frozenset({"next", "_xsrf", "display_name"})  # what the hub's own pages send along
audit = logging.getLogger("renku_spawner.audit")


def check_options(options: Mapping[str, Any] | None) -> str | None:
    """The class that a start asks for; `user_options` may say nothing else (decision 12).

    Raises:
        Malformed: `options_invalid`.
    """
    options = options or {}
    chosen = options.get("resource_class")
    foreign = set(options) - _ALLOWED
    if foreign or not (chosen is None or isinstance(chosen, str)):
        audit.warning("Refused the options %s", one_line(", ".join(sorted(map(str, foreign)))))
        raise Malformed(sentence("options_invalid"), code="options_invalid")
    return chosen


async def admit(
    user: Any, name: str, options: Mapping[str, Any] | None, *, by: Any = None, seen: str = ""
) -> SessionSpec:
    """What a start of the server *name* of the hub's *user* runs, decided now (N1, N2).

    *seen* is the launch version of what the user was shown, empty where a start showed nothing.

    *by* is who asks, None for the hub itself; that an admin starts for somebody goes on
    record, and the owner reads it (T24).

    Raises:
        RenkuError: it does not start; foreign options go on record too.
    """
    parts, person = Renku.instance().parts, person_of(user)
    await people.seen(parts, person)
    actor = getattr(by, "name", None) or person.name
    try:
        chosen = check_options(options)
    except Malformed:
        await records.record_repeated(parts, actor=actor, username=person.name, action="start refused", subject=name)
        raise
    spec = await admission.admit(parts, person, await instances.prepare(parts, person, name, chosen, seen=seen))
    spec = await at_gitlab(user, spec)
    if actor == person.name:
        return spec
    await records.record(parts, actor=actor, username=person.name, action="start for somebody", subject=name)
    return replace(spec, started_by=actor)


def limit(theirs: int | Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`named_server_limit_per_user`: our gate first, then the admin's own number or callable.

    The hub awaits it before it makes a row, at each of its entries.
    """

    async def before_row(handler: Any) -> int:
        await _refuse(handler)
        return await admins(handler)

    async def admins(handler: Any) -> int:
        value = await maybe_future(theirs(handler)) if callable(theirs) else theirs
        return int(value or 0)

    before_row.admins = admins  # type: ignore[attr-defined]
    return before_row


async def require_room(handler: Any, user: Any, name: str) -> None:
    """The admin's own limit also holds where our pages and API make a server.

    Raises:
        Refused: `limit_servers`.
    """
    admins = getattr(handler.named_server_limit_per_user, "admins", None)
    if admins is None or name in user.orm_spawners:
        return
    limit_ = await admins(handler)
    if 0 < limit_ <= sum(1 for server in user.orm_spawners if server):
        raise refused("limit_servers", limit=limit_)


class ServerHandler(UserServerAPIHandler):
    """The hub's own calls about a server; it is not removed while somebody's files are in its session.

    The hub's pages say *Delete Server* and would take away only its own row, which comes back by itself.
    """

    @needs_scope("delete:servers")
    async def delete(self, user_name: str, server_name: str = "") -> None:
        body = self.get_json_body()
        if isinstance(body, dict) and body.get("remove") and is_id(server_name):
            await _refuse_removal(user_name, server_name)
        await super().delete(user_name, server_name)


async def _refuse_removal(owner: str, name: str) -> None:
    instance = await runs.recorded(Renku.instance().parts, owner, name)
    if instance is not None and instance.claim is not None:
        raise HTTPError(
            409,
            f"This session has files of {owner}, which are not deleted here. {owner} deletes them under My sessions,"
            " with Delete data; the server goes with them.",
        )


def handlers() -> list[tuple[str, type[Any]]]:
    """The hub's own routes that are answered here instead; below the hub's prefix."""
    return [(r"/api/users/([^/]+)/servers/([^/]*)", ServerHandler)]


async def _refuse(handler: Any) -> None:
    """Raise unless the request names a server that may exist and says nothing foreign.

    The hub's home page asks too, without naming a server; the owner stands in the
    path and need not be the one who asks.
    """
    if len(handler.path_args) < 2 or not handler.path_args[1]:
        return
    owner, name = handler.path_args[:2]
    _refuse_foreign_site(handler)
    if len(handler.request.body) > BODY_LIMIT:
        raise HTTPError(413, "This request is too large.")
    _refuse_foreign(handler.request)
    path = await _path_of(handler, owner, name)
    if handler.request.method == "GET" and path is not None:
        handler.redirect(f"{handler.hub.base_url}renku/{path}")  # a link asks before anything starts (N5)
        raise Finish


def _refuse_foreign_site(handler: Any) -> None:
    """The hub starts a server by a mere link: one on another site starts nothing (T5, trap 30)."""
    foreign = handler.request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site")
    if foreign and not getattr(handler, "_token_authenticated", False):
        raise HTTPError(403, "This request comes from another site. Start the session from its own page.")


async def _path_of(handler: Any, owner: str, name: str) -> str | None:
    """Where our own page about that server is, None for a plain server. Raises unless it may exist."""
    renku = Renku.instance()
    if renku.allow_plain_servers and not is_id(name):
        return None
    user = handler.find_user(owner)
    if user is None:
        raise HTTPError(404, sentence("not_found"))
    try:
        project = await instances.may_exist(renku.parts, person_of(user), name)
    except Unavailable as problem:
        error = HTTPError(503, problem.message)
        error.headers = {"Retry-After": str(problem.retry_after)}  # type: ignore[attr-defined]
        raise error from None
    except RenkuError:
        raise HTTPError(404, sentence("not_found")) from None
    return f"launch/{quote(project.path)}/-/{name}" if project else "sessions"


def _refuse_foreign(request: Any) -> None:
    files = [f"{key}_file" for key in request.files]  # as the hub would name them
    keys = {_unprefixed(key) for key in [*request.query_arguments, *request.body_arguments, *files]}
    options = _options_of(request)
    if (keys - _ALLOWED - _OURS) or (options - _ALLOWED):
        audit.warning("Refused the options %s", one_line(", ".join(sorted(keys | options))))
        raise HTTPError(400, sentence("options_invalid"))


def _unprefixed(key: str) -> str:
    return key.removeprefix("opt-")


def _options_of(request: Any) -> set[str]:
    """The keys of `user_options` in a JSON body; the hub takes the body itself for them when it has no such key."""
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
