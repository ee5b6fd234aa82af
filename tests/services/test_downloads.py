"""So many people download at a time, and everybody once."""

from dataclasses import replace

import pytest

from renku_spawner.domain.access import Person
from renku_spawner.domain.errors import Conflict, Unavailable
from renku_spawner.services import downloads


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
