"""Letters to a program: JSON by POST, signed, so that it can tell us from anybody else."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time

import aiohttp

from ..domain.letter import Letter, Undelivered

CONNECT_SECONDS, TOTAL_SECONDS = 3.0, 10.0
PAUSES = (1.0, 5.0)  # seconds before another try


class Webhook:
    """`Renku-Signature` is `sha256=` and the HMAC, with *secret*, of `Renku-Timestamp`, a full stop and the body."""

    def __init__(self, url: str, secret: str) -> None:
        self._url, self._secret = url, secret.encode()
        self._made: aiohttp.ClientSession | None = None
        self._closed = False

    async def send(self, letter: Letter) -> None:
        """Until it is taken (2xx), three times at most. Raises Undelivered."""
        body = json.dumps(letter.json).encode()
        for pause in (*PAUSES, None):
            answer = await self._try(body)
            if answer == "":
                return
            if pause is None:
                raise Undelivered(f"the webhook {answer}")
            await asyncio.sleep(pause)

    async def close(self) -> None:
        """Send nothing any more; a session that is made afterwards would never be closed."""
        self._closed = True
        if self._made is not None:
            await self._made.close()

    async def _try(self, body: bytes) -> str:
        """What was wrong; empty if nothing was. Nothing of the answer but its status is read."""
        try:
            async with self._session.post(
                self._url, data=body, headers=self.signed(body, str(int(time.time()))), allow_redirects=False
            ) as answer:
                return "" if 200 <= answer.status < 300 else f"answered {answer.status}"
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as problem:
            return f"does not answer ({type(problem).__name__})"

    def signed(self, body: bytes, now: str) -> dict[str, str]:
        signature = hmac.new(self._secret, now.encode() + b"." + body, hashlib.sha256).hexdigest()
        return {
            "Content-Type": "application/json",
            "Renku-Timestamp": now,
            "Renku-Signature": f"sha256={signature}",
        }

    @property
    def _session(self) -> aiohttp.ClientSession:
        """Made on the loop that uses it; without cookies and without the environment's proxies.

        Raises ConnectionError once it is closed.
        """
        if self._closed:
            raise ConnectionError("closed")
        if self._made is None:
            self._made = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=TOTAL_SECONDS, sock_connect=CONNECT_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._made
