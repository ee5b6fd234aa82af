"""What the owner of an instance reads from the moment of its start on."""

from __future__ import annotations

from collections.abc import Mapping

from .reasons import words
from .session import SessionSpec


def of_start(spec: SessionSpec) -> tuple[Mapping[str, str], ...]:
    """Who started it, if somebody else did, what it is without, and that its image could not be checked."""
    told = []
    if spec.started_by is not None:
        told.append(_notice("started_by", admin=spec.started_by))
    if spec.without:
        told.append(_notice("storages_left_out", storages=", ".join(spec.without)))
    if spec.unverified:
        told.append(_notice("image_unverified", image=spec.image))
    return tuple(told)


def _notice(code: str, **values: object) -> dict[str, str]:
    title, text = words(code, **values)
    return {"code": code, "title": title, "text": text}
