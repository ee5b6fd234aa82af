"""Who has logged in: a person of GitLab is a number, and a hub's name belongs to the number that had it first."""

from __future__ import annotations

import json
from typing import Any

from jupyterhub import orm
from tornado.web import HTTPError

from ..gitlab import auth_state

KEY = "gitlab_id"  # in the hub's `user_info`, which goes with the hub's user and needs no key to be read
_NOBODY = "GitLab did not say who you are. Please try again."
_TAKEN = "Your name at GitLab, {name}, is somebody else's on this hub. An admin of this hub can help."


class Known:
    """The names by which this hub knows numbers of GitLab, read once."""

    def __init__(self) -> None:
        self._names: dict[int, str] | None = None

    def name(self, db: Any, number: int) -> str | None:
        """The hub's name of GitLab's user *number*, also when that person has another one in GitLab by now."""
        if self._names is None:
            self._names = _all(db)
        name = self._names.get(number)
        if name is not None and _number(orm.User.find(db, name)) != number:  # deleted or renamed in the hub
            self._names = _all(db)
            name = self._names.get(number)
        return name

    def remember(self, number: int, name: str) -> None:
        if self._names is not None:
            self._names[number] = name


async def identified(known: Known, handler: Any, model: dict[str, Any]) -> dict[str, Any]:
    """The auth model *model* under the hub's name of that person.

    Somebody who was renamed in GitLab keeps the old name here, and with it all sessions;
    who has taken up a name that is another's here gets it with GitLab's number behind.

    Raises:
        HTTPError: 403, both are somebody else's; 503, GitLab's answer has no number.
    """
    number = auth_state.user_id(model["auth_state"])
    if number is None:
        raise HTTPError(503, _NOBODY)
    name = known.name(handler.db, number) or await _free(handler, model["name"], number)
    known.remember(number, name)
    user = handler.find_user(name)
    before = (user.user_info if user else None) or {}
    return {**model, "name": name, "user_info": {**before, **(model.get("user_info") or {}), KEY: number}}


async def _free(handler: Any, name: str, number: int) -> str:
    for each in (name, f"{name}-{number}"):
        user = handler.find_user(each)
        if user is None or await _owner(user) in (None, number):
            return each
    raise HTTPError(403, _TAKEN.format(name=name))


async def _owner(user: Any) -> int | None:
    """Whose the hub's *user* is; that of a hub which had another authenticator before stands in its auth state."""
    return _number(user) or auth_state.user_id(await user.get_auth_state())


def _number(user: Any) -> int | None:
    return ((user.user_info if user else None) or {}).get(KEY)


def _all(db: Any) -> dict[int, str]:
    """Without making users of the hub of them: they may be many."""
    rows = db.connection().exec_driver_sql("SELECT name, user_info FROM users WHERE user_info IS NOT NULL")
    read = ((name, json.loads(info)) for name, info in rows)
    return {info[KEY]: name for name, info in read if isinstance(info, dict) and KEY in info}
