"""What an admin can look up later."""

from dataclasses import FrozenInstanceError

import pytest

from renku_spawner.domain.administration import AuditEvent

from .values import NOON


def test_an_event_has_no_detail_unless_there_is_some_and_is_never_changed() -> None:
    event = AuditEvent(at=NOON, actor="admin", username=None, action="environment.archive", subject="environmenta")
    assert event.detail == {}
    with pytest.raises(FrozenInstanceError):
        event.actor = "ada"  # type: ignore[misc]
