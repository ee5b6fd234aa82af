"""What holds while no admin has said anything."""

from dataclasses import FrozenInstanceError

import pytest

from renku_spawner.domain.policy import HubPolicy


def test_there_is_no_limit_until_an_admin_sets_one_but_one_active_session_per_environment() -> None:
    policy = HubPolicy()
    assert policy.running_per_user is policy.kept_per_user is policy.sessions_per_project is None
    assert policy.writes_per_minute is policy.projects_per_user is None
    assert policy.one_active_per_environment
    assert policy.repository_hosts == frozenset()
    assert not policy.local


def test_a_policy_cannot_be_changed_behind_the_admins_back() -> None:
    with pytest.raises(FrozenInstanceError):
        HubPolicy().local = True  # type: ignore[misc]
