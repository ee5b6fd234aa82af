"""Lists of the fake GitLab in pages: by offset with all headers, or by key with nothing but a link."""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from .gitlab_call import Call, Reply, wrong

COUNTED = 10_000  # rows; above it GitLab does not count
DEEPEST = 50_000  # rows that an offset may skip in /projects
NO_KEYSET = "Keyset pagination is not yet available for this type of request"
TOO_DEEP = (
    f"Offset pagination has a maximum allowed offset of {DEEPEST} for requests that return objects of type Project. "
    "Remaining records can be retrieved using keyset pagination."
)


def number(call: Call, name: str, default: int) -> int:
    """A positive number of the query."""
    given = call.query.get(name, str(default))
    if not given.isdecimal() or int(given) == 0:
        raise wrong(f"{name} does not have a valid value" if given.isdecimal() else f"{name} is invalid")
    return int(given)


def place(call: Call, query: dict[str, str], more: str = "") -> str:
    """A link to another page: on the address that GitLab believes to have, with all parameters in their order."""
    return f"{call.lab.link_url}{call.path}?{urlencode(sorted(query.items()))}{more}"


def by_offset(call: Call, rows: Sequence[Any], shown: Callable[[Any], Any], *, counted: bool = True) -> Reply:
    """One page; *counted* lists say how many rows there are, the others only whether this page is full."""
    page, size = number(call, "page", 1), min(number(call, "per_page", 20), 100)
    some = rows[(page - 1) * size : page * size]
    counted = counted and len(rows) <= COUNTED
    last = max(1, -(-len(rows) // size))
    more = page < last if counted or len(rows) > COUNTED else len(some) == size
    headers = {"X-Page": page, "X-Per-Page": size, "X-Next-Page": page + 1 if more else ""}
    headers |= {"X-Prev-Page": page - 1 if page > 1 else ""}
    if counted:
        headers |= {"X-Total": len(rows), "X-Total-Pages": last}
    numbers = {"prev": page - 1 if page > 1 else 0, "next": page + 1 if more else 0, "first": 1}
    numbers |= {"last": last} if counted else {}
    links = [f'<{_page(call, at, size)}>; rel="{name}"' for name, at in numbers.items() if at]
    text = {name: str(value) for name, value in headers.items()} | {"Link": ", ".join(links)}
    return Reply([shown(row) for row in some], headers=text)


def _page(call: Call, page: int, size: int) -> str:
    query = call.query | call.args | {"page": str(page), "per_page": str(size)}
    query.pop("access_token", None)
    if "order_by" in query:
        query.setdefault("sort", "desc")
    return place(call, query)


def by_id(call: Call, rows: Iterable[Any], shown: Callable[[Any], Any]) -> Reply:
    """One page by key, for /projects: a link after every page that is not empty, and nothing else."""
    if call.query.get("order_by") != "id":
        raise wrong(NO_KEYSET, 405)
    upwards = call.query.get("sort", "desc") == "asc"
    cursor = "id_after" if upwards else "id_before"
    some = list(islice(rows, min(number(call, "per_page", 20), 100)))
    if not some:
        return Reply([])
    query = {key: value for key, value in call.query.items() if key not in ("id_after", "id_before", "access_token")}
    following = place(call, query, f"&{cursor}={some[-1].id}")
    return Reply([shown(row) for row in some], headers={"Link": f'<{following}>; rel="next"'})
