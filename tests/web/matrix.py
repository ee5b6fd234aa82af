# ruff: noqa: E501 - a table reads best with one row on one line
"""Who gets which answer at which address: the literal table that `test_matrix.py` walks.

Addresses stand below the hub's prefix; `{path}` is a project's path, `{project}` its
id, `{session}` a session's id, `{name}` a directory or a member, `{ready}` the id of an
environment that was added in the browser; "admin" has the scope to administer them. A Start names a class
that does not exist, so that whoever gets through to it is told so (409) and no process
is begun; every other 2xx and 3xx is the real thing. The hub is one without images, where
a look at one is refused (422).
"""

from __future__ import annotations

from dataclasses import dataclass

# Columns. A page knows cookies only, so a token is nobody there. `read`, `launch` and
# `write` are the owner's tokens narrowed to that scope, `server` is the one that a
# session of the owner's has, `dave`'s is another user's token.
PEOPLE = ("nobody", "dave", "carol", "bob", "alice", "admin")
ROLES = {"dave": "a stranger", "carol": "viewer", "bob": "editor", "alice": "owner", "admin": "a hub admin, no member"}
TOKENS = ("read", "launch", "write", "server")

# fmt: off
PAGES = """
                                                             private project          public project           alice's
                                                             no  dave car bob ali adm  no  dave car bob ali adm  token
/renku/                                              GET     302 302 302 302 302 302  302 302 302 302 302 302  302
/renku/projects                                      GET     302 200 200 200 200 200  302 200 200 200 200 200  302
/renku/search                                        GET     302 200 200 200 200 200  302 200 200 200 200 200  302
/renku/projects                                      POST    303 303 303 303 303 303  303 303 303 303 303 303  303
/renku/projects/new                                  GET     302 200 200 200 200 200  302 200 200 200 200 200  302
/renku/projects/{path}                               GET     302 404 200 200 200 404  302 200 200 200 200 200  302
/renku/projects/{path}/-/settings                    GET     302 404 200 200 200 404  302 200 200 200 200 200  302
/renku/projects/{path}/-/settings                    POST    303 404 403 403 303 404  303 403 403 403 303 403  303
/renku/projects/{path}/-/repositories                POST    303 404 403 303 303 404  303 403 403 303 303 403  303
/renku/projects/{path}/-/repositories/{name}/delete  POST    303 404 403 303 303 404  303 403 403 303 303 403  303
/renku/projects/{path}/-/storages/new                GET     302 404 403 200 200 404  302 403 403 200 200 403  302
/renku/projects/{path}/-/storages                    POST    303 404 403 303 303 404  303 403 403 303 303 403  303
/renku/projects/{path}/-/storages/{storage}          GET     302 404 403 200 200 404  302 403 403 200 200 403  302
/renku/projects/{path}/-/storages/{storage}          POST    303 404 403 303 303 404  303 403 403 303 303 403  303
/renku/projects/{path}/-/storages/{storage}/delete   POST    303 404 403 303 303 404  303 403 403 303 303 403  303
/renku/projects/{path}/-/storages/{storage}/check    POST    303 404 403 303 303 404  303 403 403 303 303 403  303
/renku/projects/{path}/-/sessions/{session}/credentials GET  302 404 200 200 200 404  302 200 200 200 200 200  302
/renku/projects/{path}/-/sessions/{session}/credentials POST 303 404 303 303 303 404  303 303 303 303 303 303  303
/renku/storages/{storage}/credentials/delete         POST    303 404 404 404 303 404  303 404 404 404 303 404  303
/renku/projects/{path}/-/members                     POST    303 404 403 403 303 404  303 403 403 403 303 403  303
/renku/projects/{path}/-/members/{name}/delete       POST    303 404 303 403 303 404  303 403 303 403 303 403  303
/renku/projects/{path}/-/delete                      GET     302 404 403 403 200 404  302 403 403 403 200 403  302
/renku/projects/{path}/-/delete                      POST    303 404 403 403 303 404  303 403 403 403 303 403  303
/renku/projects/{path}/-/sessions/new                GET     302 404 403 200 200 404  302 403 403 200 200 403  302
/renku/projects/{path}/-/sessions                    POST    303 404 403 303 303 404  303 403 403 303 303 403  303
/renku/projects/{path}/-/sessions/described          GET     302 404 403 404 404 404  302 403 403 404 404 403  302
/renku/projects/{path}/-/sessions/described          POST    303 404 403 404 404 404  303 403 403 404 404 403  303
/renku/projects/{path}/-/sessions.yaml               GET     302 404 200 200 200 404  302 200 200 200 200 200  302
/renku/projects/{path}/-/sessions/check              POST    303 404 403 200 200 404  303 403 403 200 200 403  303
/renku/projects/{path}/-/sessions/{session}          GET     302 404 200 200 200 404  302 200 200 200 200 200  302
/renku/projects/{path}/-/sessions/{session}/packages.cdx.json GET 302 404 200 200 200 404  302 200 200 200 200 200  302
/renku/projects/{path}/-/sessions/{session}/edit     GET     302 404 403 200 200 404  302 403 403 200 200 403  302
/renku/projects/{path}/-/sessions/{session}/edit     POST    303 404 403 303 303 404  303 403 403 303 303 403  303
/renku/projects/{path}/-/sessions/{session}/check    POST    303 404 403 200 200 404  303 403 403 200 200 403  303
/renku/projects/{path}/-/sessions/{session}/delete   GET     302 404 403 200 200 404  302 403 403 200 200 403  302
/renku/projects/{path}/-/sessions/{session}/delete   POST    303 404 403 303 303 404  303 403 403 303 303 403  303
/renku/projects/{path}/-/sessions/{session}/copy     GET     302 404 200 200 200 404  302 200 200 200 200 200  302
/renku/projects/{path}/-/sessions/{session}/copy     POST    303 404 403 303 303 404  303 403 403 303 303 403  303
/renku/projects/{path}/-/sessions/{session}/environment GET 302 404 403 200 200 404  302 403 403 200 200 403  302
/renku/projects/{path}/-/sessions/{session}/environment POST 303 404 403 422 422 404 303 403 403 422 422 403  303
/renku/projects/{path}/-/sessions/{session}/default  POST    303 404 403 303 303 404  303 403 403 303 303 403  303
/renku/projects/{path}/-/sessions/{session}/revision POST    303 404 403 303 303 404  303 403 403 303 303 403  303
/renku/projects/{path}/-/sessions/{session}/dismissal POST   303 404 403 303 303 404  303 403 403 303 303 403  303
/renku/projects/{path}/-/sessions/{session}/start    POST    303 404 409 409 409 404  303 409 409 409 409 409  303
/renku/projects/{path}/-/sessions/{session}/pause    POST    303 404 303 303 303 404  303 303 303 303 303 303  303
/renku/environments                                  GET   302 404 404 404 404 200  302 404 404 404 404 200  302
/renku/environments                                  POST  303 404 404 404 404 303  303 404 404 404 404 303  303
/renku/environments/new                              GET   302 404 404 404 404 200  302 404 404 404 404 200  302
/renku/environments/check                            POST  303 404 404 404 404 200  303 404 404 404 404 200  303
/renku/environments/{ready}                          GET   302 404 404 404 404 200  302 404 404 404 404 200  302
/renku/environments/{ready}                          POST  303 404 404 404 404 303  303 404 404 404 404 303  303
/renku/environments/{ready}/check                    POST  303 404 404 404 404 200  303 404 404 404 404 200  303
/renku/environments/{ready}/state                    GET   302 404 404 404 404 200  302 404 404 404 404 200  302
/renku/environments/{ready}/state                    POST  303 404 404 404 404 303  303 404 404 404 404 303  303
/renku/environments/{ready}/revision                 POST  303 404 404 404 404 303  303 404 404 404 404 303  303
/renku/environments/{ready}/move                     POST  303 404 404 404 404 303  303 404 404 404 404 303  303
/renku/images/guide                                  GET     302 200 200 200 200 200  302 200 200 200 200 200  302
/renku/images/ci                                     GET     302 200 200 200 200 200  302 200 200 200 200 200  302
/renku/sessions                                      GET     302 200 200 200 200 200  302 200 200 200 200 200  302
/renku/sessions/pause                                POST    303 422 422 422 422 422  303 422 422 422 422 422  303
/renku/sessions/{session}/pause                      POST    303 404 404 404 303 404  303 404 404 404 303 404  303
/renku/sessions/{session}/resume                     POST    303 404 409 409 409 404  303 409 409 409 409 409  303
/renku/sessions/{session}/stopped                    GET    302 404 303 303 303 404  302 303 303 303 303 303  302
/renku/sessions/{session}/restore                    POST    303 404 404 404 303 404  303 404 404 404 303 404  303
/renku/sessions/{session}/keep-awake                 GET     302 404 404 404 200 404  302 404 404 404 200 404  302
/renku/sessions/{session}/keep-awake                 POST    303 404 404 404 409 404  303 404 404 404 409 404  303
/renku/sessions/{session}/data                       GET     302 404 404 404 200 404  302 404 404 404 200 404  302
/renku/sessions/{session}/data                       POST    303 404 404 404 303 404  303 404 404 404 303 404  303
/renku/sessions/{session}/download                   GET     302 404 404 404 409 404  302 404 404 404 409 404  302
/renku/sessions/{session}/data.tar.zst               GET     302 404 404 404 409 404  302 404 404 404 409 404  302
/renku/launch/{path}                                 GET     302 404 200 200 200 404  302 200 200 200 200 200  302
/renku/launch/{path}                                 POST    303 404 409 409 409 404  303 409 409 409 409 409  303
/renku/launch/{path}/-/{session}                     GET     302 404 200 200 200 404  302 200 200 200 200 200  302
/renku/launch/{path}/-/{session}                     POST    303 404 409 409 409 404  303 409 409 409 409 409  303
/renku/admin                                         GET     302 404 404 404 404 200  302 404 404 404 404 200  302
/renku/admin/pause                                   POST    303 404 404 404 404 303  303 404 404 404 404 303  303
/renku/admin/restore                                 POST    303 404 404 404 404 303  303 404 404 404 404 303  303
/renku/admin/nodes                                   GET     302 404 404 404 404 200  302 404 404 404 404 200  302
/renku/admin/nodes                                   POST    303 404 404 404 404 303  303 404 404 404 404 303  303
/renku/admin/orphans                                 GET     302 404 404 404 404 200  302 404 404 404 404 200  302
/renku/admin/orphans                                 POST    303 404 404 404 404 303  303 404 404 404 404 303  303
/renku/admin/claims                                  GET     302 404 404 404 404 200  302 404 404 404 404 200  302
/renku/admin/failures                                GET     302 404 404 404 404 200  302 404 404 404 404 200  302
/renku/admin/launches                                GET     302 404 404 404 404 200  302 404 404 404 404 200  302
/renku/admin/audit                                   GET     302 404 404 404 404 200  302 404 404 404 404 200  302
/renku/static/{file}                                 GET     200 200 200 200 200 200  200 200 200 200 200 200  200
/renku/static/{file}                                 HEAD    200 200 200 200 200 200  200 200 200 200 200 200  200
/renku/{anything}                                    GET     302 404 404 404 404 404  302 404 404 404 404 404  302
/renku/{anything}                                    POST    303 404 404 404 404 404  303 404 404 404 404 404  303
/renku/{anything}                                    PUT     303 404 404 404 404 404  303 404 404 404 404 404  303
/renku/{anything}                                    PATCH   303 404 404 404 404 404  303 404 404 404 404 404  303
/renku/{anything}                                    DELETE  303 404 404 404 404 404  303 404 404 404 404 404  303
"""

