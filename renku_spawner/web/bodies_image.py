"""What may stand in the body of a request about somebody's own image."""

from __future__ import annotations

from pydantic import Field

from ..domain.errors import Invalid
from ..domain.running import NewImage
from .bodies import Body, Id, RunBody, Text, Version, Word


class CheckBody(Body):
    """An image to ask about, as for `docker pull`."""

    image: Text
    run: RunBody = RunBody()


class RevisionBody(Body):
    """Either a revision that is there, or another image or way to run it, which makes a new one."""

    revision: int | Id | None = Field(default=None, description="Number or id of the revision to pin the session to")
    digest: Word | None = Field(
        default=None, description="Of a newer image: the digest that was looked at; another one answers 409 `changed`"
    )
    image: Text | None = Field(default=None, description="Another public image, for a session of one's own image")
    run: RunBody | None = Field(default=None, description="How it is run; without `image`, the one that is there")
    version: Version | None = Field(
        default=None, description="The session's version that was read; another one answers 409 `changed`"
    )

    def another(self) -> NewImage | None:
        """The image that is wanted instead; None for a revision that is there."""
        new = self.image is not None or self.run is not None
        if new == (self.revision is not None):
            sentence = "Either a revision, or an image or how it is run, please."
            raise Invalid(sentence, fields={"revision": sentence})
        return NewImage(image=(self.image or "").strip(), run=(self.run or RunBody()).value()) if new else None


class DismissalBody(Body):
    """The newer image that nobody wants to hear of."""

    digest: Word
