"""Environments, their immutable revisions and run configurations, and the rules for managing and deprecating them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from .ci_images import CiImageOrigin
from .errors import InvalidInputError
from .ids import RecordId, RowVersion
from .instances import Instance
from .reasons import format_reason_sentence
from .text import LongText, ShortText

RevisionNumber = Annotated[int, Field(ge=1, lt=2**31)]


class EnvironmentKind(StrEnum):
    """The origin of an environment; `external` and `repository` environments belong to one project."""

    DEFAULT = "default"
    EXTERNAL = "external"
    REPOSITORY = "repository"


class EnvironmentState(StrEnum):
    """The life cycle of an environment."""

    DRAFT = "draft"
    ACTIVE = "active"
    DEPRECATED = "deprecated"
    ARCHIVED = "archived"

    def can_become(self, other: EnvironmentState) -> bool:
        """Return whether an admin may make it *other*.

        A deprecated or archived environment may get another successor or message.
        """
        return other in _NEXT_ENVIRONMENT_STATES[self]


# No environment becomes a draft again: sessions may run it by then.
_NEXT_ENVIRONMENT_STATES = {
    EnvironmentState.DRAFT: (EnvironmentState.ACTIVE, EnvironmentState.ARCHIVED),
    EnvironmentState.ACTIVE: (EnvironmentState.DEPRECATED, EnvironmentState.ARCHIVED),
    EnvironmentState.DEPRECATED: (EnvironmentState.ACTIVE, EnvironmentState.DEPRECATED, EnvironmentState.ARCHIVED),
    EnvironmentState.ARCHIVED: (EnvironmentState.ACTIVE, EnvironmentState.DEPRECATED, EnvironmentState.ARCHIVED),
}


@dataclass(frozen=True, kw_only=True)
class RunConfiguration:
    """Settings with which an image is run. The working directory is `/work` or below.

    With `image_user` it runs as the user that the image names, instead of `uid`; `gid` remains the group of
    the files in `/work`, and `group` is the image user's own group, which is filled in at a start.
    `idle_pause` is the idle time in seconds after which a session is paused: None uses the setting of the
    resource class, 0 never pauses it.
    """

    default_url: str = "/lab"
    port: int = 8888
    command: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    working_directory: str = "/work"
    uid: int | None = None
    gid: int | None = None
    image_user: bool = False
    group: int | None = None
    idle_pause: int | None = None


@dataclass(frozen=True, kw_only=True)
class NewRevision:
    """The fields of a revision before it is stored: the image as typed, its canonical parts and how it is run."""

    image: str
    repository: str
    tag: str | None = None
    digest: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict, hash=False)  # a dict has no hash
    run: RunConfiguration = field(default_factory=RunConfiguration)
    commit: str | None = None
    built: CiImageOrigin | None = None

    @property
    def canonical_reference(self) -> str:
        return f"{self.repository}:{self.tag}" if self.tag else self.repository


@dataclass(frozen=True, kw_only=True)
class Revision(NewRevision):
    """An immutable state of an environment, numbered from 1."""

    id: str
    environment: str
    number: int
    created_by: str
    created_at: datetime

    def is_unpinned_copy_of(self, pinned: Revision) -> bool:
        """Return whether this is the image of *pinned* from before its digest was known."""
        return (
            self.digest is None and pinned.digest is not None and self.canonical_reference == pinned.canonical_reference
        )


@dataclass(frozen=True, kw_only=True)
class NewEnvironment:
    """The fields of an environment before it is stored; `key` is its name in the hub's configuration."""

    name: str
    kind: EnvironmentKind = EnvironmentKind.DEFAULT
    project: str | None = None
    description: str = ""
    keywords: tuple[str, ...] = ()
    icon: str = ""
    position: int = 0
    key: str | None = None


@dataclass(frozen=True, kw_only=True)
class Environment(NewEnvironment):
    """An environment with its newest revision.

    `successor` is the id of its replacement; `version` counts the changes that admins made.
    """

    id: str
    state: EnvironmentState
    successor: str | None
    message: str
    created_by: str
    created_at: datetime
    revision: Revision
    archived_at: datetime | None = None
    version: int = 1

    @property
    def is_configured(self) -> bool:
        """True if the hub's configuration defines it, so that it cannot be changed in the browser."""
        return self.key is not None and self.state is not EnvironmentState.ARCHIVED

    @property
    def is_managed(self) -> bool:
        """True if admins manage it; only then may the hub send credentials to its registry."""
        return self.kind is EnvironmentKind.DEFAULT

    @property
    def is_offered(self) -> bool:
        """True if it is offered for new sessions."""
        return self.state in (EnvironmentState.ACTIVE, EnvironmentState.DEPRECATED)


