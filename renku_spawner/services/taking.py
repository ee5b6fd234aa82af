"""What a start may take: whether its environment is still offered, as whom it runs, and in which class."""

from __future__ import annotations

from ..domain import image_user, retirement, text
from ..domain.access import Person
from ..domain.environment import Revision, RunConfiguration
from ..domain.errors import Invalid, Refused
from ..domain.policy import Policy
from ..domain.reasons import sentence
from ..domain.resources import ResourceClass, fitting
from ..domain.session import Session
from .parts import Parts, read


def refused(code: str, **values: object) -> Refused:
    return Refused(sentence(code, **values), code=code)


async def require_offered(parts: Parts, person: Person, session: Session) -> None:
    """What is archived is only resumed, and only for some days (decision 37)."""
    if session.environment.offered:
        return
    mine = await read(parts, lambda tx: tx.instances.get(session.id, person.name))
    days = parts.policy.archived_resume_days
    if refusal := retirement.refusal(session.environment, mine, parts.now(), days):
        code, said = refusal
        raise Refused(said, code=code)


def run_of(revision: Revision) -> RunConfiguration:
    """As whom it runs: what an editor has chosen was possible with the image that was there then."""
    try:
        image_user.check(revision.run, revision.facts)
    except Invalid:
        raise refused("image_root", image=revision.canonical) from None
    return image_user.applied(revision)


def class_of(policy: Policy, person: Person, session: Session, wanted: str | None) -> ResourceClass:
    """The class that was asked for, or the smallest that fits (decision 4)."""
    needs = session.configuration.needs
    usable = fitting(policy.classes, person, needs)
    if wanted is None:
        if not usable:
            raise refused("class_none", needs=needs.words)
        return usable[0]
    named = next((c for c in policy.classes if c.name == wanted), None)
    if named is None:
        raise refused("class_gone", resource_class=text.one_line(wanted, limit=50))
    if not named.usable(person):
        raise refused("class_forbidden", resource_class=named.name)
    if named not in usable:
        raise refused("class_too_small", resource_class=named.name)
    return named
