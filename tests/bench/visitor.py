"""A user who is logged in by the browser's way, and asks about images."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from urllib.parse import urlencode

from .cluster import OWNER
from .hubs import Hub
from .load import Connection, Page

PROJECT = f"/hub/renku/projects/{OWNER}/p"


@dataclass(frozen=True)
class Visitor:
    """Whose cookies are sent to which hub."""

    hub: Hub
    cookies: str

    def page(self, path: str) -> Page:
        return Page(self.hub, self.cookies, path)

    @property
    def xsrf(self) -> str:
        found = re.search("_xsrf=([^;]+)", self.cookies)
        assert found, "no cookie against forged requests"
        return found[1]

    async def by_api(self, connection: Connection, image: str) -> str:
        """The verdict."""
        path = f"/hub/api/renku/images/check?_xsrf={self.xsrf}"
        answer = await connection.post(path, json.dumps({"image": image}).encode(), "application/json")
        return str(json.loads(answer)["verdict"])

    async def by_page(self, connection: Connection, image: str) -> str:
        fields = urlencode({"_xsrf": self.xsrf, "kind": "external", "image": image}).encode()
        kind = "application/x-www-form-urlencoded"
        shown = await connection.post(f"{PROJECT}/-/sessions/check", fields, kind)
        return "ok" if b"This image can be used" in shown else "unverified"
