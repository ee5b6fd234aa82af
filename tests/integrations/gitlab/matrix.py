# ruff: noqa: E501 - a table reads best with one row on one line
"""Where GitLab's projects answer otherwise than the hub's own: rows in the form of `tests/web/matrix.py`.

What GitLab owns is nobody's to change here: the project itself, its path, texts, members and end.
"""

from dataclasses import replace

from tests.web.matrix import ROWS, TOKENS, Row, rows

# fmt: off
PAGES = """
                                                             private project          public project           alice's
                                                             no  dave car bob ali adm  no  dave car bob ali adm  token
/renku/projects                                      POST    303 403 403 403 403 403  303 403 403 403 403 403  303
/renku/projects/new                                  GET     302 403 403 403 403 403  302 403 403 403 403 403  302
/renku/projects/{path}/-/settings                    POST    303 404 403 403 403 404  303 403 403 403 403 403  303
/renku/projects/{path}/-/members                     POST    303 404 403 403 403 404  303 403 403 403 403 403  303
/renku/projects/{path}/-/members/{name}/delete       POST    303 404 403 403 403 404  303 403 403 403 403 403  303
/renku/projects/{path}/-/delete                      GET     302 404 403 403 403 404  302 403 403 403 403 403  302
/renku/projects/{path}/-/delete                      POST    303 404 403 403 403 404  303 403 403 403 403 403  303
"""

API = """
                                                                   private project          public project           private, alice's token for
                                                                   no  dave car bob ali adm  no  dave car bob ali adm  read launch write server
/api/renku/projects                                        POST    403 403 403 403 403 403  403 403 403 403 403 403  403 403 403 403
/api/renku/projects/{project}                              PATCH   403 404 403 403 403 404  403 403 403 403 403 403  403 403 403 403
/api/renku/projects/{project}                              DELETE  403 404 403 403 403 404  403 403 403 403 403 403  403 403 403 403
/api/renku/projects/{project}/members/{name}               DELETE  403 404 403 403 403 404  403 403 403 403 403 403  403 403 403 403
"""
# fmt: on

# Who has which level in the private project, and whose column of the table that is: 30 and more may write.
LEVELS = {
    "level-5": (5, "dave"),
    "level-10": (10, "carol"),
    "level-15": (15, "carol"),
    "level-20": (20, "carol"),
    "level-25": (25, "carol"),
    "reads-code": (10, "carol"),  # a custom role
    "level-30": (30, "bob"),
    "level-40": (40, "bob"),
    "merges": (30, "bob"),  # a custom role
    "level-60": (60, "alice"),
}
CUSTOM = {"reads-code": {"read_code": True}, "merges": {"admin_merge_request": True}}
_OWN = ("/renku/sessions/{session}/", "/api/renku/sessions/{session}/")


def _known(table: list[Row]) -> dict[tuple[str, str], Row]:
    return {(row.address, row.method): row for row in table}


def _whole() -> list[Row]:
    """The rows about a project, with everybody who has a level in it."""
    other = _known([*rows(PAGES, ("token",)), *rows(API, TOKENS)])
    assert other.keys() <= _known(ROWS).keys()
    words = ("{path}", "{project}", "{session}")
    about = [key for key, row in _known(ROWS).items() if key in other or any(word in row.address for word in words)]
    return [_with_levels({**_known(ROWS), **other}[key]) for key in about]


def _with_levels(row: Row) -> Row:
    """An instance belongs to its owner, whatever level others have."""
    own = row.address.startswith(_OWN)
    columns = {name: "carol" if own and column == "alice" else column for name, (_, column) in LEVELS.items()}
    more = {(name, "private"): row.expected[column, "private"] for name, column in columns.items()}
    kept = {who: status for who, status in row.expected.items() if who[0] not in ("carol", "bob") and _counts(*who)}
    return replace(row, expected=kept | more)


def _counts(who: str, kind: str) -> bool:
    """Of a public project, what a passer-by may."""
    return kind == "private" or who == "dave"


ALL = _whole()
