"""One hub for all of this: it is asked over HTTP only, as from another machine."""

from collections.abc import Iterator

import pytest

from tests.faults.own_hub import OwnHub, own_hub


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnHub]:
    with own_hub(tmp_path_factory.mktemp("hub")) as hub:
        yield hub
