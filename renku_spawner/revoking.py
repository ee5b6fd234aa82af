"""Revokes the token of a session that has ended, also when the hub that made it is no more."""

from __future__ import annotations

from typing import Any

from jupyterhub import orm
from jupyterhub.utils import url_escape_path, url_path_join

from .domain.names import is_id


class Revoking:
    """Stands before a Spawner. The hub revokes the token that it remembers.

    After a restart it remembers none until somebody has read it where the session runs,
    which may be late, or never: so all that were made for the session go.
    """

    name: str
    user: Any

    def run_post_stop_hook(self) -> Any:
        """The last that the hub does of each stop, whatever came of it; no start can have begun."""
        self.revoke()
        return super().run_post_stop_hook()  # type: ignore[misc]

    def revoke(self) -> None:
        """No token that the hub has made for this session is good any more."""
        if not is_id(self.name):
            return
        # The note of `User.spawn`, https://github.com/jupyterhub/jupyterhub/blob/6.1.0/jupyterhub/user.py
        note = f"Server at {url_path_join(self.user.base_url, url_escape_path(self.name), '/')}"
        hub = self.user.db
        for token in hub.query(orm.APIToken).filter_by(user_id=self.user.id, note=note):
            hub.delete(token)
        hub.commit()
