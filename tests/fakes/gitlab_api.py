"""The fake GitLab's API on people and projects: user, version, projects, members, groups."""

from collections.abc import Iterator
from typing import Any

from . import gitlab_bodies as bodies
from .gitlab_call import YES, Call, Reply, message, route, wrong
from .gitlab_lists import DEEPEST, TOO_DEEP, by_id, by_offset, number
from .gitlab_project import Project
from .gitlab_world import Group, Member, User

LEVELS = {"5", "10", "15", "20", "30", "40", "50"}
ORDERS = {"id", "name", "path", "created_at", "updated_at", "last_activity_at", "star_count", "similarity"}
VALUES = {
    "min_access_level": LEVELS,
    "order_by": ORDERS,
    "sort": {"asc", "desc"},
    "visibility": {"private", "internal", "public"},
}
USER = ("api", "read_api", "read_user")


@route("/user", scopes=USER)
def own_user(call: Call) -> Reply:
    return Reply(bodies.user(call.signed_in(), call.lab.link_url))


@route("/version", scopes=USER)
def version(call: Call) -> Reply:
    call.signed_in()
    return Reply({"version": "18.6.1-ee", "revision": "6f2c1d7a0b9"})


@route("/projects")
def projects(call: Call) -> Reply:
    _check_values(call.query)
    simple = call.asks("simple")
    wanted = (one for one in _sorted(call, list(call.lab.world.projects.values())) if _asked_for(call, one))

    def shown(one: Project) -> Any:
        return bodies.project(one, call.user, call.lab.link_url, listed=True, simple=simple)

    if call.query.get("pagination") == "keyset":
        return by_id(call, wanted, shown)
    if number(call, "page", 1) * min(number(call, "per_page", 20), 100) > DEEPEST:
        raise wrong(TOO_DEEP, 405)
    return by_offset(call, list(wanted), shown)


def _check_values(query: dict[str, str]) -> None:
    for name, allowed in VALUES.items():
        if name in query and query[name] not in allowed:
            raise wrong(f"{name} does not have a valid value")


def _sorted(call: Call, rows: list[Project]) -> list[Project]:
    order = call.query.get("order_by", "created_at")

    def key(one: Project) -> Any:
        names = {"name": one.name, "path": one.slug, "last_activity_at": one.last_activity}
        return names.get(order.replace("updated_at", "last_activity_at"), ""), one.id

    return sorted(rows, key=key, reverse=call.query.get("sort", "desc") == "desc")


def _asked_for(call: Call, one: Project) -> bool:
    return all(_searched(call, one)) and one.visible(call.user) and all(_wishes(call, one))


def _wishes(call: Call, one: Project) -> Iterator[bool]:
    query = call.query
    member = one.member(call.user.id) if call.user else None
    yield member is not None or not call.asks("membership")
    if "min_access_level" in query:
        yield member is not None and member.level >= int(query["min_access_level"])
    yield not call.asks("owned") or (member is not None and member.level >= 50)
    if "archived" in query:
        yield one.archived == (query["archived"].lower() in YES)
    yield not (call.asks("active") and one.archived)
    yield query.get("visibility", one.visibility) == one.visibility


def _searched(call: Call, one: Project) -> Iterator[bool]:
    text = f"{one.name} {one.slug} {one.more.get('description', '')}"
    if call.asks("search_namespaces"):
        text += f" {one.path} {bodies.full_name(one)}"
    for word in call.query.get("search", "").split():
        yield word.lower() in text.lower()
    if after := call.query.get("id_after"):
        yield one.id > int(after)
    if before := call.query.get("id_before"):
        yield one.id < int(before)


@route("/projects/:id")
def project(call: Call) -> Reply:
    return Reply(bodies.project(call.project, call.user, call.lab.link_url))


@route("/projects/:id/members/all")
def members(call: Call) -> Reply:
    call.signed_in()
    return _members(call, call.project.everybody(), call.project)


@route("/projects/:id/members")
def direct_members(call: Call) -> Reply:
    call.signed_in()
    return _members(call, list(call.project.members.values()), call.project)


@route("/projects/:id/members/all/:user_id")
def member(call: Call) -> Reply:
    call.signed_in()
    return _member(call, call.project.member(_number(call)))


@route("/projects/:id/members/:user_id")
def direct_member(call: Call) -> Reply:
    call.signed_in()
    return _member(call, call.project.members.get(_number(call)))


def _number(call: Call) -> int:
    given = call.args["user_id"]
    if not given.isdecimal():
        raise wrong("user_id is invalid")
    return int(given)


def _members(call: Call, found: list[Member], of: Project | Group) -> Reply:
    wanted, word = call.many("user_ids"), call.query.get("query", "").lower()
    rows = [one for one in found if not wanted or str(one.user.id) in wanted]
    rows = [one for one in rows if word in f"{one.user.username} {one.user.name}".lower()]
    return by_offset(call, rows, lambda one: bodies.member(one, _maker(of), call.lab.link_url))


def _member(call: Call, found: Member | None, of: Project | Group | None = None) -> Reply:
    if found is None:
        raise message(404, "Not found")
    of = of or call.project
    return Reply(bodies.member(found, _maker(of), call.lab.link_url))


def _maker(of: Project | Group) -> User | None:
    """Who let the others in: the first with the highest level."""
    everybody = of.everybody() if isinstance(of, Project) else of.members.values()
    best = max(everybody, key=lambda one: one.level, default=None)
    return best.user if best else None


@route("/groups")
def groups(call: Call) -> Reply:
    user = call.signed_in()
    least = number(call, "min_access_level", 1)
    rows = sorted(call.lab.world.groups.values(), key=lambda one: one.full_path)
    if not call.asks("all_available"):
        rows = [one for one in rows if _level(one, user) >= least]
    word = call.query.get("search", "").lower()
    rows = [one for one in rows if _sees(one, user) and word in one.full_path.lower()]
    return by_offset(call, rows, lambda one: bodies.group(one, call.lab.link_url))


def _level(one: Group, user: User | None) -> int:
    return max((member.level for member in one.members_of(user.id)), default=0) if user else 0


def _sees(one: Group, user: User | None) -> bool:
    internal = one.visibility == "internal" and user is not None and not user.external
    return one.visibility == "public" or internal or _level(one, user) > 0 or bool(user and user.admin)


def _group(call: Call) -> Group:
    given, all_of = call.args["id"], call.lab.world.groups
    found = all_of.get(given) or next((one for one in all_of.values() if str(one.id) == given), None)
    if found is None or not _sees(found, call.user):
        raise message(404, "Group Not Found")
    return found


@route("/groups/:id")
def group(call: Call) -> Reply:
    return Reply(bodies.group(_group(call), call.lab.link_url))


@route("/groups/:id/members/all/:user_id")
def group_member(call: Call) -> Reply:
    call.signed_in()
    found = max(_group(call).members_of(_number(call)), key=lambda one: one.level, default=None)
    return _member(call, found, _group(call))
