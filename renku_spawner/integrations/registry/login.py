"""Authenticate requests to registries: parse WWW-Authenticate challenges, fetch tokens and load credentials."""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yarl import URL

from ...domain.images import ImageReference
from ..net.cache import TTLCache
from ..net.errors import ConnectionNotAllowed, ImageAccessDenied, ImageNotFound, RemoteError, RemoteUnreachable
from ..net.guarded_http import EgressGuard, GuardedHTTPClient, GuardedResponse
from ..net.single_flight import SingleFlight
from .manifests import MANIFEST_ACCEPT_HEADER

MAX_CHALLENGE_CHARACTERS = 4096
_HTTP_TOKEN_PATTERN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SCHEME_PATTERN = re.compile(rf"[ \t,]*({_HTTP_TOKEN_PATTERN})(?=[ \t,]|\Z)[ \t]*")
_PARAMETER_PATTERN = re.compile(
    rf'[ \t,]*({_HTTP_TOKEN_PATTERN})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|({_HTTP_TOKEN_PATTERN}))(?=[ \t,]|\Z)'
)
_TOKEN68_PATTERN = re.compile(r"[A-Za-z0-9._~+/-]+=*[ \t]*(?=,|\Z)")
_SEPARATOR_PATTERN = re.compile(r"[ \t,]*")


