"""So many people download at a time, and everybody once."""

from dataclasses import replace

import pytest

from renku_spawner.domain.access import Person
from renku_spawner.domain.errors import Conflict, RenkuError, Unavailable
from renku_spawner.services import downloads
from tests.store import made


async def test_an_admin_can_leave_downloads_out(parts):
    ada = Person(name="ada")
    with parts.db.write() as tx:
        session = made.session(tx, made.project(tx), made.environment(tx))
        tx.instances.ensure(session, "ada", now=made.NOW)
    for limit, code in ((0, "download_off"), (1, "download_nothing")):
        limited = replace(parts, policy=replace(parts.policy, downloads=limit))
        with pytest.raises(RenkuError) as refused:
            await downloads.allowed(limited, ada, session.id)
        assert refused.value.code == code


def test_a_place_is_free_again_when_its_download_is_over(parts):
    parts = replace(parts, policy=replace(parts.policy, downloads=2))
    ada, bob, carol = (Person(name=name) for name in ("ada", "bob", "carol"))
    with downloads.place(parts, ada), downloads.place(parts, bob):
        with pytest.raises(Unavailable) as full, downloads.place(parts, carol):
            pass
        with pytest.raises(Conflict) as twice, downloads.place(parts, ada):
            pass
        assert parts.downloads == {"ada", "bob"}
    assert (full.value.code, full.value.retry_after, twice.value.code) == ("download_busy", 60, "download_yours")
    with pytest.raises(KeyError), downloads.place(parts, carol):
        raise KeyError
    assert parts.downloads == set()
