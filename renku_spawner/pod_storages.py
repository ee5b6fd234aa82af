"""What a pod needs beside it for its storages, and what the cluster calls them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from .domain import reasons
from .domain.policy import Policy
from .domain.session import SessionSpec
from .kube import storages
from .kube.calls import Calls, Denied
from .kube.objects import Raw, dig, text
from .kube.secret import owned
from .kube.settings import PodSettings
from .runtime import rclone
from .services.availability import not_here


async def hand_over(calls: Calls, spec: SessionSpec, settings: PodSettings, *, run: str, secret: str, pod: Raw) -> None:
    """Make the claims and Secrets of remotes, which belong to the pod that was made. Raises Denied."""
    options = {each.storage.directory: rclone.plain(each.storage, each.options) for each in spec.storages}
    for opening, claim in storages.objects(spec, settings, run=run, secret=secret, options=options):
        await calls.create_secret(owned(opening, pod))
        await calls.create_claim(owned(claim, pod))


def notices(spec: SessionSpec, policy: Policy) -> list[dict[str, str]]:
    """What is told of those that cannot be had on this cluster."""
    found = []
    for each in spec.storages:
        if why := not_here(policy, each.storage):
            title, said = reasons.words("storage_not_here", storages=each.storage.directory, why=why)
            found.append({"code": "storage_not_here", "title": title, "text": said})
    return found


@dataclass(kw_only=True)
class Known:
    """Which storage the cluster speaks of: `names` are directories by what it calls them, which is more and more."""

    claims: Sequence[str] = ()
    names: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, spec: SessionSpec, settings: PodSettings, secret: str) -> Known:
        return cls(claims=storages.claims(spec, settings, secret), names=storages.names(spec, settings, secret))

    async def look(self, calls: Calls) -> list[Raw]:
        """What happened to their claims, as far as that can be had now; learns what kubelets call their volumes."""
        events: list[Raw] = []
        for name in self.claims:
            events += await calls.claim_events(name)
            with suppress(Denied):
                volume = text(dig(await calls.claim(name), "spec", "volumeName"))
                self.names = {**self.names, **({volume: self.names[name]} if volume else {})}
        return events