API = """
                                                                   private project          public project           private, alice's token for
                                                                   no  dave car bob ali adm  no  dave car bob ali adm  read launch write server
/api/renku/openapi.json                                    GET     403 200 200 200 200 200  403 200 200 200 200 200  200 200 200 403
/api/renku/health                                          GET     200 200 200 200 200 200  200 200 200 200 200 200  200 200 200 200
/api/renku/projects                                        GET     403 200 200 200 200 200  403 200 200 200 200 200  200 200 200 403
/api/renku/search                                          GET     403 200 200 200 200 200  403 200 200 200 200 200  200 200 200 403
/api/renku/projects                                        POST    403 201 201 201 201 201  403 201 201 201 201 201  403 403 201 403
/api/renku/projects/{project}                              GET     403 404 200 200 200 404  403 200 200 200 200 200  200 200 200 403
/api/renku/projects/{project}                              PATCH   403 404 403 403 200 404  403 403 403 403 200 403  403 403 200 403
/api/renku/projects/{project}                              DELETE  403 404 403 403 204 404  403 403 403 403 204 403  403 403 204 403
/api/renku/projects/{project}/members/{name}               DELETE  403 404 204 403 204 404  403 403 204 403 204 403  403 403 204 403
/api/renku/projects/{project}/storages                     GET     403 404 200 200 200 404  403 200 200 200 200 200  200 200 200 403
/api/renku/projects/{project}/storages                     POST    403 404 403 201 201 404  403 403 403 201 201 403  403 403 201 403
/api/renku/projects/{project}/storages/{name}              PATCH   403 404 403 200 200 404  403 403 403 200 200 403  403 403 200 403
/api/renku/projects/{project}/storages/{name}              DELETE  403 404 403 204 204 404  403 403 403 204 204 403  403 403 204 403
/api/renku/projects/{project}/storages/{name}/check        POST    403 404 403 200 200 404  403 403 403 200 200 403  403 403 200 403
/api/renku/projects/{project}/sessions/{session}/credentials GET   403 404 200 200 200 404  403 200 200 200 200 200  200 200 200 403
/api/renku/projects/{project}/sessions/{session}/credentials POST  403 404 200 200 200 404  403 200 200 200 200 200  403 200 403 403
/api/renku/storages/{storage}/credentials                  DELETE  403 404 404 404 204 404  403 404 404 404 204 404  403 204 403 403
/api/renku/projects/{project}/sessions                     GET     403 404 200 200 200 404  403 200 200 200 200 200  200 200 200 403
/api/renku/projects/{project}/sessions                     POST    403 404 403 201 201 404  403 403 403 201 201 403  403 403 201 403
/api/renku/projects/{project}/sessions/{session}           GET     403 404 200 200 200 404  403 200 200 200 200 200  200 200 200 403
/api/renku/projects/{project}/sessions/{session}           PATCH   403 404 403 200 200 404  403 403 403 200 200 403  403 403 200 403
/api/renku/projects/{project}/sessions/{session}           DELETE  403 404 403 204 204 404  403 403 403 204 204 403  403 403 204 403
/api/renku/projects/{project}/sessions/{session}/start     POST    403 404 409 409 409 404  403 409 409 409 409 409  403 409 403 403
/api/renku/projects/{project}/sessions/{session}/pause     POST    403 404 202 202 202 404  403 202 202 202 202 202  403 202 403 403
/api/renku/projects/{project}/sessions/{session}/instance  DELETE  403 404 204 204 204 404  403 204 204 204 204 204  403 204 403 403
/api/renku/projects/{project}/sessions/{session}/events    GET     403 404 200 200 200 404  403 200 200 200 200 200  200 200 200 403
/api/renku/projects/{project}/sessions/{session}/logs      GET     403 404 200 200 200 404  403 200 200 200 200 200  200 200 200 403
/api/renku/projects/{project}/sessions/{session}/revisions GET     403 404 200 200 200 404  403 200 200 200 200 200  200 200 200 403
/api/renku/projects/{project}/sessions/{session}/revision  POST    403 404 403 200 200 404  403 403 403 200 200 403  403 403 200 403
/api/renku/projects/{project}/sessions/{session}/packages  GET     403 404 200 200 200 404  403 200 200 200 200 200  200 200 200 403
/api/renku/projects/{project}/sessions/{session}/copy      POST    403 404 403 201 201 404  403 403 403 201 201 403  403 403 201 403
/api/renku/projects/{project}/sessions/{session}/dismissal POST    403 404 403 200 200 404  403 403 403 200 200 403  403 403 200 403
/api/renku/projects/{project}/export                       GET     403 404 200 200 200 404  403 200 200 200 200 200  200 200 200 403
/api/renku/projects/{project}/apply                        POST    403 404 403 200 200 404  403 403 403 200 200 403  403 403 200 403
/api/renku/projects/{project}/images                       GET     403 404 403 422 422 404  403 403 403 422 422 403  422 422 422 403
/api/renku/gitlab-hook                                     POST    404 404 404 404 404 404  404 404 404 404 404 404  404 404 404 404
/api/renku/images/check                                    POST    403 422 422 422 422 422  403 422 422 422 422 422  422 422 422 403
/api/renku/sessions                                        GET     403 200 200 200 200 200  403 200 200 200 200 200  200 200 200 403
/api/renku/sessions/events                                 GET     403 200 200 200 200 200  403 200 200 200 200 200  200 200 200 403
/api/renku/sessions/{session}                              GET     403 404 200 200 200 404  403 200 200 200 200 200  200 200 200 403
/api/renku/sessions/{session}/contents                     GET     403 404 404 404 200 404  403 404 404 404 200 404  200 200 200 403
/api/renku/sessions/{session}/pause                        POST    403 404 404 404 202 404  403 404 404 404 202 404  403 202 403 403
/api/renku/sessions/{session}/restore                      POST    403 404 404 404 200 404  403 404 404 404 200 404  403 200 403 403
/api/renku/sessions/{session}/keep-awake                   POST    403 404 404 404 409 404  403 404 404 404 409 404  403 409 403 403
/api/renku/sessions/{session}/instance                     DELETE  403 404 404 404 204 404  403 404 404 404 204 404  403 204 403 403
/api/renku/sessions/{session}/logs                         GET     403 404 404 404 200 404  403 404 404 404 200 404  200 200 200 403
/api/renku/sessions/{session}/data                         GET     403 404 404 404 409 404  403 404 404 404 409 404  403 409 403 403
/api/renku/me                                              GET     403 403 403 403 403 403  403 403 403 403 403 403  403 403 403 403
/api/renku/me                                              POST    403 403 403 403 403 403  403 403 403 403 403 403  403 403 403 403
/api/renku/git-credential                                  POST    403 403 403 403 403 403  403 403 403 403 403 403  403 403 403 403
/api/renku/admin/instances                                 GET     403 404 404 404 404 200  403 404 404 404 404 200  404 404 404 403
/api/renku/admin/pause                                     POST    403 404 404 404 404 202  403 404 404 404 404 202  404 404 404 403
/api/renku/admin/restore                                   POST    403 404 404 404 404 200  403 404 404 404 404 200  404 404 404 403
/api/renku/admin/nodes                                     GET     403 404 404 404 404 200  403 404 404 404 404 200  404 404 404 403
/api/renku/admin/pause-all                                 POST    403 404 404 404 404 200  403 404 404 404 404 200  404 404 404 403
/api/renku/admin/orphans                                   GET     403 404 404 404 404 200  403 404 404 404 404 200  404 404 404 403
/api/renku/admin/orphans                                   DELETE  403 404 404 404 404 200  403 404 404 404 404 200  404 404 404 403
/api/renku/admin/claims                                    GET     403 404 404 404 404 200  403 404 404 404 404 200  404 404 404 403
/api/renku/admin/failures                                  GET     403 404 404 404 404 200  403 404 404 404 404 200  404 404 404 403
/api/renku/admin/launches                                  GET     403 404 404 404 404 200  403 404 404 404 404 200  404 404 404 403
/api/renku/admin/audit                                     GET     403 404 404 404 404 200  403 404 404 404 404 200  404 404 404 403
/api/renku/environments                                    GET     403 200 200 200 200 200  403 200 200 200 200 200  200 200 200 403
/api/renku/environments                                    POST    403 403 403 403 403 201  403 403 403 403 403 201  403 403 403 403
/api/renku/environments/{ready}                            GET     403 404 404 404 404 200  403 404 404 404 404 200  404 404 404 403
/api/renku/environments/{ready}                            PATCH   403 404 404 404 404 200  403 404 404 404 404 200  404 404 404 403
/api/renku/environments/{ready}/archive                    POST    403 404 404 404 404 200  403 404 404 404 404 200  404 404 404 403
/api/renku/environments/{ready}/state                      POST    403 404 404 404 404 200  403 404 404 404 404 200  404 404 404 403
/api/renku/environments/{ready}/revision                   POST    403 404 404 404 404 200  403 404 404 404 404 200  404 404 404 403
/api/renku/environments/{ready}/move                       POST    403 404 404 404 404 200  403 404 404 404 404 200  404 404 404 403
/api/renku/resource-classes                                GET     403 200 200 200 200 200  403 200 200 200 200 200  200 200 200 403
/api/renku/{anything}                                      GET     403 404 404 404 404 404  403 404 404 404 404 404  404 404 404 403
/api/renku/{anything}                                      POST    403 404 404 404 404 404  403 404 404 404 404 404  404 404 404 403
/api/renku/{anything}                                      PUT     403 404 404 404 404 404  403 404 404 404 404 404  404 404 404 403
/api/renku/{anything}                                      PATCH   403 404 404 404 404 404  403 404 404 404 404 404  404 404 404 403
/api/renku/{anything}                                      DELETE  403 404 404 404 404 404  403 404 404 404 404 404  404 404 404 403
"""
# fmt: on


