"""Spawners are tried on a live hub, with real git repositories."""

from tests.fixtures.renku import renku_hub
from tests.spawners.local.conftest import upstream

__all__ = ["renku_hub", "upstream"]
