"""Base classes of the page and API handlers: authorization, request bodies, forms, errors and the page layout."""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar, NoReturn, TypeVar
from urllib.parse import urlsplit

from jupyterhub.apihandlers import APIHandler
from pydantic import BaseModel
from tornado.escape import json_encode
from tornado.httputil import HTTPInputError, url_concat
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, stream_request_body

from ..config.renku import Renku
from ..context.app_context import AppContext
from ..domain.access import Person, ProjectAction
from ..domain.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    LaunchRefusedError,
    MalformedInputError,
    RenkuError,
    build_not_found_error,
)
from ..domain.ids import is_project_path, is_valid_id
from ..domain.instances import Instance
from ..domain.projects import Project, remove_url_credentials
from ..hub.authentication import build_log_in_again_error
from ..hub.jupyterhub import CookieUserHandler, is_user_resolved, parse_request_body, set_anonymous_user
from ..hub.scopes import ANONYMOUS_ACCESS, CUSTOM_SCOPES, SECRET_ACCESS
from ..hub.users import to_person
from ..integrations.gitlab.client import GitLabLoginRequired
from ..usecases.idle import predict_pause
from ..usecases.storage_probes import get_unavailable_reason
from ..usecases.users import detect_recreated_user
from .answers import AnswerBuilder
from .errors import ErrorResponse, get_error_status, to_error_response
from .formatting import LOCAL_MODE_NOTICE, STATUS_MESSAGES
from .operations import APIOperation
from .page_context import LinkView, PageContext, RetryFormView, build_limit_view
from .rate_limits import LimitedRequest, count_request
from .request_parsing import (
    MAX_BODY_BYTES,
    check_query_parameters,
    make_stream_ticket,
    parse_cursor,
    parse_form_fields,
    parse_json_object,
    parse_limit,
    parse_text_parameter,
)
from .schemas import validate_model
from .security import SAFE_METHODS, check_request, hide_admin_route
from .urls import ASSETS_VERSION, UrlBuilder, add_query_parameters, parse_inner_path

HTTP_METHODS = ("get", "post", "put", "patch", "delete")
_UNKNOWN_METHOD = "UNKNOWN"  # replaces any method that Tornado does not know

OVERSIZED_CLOSE_DELAY_SECONDS = 0.5

Body = TypeVar("Body", bound=BaseModel)


