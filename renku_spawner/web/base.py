"""What all our handlers have in common; beside `hub.py` the only place that knows how we are hosted."""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar, NoReturn, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, stream_request_body

from ..app import Renku
from ..domain import names
from ..domain.access import Person
from ..domain.errors import Conflict, Invalid, RenkuError, not_found
from ..people import person_of
from ..services import people
from ..services.parts import Parts
from . import entrance, failures, reading, throttle
from .entrance import SAFE
from .scopes import ANYBODY, SCOPES, SECRET
from .urls import Urls
from .visitor import Visitor

METHODS = ("get", "post", "put", "patch", "delete")
_UNKNOWN = "UNKNOWN"  # in place of any method that Tornado does not know

LINGER = 0.5  # seconds

Body = TypeVar("Body", bound=BaseModel)


def _once_whole(method: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """*method*, run when the body is there; what is wrong with a form is shown in the form."""

    @functools.wraps(method)
    async def wrapped(self: Any, *args: str) -> None:
        self.take_body()
        try:
            await method(self, *args)
        except (Invalid, Conflict) as problem:
            if not await self.again(problem, *args):
                raise

    return wrapped


@stream_request_body
class Handler(Visitor):
    """A door: it lets people in, reads at most 64 kB, and says errors in one way.

    `scope` names for each method the scope that a request needs; a handler whose
    method has none cannot be made. What is for admins alone is not there for others.
    """

    scope: Mapping[str, str] = {}
    kinds: ClassVar[tuple[str, ...]] = ()
    count = staticmethod(throttle.count)
    body_limit = reading.BODY_LIMIT
    SUPPORTED_METHODS = (*Visitor.SUPPORTED_METHODS, _UNKNOWN)
    path_args: Sequence[str] = ()  # Tornado sets them when a request is run, and an error may come before
    slow_spawn_timeout = 0.5  # seconds; the hub's ten would hold each Start so long (recipe 11)
    slow_stop_timeout = 0.3  # seconds; each Pause likewise (decision 18)
    concurrent_spawn_limit = active_server_limit = 0  # what is above the hub's limits waits in line, and is not refused
    person: Person

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for method in METHODS:
            if method in cls.__dict__:
                if cls.scope.get(method) not in (*SCOPES, ANYBODY, SECRET):
                    raise TypeError(f"{cls.__name__}.{method} names no scope")
                setattr(cls, method, _once_whole(cls.__dict__[method]))

    def initialize(self, *args: Any, **kwargs: Any) -> None:
        if self.request.method not in self.SUPPORTED_METHODS:
            # Tornado would refuse it before `prepare`, which breaks the connection off: the body is not read yet. Its
            # name could also be that of a method of this class, as WRITE is.
            self.request.method = _UNKNOWN
        self._chunks = bytearray()
        self._whole = False
        self.gone = asyncio.Event()
        self._refusal: Exception | None = None

    # ---- who asks, and may they ----------------------------------------------------------------

    async def prepare(self) -> None:
        self.request.connection.set_max_body_size(sys.maxsize)  # counted here, where it can be answered
        if not self._fits():
            await self._refuse_size()
            return
        try:
            await super().prepare()
            await self.admit()
        except (HTTPError, RenkuError) as refusal:
            # Answered from here, Tornado would break the connection off (the body is not read yet), and a proxy
            # that keeps connections would fail somebody's next request with it.
            self._refusal = refusal

    async def admit(self) -> None:
        """Let the request in, or raise why not."""
        if getattr(self.current_user, "kind", None) != "user":
            self.refuse_stranger()
        hidden = entrance.hide(self)
        entrance.check(self)
        reading.check_query(self.request.query_arguments)
        self.person = person_of(self.current_user)
        if self.request.method not in SAFE:
            self.count(self.parts, self.person.name)
        await people.seen(self.parts, self.person)
        if hidden:
            raise not_found()

    def _fits(self) -> bool:
        length = self.request.headers.get("Content-Length", "0")
        return length.isdecimal() and int(length) <= self.body_limit

    async def _refuse_size(self) -> None:
        """Answer 413 without reading the body; the connection stays a moment, so that a proxy gets the answer."""
        failure = failures.of(HTTPError(413), 413)
        text = self.told(failure).encode()
        self.set_status(413)
        self.set_header("Connection", "close")
        self.set_header("Content-Length", str(len(text)))
        with suppress(StreamClosedError, TimeoutError):
            self.write(text)
            await self.flush()
            async with asyncio.timeout(LINGER):
                await self.gone.wait()
        self.finish()

    def on_connection_close(self) -> None:
        super().on_connection_close()
        self.gone.set()

    def refuse_stranger(self) -> NoReturn:
        raise NotImplementedError

    # ---- what is asked -------------------------------------------------------------------------

    async def data_received(self, chunk: bytes) -> None:
        """What comes in chunks has not said how long it is."""
        self._chunks += chunk
        if len(self._chunks) > self.body_limit:
            self._chunks.clear()
            await self._refuse_size()

    def take_body(self) -> None:
        """Put the body together. Raises what was wrong with the request before it came."""
        if self._refusal:
            raise self._refusal
        self.request.body = bytes(self._chunks)
        self._whole = True

    async def _refused(self, *args: Any, **kwargs: Any) -> None:
        """For the methods that a handler has not."""
        raise self._refusal or HTTPError(405)

    get = head = options = post = put = patch = delete = unknown = _refused

    async def again(self, problem: RenkuError, *args: str) -> bool:
        """Whether *problem* was shown in the form it is about."""
        return False

    def decode_argument(self, value: bytes, name: str | None = None) -> str:
        """A part of the path that is no UTF-8 names nothing, and 404 is the answer to that."""
        return super().decode_argument(value, name) if name else value.decode("utf-8", "replace")

    def ref(self, text: str) -> str:
        """The id or path of a project. Raises NotFound for what can be neither (H72)."""
        if names.is_id(text) or names.is_path(text):
            return text
        raise not_found()

    def search(self, name: str = "search") -> str:
        return reading.word(self.request.query_arguments, name)

    def word(self, name: str, *, limit: int) -> str:
        """A parameter of the address, of at most *limit* characters."""
        return reading.word(self.request.query_arguments, name, limit)

    def after(self) -> str | None:
        return reading.cursor(self.request.query_arguments)

    # ---- what is answered ----------------------------------------------------------------------

    @property
    def parts(self) -> Parts:
        return Renku.instance().parts

    @property
    def urls(self) -> Urls:
        servers = self.current_user.url if self.current_user else ""
        return Urls(base=self.hub.base_url, servers=servers, site=self._site())

    def _site(self) -> str:
        """Scheme and host as the admin has set them, never as a request says (H81)."""
        app = self.settings["app"]
        address = urlsplit(app.public_url or app.bind_url)
        host = address.netloc.replace("0.0.0.0", "127.0.0.1") if address.hostname else f"127.0.0.1{address.netloc}"
        return f"{address.scheme}://{host}"

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.set_header("Cache-Control", "no-store")
        self.set_header("Cross-Origin-Opener-Policy", "same-origin")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "same-origin")

    def compute_etag(self) -> None:
        """Nothing is stored, so nothing is compared."""

    def log_exception(self, typ: Any, value: BaseException | None, tb: Any) -> None:
        """A refusal is no incident."""
        if isinstance(value, RenkuError):
            self.log.info("%s %s: %s", self.request.method, type(self).__name__, value.code)
        else:
            super().log_exception(typ, value, tb)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = (kwargs.get("exc_info") or (None, None))[1]
        if type(error).__module__.startswith("sqlalchemy"):  # the hub rolls back the session that it shares
            super().write_error(status_code, **kwargs)
            return
        failure = failures.of(error, status_code)
        self.set_status(failure.status)
        for name, value in failure.headers.items():
            self.set_header(name, value)
        if failure.status == 405:
            self.set_header("Allow", ", ".join(method.upper() for method in self.scope))
        self.write(self.told(failure))

    def told(self, failure: failures.Failure) -> str:
        """The body that says *failure*."""
        raise NotImplementedError
