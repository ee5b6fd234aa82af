"""Errors of requests to registries, git servers and other remote hosts.

The `detail` of each is a clause that can be shown to a user.
"""

from __future__ import annotations


class RemoteError(Exception):
    """Base class: the request had no usable answer."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail = detail


class ImageNotFound(RemoteError):
    """The registry does not have the image. Docker Hub answers the same for private images."""


class ImageAccessDenied(RemoteError):
    """The registry denies access to the image, which may or may not exist."""


class ConnectionNotAllowed(RemoteError):
    """The guard does not allow the connection; none was made."""


class RemoteUnreachable(RemoteError):
    """There was no definitive answer: a timeout, a failure, a rate limit, or an answer of something else."""


class UnknownHost(RemoteUnreachable):
    """DNS has no such host."""


class NoMatchingPlatform(RemoteError):
    """The image exists, but only for `platforms`, and none of them is ours."""

    def __init__(self, platforms: tuple[str, ...]) -> None:
        super().__init__(", ".join(platforms) or "no platform")
        self.platforms = platforms
