"""Form that adds the sessions described in a repository."""

from __future__ import annotations

from ...domain.text import ShortText
from ..schemas import BaseBody


class DescribedSessionsForm(BaseBody):
    """The session file that the user has reviewed, named by `content`; another one answers 409 `changed`."""

    content: ShortText