@dataclass(frozen=True, kw_only=True)
class Row:
    """What each column answers to *method* at *address*; keys are (who, "private" or "public")."""

    address: str
    method: str
    expected: dict[tuple[str, str], int]


def rows(table: str, tokens: tuple[str, ...]) -> list[Row]:
    """The rows of *table*, whose last columns are those *tokens* at the private project."""
    columns = [(who, kind) for kind in ("private", "public") for who in PEOPLE] + [(t, "private") for t in tokens]
    made = []
    for line in table.splitlines():
        if not line.startswith("/"):
            continue
        address, method, *cells = line.split()
        made.append(Row(address=address, method=method, expected=dict(zip(columns, map(int, cells), strict=True))))
    return made


ROWS = [*rows(PAGES, ("token",)), *rows(API, TOKENS)]

# What is sent: fields of a form for pages, a JSON object for the API. `{…}` are filled in; sets repeat nothing.
SENT: dict[tuple[str, str], dict[str, object]] = {
    ("/renku/projects", "POST"): {"title": "New", "slug": "{fresh}"},
    ("/renku/projects/{path}/-/settings", "POST"): {
        "title": "X",
        "slug": "{slug}",
        "visibility": "private",
        "version": "{version}",
    },
    ("/renku/projects/{path}/-/repositories", "POST"): {"url": "https://git.example.org/a/b", "version": "{version}"},
    ("/renku/projects/{path}/-/repositories/{name}/delete", "POST"): {"version": "{version}"},
    ("/renku/projects/{path}/-/storages/{storage}/delete", "POST"): {"version": "1"},
    ("/renku/projects/{path}/-/members/{name}/delete", "POST"): {"version": "{version}"},
    ("/renku/projects/{path}/-/storages", "POST"): {
        "kind": "s3",
        "setting_provider": "AWS",
        "path": "a",
        "credentials": "user",
        "directory": "{fresh}",
    },
    ("/renku/projects/{path}/-/storages/{storage}", "POST"): {
        "kind": "s3",
        "setting_provider": "AWS",
        "path": "a",
        "credentials": "user",
        "version": "1",
    },
    ("/api/renku/projects/{project}/storages", "POST"): {
        "kind": "s3",
        "settings": {"provider": "AWS"},
        "path": "a",
        "credentials": "user",
        "directory": "era6",
    },
    ("/api/renku/projects/{project}/storages/{name}", "PATCH"): {"version": 1, "path": "b"},
    ("/api/renku/projects/{project}/sessions/{session}/credentials", "POST"): {"storages": [], "keep": False},
    ("/renku/projects/{path}/-/members", "POST"): {"username": "dave", "role": "viewer", "version": "{version}"},
    ("/renku/projects/{path}/-/delete", "POST"): {"confirm": "{title}"},
    ("/renku/projects/{path}/-/sessions", "POST"): {"environment": "{environment}"},
    ("/renku/projects/{path}/-/sessions/described", "POST"): {"content": "0"},
    ("/renku/projects/{path}/-/sessions/{session}/edit", "POST"): {"title": "X", "version": "1"},
    ("/renku/projects/{path}/-/sessions/{session}/delete", "POST"): {"confirm": "Explore"},
    ("/renku/projects/{path}/-/sessions/{session}/revision", "POST"): {"revision": "1", "version": "1"},
    ("/renku/projects/{path}/-/sessions/{session}/dismissal", "POST"): {"digest": "sha256:0"},
    ("/renku/projects/{path}/-/sessions/{session}/copy", "POST"): {
        "project": "{project}",
        "title": "{fresh}",
        "version": "1",
    },
    ("/api/renku/projects/{project}/sessions/{session}/copy", "POST"): {"project": "{project}"},
    ("/renku/projects/{path}/-/sessions/{session}/environment", "POST"): {
        "environment": "abcdefghijkl",
        "version": "1",
    },
    ("/renku/projects/{path}/-/sessions/{session}/start", "POST"): {"resource_class": "none"},
    ("/renku/environments", "POST"): {"name": "New", "image": "quay.io/a/b:1"},
    ("/renku/environments/check", "POST"): {"image": "quay.io/a/b:1"},
    ("/renku/environments/{ready}", "POST"): {"name": "New", "image": "quay.io/a/b:1", "version": "1"},
    ("/renku/environments/{ready}/check", "POST"): {"image": "quay.io/a/b:1"},
    ("/renku/environments/{ready}/state", "POST"): {"state": "archived", "version": "1"},
    ("/renku/environments/{ready}/revision", "POST"): {"revision": "1", "version": "1"},
    ("/renku/environments/{ready}/move", "POST"): {"to": "up"},
    ("/renku/sessions/{session}/resume", "POST"): {"resource_class": "none"},
    ("/renku/sessions/{session}/data", "POST"): {"confirm": "Explore"},
    ("/renku/admin/pause", "POST"): {"username": "alice", "session": "{session}"},
    ("/renku/admin/nodes", "POST"): {"node": "none", "confirm": "none"},
    ("/api/renku/admin/pause-all", "POST"): {"node": "none", "dry_run": True},
    ("/renku/admin/restore", "POST"): {"username": "alice", "session": "{session}"},
    ("/renku/admin/orphans", "POST"): {"kind": "folder", "names": "a2a2a2a2a2a2", "confirm": "folders"},
    ("/api/renku/admin/pause", "POST"): {"username": "alice", "session": "{session}"},
    ("/api/renku/admin/restore", "POST"): {"username": "alice", "session": "{session}"},
    ("/api/renku/admin/orphans", "DELETE"): {"kind": "folder", "names": ["a2a2a2a2a2a2"]},
    ("/renku/launch/{path}", "POST"): {"resource_class": "none"},
    ("/renku/launch/{path}/-/{session}", "POST"): {"resource_class": "none"},
    ("/api/renku/projects", "POST"): {"path": "{namespace}/{fresh}", "title": "New"},
    ("/api/renku/projects/{project}", "PATCH"): {"version": 3, "visibility": "private"},
    ("/api/renku/projects/{project}/sessions", "POST"): {"environment": "{environment}"},
    ("/api/renku/projects/{project}/apply", "POST"): {"version": 1},
    ("/api/renku/images/check", "POST"): {"image": "nginx"},
    ("/api/renku/git-credential", "POST"): {"protocol": "https", "host": "gitlab.example.org", "path": "a/b.git"},
    ("/api/renku/projects/{project}/sessions/{session}", "PATCH"): {"version": 1, "title": "X"},
    ("/api/renku/projects/{project}/sessions/{session}/dismissal", "POST"): {"digest": "sha256:0"},
    ("/api/renku/environments", "POST"): {"name": "New", "image": "quay.io/a/b:1"},
    ("/api/renku/environments/{ready}", "PATCH"): {"version": 1, "name": "X"},
    ("/api/renku/environments/{ready}/archive", "POST"): {"version": 1},
    ("/api/renku/environments/{ready}/state", "POST"): {"version": 1, "state": "deprecated"},
    ("/api/renku/environments/{ready}/revision", "POST"): {"version": 1, "revision": 1},
    ("/api/renku/environments/{ready}/move", "POST"): {"to": "up"},
    ("/api/renku/gitlab-hook", "POST"): {"object_kind": "push", "project_id": 42},
    ("/api/renku/projects/{project}/sessions/{session}/start", "POST"): {"resource_class": "none"},
    ("/api/renku/projects/{project}/sessions/{session}/revision", "POST"): {"revision": 1},
}
