"""What the owner of an instance reads beside its status."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from . import expiry
from .instance import Desired, Instance
from .letter import date
from .reasons import words
from .session import SessionSpec
from .variables import list_refused


def of_start(spec: SessionSpec) -> tuple[Mapping[str, str], ...]:
    """Return the notices of a start: the admin who began it, what it is without, an image that was not checked."""
    told = []
    if spec.started_by is not None:
        told.append(_notice("started_by", admin=spec.started_by))
    if spec.without:
        told.append(_notice("storages_left_out", storages=", ".join(spec.without)))
    if refused := list_refused(spec.variables):
        told.append(_notice("variables_left_out", variables=", ".join(refused)))
    if spec.unverified:
        told.append(_notice("image_unverified", image=spec.image))
    return tuple(told)


def of_expiry(instance: Instance, now: datetime) -> tuple[Mapping[str, str], ...]:
    """That its data go now or soon, or are in the trash."""
    if instance.desired is Desired.DELETED and instance.claim is not None:
        return (_notice("deleting"),)
    if instance.trashed_until is not None:
        return (_notice("in_trash", day=date(instance.trashed_until)),)
    if instance.deleted_on is not None and expiry.soon(instance, now):
        return (_notice("delete_soon", day=date(instance.deleted_on)),)
    return ()


def _notice(code: str, **values: object) -> dict[str, str]:
    title, text = words(code, **values)
    return {"code": code, "title": title, "text": text}