MAX_COMMAND_WORDS, MAX_COMMAND_WORD_LENGTH = 50, 4096
_DEFAULT_URL_PATTERN = re.compile(r"/([^/\\\s][^\\\s]*)?")
_WORKING_DIRECTORY_PATTERN = re.compile(r"/work(/[A-Za-z0-9._-]+)*")
_MIN_RUN_ID, _MAX_RUN_ID = 1000, 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class RunOverrides:
    """The run configuration as an editor chose it; None uses the image's value, or else the default."""

    default_url: str | None = None
    port: int | None = None
    command: tuple[str, ...] | None = None
    working_directory: str | None = None
    uid: int | None = None
    gid: int | None = None
    image_user: bool | None = field(
        default=None,
        metadata={"description": "As the user that the image names, by its number and never root; without `uid`"},
    )

    def apply_to(self, suggested: RunConfiguration) -> RunConfiguration:
        """Return the overrides, with *suggested* for everything that was not chosen."""
        chosen = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}
        if self.command is not None:
            chosen["arguments"] = ()  # they belong to the suggested command
        return replace(suggested, **chosen)

    @classmethod
    def from_run_configuration(cls, run: RunConfiguration, suggested: RunConfiguration) -> RunOverrides:
        """Return the overrides that turn *suggested* into *run*."""
        values = {f.name: getattr(run, f.name) for f in fields(cls)}
        changed = {name: value for name, value in values.items() if value != getattr(suggested, name)}
        return cls(**changed)


@dataclass(frozen=True, kw_only=True)
class NewOwnImage:
    """An image of a user's choice, as typed, with the name of the environment that is made from it.

    In a change, an empty `image` keeps the present one.
    """

    image: str
    name: str | None = None
    run: RunOverrides = field(default_factory=RunOverrides)


@dataclass(frozen=True, kw_only=True)
class NewCiImage:
    """An image that CI has built from `repository`, the directory of a repository.

    `branch` is None for the default branch, `image` (with its tag) is None for the newest image.
    """

    repository: ShortText
    branch: ShortText | None = None
    image: LongText | None = None
    name: str | None = None
    run: RunOverrides = field(default_factory=RunOverrides)


def check_run_overrides(run: RunOverrides) -> RunOverrides:
    """Return the same overrides, if a session can be run with them.

    Raises:
        InvalidInputError: with a sentence at each field that is wrong.
    """
    wrong = {name: sentence for name, sentence in _find_run_problems(run).items() if sentence}
    if wrong:
        raise InvalidInputError("The image cannot be run in this way.", fields=wrong)
    return run


def _find_run_problems(run: RunOverrides) -> Mapping[str, str]:
    return {
        "default_url": _get_sentence_unless(
            run.default_url is None or _is_default_url(run.default_url), "A path, such as /lab."
        ),
        "port": _get_sentence_unless(run.port is None or 1 <= run.port <= 65535, "A port is a number from 1 to 65535."),
        "command": _find_command_problem(run.command or ()),
        "working_directory": _get_sentence_unless(
            run.working_directory is None or _is_working_directory(run.working_directory),
            "The folder /work, or one below it.",
        ),
        "uid": _find_uid_problem(run),
        "gid": _get_sentence_unless(run.gid is None or 1 <= run.gid <= _MAX_RUN_ID, "A group id is a number from 1."),
    }


def _find_uid_problem(run: RunOverrides) -> str:
    if run.uid is not None and run.image_user:
        return "Either a user id, or the image's own user."
    return _get_sentence_unless(
        run.uid is None or _MIN_RUN_ID <= run.uid <= _MAX_RUN_ID, f"A user id is a number from {_MIN_RUN_ID}."
    )


def _get_sentence_unless(right: bool, sentence: str) -> str:
    return "" if right else sentence


def _is_default_url(text: str) -> bool:
    return len(text) <= 500 and text.isprintable() and bool(_DEFAULT_URL_PATTERN.fullmatch(text))


def _is_working_directory(text: str) -> bool:
    return (
        len(text) <= 500 and bool(_WORKING_DIRECTORY_PATTERN.fullmatch(text)) and not {".", ".."} & set(text.split("/"))
    )


def _find_command_problem(words: tuple[str, ...]) -> str:
    if len(words) > MAX_COMMAND_WORDS or any(len(word) > MAX_COMMAND_WORD_LENGTH for word in words):
        return "This command is too long."
    return "" if all("\0" not in word for word in words) else "A command has no NUL characters."


