"""Requests to one repository of a registry, with the token that it asks for."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from yarl import URL

from ..domain.image import Image
from ..remote.cache import Cache, Flights
from .challenge import Challenge, parse
from .errors import Denied, NotAllowed, NotFound, RegistryError, Unreachable
from .guard import Guard
from .manifest import ACCEPT
from .wire import Answer, Wire

DOCKER_HUB = {"docker.io", "index.docker.io", "registry-1.docker.io", "auth.docker.io"}
TOKEN_LIMIT = 64 << 10  # bytes
_TOKENS = 1000
_TOKEN = re.compile(r"[!-~]{1,32768}")
_TOKEN_SECONDS = (60, 3600)  # what is meant without `expires_in`, and what we believe at most
_MARGIN = 10  # seconds before its end in which a token is not used any more


@dataclass(frozen=True, kw_only=True)
class Place:
    """A repository of a registry, and whether an admin chose it (only then credentials are used)."""

    host: str
    path: str
    trusted: bool

    @property
    def on_docker_hub(self) -> bool:
        return self.host in DOCKER_HUB


def place(image: Image, *, trusted: bool) -> Place:
    return Place(host=image.host.lower(), path=image.path, trusted=trusted)


class Login:
    """Answers challenges; tokens are remembered per repository until they end, and per host
    whom to ask for one, so that the next repository is not refused first. *flights* is whose
    owner closes it; whoever needs the same token at the same time waits for one answer."""

    def __init__(
        self,
        wire: Wire,
        guard: Guard,
        credentials: Mapping[str, tuple[str, str]],
        flights: Flights,
        clock: Callable[[], float],
    ) -> None:
        self._wire = wire
        self._flights = flights
        self._guard = guard
        self._credentials = credentials
        self._authorizations: Cache[str] = Cache(_TOKENS, clock)
        self._challenges: Cache[Challenge] = Cache(_TOKENS, clock)

    async def ask(self, method: str, at: Place, what: str, *, limit: int) -> Answer:
        """`/v2/<path>/<what>`, once more with a token where the first answer wants one.

        Raises:
            NotFound, Denied, NotAllowed, Unreachable: see `refusal`; any status but 200.
        """
        url = _url(f"{self._guard.scheme(at.host)}://{_address(at.host)}/v2/{at.path}/{what}")
        headers = {"Accept": ACCEPT}
        if known := self._authorizations.get(at) or await self._ahead(at):
            headers["Authorization"] = known
        answer = await self._wire.ask(method, url, headers=headers, limit=limit)
        if answer.status == 401 and answer.url.origin() == url.origin():
            headers["Authorization"] = await self._anew(at, answer, known)
            answer = await self._wire.ask(method, url, headers=headers, limit=limit)
        if answer.status != 200:
            raise refusal(answer.status, at)
        return answer

    async def _ahead(self, at: Place) -> str | None:
        """A token before anybody asks for it; a realm that is silent may have moved, so the registry is asked again."""
        challenge = self._challenges.get(at.host)
        if challenge is None:
            return None
        try:
            return await self._bearer(at, challenge)
        except Unreachable:
            self._challenges.forget(at.host)
            return None

    async def _anew(self, at: Place, answer: Answer, shown: str | None) -> str:
        """What opens it now that *shown* does not; another request may have got that meanwhile."""
        known = self._authorizations.get(at)
        if known and known != shown:
            return known
        self._authorizations.forget(at)
        self._challenges.forget(at.host)
        return await self._authorization(at, answer)

    async def _authorization(self, at: Place, answer: Answer) -> str:
        """Raises NotFound or Denied where we have nothing to show."""
        asked = ", ".join(answer.headers.getall("WWW-Authenticate", []))
        try:
            challenges = {c.scheme: c for c in parse(asked)} if asked else {}
        except ValueError:
            raise Unreachable("asked for a login in a way that cannot be read") from None
        if bearer := challenges.get("bearer"):
            return await self._bearer(at, bearer)
        basic = self._basic(at, at.host)
        if "basic" not in challenges or not basic:
            raise refusal(401, at)
        self._authorizations.put(at, basic)
        return basic

    async def _bearer(self, at: Place, challenge: Challenge) -> str:
        return await self._flights.run(("token", at), lambda: self._token(at, challenge))

    async def _token(self, at: Place, challenge: Challenge) -> str:
        """A token from the realm, wherever that is; credentials go there only if it is the
        registry's own host, and then for reading this repository only."""
        realm = _url(challenge.parameters.get("realm", ""))
        self._guard.check(realm)
        basic = self._basic(at, realm.raw_authority)
        own = f"repository:{at.path}:pull"
        wanted = {"scope": own if basic else challenge.parameters.get("scope", own)}
        if "service" in challenge.parameters:
            wanted["service"] = challenge.parameters["service"]
        headers = {"Authorization": basic} if basic else {}
        answer = await self._wire.ask("GET", realm.update_query(wanted), headers=headers, limit=TOKEN_LIMIT)
        if answer.status != 200:
            raise refusal(answer.status, at)
        token, seconds = _read(answer.body)
        self._authorizations.put(at, f"Bearer {token}", seconds=seconds - _MARGIN)
        self._challenges.put(at.host, _for_all(challenge))
        return f"Bearer {token}"

    def _basic(self, at: Place, host: str) -> str | None:
        """What an admin has given us for the registry of *at*, if *host* is that registry too."""
        found = self._credentials.get("docker.io" if at.on_docker_hub else at.host)
        same = host == at.host or (at.on_docker_hub and host in DOCKER_HUB)
        if not (found and same and at.trusted):
            return None
        return "Basic " + b64encode(":".join(found).encode()).decode()


def _for_all(challenge: Challenge) -> Challenge:
    """The challenge without the one repository that it was about."""
    kept = {k: v for k, v in challenge.parameters.items() if k != "scope" or not v.startswith("repository:")}
    return Challenge(scheme=challenge.scheme, parameters=kept)


def refusal(status: int, at: Place) -> RegistryError:
    """What a status says. Docker Hub answers 401 for what is absent and for what is private."""
    if status == 404 or (status == 401 and at.on_docker_hub):
        return NotFound("does not have it, or not for everybody" if status == 401 else "does not have it")
    if status in (401, 403):
        return Denied("does not give it to everybody")
    if status == 429:
        return Unreachable("asks us to wait: too many requests")
    return Unreachable(f"answered {status}")


def _address(host: str) -> str:
    return "registry-1.docker.io" if host in DOCKER_HUB else host


def _url(text: str) -> URL:
    try:
        url = URL(text)
        url.port  # noqa: B018 - read here, since it raises only now
    except ValueError:
        raise NotAllowed("this is not an address") from None
    return url


def _read(body: bytes) -> tuple[str, int]:
    """The token and for how many seconds it holds
    (https://distribution.github.io/distribution/spec/auth/token/)."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        fields = None
    fields = fields if isinstance(fields, dict) else {}
    token, seconds = fields.get("token") or fields.get("access_token"), fields.get("expires_in")
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise Unreachable("gave a token that cannot be read")
    usual, most = _TOKEN_SECONDS
    return token, min(seconds, most) if type(seconds) is int and seconds > 0 else usual