@dataclass(frozen=True, kw_only=True)
class AuthChallenge:
    """One scheme in lower case (`bearer`, `basic`) with its parameters, names in lower case."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenges(header: str) -> tuple[AuthChallenge, ...]:
    """Parse the challenges of a header (RFC 9110, section 11.6.1), in their order.

    Raises:
        ValueError: over 4096 characters, control characters, a duplicate parameter, or no challenge.
    """
    if len(header) > MAX_CHALLENGE_CHARACTERS or not header.isprintable():
        raise ValueError("This is not a challenge: too long, or with control characters.")
    found, position = [], 0
    while position < len(header):
        challenge, position = _parse_challenge(header, position)
        found.append(challenge)
    if not found:
        raise ValueError("There is no challenge.")
    return tuple(found)


def _parse_challenge(header: str, position: int) -> tuple[AuthChallenge, int]:
    scheme = _SCHEME_PATTERN.match(header, position)
    if not scheme:
        raise ValueError(f"There is no challenge at character {position}.")
    parameters: dict[str, str] = {}
    position = scheme.end()
    while parameter := _PARAMETER_PATTERN.match(header, position):
        name, quoted, bare = parameter.groups()
        if name.lower() in parameters:
            raise ValueError(f"The parameter {name[:40]} is listed twice.")
        parameters[name.lower()] = bare if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        position = parameter.end()
    if (
        not parameters
        and (blob := _TOKEN68_PATTERN.match(header, position))
        and not _SCHEME_PATTERN.match(header, position)
    ):
        position = blob.end()
    rest = _SEPARATOR_PATTERN.match(header, position)
    return AuthChallenge(scheme=scheme[1].lower(), parameters=parameters), rest.end() if rest else position


DOCKER_HUB_HOSTS = {"docker.io", "index.docker.io", "registry-1.docker.io", "auth.docker.io"}
MAX_TOKEN_RESPONSE_BYTES = 64 << 10
_MAX_CACHED_TOKENS = 1000
_BEARER_TOKEN_PATTERN = re.compile(r"[!-~]{1,32768}")
_TOKEN_LIFETIME_SECONDS = (60, 3600)  # default without `expires_in` (by the specification), and maximum
_TOKEN_EXPIRY_MARGIN_SECONDS = 10  # a token is no longer used this long before it expires


@dataclass(frozen=True, kw_only=True)
class RegistryRepository:
    """A repository of a registry; `trusted` if an admin chose it: credentials are only used then."""

    host: str
    path: str
    trusted: bool

    @property
    def is_on_docker_hub(self) -> bool:
        return self.host in DOCKER_HUB_HOSTS


def to_registry_repository(image: ImageReference, *, trusted: bool) -> RegistryRepository:
    return RegistryRepository(host=image.host.lower(), path=image.path, trusted=trusted)


class RegistryTransport:
    """Send requests to registries, and answer their authentication challenges.

    Tokens are cached per repository until they expire. The token server is cached per host, so that requests for
    further repositories are not refused first. Parallel requests share one token request by *flights*, which its
    owner closes.
    """

    def __init__(
        self,
        wire: GuardedHTTPClient,
        guard: EgressGuard,
        credentials: Mapping[str, tuple[str, str]],
        flights: SingleFlight,
        clock: Callable[[], float],
    ) -> None:
        self._wire = wire
        self._flights = flights
        self._guard = guard
        self._credentials = credentials
        self._authorizations: TTLCache[str] = TTLCache(_MAX_CACHED_TOKENS, clock)
        self._challenges: TTLCache[AuthChallenge] = TTLCache(_MAX_CACHED_TOKENS, clock)

    async def request(self, method: str, at: RegistryRepository, what: str, *, limit: int) -> GuardedResponse:
        """Request `/v2/<path>/<what>`; retry with a token if the registry asks for one.

        Raises:
            ImageNotFound, ImageAccessDenied, ConnectionNotAllowed, RemoteUnreachable: any status but 200, see
                `to_registry_error`.
        """
        url = _parse_url(f"{self._guard.get_scheme(at.host)}://{_get_registry_host(at.host)}/v2/{at.path}/{what}")
        headers = {"Accept": MANIFEST_ACCEPT_HEADER}
        if known := self._authorizations.get(at) or await self._prefetch_authorization(at):
            headers["Authorization"] = known
        answer = await self._wire.request(method, url, headers=headers, limit=limit)
        if answer.status == 401 and answer.url.origin() == url.origin():
            headers["Authorization"] = await self._renew_authorization(at, answer, known)
            answer = await self._wire.request(method, url, headers=headers, limit=limit)
        if answer.status != 200:
            raise to_registry_error(answer.status, at)
        return answer

    async def _prefetch_authorization(self, at: RegistryRepository) -> str | None:
        """Fetch a token from the host's known token server before the registry asks for one.

        If that server does not answer, it may have moved: forget it, so that the registry is asked again.
        """
        challenge = self._challenges.get(at.host)
        if challenge is None:
            return None
        try:
            return await self._get_bearer_authorization(at, challenge)
        except RemoteUnreachable:
            self._challenges.delete(at.host)
            return None

    async def _renew_authorization(self, at: RegistryRepository, answer: GuardedResponse, shown: str | None) -> str:
        """Return an authorization other than *shown*, which was refused; a parallel request may have got it already."""
        cached = self._authorizations.get(at)
        if cached and cached != shown:
            return cached
        self._authorizations.delete(at)
        self._challenges.delete(at.host)
        return await self._answer_challenge(at, answer)

    async def _answer_challenge(self, at: RegistryRepository, answer: GuardedResponse) -> str:
        """Return the authorization for a challenge.

        Raises:
            ImageNotFound, ImageAccessDenied: there are no credentials for it.
        """
        header = ", ".join(answer.headers.getall("WWW-Authenticate", []))
        try:
            challenges = {c.scheme: c for c in parse_challenges(header)} if header else {}
        except ValueError:
            raise RemoteUnreachable("asked for a login in a way that cannot be read") from None
        if bearer := challenges.get("bearer"):
            return await self._get_bearer_authorization(at, bearer)
        basic = self._build_basic_authorization(at, at.host)
        if "basic" not in challenges or not basic:
            raise to_registry_error(401, at)
        self._authorizations.put(at, basic)
        return basic

    async def _get_bearer_authorization(self, at: RegistryRepository, challenge: AuthChallenge) -> str:
        return await self._flights.run(("token", at), lambda: self._fetch_bearer_authorization(at, challenge))

    async def _fetch_bearer_authorization(self, at: RegistryRepository, challenge: AuthChallenge) -> str:
        """Fetch a token from the realm, on any allowed host.

        Credentials are only sent if the realm is on the registry's own host, and only to read this repository.
        """
        realm = _parse_url(challenge.parameters.get("realm", ""))
        self._guard.check_url(realm)
        basic = self._build_basic_authorization(at, realm.raw_authority)
        own = f"repository:{at.path}:pull"
        wanted = {"scope": own if basic else challenge.parameters.get("scope", own)}
        if "service" in challenge.parameters:
            wanted["service"] = challenge.parameters["service"]
        headers = {"Authorization": basic} if basic else {}
        answer = await self._wire.request(
            "GET", realm.update_query(wanted), headers=headers, limit=MAX_TOKEN_RESPONSE_BYTES
        )
        if answer.status != 200:
            raise to_registry_error(answer.status, at)
        token, seconds = _parse_token_response(answer.body)
        self._authorizations.put(at, f"Bearer {token}", seconds=seconds - _TOKEN_EXPIRY_MARGIN_SECONDS)
        self._challenges.put(at.host, _strip_repository_scope(challenge))
        return f"Bearer {token}"

    def _build_basic_authorization(self, at: RegistryRepository, host: str) -> str | None:
        """Return the admin's credentials for the registry of *at*, if *host* belongs to it and *at* is trusted."""
        credentials = self._credentials.get("docker.io" if at.is_on_docker_hub else at.host)
        same = host == at.host or (at.is_on_docker_hub and host in DOCKER_HUB_HOSTS)
        if not (credentials and same and at.trusted):
            return None
        return "Basic " + b64encode(":".join(credentials).encode()).decode()


