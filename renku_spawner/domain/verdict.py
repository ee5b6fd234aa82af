"""What a look at an image has come to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from .facts import ImageFacts
from .hints import Hint
from .image import Image


class Verdict(StrEnum):
    """Reference table images.md §2; only `unverified` is not definitive."""

    OK = "ok"
    NOT_FOUND = "not_found"
    DENIED = "denied"
    PLATFORM_MISMATCH = "platform_mismatch"
    DIGEST_GONE = "digest_gone"
    UNVERIFIED = "unverified"
    NOT_ALLOWED = "not_allowed"

    @property
    def refuses(self) -> bool:
        """Whether an image with this verdict is neither saved nor started."""
        return self not in (Verdict.OK, Verdict.UNVERIFIED)

    @property
    def definitive(self) -> bool:
        return self is not Verdict.UNVERIFIED

    @property
    def reason(self) -> str | None:
        """The code in the table of reasons; None when all is well."""
        return _REASONS[self]


_REASONS = {
    Verdict.OK: None,
    Verdict.NOT_FOUND: "image_not_found",
    Verdict.DENIED: "image_denied",
    Verdict.PLATFORM_MISMATCH: "image_platform_mismatch",
    Verdict.DIGEST_GONE: "image_digest_gone",
    Verdict.UNVERIFIED: "image_unverified",
    Verdict.NOT_ALLOWED: "registry_not_allowed",
}


@dataclass(frozen=True, kw_only=True)
class Checked:
    """An image, the verdict and why: `image` carries the digest found, `facts` are None
    unless the registry gave them, `detail` is a sentence for the person."""

    image: Image
    verdict: Verdict
    checked_at: datetime
    facts: ImageFacts | None = None
    hints: tuple[Hint, ...] = ()
    detail: str = ""

    @property
    def refuses(self) -> bool:
        return self.verdict.refuses

    @property
    def reason(self) -> str | None:
        return self.verdict.reason