ENVIRONMENT_ICONS = ("notebook", "code", "chart", "map", "terminal", "globe", "dna", "gpu", "robot", "book")

ENVIRONMENT_USAGE_PERIOD = timedelta(days=30)  # starts of this period are counted


@dataclass(frozen=True, kw_only=True)
class NewManagedEnvironment:
    """The fields of a managed environment before it is stored; `image` as typed."""

    name: LongText
    image: LongText
    description: LongText = ""
    keywords: tuple[ShortText, ...] = ()
    icon: ShortText = ""
    run: RunOverrides = field(default_factory=RunOverrides)
    state: EnvironmentState = EnvironmentState.DRAFT


@dataclass(frozen=True, kw_only=True)
class ManagedEnvironmentChange:
    """A change of a managed environment; None leaves a field as it is.

    `version` is the one that the admin saw. With `renew` the image's tag is resolved again; nothing else does that.
    """

    version: RowVersion
    name: LongText | None = None
    description: LongText | None = None
    keywords: tuple[ShortText, ...] | None = None
    icon: ShortText | None = None
    image: LongText | None = None
    run: RunOverrides | None = None
    renew: bool = False


@dataclass(frozen=True, kw_only=True)
class EnvironmentStateChange:
    """A change of an environment's state; `successor` is an id."""

    version: RowVersion
    state: EnvironmentState
    successor: RecordId | None = None
    message: LongText = ""


@dataclass(frozen=True, kw_only=True)
class ChosenRevision:
    """A revision of another environment that an editor chooses for a session.

    `environment` is an id. Without `revision`, its number, the newest one is meant.
    """

    environment: RecordId
    revision: RevisionNumber | None = None


@dataclass(frozen=True, kw_only=True)
class EnvironmentUsage:
    """Usage of an environment.

    `projects` and `sessions` count existing ones; `newest` of the sessions run its newest revision. `running`
    counts the active instances of all users, and `last_used` is when one was last active. `starts` and
    `failed` count those of the last 30 days.
    """

    projects: int = 0
    sessions: int = 0
    newest: int = 0
    running: int = 0
    starts: int = 0
    failed: int = 0
    last_used: datetime | None = None


def check_environment_icon(word: str) -> str:
    """Return *word* if it is empty or one of `ENVIRONMENT_ICONS`. Raises InvalidInputError."""
    if word and word not in ENVIRONMENT_ICONS:
        sentence = f"Please choose one of {', '.join(ENVIRONMENT_ICONS)}."
        raise InvalidInputError(sentence, fields={"icon": sentence})
    return word


def is_same_revision_content(one: Revision, other: Revision) -> bool:
    """Return whether both revisions run the same content in the same way, as after going back to an earlier one."""
    content = one.canonical_reference == other.canonical_reference if one.digest is None else True
    return content and (one.digest, one.run) == (other.digest, other.run)


def get_resume_deadline(environment: Environment, days: int) -> datetime | None:
    """Return until when users who have data in its sessions can resume them; None while it is not archived.

    The deadline is *days* after it was archived; an archived environment without a recorded time has none.
    """
    if environment.state is not EnvironmentState.ARCHIVED or environment.archived_at is None:
        return None
    return environment.archived_at + timedelta(days=days)


def find_environment_refusal(
    environment: Environment, mine: Instance | None, now: datetime, days: int
) -> tuple[str, str] | None:
    """Return the code and the sentence of why *mine* does not start; None if it starts.

    *mine* is the user's own instance of a session of *environment*. An archived environment starts no new
    instances, but users who have data may resume theirs for *days* days, and running sessions go on.
    """
    if environment.state is EnvironmentState.DRAFT:
        return _build_environment_refusal("env_draft", environment)
    if environment.state is not EnvironmentState.ARCHIVED or (mine is not None and mine.is_active):
        return None
    if mine is None or mine.claim is None:
        return _build_environment_refusal("env_archived", environment)
    until = get_resume_deadline(environment, days)
    if until is None or now < until:
        return None
    return _build_environment_refusal(
        "env_expired", environment, since=_format_day(environment.archived_at), until=_format_day(until)
    )


def _build_environment_refusal(code: str, environment: Environment, **values: object) -> tuple[str, str]:
    return code, format_reason_sentence(code, environment=environment.name, **values)


def _format_day(moment: datetime | None) -> str:
    return f"{moment.day} {moment:%B %Y}" if moment else "…"


def get_environment_refusal_message(
    environment: Environment, mine: Instance | None, now: datetime, days: int
) -> str | None:
    """Return the sentence of `find_environment_refusal` alone."""
    refusal = find_environment_refusal(environment, mine, now, days)
    return refusal[1] if refusal else None
