"""The form of *My sessions* that pauses several."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .bodies import Body, Id, Text


class PauseSomeForm(Body):
    """Those that are ticked, or whatever runs; no more than pages can show after one click."""

    which: Literal["selected", "all"] = "selected"
    sessions: Annotated[list[Id], Field(max_length=100)] = []
    back: Text = ""
