"""The ways in which a registry gives no image; `detail` is a clause that a person may read."""

from __future__ import annotations


class RegistryError(Exception):
    """No answer that could be used; the subclass says which kind."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail = detail


class NotFound(RegistryError):
    """The registry does not have it, or (Docker Hub) does not say whether it is absent or private."""


class Denied(RegistryError):
    """The registry has it, or may have it, and does not give it to us."""


class NotAllowed(RegistryError):
    """We may not ask there; nothing was connected to."""


class Unreachable(RegistryError):
    """No definitive answer: too slow, failing, refusing for now, or not a registry's answer at all."""


class UnknownName(Unreachable):
    """DNS has no host of that name."""


class NoPlatform(RegistryError):
    """The image exists, but not for any of our platforms; `platforms` says for which it does."""

    def __init__(self, platforms: tuple[str, ...]) -> None:
        super().__init__(", ".join(platforms) or "no platform")
        self.platforms = platforms
