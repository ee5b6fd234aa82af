"""How a private image comes to its user: with their own GitLab token, and from the project's own registry only."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..domain.access import Person
from ..domain.built import is_own
from ..domain.environment import Kind, Revision
from ..domain.session import SessionSpec
from ..gitlab.errors import Denied, Missing
from .parts import Parts, read
from .taking import refused

# Seconds that a token is good for when the pod is made (decision 31): what is downloaded with it may be large.
FRESH = 900.0
LEFT = 60.0
WITHIN = 5.0  # seconds for what GitLab is asked: somebody waits for the start
_USER = "oauth2"  # GitLab takes any name beside an OAuth token


@dataclass(frozen=True, kw_only=True)
class Login:
    """What the registry at *host* (`host` or `host:port`) is shown."""

    host: str
    password: str = field(repr=False)
    username: str = _USER


async def registry_of(parts: Parts, person: Person, spec: SessionSpec) -> str | None:
    """The host of the registry where the session's image is downloaded with *person*'s own token; None for images
    that need none. Whether it is GitLab's is asked there: a token is shown to no other.

    Raises:
        Refused: `image_denied`, if the person may not see the project whose registry it is.
        LogInAgain: GitLab does not take their token.
        Unavailable: GitLab does not answer.
    """
    revision = await _private(parts, spec)
    if parts.gitlab is None or revision is None or revision.built is None:
        return None
    await parts.gitlab.tokens.of(person.name, left=FRESH)  # whose login has ended reads that now
    try:
        found = await parts.gitlab.get(person.name, f"/projects/{int(revision.built.source)}", within=WITHIN)
    except (Missing, Denied):
        raise refused("image_denied", image=spec.image) from None
    prefix = found.get("container_registry_image_prefix") if isinstance(found, dict) else None
    if not isinstance(prefix, str) or not is_own(revision.repository, prefix):
        return None
    return revision.repository.partition("/")[0]


async def _private(parts: Parts, spec: SessionSpec) -> Revision | None:
    """The revision, if its image may be a private one."""
    if not parts.policy.private_images or parts.policy.local:
        return None
    session = await read(parts, lambda tx: tx.sessions.get(spec.session))
    if session is None or session.environment.kind is not Kind.REPOSITORY:
        return None
    return session.revision


async def login(parts: Parts, spec: SessionSpec, *, left: float = LEFT) -> Login | None:
    """The login that is good now; None where none is needed.

    Raises:
        LogInAgain, Away: there is none to be had.
    """
    if parts.gitlab is None or spec.pull is None:
        return None
    token = await parts.gitlab.tokens.of(spec.username, left=left)
    return Login(host=spec.pull, password=token.access)
