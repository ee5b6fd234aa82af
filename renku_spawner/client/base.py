"""What all parts of the client have in common: one connection."""

from __future__ import annotations

from typing import Self
from urllib.parse import urlsplit

from . import calls, models
from .wire import ANSWER, Wire


class Connected:
    def __init__(self, url: str, token: str, *, timeout: float = ANSWER) -> None:
        """*timeout* is in seconds, without a byte of the answer. Raises NotUnderstood: *url* is no address."""
        self._wire = Wire(url, token, timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r}, '…')"

    def close(self) -> None:
        self._wire.close()

    @property
    def url(self) -> str:
        """The hub's address, without a slash at its end."""
        return self._wire.api.removesuffix("/hub/api")

    def address(self, path: str) -> str:
        """Where a browser opens *path*, as an answer gives it: `url` of an instance, or a whole address."""
        parts = urlsplit(self.url)
        return path if urlsplit(path).netloc else f"{parts.scheme}://{parts.netloc}/{path.lstrip('/')}"

    def whoami(self) -> str:
        """The name of the token's user."""
        return self._wire.whoami()

    def health(self) -> models.HealthAnswer:
        """Whether all that Renku needs answers; by name for admins only. Raises Busy: the database is away."""
        return self._wire.ask(calls.HEALTH)

    def resource_classes(self) -> list[models.ResourceClassAnswer]:
        """The sizes in which sessions run, the smallest first."""
        return self._wire.ask(calls.RESOURCE_CLASSES).items