def _wrap_http_method(method: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Wrap *method* so that it runs with the complete body, and errors of a form are shown in the form."""

    @functools.wraps(method)
    async def wrapped(self: RenkuBaseHandler, *args: str) -> None:
        self.assemble_body()
        try:
            await method(self, *args)
        except (InvalidInputError, ConflictError) as problem:
            if not await self.render_form_problem(problem, *args):
                raise

    return wrapped


@stream_request_body
class RenkuBaseHandler(CookieUserHandler):
    """Authorize requests, read bodies of at most 64 kB, and answer errors uniformly.

    `scope` maps each method to the scope that a request needs; a class whose method has none cannot be defined.
    Routes that need the admin scope answer 404 to other users.
    """

    scope: Mapping[str, str] = {}
    kinds: ClassVar[tuple[str, ...]] = ()
    limited_request = LimitedRequest.CHANGE
    body_limit = MAX_BODY_BYTES
    SUPPORTED_METHODS = (*CookieUserHandler.SUPPORTED_METHODS, _UNKNOWN_METHOD)
    path_args: Sequence[str] = ()  # Tornado sets them when it runs the method; an error may come earlier
    slow_spawn_timeout = 0.5  # seconds; with the hub's ten, each start would be answered late
    slow_stop_timeout = 0.3  # seconds; likewise for each pause
    concurrent_spawn_limit = active_server_limit = 0  # starts above the hub's limits are queued, not refused
    person: Person

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for method in HTTP_METHODS:
            if method in cls.__dict__:
                if cls.scope.get(method) not in (*CUSTOM_SCOPES, ANONYMOUS_ACCESS, SECRET_ACCESS):
                    raise TypeError(f"{cls.__name__}.{method} names no scope")
                setattr(cls, method, _wrap_http_method(cls.__dict__[method]))

    def initialize(self, *args: Any, **kwargs: Any) -> None:
        if self.request.method not in self.SUPPORTED_METHODS:
            # Tornado would refuse an unknown method before `prepare` and close the connection, because the body is
            # unread. Its name could also be that of a method of this class, for example WRITE.
            self.request.method = _UNKNOWN_METHOD
        self._chunks = bytearray()
        self._whole = False
        self.gone = asyncio.Event()
        self._refusal: Exception | None = None

    # Authorization

    async def prepare(self) -> None:
        self.request.connection.set_max_body_size(sys.maxsize)  # limited below, where 413 can be answered
        if not self._has_allowed_length():
            await self._reject_oversized_body()
            return
        try:
            await super().prepare()
            await self.authorize_request()
        except (HTTPError, RenkuError) as refusal:
            # Tornado closes the connection after an answer from here, because the body is unread. A proxy that
            # keeps connections open would then fail the next request of another user.
            self._refusal = refusal

    async def authorize_request(self) -> None:
        """Authorize the request, or raise the reason for its refusal."""
        if getattr(self.current_user, "kind", None) != "user":
            self.reject_anonymous_user()
        hidden = hide_admin_route(self)
        check_request(self)
        check_query_parameters(self.request.query_arguments)
        self.person = to_person(self.current_user)
        if self.request.method not in SAFE_METHODS:
            count_request(self.context, self.person.name, self.limited_request)
        await detect_recreated_user(self.context, self.person)
        if hidden:
            raise build_not_found_error()

    def _has_allowed_length(self) -> bool:
        length = self.request.headers.get("Content-Length", "0")
        return length.isdecimal() and int(length) <= self.body_limit

    async def _reject_oversized_body(self) -> None:
        """Answer 413 without reading the body.

        The connection stays open for a moment, so that a proxy can read the answer.
        """
        failure = to_error_response(HTTPError(413), 413)
        text = self.render_failure(failure).encode()
        self.set_status(413)
        self.set_header("Connection", "close")
        self.set_header("Content-Length", str(len(text)))
        with suppress(StreamClosedError, TimeoutError):
            self.write(text)
            await self.flush()
            async with asyncio.timeout(OVERSIZED_CLOSE_DELAY_SECONDS):
                await self.gone.wait()
        self.finish()

    def on_connection_close(self) -> None:
        super().on_connection_close()
        self.gone.set()

    def reject_anonymous_user(self) -> NoReturn:
        raise NotImplementedError

    # Request

    async def data_received(self, chunk: bytes) -> None:
        """Collect the body, and limit a chunked one, which has no Content-Length."""
        self._chunks += chunk
        if len(self._chunks) > self.body_limit:
            self._chunks.clear()
            await self._reject_oversized_body()

    def assemble_body(self) -> None:
        """Assemble the body. Raises the refusal that `prepare` has stored."""
        if self._refusal:
            raise self._refusal
        self.request.body = bytes(self._chunks)
        self._whole = True

    async def _reject_method(self, *args: Any, **kwargs: Any) -> None:
        """Refuse a method that the handler does not implement."""
        raise self._refusal or HTTPError(405)

    get = head = options = post = put = patch = delete = unknown = _reject_method

    async def render_form_problem(self, problem: RenkuError, *args: str) -> bool:
        """Show *problem* in the form it is about; return False if there is no such form."""
        return False

    def decode_argument(self, value: bytes, name: str | None = None) -> str:
        """Decode an argument; a path that is not UTF-8 matches nothing, so that it leads to 404."""
        return super().decode_argument(value, name) if name else value.decode("utf-8", "replace")

    def check_project_ref(self, text: str) -> str:
        """Return *text* if it can be the id or path of a project. Raises NotFoundError otherwise."""
        if is_valid_id(text) or is_project_path(text):
            return text
        raise build_not_found_error()

    def get_search_text(self, name: str = "search") -> str:
        return parse_text_parameter(self.request.query_arguments, name)

    def get_text_parameter(self, name: str, *, limit: int) -> str:
        """Return a query parameter, cut to *limit* characters."""
        return parse_text_parameter(self.request.query_arguments, name, limit)

    def get_cursor(self) -> str | None:
        return parse_cursor(self.request.query_arguments)

    # Response

    @property
    def context(self) -> AppContext:
        return Renku.instance().context

    @property
    def urls(self) -> UrlBuilder:
        servers = self.current_user.url if self.current_user else ""
        return UrlBuilder(base=self.hub.base_url, servers=servers, site=self._get_site_url())

    def _get_site_url(self) -> str:
        """Return scheme and host as the admin has configured them; headers of a request are not trusted."""
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
        """Disable ETags, because no response may be stored."""

    def log_exception(self, typ: Any, value: BaseException | None, tb: Any) -> None:
        """Log a refusal in one line of level INFO, and any other exception as an error."""
        if isinstance(value, RenkuError):
            self.log.info("%s %s: %s", self.request.method, type(self).__name__, value.code)
        else:
            super().log_exception(typ, value, tb)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = (kwargs.get("exc_info") or (None, None))[1]
        if type(error).__module__.startswith("sqlalchemy"):  # the hub rolls back the database session
            super().write_error(status_code, **kwargs)
            return
        failure = to_error_response(error, status_code)
        self.set_status(failure.status)
        for name, value in failure.headers.items():
            self.set_header(name, value)
        if failure.status == 405:
            self.set_header("Allow", ", ".join(method.upper() for method in self.scope))
        self.write(self.render_failure(failure))

    def render_failure(self, failure: ErrorResponse) -> str:
        """Return the response body for *failure*."""
        raise NotImplementedError


class RenkuAPIHandler(RenkuBaseHandler, APIHandler):
    """An endpoint of the API: JSON in and out, authorized by a token, or by a cookie with the XSRF token."""

    kinds: ClassVar[tuple[str, ...]] = ("application/json",)
    calls: ClassVar[Mapping[str, APIOperation]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        cls.scope = {method: call.scope for method, call in cls.calls.items()}
        super().__init_subclass__(**kwargs)

    @property
    def content_security_policy(self) -> str:
        return "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

    def check_post_content_type(self) -> bool:
        """Accept any content type here: `check_request` answers 415, the hub would make the user anonymous."""
        return True

    def reject_anonymous_user(self) -> NoReturn:
        raise ForbiddenError("Missing or invalid credentials.", code="credentials")

    def parse_body(self, model: type[Body]) -> Body:
        """Parse the body as a *model*.

        Raises MalformedInputError, or InvalidInputError with the problems by field.
        """
        return validate_model(model, parse_json_object(self.request.body))

    def get_limit(self) -> int:
        return parse_limit(self.request.query_arguments)

    @property
    def answer_builder(self) -> AnswerBuilder:
        context, outlook = self.context, partial(predict_pause, self.context)
        return AnswerBuilder(
            urls=self.urls, person=self.person, now=context.now(), line=context.start_queue, outlook=outlook,
            price=context.policy.price,
        )  # fmt: skip

    def build_next_url(self, after: str | None, **asked: str) -> str | None:
        """Return the URL of the next page of a list; None at its end."""
        limit = self.get_query_argument("limit", "")
        return add_query_parameters(self.request.path, **asked, limit=limit, after=after) if after else None

    def write_answer(self, value: BaseModel, status: int = 200) -> None:
        self.set_status(status)
        self.finish(value.model_dump_json())

    def write_deletion_answer(self, gone: bool, instance: Instance | None) -> None:
        """Answer 204 when the data is gone, 202 with the instance while its deletion goes on."""
        if gone:
            self.set_status(204)
        else:
            self.write_answer(self.answer_builder.build_instance_answer(instance), 202)

    def render_failure(self, failure: ErrorResponse) -> str:
        self.set_header("Content-Type", "application/json")
        return str(json_encode(failure.to_dict()))


_URL_FORM_FIELDS = ("image", "repositories", "url")  # fields with URLs, which may contain credentials


class LoginRequiredError(HTTPError):
    """Redirect an anonymous user to the login, and from there to the page."""


class RenkuPageHandler(RenkuBaseHandler):
    """A page. POST redirects to a page with 303, or shows the form again with its errors.

    A handler with a form implements `render_form(*path_args, errors=…)`; `lists` names the fields that may repeat.
    """

    kinds = ("application/x-www-form-urlencoded",)
    lists: ClassVar[tuple[str, ...]] = ()
    renamed: ClassVar[Mapping[str, str]] = {}  # fields of the domain -> fields of the form
    problem_code = ""  # of the refusal that the form is shown again for

    @property
    def content_security_policy(self) -> str:
        """Content Security Policy of all pages.

        It allows inline scripts, because the hub's page layout has one without a nonce.
        """
        return (
            "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
            f"script-src 'self' 'unsafe-inline'; report-uri {self.csp_report_uri}"
        )

    def get_page_url(self, *args: Any, **kwargs: Any) -> str:
        """Return the page that belongs to an action, to which the login leads."""
        return self.request.uri if self.request.method == "GET" else self.request.path

    def reject_anonymous_user(self) -> NoReturn:
        if self.request.method == "GET":
            raise LoginRequiredError(302)
        if self.authenticator.auto_login:  # `form-action 'self'` blocks a redirect to a login on another site
            raise build_log_in_again_error()
        raise LoginRequiredError(303)

    def check_xsrf_cookie(self) -> None:
        """Check the XSRF token once the body is read, because a form sends it there."""
        if self._whole or self.request.method in SAFE_METHODS:
            super().check_xsrf_cookie()

    def assemble_body(self) -> None:
        super().assemble_body()
        if self.request.method in SAFE_METHODS:
            return
        try:
            parse_request_body(self.request)
        except HTTPInputError:
            raise MalformedInputError("The form cannot be read.") from None
        self.check_xsrf_cookie()

    @property
    def form_fields(self) -> dict[str, Any]:
        """Fields of the submitted form."""
        return parse_form_fields(self.request.body_arguments, self.lists)

    @property
    def redisplayed_fields(self) -> dict[str, Any]:
        """Fields to show again, without credentials in URLs (the part before the @)."""
        fields = self.form_fields
        urls = {key: fields[key] for key in _URL_FORM_FIELDS if isinstance(fields.get(key), str)}
        return fields | {key: remove_url_credentials(text) for key, text in urls.items()}

    def parse_form(self, model: type[Body]) -> Body:
        """Parse the form as a *model*. Raises InvalidInputError with the problems by field."""
        return validate_model(model, {key: value for key, value in self.form_fields.items() if key != "_xsrf"})

    async def render_form(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError

    async def render_form_problem(self, problem: RenkuError, *args: str) -> bool:
        if problem.code == "storage_credentials":  # missing credentials are entered on a page of their own
            project = await self.load_project(problem.details["project"], ProjectAction.LAUNCH)
            self.redirect_to_page(
                f"{self.urls.session(project.path, problem.details['session'])}/credentials", "credentials"
            )
            return True
        if (
            self.request.method in SAFE_METHODS
            or type(self).render_form is RenkuPageHandler.render_form
            or isinstance(problem, LaunchRefusedError)
        ):
            return False
        self.set_status(get_error_status(problem))
        self.problem_code = problem.code
        fields = {self._get_form_field_name(key): sentence for key, sentence in problem.fields.items()}
        await self.render_form(*args, errors=fields or {"form": problem.message})
        return True

    def _get_form_field_name(self, key: str) -> str:
        """Return the form field of a domain field: `repositories.2.url` belongs to `repositories.url`."""
        plain = ".".join(part for part in key.split(".") if not part.isdigit())
        return self.renamed.get(plain, plain)

    async def load_project(self, ref: str, action: ProjectAction) -> Project:
        """Return the project of this page. Raises NotFoundError, or ForbiddenError if *action* is not allowed."""
        return await self.context.source.get_project(self.person, self.check_project_ref(ref), action)

    def redirect_if_moved(self, ref: str, path: str, session: str | None = None) -> bool:
        """Redirect an old address of a project or session to its present one; return whether it did."""
        if ref != path:
            self.redirect(self.urls.session(path, session) if session else self.urls.project(path))
        return ref != path

    def redirect_back(self, project: str | None, session: str, project_id: str = "") -> None:
        """Redirect to the page that an action came from, at the session it was about."""
        self.redirect_to_page(
            self.urls.resolve_return_url(
                str(self.form_fields.get("back", "")), project=project, session=session, project_id=project_id
            )
        )

    @property
    def page_context(self) -> PageContext:
        inside = parse_inner_path(self.get_search_text("path")) or ""
        gitlab = self.context.gitlab.url if self.context.gitlab else None
        policy = self.context.policy
        return PageContext(
            urls=self.urls,
            now=self.context.now(),
            person=self.person.name,
            local=policy.local,
            inside=inside,
            query=self.get_text_parameter("query", limit=1000),
            gitlab=gitlab,
            downloads=policy.downloads > 0,
            class_sizes={each.name: each.size_label for each in policy.classes},
            stage=self.context.start_queue.describe_stage,
            outlook=partial(predict_pause, self.context),
            not_here=partial(get_unavailable_reason, policy),
        )

    def write_page(self, template: str, nav: str = "", **view: Any) -> None:
        self.write(self.render_page(template, nav, **view))

    def render_page(self, template: str, nav: str = "", **view: Any) -> str:
        """Render a page; one with `refresh` in its view gets an event stream."""
        frame = {
            "nav": nav,
            "events_url": self.urls.event_stream(make_stream_ticket(self.xsrf_token)) if "refresh" in view else None,
            "renku_version": ASSETS_VERSION,
            "said": STATUS_MESSAGES.get(self.get_search_text("said")),
            "local": LOCAL_MODE_NOTICE if self.context.policy.local else None,
            "back": "",
            "again": None,
            "in_the_way": None,
            "refresh": False,
            "problem_code": self.problem_code,
        }
        return str(self.render_template(template, sync=True, no_spawner_check=True, **(frame | view)))

    def redirect_to_page(self, address: str, said: str = "") -> None:
        self.redirect(url_concat(address, {"said": said}) if said else address, status=303)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        if isinstance((kwargs.get("exc_info") or (None, None))[1], LoginRequiredError):
            address = url_concat(self.get_login_url(), {"next": self.get_page_url(*self.path_args)})
            self.redirect(address, status=status_code)
        else:
            super().write_error(status_code, **kwargs)

    def render_failure(self, failure: ErrorResponse) -> str:
        if not is_user_resolved(self):
            set_anonymous_user(self)
        links = [*self._build_back_links(failure), {"text": "My projects", "url": self.urls.projects}]
        return self.render_page(
            "renku_error.html", status=failure.status, title=failure.title, message=failure.message, links=links,
            again=self._build_retry_form(failure),
            in_the_way=build_limit_view(failure, self._requested_session_id, self.urls),
        )  # fmt: skip

    @property
    def _requested_session_id(self) -> str:
        """The session id in the address, for which another session may be paused; empty without one."""
        return next((part for part in reversed(self.path_args) if part and is_valid_id(part)), "")

    def _build_back_links(self, failure: ErrorResponse) -> list[LinkView]:
        page = self.get_page_url(*self.path_args)
        if failure.code == GitLabLoginRequired.code:  # the hub's login page redirects users who have a cookie
            begin = self.authenticator.login_url(self.hub.base_url)
            return [{"text": "Log in again", "url": url_concat(begin, {"next": page})}]
        again = failure.status == 503 and self.request.method == "GET"
        return [] if failure.status in (404, 405, 500) else [{"text": "Try again" if again else "Back", "url": page}]

    def _build_retry_form(self, failure: ErrorResponse) -> RetryFormView | None:
        """Build a button that sends the refused form again, as it was or without what it failed for.

        If the session has changed, the button starts it as it is now, which the page says.
        """
        if self.request.method in SAFE_METHODS:
            return None
        if failure.code in ("access_unverified", "limit_user", "limit_kept"):
            return self._build_resubmit_form({}, "Try again")
        if failure.code == "changed" and "launch_version" in failure.details:
            other = {"version": failure.details["launch_version"]}
            # A card that was sent without loading a page shows the button too.
            return {**self._build_resubmit_form(other, "Start anyway"), "instead": True}
        if failure.code in ("storage_unavailable", "storage_host_key"):
            before = [name for name in str(self.form_fields.get("without_storages", "")).split(",") if name]
            without, missing = [*before, *failure.details["storages"]], ", ".join(failure.details["storages"])
            return self._build_resubmit_form({"without_storages": ",".join(without)}, f"Start without {missing}")
        return None

    def _build_resubmit_form(self, other: dict[str, str], label: str) -> RetryFormView:
        sent = {key: value if isinstance(value, list) else [value] for key, value in (self.form_fields | other).items()}
        fields = [(key, value) for key, values in sent.items() if key != "_xsrf" for value in values]
        return {"action": self.request.uri, "fields": fields, "label": label, "instead": False}
