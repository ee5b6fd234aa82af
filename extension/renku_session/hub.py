"""Requests to the hub, with the server's own token; the browser never gets that token."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest


class NoRenku(Exception):
    """The hub has no Renku, or does not know this session."""


class Hub:
    """The hub's endpoint for reports of a session."""

    def __init__(self, url: str, token: str) -> None:
        self._url, self._token = f"{url.rstrip('/')}/renku/me", token

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Hub | None:
        """Read address and token from the environment; None if this server is not a session of a hub."""
        url, token = environment.get("JUPYTERHUB_API_URL"), environment.get("JUPYTERHUB_API_TOKEN")
        return cls(url, token) if url and token and environment.get("RENKU_SESSION_ID") else None

    async def tell(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """Send a report and return the hub's response.

        Raises:
            NoRenku: the hub has no Renku or does not know this session; trying again is useless.
            Exception: the hub is unavailable.
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
