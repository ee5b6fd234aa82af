"""The fields of a form that say how an image is run, and what the environment made from it is called."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Literal

from ..domain.errors import Invalid
from ..domain.running import RunChoice, check
from .bodies import Body, Text, Word
from .forms import SessionForm, wrong

RUN = ("name", "port", "default_url", "working_directory", "uid", "gid", "image_user", "command")


class RunFields(Body):
    port: Word = ""
    default_url: Word = ""
    working_directory: Word = ""
    uid: Word = ""
    gid: Word = ""
    image_user: Literal["", "yes"] = ""
    command: Text = ""

    def problems(self) -> dict[str, str]:
        return problems_of(lambda: check(self.run()))

    def run(self) -> RunChoice:
        return RunChoice(
            default_url=self.default_url.strip() or None,
            port=_number("port", self.port),
            command=_command(self.command),
            working_directory=self.working_directory.strip() or None,
            uid=_number("uid", self.uid),
            gid=_number("gid", self.gid),
            image_user=self.image_user == "yes" or None,
        )


class RunForm(RunFields, SessionForm):
    name: Text = ""


def problems_of(look: Callable[[], object]) -> dict[str, str]:
    """What *look* finds wrong, by field."""
    try:
        look()
    except Invalid as problem:
        return problem.fields
    return {}


def _number(field: str, text: str) -> int | None:
    said = text.strip()
    if not said:
        return None
    if not (said.isascii() and said.isdigit() and len(said) < 11):
        raise wrong(field, "A whole number, please.")
    return int(said)


def _command(text: str) -> tuple[str, ...] | None:
    """Words as a shell would part them; nothing is expanded."""
    try:
        return tuple(shlex.split(text)) or None
    except ValueError:
        raise wrong("command", "A quotation mark in this command has no partner.") from None
