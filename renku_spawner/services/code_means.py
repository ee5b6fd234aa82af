"""What the environment in a description means for a session that is there: nothing, another revision, or no."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..domain import image, text
from ..domain.as_code import Difference, FromRepository, OwnImage, ReadyMade, Source, directory_of
from ..domain.environment import Environment, Kind, Revision
from ..domain.errors import Invalid
from ..domain.project import Project
from ..domain.running import NewImage, RunChoice
from ..domain.session import Session
from .replacement import as_a_form_says, run_of

_TITLE = "Remove the session, or give the described one another title."
_NO_CONTENT = "No revision of this environment has this content; leave the digest out to keep what the session runs."
_NAME = "the environment keeps its name: one is given only when a session is added"


@dataclass(frozen=True, kw_only=True)
class There:
    """A session of *project* with the revisions of its environment, newest first, and what its admins offer instead."""

    project: Project
    session: Session
    history: Sequence[Revision] = ()
    successor: Environment | None = None


@dataclass(frozen=True, kw_only=True)
class Meant:
    """`image` replaces somebody's own, `revision` is one that is there, and of `heir` if that is another
    environment's; `refused` are sentences by key of the description's environment."""

    differences: tuple[Difference, ...] = ()
    image: NewImage | None = None
    revision: Revision | None = None
    heir: Environment | None = None
    refused: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def meant(there: There, source: Source) -> Meant:
    """What *source* asks for; nothing where the session runs just that, whatever is newer (decision 7)."""
    if isinstance(source, ReadyMade):
        return _ready_made(there, source)
    return _own(there, source) if isinstance(source, OwnImage) else _built(there, source)


def is_named(environment: Environment, name: str) -> bool:
    return name in (environment.key, environment.id) or text.folded(name) == text.folded(environment.name)


def _no(key: str, sentence: str) -> Meant:
    return Meant(refused=((key, sentence),))


def _ready_made(there: There, source: ReadyMade) -> Meant:
    environment, heir = there.session.environment, there.successor
    if environment.ready_made and is_named(environment, source.name):
        return _pinned(there, source.digest)
    if heir is not None and is_named(heir, source.name) and source.digest in (None, heir.revision.digest):
        changed = Difference(field="environment", old=environment.name, new=heir.name)
        return Meant(heir=heir, revision=heir.revision, differences=(changed,))
    return _no("ready_made", f"The session runs {_runs(there)}, which cannot become another environment. {_TITLE}")


def _pinned(there: There, digest: str | None) -> Meant:
    """The newest revision that has the content, unless the session runs it anyway."""
    if digest in (None, there.session.revision.digest):
        return Meant()
    found = next((each for each in there.history if each.digest == digest), None)
    return _to(there, found) if found else _no("digest", _NO_CONTENT)


def _to(there: There, revision: Revision) -> Meant:
    present = there.session.revision
    return Meant(
        revision=revision,
        differences=(Difference(field="image", old=called(present), new=called(revision)),),
    )


def called(revision: Revision) -> str:
    """An image with the beginning of its digest, as pages show it."""
    return f"{revision.canonical} ({revision.digest.partition(':')[2][:8]})" if revision.digest else revision.canonical


def _own(there: There, source: OwnImage) -> Meant:
    present = there.session.revision
    if there.session.environment.kind is not Kind.EXTERNAL:
        return _no("image", f"The session runs {_runs(there)}, which cannot become an own image. {_TITLE}")
    try:
        tagged, wanted = image.parse(source.image), image.parse(source.typed)
    except Invalid as problem:
        return _no("image", problem.message)
    if tagged.digest is not None:
        return _no("image", "Please give the digest as digest:, and the image with its tag.")
    named = {(each.repository, each.tag) for each in (tagged, wanted)}
    same = (present.repository, present.tag) in named and source.digest in (None, present.digest)
    if same and _same_run(present, source.run):
        return Meant(notes=_name(there, source.name))
    earlier = next((each for each in there.history if _is(each, source, wanted)), None) if source.digest else None
    if earlier is not None:
        return replace(_to(there, earlier), notes=_name(there, source.name))
    return Meant(
        image=NewImage(image="" if same else source.typed, run=source.run),
        differences=_image_differences(present, source, same=same),
        notes=_name(there, source.name),
    )


def _is(revision: Revision, source: OwnImage, wanted: image.Image) -> bool:
    named = (revision.repository, revision.tag, revision.digest) == (wanted.repository, wanted.tag, source.digest)
    return named and _same_run(revision, source.run)


def _same_run(present: Revision, run: RunChoice) -> bool:
    return as_a_form_says(run) == as_a_form_says(run_of(present))


def _image_differences(present: Revision, source: OwnImage, *, same: bool) -> tuple[Difference, ...]:
    found = [] if same else [Difference(field="image", old=called(present), new=source.typed)]
    old, new = vars(as_a_form_says(run_of(present))), vars(as_a_form_says(source.run))
    found += [
        Difference(field=f"run.{name}", old=_shown(old[name]), new=_shown(new[name]))
        for name in old
        if old[name] != new[name]
    ]
    return tuple(found)


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(value)
    return "as the image says" if value is None else str(value)


def _name(there: There, name: str | None) -> tuple[str, ...]:
    return () if name in (None, there.session.environment.name) else (_NAME,)


def _built(there: There, source: FromRepository) -> Meant:
    present = there.session.revision
    if there.session.environment.kind is not Kind.REPOSITORY or present.built is None:
        return _no("repository", f"The session runs {_runs(there)}, and nothing that CI has built. {_TITLE}")
    place, branch = directory_of(present.built.url, there.project.repositories), present.built.ref
    if source.directory not in (place, present.built.url) or source.branch not in (None, branch):
        return _no("repository", f"The session runs an image of {place}, branch {branch}. {_TITLE}")
    if not _same_run(present, source.run):
        return _no("run", f"How an image of CI is run is said when it is added. {_TITLE}")
    return replace(_of_branch(there, source), notes=_name(there, source.name))


def _of_branch(there: There, source: FromRepository) -> Meant:
    for each in (there.session.revision, *there.history):
        if source.image in (None, each.image) and source.digest in (None, each.digest):
            return Meant() if each.id == there.session.revision.id else _to(there, each)
    return _no("image", "The session has no such revision; what CI has built since is accepted on its page.")


def _runs(there: There) -> str:
    return f"“{there.session.environment.name}”"
