"""So many people download at a time, and everybody once."""

from dataclasses import replace

import pytest

from renku_spawner.domain.access import Person
from renku_spawner.domain.errors import ConflictError, RenkuError, UnavailableError
from renku_spawner.usecases.downloads import require_downloadable_instance, reserve_download_slot
from tests.persistence import made


@pytest.mark.parametrize(("limit", "code"), [(0, "download_off"), (1, "download_nothing")])
async def test_an_admin_can_leave_downloads_out(limit, code, parts):
    ada = Person(name="ada")
    with parts.db.write() as tx:
        session = made.session(tx, made.project(tx), made.environment(tx))
        tx.instances.get_or_create(session, "ada", now=made.NOW)
    limited = replace(parts, policy=replace(parts.policy, downloads=limit))
    with pytest.raises(RenkuError) as refused:
        await require_downloadable_instance(limited, ada, session.id)
    assert refused.value.code == code


def test_a_place_is_free_again_when_its_download_is_over(parts):
    parts = replace(parts, policy=replace(parts.policy, downloads=2))
    ada, bob, carol = (Person(name=name) for name in ("ada", "bob", "carol"))
    with reserve_download_slot(parts, ada), reserve_download_slot(parts, bob):
        with pytest.raises(UnavailableError) as full, reserve_download_slot(parts, carol):
            pass
        with pytest.raises(ConflictError) as twice, reserve_download_slot(parts, ada):
            pass
        assert parts.downloading_users == {"ada", "bob"}
    assert (full.value.code, full.value.retry_after, twice.value.code) == ("download_busy", 60, "download_yours")
    with pytest.raises(KeyError), reserve_download_slot(parts, carol):
        raise KeyError
    assert parts.downloading_users == set()
