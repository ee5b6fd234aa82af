"""What pages have in common: the frame, and forms that are shown again with what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, NoReturn

from tornado.httputil import HTTPInputError, url_concat
from tornado.web import HTTPError

from ..domain.access import Action
from ..domain.errors import Malformed, Refused, RenkuError
from ..domain.names import is_id
from ..domain.project import Project
from ..domain.repository import without_credentials
from ..gitlab.errors import LogInAgain
from ..services import availability, idling
from . import bodies, failures, reading, views_shares
from .assets import VERSION
from .base import SAFE, Body, Handler
from .urls import inside as inside_of
from .views_frame import Frame
from .visitor import log_in_again
from .words import LOCAL, SAID

_ADDRESSES = ("image", "repositories", "url")  # fields into which people paste addresses


class LoginNeeded(HTTPError):
    """Somebody unknown: sent to the login, and from there to the page."""


class RenkuHandler(Handler):
    """A page. POST is answered by 303 to a page, or by the form with what is wrong in it.

    A handler with a form has `form(*path, errors=…)`, which shows it; `lists` are
    its fields that may repeat.
    """

    kinds = ("application/x-www-form-urlencoded",)
    lists: ClassVar[tuple[str, ...]] = ()
    renamed: ClassVar[Mapping[str, str]] = {}  # fields of the domain -> fields of the form

    @property
    def content_security_policy(self) -> str:
        """Decision 36; the frame of the hub has an inline script without a nonce."""
        return (
            "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
            f"script-src 'self' 'unsafe-inline'; report-uri {self.csp_report_uri}"
        )

    def page(self, *args: Any, **kwargs: Any) -> str:
        """The page that belongs to an action, where a stranger lands after the login."""
        return self.request.uri if self.request.method == "GET" else self.request.path

    def refuse_stranger(self) -> NoReturn:
        if self.request.method == "GET":
            raise LoginNeeded(302)
        if self.authenticator.auto_login:  # to another site, where no browser follows from a form of ours
            raise log_in_again()
        raise LoginNeeded(303)

    def check_xsrf_cookie(self) -> None:
        """The token stands in the body, so it is checked when that is there (recipe 9)."""
        if self._whole or self.request.method in SAFE:
            super().check_xsrf_cookie()

    def take_body(self) -> None:
        super().take_body()
        if self.request.method in SAFE:
            return
        try:
            self.request._parse_body()
        except HTTPInputError:
            raise Malformed("The form cannot be read.") from None
        self.check_xsrf_cookie()

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of the form that was sent."""
        return reading.form(self.request.body_arguments, self.lists)

    @property
    def typed(self) -> dict[str, Any]:
        """The fields to be shown again: what somebody put before the @ of an address stays out of the page (H24)."""
        fields = self.fields
        given = {key: fields[key] for key in _ADDRESSES if isinstance(fields.get(key), str)}
        return fields | {key: without_credentials(text) for key, text in given.items()}

    def filled(self, model: type[Body]) -> Body:
        """The form as a value. Raises Invalid with what is wrong at which field."""
        return bodies.check(model, {key: value for key, value in self.fields.items() if key != "_xsrf"})

    async def form(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError

    async def again(self, problem: RenkuError, *args: str) -> bool:
        if problem.code == "storage_credentials":  # what a start lacks is entered on a page of its own
            project = await self.project(problem.details["project"], Action.LAUNCH)
            self.go(f"{self.urls.session(project.path, problem.details['session'])}/credentials", "credentials")
            return True
        if self.request.method in SAFE or type(self).form is RenkuHandler.form or isinstance(problem, Refused):
            return False
        self.set_status(failures.status_of(problem))
        fields = {self._field(key): said for key, said in problem.fields.items()}
        await self.form(*args, errors=fields or {"form": problem.message})
        return True

    def _field(self, key: str) -> str:
        """`repositories.2.url` stands at the field for `repositories.url`."""
        plain = ".".join(part for part in key.split(".") if not part.isdigit())
        return self.renamed.get(plain, plain)

    async def project(self, ref: str, action: Action) -> Project:
        """The project of this page. Raises NotFound, or Forbidden unless *action* is allowed."""
        return await self.parts.source.get(self.person, self.ref(ref), action)

    def moved(self, ref: str, path: str, session: str | None = None) -> bool:
        """Whether the address was an old one, and has been answered with the present one (decision 24)."""
        if ref != path:
            self.redirect(self.urls.session(path, session) if session else self.urls.project(path))
        return ref != path

    def back(self, project: str | None, session: str, project_id: str = "") -> None:
        """Return to where an action came from, at the session it was about."""
        self.go(
            self.urls.back(str(self.fields.get("back", "")), project=project, session=session, project_id=project_id)
        )

    @property
    def frame(self) -> Frame:
        inside = inside_of(self.search("path")) or ""
        gitlab = self.parts.gitlab.url if self.parts.gitlab else None
        policy = self.parts.policy
        return Frame(
            urls=self.urls,
            now=self.parts.now(),
            person=self.person.name,
            local=policy.local,
            inside=inside,
            gitlab=gitlab,
            downloads=policy.downloads > 0,
            stage=self.parts.line.stage,
            outlook=partial(idling.outlook, self.parts),
            not_here=partial(availability.not_here, policy),
        )

    def show(self, template: str, nav: str = "", **view: Any) -> None:
        self.write(self.shown(template, nav, **view))

    def shown(self, template: str, nav: str = "", **view: Any) -> str:
        """A page; those with `refresh` in their view are live."""
        frame = {
            "nav": nav,
            "events_url": self.urls.events(reading.stream_ticket(self.xsrf_token)) if "refresh" in view else None,
            "renku_version": VERSION,
            "said": SAID.get(self.search("said")),
            "local": LOCAL if self.parts.policy.local else None,
            "back": "",
            "again": None,
            "in_the_way": None,
            "refresh": False,
        }
        return str(self.render_template(template, sync=True, no_spawner_check=True, **(frame | view)))

    def go(self, address: str, said: str = "") -> None:
        self.redirect(url_concat(address, {"said": said}) if said else address, status=303)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        if isinstance((kwargs.get("exc_info") or (None, None))[1], LoginNeeded):
            address = url_concat(self.get_login_url(), {"next": self.page(*self.path_args)})
            self.redirect(address, status=status_code)
        else:
            super().write_error(status_code, **kwargs)

    def told(self, failure: failures.Failure) -> str:
        if not hasattr(self, "_jupyterhub_user"):  # refused before anybody was looked up
            self._jupyterhub_user = None
            self._resolve_roles_and_scopes()
        links = [*self._way_back(failure), {"text": "My projects", "url": self.urls.projects}]
        return self.shown(
            "renku_error.html", status=failure.status, title=failure.title, message=failure.message, links=links,
            again=self._another_try(failure),
            in_the_way=views_shares.in_the_way(failure, self._wanted, self.urls),
        )  # fmt: skip

    @property
    def _wanted(self) -> str:
        """The id of the session that the address names, for which something else may make room."""
        return next((part for part in reversed(self.path_args) if part and is_id(part)), "")

    def _way_back(self, failure: failures.Failure) -> list[dict[str, str]]:
        page = self.page(*self.path_args)
        if failure.code == LogInAgain.code:  # the hub's own page would send back whom it still knows
            begin = self.authenticator.login_url(self.hub.base_url)
            return [{"text": "Log in again", "url": url_concat(begin, {"next": page})}]
        again = failure.status == 503 and self.request.method == "GET"
        return [] if failure.status in (404, 405, 500) else [{"text": "Try again" if again else "Back", "url": page}]

    def _another_try(self, failure: failures.Failure) -> dict[str, Any] | None:
        """The form that was sent, to be sent once more by a button, as it was or without what it failed for.

        Where it failed since the session changed, the button means the session as it is now, which the page says.
        """
        if self.request.method in SAFE:
            return None
        if failure.code in ("access_unverified", "limit_user", "limit_kept"):
            return self._sent_again({}, "Try again")
        if failure.code == "changed" and "launch_version" in failure.details:
            other = {"version": failure.details["launch_version"]}
            return self._sent_again(other, "Start anyway") | {"instead": True}  # also where a card sent it in place
        if failure.code in ("storage_unavailable", "storage_host_key"):
            before = [name for name in str(self.fields.get("without_storages", "")).split(",") if name]
            without, missing = [*before, *failure.details["storages"]], ", ".join(failure.details["storages"])
            return self._sent_again({"without_storages": ",".join(without)}, f"Start without {missing}")
        return None

    def _sent_again(self, other: dict[str, str], label: str) -> dict[str, Any]:
        sent = {key: value if isinstance(value, list) else [value] for key, value in (self.fields | other).items()}
        fields = [(key, value) for key, values in sent.items() if key != "_xsrf" for value in values]
        return {"action": self.request.uri, "fields": fields, "label": label, "instead": False}
