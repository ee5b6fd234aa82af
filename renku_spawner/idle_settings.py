"""The settings about sessions that nobody uses."""

from __future__ import annotations

from collections.abc import Iterable

from traitlets import Float, Integer
from traitlets.config import LoggingConfigurable

from .domain.idle_rules import IdleRules
from .settings import SettingError

_DAY = 86_400
_MOST = 366 * _DAY


class IdleSettings(LoggingConfigurable):
    """Those of the settings of `c.Renku` that are about pausing by itself."""

    idle_pause = Integer(
        _DAY,
        min=0,
        max=_MOST,
        config=True,
        help="""
        Seconds after which a session that nobody uses is paused; its files stay. 0 is never.
        Traffic, busy kernels and terminals, and where the cluster tells it the use of processors
        count as use; what nobody can tell does not count as idleness. A resource class and a
        ready-made environment may say otherwise (`idle_pause`).
        """,
    )
    idle_warning = Integer(
        600,
        min=60,
        max=_DAY,
        config=True,
        help="Seconds for which its owner is told before a session is paused by itself, and can keep it awake.",
    )
    idle_processor = Float(
        0.1,
        min=0,
        max=1000,
        config=True,
        help="""
        Cores above which a session counts as used, so that one that calculates silently is not
        paused: as the cluster tells it (`metrics.k8s.io`), or the hub's own machine. 0 asks nobody.
        """,
    )
    keep_awake_max = Integer(
        7 * _DAY,
        min=0,
        max=_MOST,
        config=True,
        help="Seconds for which an owner can at most keep a session awake that nobody uses; 0 lets nobody.",
    )
    run_time_max = Integer(
        0,
        min=0,
        max=_MOST,
        config=True,
        help="Seconds after which any session is paused, used or not, after the same warning. 0 is never.",
    )
    rounds_interval = Float(
        60.0,
        min=1,
        max=600,
        config=True,
        help="Seconds between two looks at what is due: sessions to be paused, and data to be announced or removed.",
    )

    def idle_rules(self) -> IdleRules:
        """Raises SettingError."""
        self.longer_than_warning("idle_pause", self.idle_pause)
        self.longer_than_warning("run_time_max", self.run_time_max)
        return IdleRules(
            pause=self.idle_pause,
            warning=self.idle_warning,
            awake_max=self.keep_awake_max,
            run_max=self.run_time_max,
            processor=self.idle_processor,
        )

    def idle_of_each(self, setting: str, said: Iterable[tuple[str, int | None]]) -> None:
        """What entries of *setting* say, by their names. Raises SettingError."""
        for name, seconds in said:
            self.longer_than_warning(f"{setting}: idle_pause of {name!r}", seconds)

    def longer_than_warning(self, what: str, seconds: int | None) -> None:
        """0 is never. Raises SettingError."""
        if seconds and seconds <= self.idle_warning:
            raise SettingError(
                f"Renku.{what} ({seconds}) has to be longer than Renku.idle_warning ({self.idle_warning})."
            )
