"""A project's sessions as a document: what somebody writes into a file and keeps in git."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from . import text, variables
from .errors import Invalid
from .repository import Repository
from .running import RunChoice
from .session import Configuration, Session
from .storage import Credentials, Storage

VERSION = 1
ALL: Final = "all"


@dataclass(frozen=True, kw_only=True)
class ReadyMade:
    """A ready-made environment by its key, its name or its id; with a *digest* the revision that has this content."""

    name: str
    digest: str | None = None


@dataclass(frozen=True, kw_only=True)
class OwnImage:
    """Somebody's own image as for `docker pull`; with a *digest* that content, else what the tag names when it is
    added. `name` is of the environment that is made from it."""

    image: str
    digest: str | None = None
    name: str | None = None
    run: RunChoice = field(default_factory=RunChoice)

    @property
    def typed(self) -> str:
        return f"{self.image}@{self.digest}" if self.digest else self.image


@dataclass(frozen=True, kw_only=True)
class FromRepository:
    """An image that CI has built, of the repository in `directory`; without `image` the newest of the branch."""

    directory: str
    branch: str | None = None
    image: str | None = None
    digest: str | None = None
    name: str | None = None
    run: RunChoice = field(default_factory=RunChoice)


Source = ReadyMade | OwnImage | FromRepository


@dataclass(frozen=True, kw_only=True)
class Described:
    """One session as it is described; None leaves what is there, and is the usual for a new one.

    `was` is an earlier title: a session that still has it gets the new one. `repositories` and
    `storages` are directories, or `all`, also those added later.
    """

    title: str
    environment: Source
    was: str | None = None
    description: str | None = None
    default: bool = False
    cpu: str | None = None
    memory: str | None = None
    gpu: int | None = None
    disk: str | None = None
    repositories: Literal["all"] | tuple[str, ...] | None = None
    storages: Literal["all"] | tuple[str, ...] | None = None
    variables: Mapping[str, str] | None = None

    def over(self, present: Configuration) -> Configuration:
        """The configuration that it asks for, with *present* for what it does not say.

        A variable that looks secret is in no document that was written by us: it goes only by hand.
        """
        said = {name: getattr(self, name) for name in ("cpu", "memory", "gpu", "disk")}
        needs = replace(present.needs, **{name: value for name, value in said.items() if value is not None})
        return Configuration(
            needs=needs,
            repositories=_chosen(self.repositories, present.repositories),
            storages=_chosen(self.storages, present.storages),
            variables=present.variables if self.variables is None else {**_kept(present.variables), **self.variables},
        )


def _chosen(wanted: Literal["all"] | tuple[str, ...] | None, present: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Directories, None for all."""
    if wanted is None:
        return present
    return None if isinstance(wanted, str) else wanted


@dataclass(frozen=True, kw_only=True)
class DescribedStorage:
    """A storage of the project, known by its directory; credentials stand in no document."""

    directory: str
    kind: str
    settings: Mapping[str, str] = field(default_factory=dict)
    path: str = ""
    credentials: Credentials = Credentials.NONE
    read_only: bool = True


@dataclass(frozen=True, kw_only=True)
class Document:
    """A project's sessions and storages in their order. `project` is the path of the one that they were written from;
    `left_out` says which variables of which session a document that was written by us does not have."""

    sessions: tuple[Described, ...] = ()
    storages: tuple[DescribedStorage, ...] = ()
    project: str | None = None
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What of a session changes, in words; an empty `old` is of something new."""

    field: str
    old: str
    new: str


def checked(document: Document) -> Document:
    """The same with cleaned texts, if no two sessions are meant by one title.

    Raises:
        Invalid: with a sentence at each path that is wrong, such as `sessions.1.title`.
    """
    wrong: dict[str, str] = {}
    sessions = [_cleaned(number, each, wrong) for number, each in enumerate(document.sessions)]
    titles = [text.folded(each.title) for each in sessions]
    wrong = _twice(titles, "sessions.{}.title", "Session {} of this document has this title already.") | wrong
    places = [each.directory.casefold() for each in document.storages]
    wrong |= _twice(places, "storages.{}.directory", "Storage {} of this document has this directory already.")
    defaults = [number for number, each in enumerate(sessions) if each.default]
    for number in defaults[1:]:
        wrong[f"sessions.{number}.default"] = f"Session {defaults[0] + 1} of this document is the default already."
    if wrong:
        raise Invalid("These sessions cannot be.", fields=wrong)
    return replace(document, sessions=tuple(sessions))


def _twice(names: Sequence[str], path: str, sentence: str) -> dict[str, str]:
    """What is wrong with names that stand there before, by path."""
    firsts: dict[str, int] = {}
    places = [(number, firsts.setdefault(name, number)) for number, name in enumerate(names)]
    return {path.format(number): sentence.format(first + 1) for number, first in places if first != number}


def _cleaned(number: int, each: Described, wrong: dict[str, str]) -> Described:
    at = f"sessions.{number}"
    try:
        return replace(
            each,
            title=text.title(each.title),
            was=None if each.was is None else text.title(each.was, field="was"),
            description=None if each.description is None else text.description(each.description),
        )
    except Invalid as problem:
        wrong.update({f"{at}.{name}": said for name, said in problem.fields.items()})
        return each


def _kept(present: Mapping[str, str]) -> dict[str, str]:
    return {name: present[name] for name in variables.look_secret(present)}


def written(session: Session, environment: Source, *, default: bool) -> Described:
    """*session* as a document says it: all of it, but for variables that look secret."""
    wanted, secret = session.configuration, variables.look_secret(session.configuration.variables)
    return Described(
        title=session.title,
        description=session.description,
        default=default,
        environment=environment,
        cpu=wanted.needs.cpu,
        memory=wanted.needs.memory,
        gpu=wanted.needs.gpu,
        disk=wanted.needs.disk,
        repositories=ALL if wanted.repositories is None else wanted.repositories,
        storages=ALL if wanted.storages is None else wanted.storages,
        variables={name: value for name, value in wanted.variables.items() if name not in secret},
    )


def directory_of(url: str, repositories: tuple[Repository, ...]) -> str:
    """Where the project has the repository at *url*; the address itself where it has it no more."""
    return next((each.directory for each in repositories if _spelt(each.url) == _spelt(url)), url)


def _spelt(url: str) -> str:
    return url.casefold().rstrip("/").removesuffix(".git")


def written_storage(storage: Storage) -> DescribedStorage:
    return DescribedStorage(
        directory=storage.directory,
        kind=storage.kind,
        settings=storage.settings,
        path=storage.path,
        credentials=storage.credentials,
        read_only=storage.read_only,
    )
