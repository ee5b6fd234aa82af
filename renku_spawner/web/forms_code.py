"""The form with which somebody adds the sessions that a repository describes."""

from __future__ import annotations

from .bodies import Body, Word


class DescribedForm(Body):
    """`content` names the file that was looked at; another one answers 409 `changed`."""

    content: Word
