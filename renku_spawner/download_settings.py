"""The settings about downloads of data."""

from __future__ import annotations

from traitlets import Float, Integer
from traitlets.config import LoggingConfigurable


class DownloadSettings(LoggingConfigurable):
    """Those of the settings of `c.Renku` that are about downloads."""

    downloads = Integer(
        4,
        min=0,
        config=True,
        help="""
        How many people may download the files of a session of theirs at a time, one each. The files go through the
        hub, piece by piece. With 0 nobody can.
        """,
    )
    download_min_rate = Integer(
        20_000,
        min=0,
        config=True,
        help="""
        Bytes a second that a download has to take at least while the hub waits for it, on the average of
        `download_rate_window`. A slower one is cut off, so that it does not keep its place from others. With 0 it is
        cut off only when nothing at all was taken for that time.
        """,
    )
    download_rate_window = Float(
        120.0,
        min=1.0,
        config=True,
        help="Seconds of waiting for whoever downloads over which `download_min_rate` is measured.",
    )
