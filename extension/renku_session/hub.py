"""The hub, asked with the server's own token, which no page ever gets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest


class NoRenku(Exception):
    """This hub knows nothing of sessions, or not of this one."""


class Hub:
    def __init__(self, url: str, token: str) -> None:
        self._url, self._token = f"{url.rstrip('/')}/renku/me", token

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Hub | None:
        """None without a hub, and for what is no session."""
        url, token = environment.get("JUPYTERHUB_API_URL"), environment.get("JUPYTERHUB_API_TOKEN")
        return cls(url, token) if url and token and environment.get("RENKU_SESSION_ID") else None

    async def tell(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """What the hub says to that.

        Raises:
            NoRenku: it will never say anything.
            Exception: it does not answer now.
        """
        headers = {"Authorization": f"token {self._token}", "Content-Type": "application/json"}
        request = HTTPRequest(
            self._url, method="POST", headers=headers, body=json.dumps(said), request_timeout=20, follow_redirects=False
        )
        try:
            answer = await AsyncHTTPClient().fetch(request)
        except HTTPClientError as error:
            if error.code in (403, 404):
                raise NoRenku from None
            raise
        return dict(json.loads(answer.body))
