"""How somebody wants their own image to be run, where it does not say so itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

from .environment import RunConfiguration
from .errors import Invalid

MOST_WORDS, LONGEST_WORD = 50, 4096  # of a command
_URL = re.compile(r"/([^/\\\s][^\\\s]*)?")
_FOLDER = re.compile(r"/work(/[A-Za-z0-9._-]+)*")
_LEAST_ID, _LARGEST_ID = 1000, 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class RunChoice:
    """What an editor says; None takes what the image says, or else the usual."""

    default_url: str | None = None
    port: int | None = None
    command: tuple[str, ...] | None = None
    working_directory: str | None = None
    uid: int | None = None
    gid: int | None = None
    image_user: bool | None = None

    def over(self, suggested: RunConfiguration) -> RunConfiguration:
        """The choice, and *suggested* for what was not chosen."""
        said = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}
        if self.command is not None:
            said["arguments"] = ()  # those belong to the command that was suggested
        return replace(suggested, **said)

    @classmethod
    def of(cls, run: RunConfiguration, suggested: RunConfiguration) -> RunChoice:
        """What somebody must have said for *run* to come of *suggested*."""
        said = {f.name: getattr(run, f.name) for f in fields(cls)}
        changed = {name: value for name, value in said.items() if value != getattr(suggested, name)}
        return cls(**changed)


@dataclass(frozen=True, kw_only=True)
class NewImage:
    """Somebody's own image, as typed, and what the environment made from it is called.

    In a change, an empty `image` is the one that is there.
    """

    image: str
    name: str | None = None
    run: RunChoice = field(default_factory=RunChoice)


@dataclass(frozen=True, kw_only=True)
class NewBuilt:
    """An image that CI has built: of which repository (its directory) and branch; None for
    `branch` is the default one, for `image` (with its tag) the newest."""

    repository: str
    branch: str | None = None
    image: str | None = None
    name: str | None = None
    run: RunChoice = field(default_factory=RunChoice)


def check(run: RunChoice) -> RunChoice:
    """The same choice, if a session can be run so (decision 3: the working directory is `/work` or below).

    Raises:
        Invalid: with what is wrong at which field.
    """
    wrong = {name: sentence for name, sentence in _problems(run).items() if sentence}
    if wrong:
        raise Invalid("The image cannot be run in this way.", fields=wrong)
    return run


def _problems(run: RunChoice) -> Mapping[str, str]:
    return {
        "default_url": _unless(run.default_url is None or _is_url(run.default_url), "A path, such as /lab."),
        "port": _unless(run.port is None or 1 <= run.port <= 65535, "A port is a number from 1 to 65535."),
        "command": _command(run.command or ()),
        "working_directory": _unless(
            run.working_directory is None or _is_folder(run.working_directory), "The folder /work, or one below it."
        ),
        "uid": _uid(run),
        "gid": _unless(run.gid is None or 1 <= run.gid <= _LARGEST_ID, "A group id is a number from 1."),
    }


def _uid(run: RunChoice) -> str:
    if run.uid is not None and run.image_user:
        return "Either a user id, or the image's own user."
    return _unless(run.uid is None or _LEAST_ID <= run.uid <= _LARGEST_ID, f"A user id is a number from {_LEAST_ID}.")


def _unless(right: bool, sentence: str) -> str:
    return "" if right else sentence


def _is_url(text: str) -> bool:
    return len(text) <= 500 and text.isprintable() and bool(_URL.fullmatch(text))


def _is_folder(text: str) -> bool:
    return len(text) <= 500 and bool(_FOLDER.fullmatch(text)) and not {".", ".."} & set(text.split("/"))


def _command(words: tuple[str, ...]) -> str:
    if len(words) > MOST_WORDS or any(len(word) > LONGEST_WORD for word in words):
        return "This command is too long."
    return "" if all("\0" not in word for word in words) else "A command has no NUL characters."
