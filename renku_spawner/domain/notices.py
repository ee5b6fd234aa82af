"""Build the notices that the owner of an instance sees next to its status."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from .expiry import is_deletion_near
from .instances import DesiredState, Instance
from .notifications import format_date
from .reasons import format_reason
from .sessions import LaunchSpec, list_refused_variables


def build_launch_notices(spec: LaunchSpec) -> tuple[Mapping[str, str], ...]:
    """Return the notices of a start: the admin who started it, what it lacks, and an image that was not checked."""
    notices = []
    if spec.started_by is not None:
        notices.append(_build_notice("started_by", admin=spec.started_by))
    if spec.without:
        notices.append(_build_notice("storages_left_out", storages=", ".join(spec.without)))
    if refused := list_refused_variables(spec.variables):
        notices.append(_build_notice("variables_left_out", variables=", ".join(refused)))
    if spec.unverified:
        notices.append(_build_notice("image_unverified", image=spec.image))
    return tuple(notices)


def build_expiry_notices(instance: Instance, now: datetime) -> tuple[Mapping[str, str], ...]:
    """Return the notice that the data is deleted now or soon, or is in the trash."""
    if instance.desired is DesiredState.DELETED and instance.claim is not None:
        return (_build_notice("deleting"),)
    if instance.trashed_until is not None:
        return (_build_notice("in_trash", day=format_date(instance.trashed_until)),)
    if instance.deleted_on is not None and is_deletion_near(instance, now):
        return (_build_notice("delete_soon", day=format_date(instance.deleted_on)),)
    return ()


def _build_notice(code: str, **values: object) -> dict[str, str]:
    title, text = format_reason(code, **values)
    return {"code": code, "title": title, "text": text}