def _strip_repository_scope(challenge: AuthChallenge) -> AuthChallenge:
    """Return the challenge without a repository's scope, for use with other repositories."""
    kept = {k: v for k, v in challenge.parameters.items() if k != "scope" or not v.startswith("repository:")}
    return AuthChallenge(scheme=challenge.scheme, parameters=kept)


def to_registry_error(status: int, at: RegistryRepository) -> RemoteError:
    """Map a status to an error. Docker Hub answers 401 for absent and for private repositories."""
    if status == 404 or (status == 401 and at.is_on_docker_hub):
        return ImageNotFound("does not have it, or it is private" if status == 401 else "does not have it")
    if status in (401, 403):
        return ImageAccessDenied("does not give public access to it")
    if status == 429:
        return RemoteUnreachable("asks us to wait: too many requests")
    return RemoteUnreachable(f"answered {status}")


def _get_registry_host(host: str) -> str:
    return "registry-1.docker.io" if host in DOCKER_HUB_HOSTS else host


def _parse_url(text: str) -> URL:
    try:
        url = URL(text)
        url.port  # noqa: B018 - an invalid port raises only on access
    except ValueError:
        raise ConnectionNotAllowed("this is not an address") from None
    return url


def _parse_token_response(body: bytes) -> tuple[str, int]:
    """Return the token and its lifetime in seconds.

    See https://distribution.github.io/distribution/spec/auth/token/.

    Raises:
        RemoteUnreachable: there is no valid token.
    """
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        fields = None
    fields = fields if isinstance(fields, dict) else {}
    token, seconds = fields.get("token") or fields.get("access_token"), fields.get("expires_in")
    if not isinstance(token, str) or not _BEARER_TOKEN_PATTERN.fullmatch(token):
        raise RemoteUnreachable("gave a token that cannot be read")
    usual, most = _TOKEN_LIFETIME_SECONDS
    return token, min(seconds, most) if type(seconds) is int and seconds > 0 else usual


_MAX_CREDENTIALS_BYTES = 1 << 20  # the maximum size of a Secret
_WHOLE_HOST_PATHS = {"", "v1", "v2"}


def load_registry_credentials(path: Path) -> dict[str, tuple[str, str]]:
    """Load user and password by host from a `.dockerconfigjson` file; those of Docker Hub are under `docker.io`.

    Raises:
        OSError: the file cannot be read.
        ValueError: an entry is invalid or not supported; the message does not contain its password.
    """
    with path.open("rb") as file:
        text = file.read(_MAX_CREDENTIALS_BYTES + 1)
    try:
        auths = json.loads(text)["auths"]
        entries = dict(auths.items())
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        raise ValueError(f"{path} is not a .dockerconfigjson file: it has no object `auths`") from None
    return {_parse_credentials_host(key): _parse_credentials_entry(key, entry) for key, entry in entries.items()}


def _parse_credentials_host(key: str) -> str:
    """Return the host of a key such as `registry.example.org:5050` or, by older clients, a whole URL."""
    host, _, rest = key.partition("://")[2].partition("/") if "://" in key else key.partition("/")
    if not host or rest.strip("/") not in _WHOLE_HOST_PATHS:
        raise ValueError(f"Credentials for {key!r} are for a part of a registry; only whole hosts are supported")
    return "docker.io" if host.lower() in DOCKER_HUB_HOSTS else host.lower()


def _parse_credentials_entry(key: str, entry: Any) -> tuple[str, str]:
    fields: Mapping[str, Any] = entry if isinstance(entry, dict) else {}
    user, password = fields.get("username"), fields.get("password")
    if fields.get("auth") and not user:
        try:
            user, _, password = b64decode(fields["auth"], validate=True).decode().partition(":")
        except (ValueError, TypeError):
            user = None
    if not isinstance(user, str) or not isinstance(password, str) or not user or not password or ":" in user:
        raise ValueError(f"Credentials for {key!r} have no user and password")
    return user, password
