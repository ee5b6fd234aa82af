"""Everything that may go wrong between a client and GitLab, on demand."""

import asyncio
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

from .gitlab_auth import REVOKED, invalid
from .gitlab_call import Refusal, Reply, message

SIGN_IN = "<!DOCTYPE html>\n<html><head><title>Sign in · GitLab</title></head><body><h1>GitLab</h1></body></html>\n"
BAD_GATEWAY = (
    "<html>\n<head><title>502 Bad Gateway</title></head>\n<body>\n<center><h1>502 Bad Gateway</h1></center>\n"
    "<hr><center>nginx</center>\n</body>\n</html>\n"
)
OFTEN = "This endpoint has been requested too many times. Try again later."
MODES = ("ok", "slow", "hang", "drip", "reset", "truncated", "401", "403", "404", "429", "500", "502", "503")
MODES += ("html", "bad json", "scope")


@dataclass
class Fault:
    """What happens to the next *times* requests (None: all) whose path begins with *prefix*.

    slow: answered after `FakeGitLab.slow_seconds`; hang: never; drip: the answer comes byte by byte; reset: the
    connection breaks; truncated: half the answer; 429:<x>: refused with `Retry-After: x`, `429 json:<x>` by the
    other limiter; html: a page with status 200; 502: a page of the proxy; scope: the token has too few scopes.
    """

    prefix: str
    mode: str
    times: int | None = None

    def __post_init__(self) -> None:
        if self.mode not in MODES and self.mode.partition(":")[0] not in {"429", "429 json"}:
            raise ValueError(f"GitLab has no mode {self.mode}.")

    def reply(self) -> Reply | None:
        """The answer that takes the place of the real one, if one does."""
        try:
            return self._reply()
        except Refusal as refusal:
            return refusal.reply

    def _reply(self) -> Reply | None:
        name, _, value = self.mode.partition(":")
        if name.startswith("429"):
            return limited(value, json=name.endswith("json"))
        if self.mode == "401":
            raise invalid(REVOKED)
        texts = {"403": "Forbidden", "404": "Project Not Found", "500": "Internal Server Error"}
        texts["503"] = "Service Unavailable"
        if self.mode in texts:
            raise message(int(self.mode), texts[self.mode])
        page = {"Content-Type": "text/html; charset=utf-8"}
        others = {
            "html": Reply(SIGN_IN, 200, page),
            "502": Reply(BAD_GATEWAY, 502, {"Content-Type": "text/html"}),
            "bad json": Reply('{"id": 42, "name": "Spec', 200),
            "scope": Reply({"error": "insufficient_scope", "error_description": "", "scope": "api read_api"}, 403),
        }
        return others.get(self.mode)


def limited(after: str, *, json: bool) -> Reply:
    """What the two limiters say; *after* as it is, empty for no such header."""
    headers: dict[str, Any] = {"Retry-After": after} if after else {}
    if json:
        return Reply({"message": {"error": OFTEN}}, 429, headers)
    headers |= {"Content-Type": "text/plain", "RateLimit-ResetTime": formatdate(usegmt=True)}
    return Reply("Retry later\n", 429, headers)


class Faults:
    """Those of one GitLab: the latest that fits wins; without any, the mode of the whole."""

    def __init__(self) -> None:
        self.mode = "ok"
        self.own: list[Fault] = []

    def of(self, path: str) -> Fault:
        for fault in reversed(self.own):
            if path.startswith(fault.prefix) and fault.times != 0:
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return Fault("", self.mode)


async def never() -> None:
    await asyncio.Event().wait()
