"""Everything that may go wrong between a client and the API server, on demand."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .kube_errors import ApiError, plain, too_many_requests
from .kube_store import Change


@dataclass
class Request:
    """One request as the server saw it; `status` and `sent` (bytes) are filled in when it is answered."""

    verb: str
    resource: str
    namespace: str = ""
    name: str = ""
    query: dict[str, str] = field(default_factory=dict)
    body: Any = None
    user: str = ""
    status: int = 0
    sent: int = 0


@dataclass
class Fault:
    """What happens to the next `times` requests (None: all) that `match`.

    status: answer with it instead of doing anything; delay, delay_after: seconds before and after the commit;
    held: commit when it is set; hang: never answer, `hang_after`: never answer, but commit first; reset: break the
    connection instead of an answer (after the commit); truncate: send only so many bytes of the answer, then break it.
    """

    match: Callable[[Request], bool]
    status: int = 0
    message: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0
    delay_after: float = 0
    held: asyncio.Event | None = None
    hang: bool = False
    hang_after: bool = False
    reset: bool = False
    truncate: int | None = None
    times: int | None = 1
    seen: int = 0

    async def before(self) -> None:
        await asyncio.sleep(self.delay)
        if self.held:
            await self.held.wait()
        if self.hang:
            await asyncio.Event().wait()
        if self.status:
            raise self.refusal()

    def refusal(self) -> ApiError:
        if self.status == 429:
            error = too_many_requests()
        elif self.message:
            error = ApiError(
                self.status, self.message, {503: "ServiceUnavailable", 403: "Forbidden"}.get(self.status, "")
            )
        else:
            error = plain(self.status, f"fault {self.status}")
        error.headers = error.headers | self.headers
        return error

    async def after(self) -> None:
        await asyncio.sleep(self.delay_after)
        if self.hang_after:
            await asyncio.Event().wait()


@dataclass
class WatchFault:
    """What happens to the next `times` watch lines that `match`: drop, duplicate, reorder (with the next) or late."""

    effect: str
    match: Callable[[Change], bool] = lambda change: True
    times: int | None = 1
    seconds: float = 0
    seen: int = 0


class Faults:
    def __init__(self) -> None:
        self.requests: list[Fault] = []
        self.lines: list[WatchFault] = []

    def of(self, request: Request) -> Fault | None:
        return self.first(self.requests, request)

    def of_line(self, change: Change) -> WatchFault | None:
        return self.first(self.lines, change)

    @staticmethod
    def first(faults: list[Any], subject: Any) -> Any:
        for fault in faults:
            if (fault.times is None or fault.seen < fault.times) and fault.match(subject):
                fault.seen += 1
                return fault
        return None

    def clear(self) -> None:
        self.requests.clear()
        self.lines.clear()
