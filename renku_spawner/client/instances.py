"""The client's calls about one's own instances: start, watch, pause, delete."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from time import monotonic, sleep

from . import calls, models
from .base import Connected
from .errors import Busy, HubAway
from .tail import fresh

UNSETTLED = ("launching", "stopping")
AWAY = 60.0  # seconds in which a hub that restarts may be away
DELETION_SECONDS = 60.0  # in which a pod should have gone
_DELETION_PAUSE = 3.0  # seconds before it is asked again whether all is deleted
_PAUSE = 1.0  # seconds before a stream that has broken off is asked for again
_MOST_LINES = 1000


class Instances(Connected):
    def me(self) -> models.OwnAnswer:
        """The session in which the program runs, asked for with that session's own token."""
        return self._wire.ask(calls.ME)

    def mine(self) -> Iterator[models.MyInstanceAnswer]:
        """One's own instances in all projects, also in those that one may see no more."""
        for page in self._wire.pages(calls.MINE):
            yield from page.items

    def start(
        self,
        project: str,
        session: str,
        *,
        resource_class: str | None = None,
        empty_disk: bool = False,
        without_storages: Iterable[str] = (),
        version: int | None = None,
        launch_version: str = "",
    ) -> models.InstanceAnswer:
        """Start or resume; answered as soon as that is under way, and again if it runs already.

        Without *resource_class* it is the smallest that fits; *empty_disk* starts with a new disk after `volume_lost`;
        *without_storages* are directories of storages that this start leaves out. *version* and *launch_version* are
        those of the session as it was read: if it is another one by now, nothing starts (Conflict, `changed`).
        """
        body = models.StartBody(
            resource_class=resource_class, empty_disk=empty_disk, without_storages=list(without_storages),
            version=version, launch_version=launch_version,
        )  # fmt: skip
        return self._wire.ask(calls.SESSION_START, body, project=project, session=session)

    def pause(self, session: str) -> models.InstanceAnswer:
        """Its files stay. Raises NotFound: there is no instance."""
        return self._wire.ask(calls.PAUSE, session=session)

    def keep_awake(self, session: str, seconds: int | None = None) -> models.InstanceAnswer:
        """So long it is not paused although nobody uses it: an hour if not said, 0: no longer. Raises Refused."""
        return self._wire.ask(calls.KEEP_AWAKE, models.AwakeBody(seconds=seconds), session=session)

    def restore(self, session: str) -> models.InstanceAnswer:
        """Take its data out of the trash. Raises NotFound: there is no instance."""
        return self._wire.ask(calls.RESTORE, session=session)

    def contents(self, session: str) -> models.ContentsAnswer:
        """What lies in its files, and what of it is nowhere else. Raises NotFound: there is no instance."""
        return self._wire.ask(calls.CONTENTS, session=session)

    def download(self, session: str) -> Iterator[bytes]:
        """All its files as a `tar.zst`, piece by piece, while it rests: an archive that breaks off raises HubAway.

        Raises Refused: it runs (`download_running`), or there are no files.
        """
        return self._wire.pieces(calls.DATA, session=session)

    def delete_data(self, session: str, *, wait: float = DELETION_SECONDS) -> bool:
        """Delete the instance and its files for good. Raises NotFound: there is no instance.

        Returns whether they are gone. False when that takes longer than *wait* seconds; it goes on by itself.
        """
        end = monotonic() + wait
        while self._wire.ask_until_done(calls.DATA_DELETE, session=session) is not None:
            if monotonic() >= end:
                return False
            sleep(_DELETION_PAUSE)
        return True

    def logs(self, session: str, lines: int = 200) -> list[str]:
        """The end of what it prints, 1 to 1000 lines."""
        return self._wire.ask(calls.LOGS, query={"lines": lines}, session=session).lines

    def follow_logs(self, session: str, lines: int = 200, *, every: float = 1.0) -> Iterator[list[str]]:
        """What it prints, for ever: first the last *lines*, then what is new, asked for each so many seconds.

        Lines are missing where it prints more than a thousand of them between two looks.
        """
        known: list[str] = []
        yield self.logs(session, lines) if lines else []
        known = self.logs(session, _MOST_LINES)
        while True:
            sleep(every)
            now = self.logs(session, _MOST_LINES)
            if new := fresh(known, now):
                yield new
            known = now

    def events(self) -> Iterator[models.ProgressAnswer]:
        """All one's instances as they change, until the hub ends the stream (after a quarter of an hour)."""
        return self._wire.events(calls.EVENTS)

    def session_events(self, project: str, session: str) -> Iterator[models.ProgressAnswer]:
        """One's instance as it changes, until it has settled or the hub ends the stream."""
        return self._wire.events(calls.SESSION_EVENTS, project=project, session=session)

    def until_settled(self, project: str, session: str) -> Iterator[models.ProgressAnswer]:
        """One's instance as it changes, until it neither starts nor stops; also over a restart of the hub.

        Raises ClientError, HubAway and Busy when the hub has been away for a minute.
        """
        heard = monotonic()
        while True:
            pause = _PAUSE
            try:
                for told in self.session_events(project, session):
                    heard = monotonic()
                    yield told
                    if told.status not in UNSETTLED:
                        return
            except HubAway:
                if monotonic() - heard > AWAY:
                    raise
            except Busy as busy:
                if busy.code == "stream_replaced":  # the hub is not away
                    heard = monotonic()
                if monotonic() - heard > AWAY:
                    raise
                pause = max(pause, busy.retry_after or 0)
            sleep(pause)
