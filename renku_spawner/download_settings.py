"""The setting about downloads of data."""

from __future__ import annotations

from traitlets import Integer
from traitlets.config import LoggingConfigurable


class DownloadSettings(LoggingConfigurable):
    """That of the settings of `c.Renku` that is about downloads."""

    downloads = Integer(
        4,
        min=0,
        config=True,
        help="""
        How many people may download the files of a session of theirs at a time, one each. The files go through the
        hub, piece by piece. With 0 nobody can.
        """,
    )
