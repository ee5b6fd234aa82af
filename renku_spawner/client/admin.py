"""The client's calls about ready-made environments, and those for admins: to others these do not exist."""

from __future__ import annotations

from collections.abc import Iterator

from . import calls, models
from .base import Connected


class Admin(Connected):
    def environments(
        self, search: str = "", *, keyword: str = "", state: str = ""
    ) -> Iterator[models.EnvironmentAnswer]:
        """The ready-made ones that are offered; admins may ask for those in another *state*, or in `all`."""
        query = {"search": search, "keyword": keyword, "state": state}
        for page in self._wire.pages(calls.ENVIRONMENTS, query):
            yield from page.items

    def environment(self, environment: str) -> models.ReadyMadeAnswer:
        """In any state, with its use and its history."""
        return self._wire.ask(calls.ENVIRONMENT, environment=environment)

    def add_environment(self, new: models.EnvironmentBody) -> models.ReadyMadeAnswer:
        return self._wire.ask(calls.ENVIRONMENT_ADD, new)

    def change_environment(self, environment: str, change: models.EnvironmentChangeBody) -> models.ReadyMadeAnswer:
        return self._wire.ask(calls.ENVIRONMENT_CHANGE, change, environment=environment)

    def archive_environment(self, environment: str, why: models.ArchiveBody) -> models.ReadyMadeAnswer:
        """Nothing new starts from it."""
        return self._wire.ask(calls.ENVIRONMENT_ARCHIVE, why, environment=environment)

    def set_environment_state(self, environment: str, state: models.StateBody) -> models.ReadyMadeAnswer:
        """Offer, deprecate or archive it."""
        return self._wire.ask(calls.ENVIRONMENT_STATE, state, environment=environment)

    def roll_environment_back(self, environment: str, wanted: models.RollBackBody) -> models.ReadyMadeAnswer:
        return self._wire.ask(calls.ENVIRONMENT_ROLL_BACK, wanted, environment=environment)

    def move_environment(self, environment: str, to: models.MoveBody) -> models.ReadyMadeAnswer:
        return self._wire.ask(calls.ENVIRONMENT_MOVE, to, environment=environment)

    # ---- everybody's ----------------------------------------------------------------------------

    def all_instances(
        self, *, status: str = "", owner: str = "", project: str = "", reason: str = ""
    ) -> Iterator[models.AdminInstanceAnswer]:
        """Everybody's instances, the latest started first; that one looked is on record."""
        query = {"status": status, "owner": owner, "project": project, "reason": reason}
        for page in self._wire.pages(calls.ALL_INSTANCES, query):
            yield from page.items

    def pause_for(self, username: str, session: str) -> None:
        """Pause somebody's instance; its owner reads that an admin did it."""
        self._wire.ask(calls.PAUSE_FOR, models.PauseBody(username=username, session=session))

    def nodes(self) -> models.NodeList:
        """How many sessions run on each node of the cluster, and how many are stopping."""
        return self._wire.ask(calls.NODES)

    def pause_all(self, node: str | None = None, *, dry_run: bool = False) -> int:
        """Pause all sessions of a node, or of the hub, and return how many that are; a dry run only counts them."""
        wanted = models.PauseAllBody(node=node, all=node is None, dry_run=dry_run)
        return self._wire.ask(calls.PAUSE_ALL, wanted).sessions

    def restore_for(self, username: str, session: str) -> None:
        """Take somebody's data out of the trash, which is on record."""
        self._wire.ask(calls.RESTORE_FOR, models.PauseBody(username=username, session=session))

    def orphans(self) -> models.OrphansAnswer:
        """Pods, claims and folders without a record, and records without them: at most 200 of each."""
        return self._wire.ask(calls.ORPHANS)

    def remove_orphans(self, orphans: models.OrphansBody) -> models.RemovedAnswer:
        """Remove them for good, as far as they are still offered."""
        return self._wire.ask(calls.ORPHANS_REMOVE, orphans)

    def claims(self, owner: str = "") -> Iterator[models.ClaimAnswer]:
        """Claims and folders that keep somebody's files, the oldest first; that one looked is on record."""
        for page in self._wire.pages(calls.CLAIMS, {"owner": owner}):
            yield from page.items

    def failures(self) -> list[models.FailureAnswer]:
        """How many starts of the last 30 days failed, by day and reason."""
        return self._wire.ask(calls.FAILURES).items

    def starts(self) -> Iterator[models.EnvironmentStartsAnswer]:
        """How the starts of each environment went, and how long they took."""
        for page in self._wire.pages(calls.STARTS):
            yield from page.items

    def audit(self, *, actor: str = "", action: str = "") -> Iterator[models.AuditAnswer]:
        """What admins did, looked at, and what was refused, the latest first."""
        for page in self._wire.pages(calls.AUDIT, {"actor": actor, "action": action}):
            yield from page.items
