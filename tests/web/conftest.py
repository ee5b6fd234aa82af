"""Pages and API are tried on a live hub."""

from tests.fixtures.renku import renku_hub

__all__ = ["renku_hub"]
