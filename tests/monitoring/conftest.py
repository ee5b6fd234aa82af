"""What an operator sees is tried on a live hub."""

from tests.fixtures.renku import renku_hub

__all__ = ["renku_hub"]
