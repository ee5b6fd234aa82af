"""Runs sessions as pods of a Kubernetes cluster."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import monotonic
from urllib.parse import urlsplit

from jupyterhub.utils import maybe_future
from traitlets import Bool, Unicode

from . import beside, pod_look, pod_probe, pod_start, pod_storages
from .claimed import ANSWERS_WITHIN, ClaimedSpawner
from .domain.instance import Desired, Instance, Observed
from .domain.session import SessionSpec
from .failures import LaunchFailed
from .kube import crashes, manifest, secret
from .kube.asked import Asked
from .kube.calls import PATIENCE, Calls, Denied
from .kube.settings import NOTEBOOK
from .kube.vanish import Ours
from .kube.verdict import Failure, Verdict, judge
from .kube.watch import Watch
from .pod_pull import PullLogin
from .pod_start import PodStart
from .pod_storages import Known
from .runtime import logs
from .services import runs
from .silence import Silence


class RenkuSpawner(ClaimedSpawner):
    """A session is a pod, made from KubeSpawner's own by a pure function, and watched by one
    watch for all sessions of this hub. KubeSpawner's settings hold for what is not the session's."""

    verdict = Verdict()
    ending: asyncio.Future[None] | None = None
    probing: asyncio.Future[None] | None = None

    probe_images = Bool(
        True,
        config=True,
        help="""
        Whether what is installed in an image is found out when a session of it runs, by a pod of a few seconds
        beside it. It happens once for each image that has no list of packages (an SBOM attestation) of its own.
        """,
    )

    prepuller = Unicode(
        "",
        config=True,
        help="""
        Name of the DaemonSet in the sessions' namespace that keeps ready-made images on every node, for example
        `renku-prepuller`; the chart makes it and sets this. The hub adds the images of environments that are offered
        by admins in the browser, and shows which nodes have them. Empty: it keeps none there.
        """,
    )

    # ---- up ------------------------------------------------------------------------------------------

    async def bring_up(self, spec: SessionSpec, instance: Instance) -> str:
        if not self.api_token:  # the hub went between this start's intent and its pod's Secret
            raise LaunchFailed("lost")
        watch, calls = await self._start_watching_pods(), self.calls
        silence = Silence(
            parts=self.renku.parts,
            instance=instance,
            silent=lambda: not watch.healthy or calls.unanswered > ANSWERS_WITHIN,
        )
        async with silence.told():
            url = await self._until_it_answers(watch, calls, spec, instance)
        self._mind(watch)
        if self.probe_images:
            looking = pod_probe.look_into(self.renku.parts, self.calls, self.pod_name, spec, self.pod_settings)
            self.probing = beside.begin(looking, f"The look into the image of {self.key}")
        return url

    async def _until_it_answers(self, watch: Watch, calls: Calls, spec: SessionSpec, instance: Instance) -> str:
        try:
            await self._first_sight(watch, within=PATIENCE)
            uid = self._ours(watch, instance).of_run(instance.run)
            login = PullLogin(parts=self.renku.parts, calls=calls, spec=spec, secret=self._secret(instance))
            if uid is None:
                uid, instance = await self._make(watch, calls, spec, instance, login)
        except Denied as denied:
            raise LaunchFailed(denied.refusal.code, **denied.refusal.values) from None
        start = PodStart(
            parts=self.renku.parts, calls=calls, watch=watch, key=self.key, uid=uid, spec=spec,
            instance=instance, timeout=self.renku.start_timeout, secret=self._secret(instance),
            claim=self._claim(instance), stage=instance.observed,
            storages=Known.of(spec, self.pod_settings, self._secret(instance)),
        )  # fmt: skip
        async with login.kept_good():
            look = await start.until_running()
        return await start.until_answered(look, self.server.base_url, self.hub.base_url)

    async def _make(
        self, watch: Watch, calls: Calls, spec: SessionSpec, instance: Instance, login: PullLogin
    ) -> tuple[str, Instance]:
        """The claim, the pod, then the Secrets that the pod owns; returns the pod's uid and what is recorded now."""
        if self.key in watch.pods:
            await self._ours(watch, instance, calls).make_room()
        await self.load_user_options()
        instance = await self._keep_files(calls, spec, instance)
        name, self.port, settings = self._secret(instance), spec.run.port, self.pod_settings
        base = await self.get_pod_manifest()
        pod = manifest.session_pod(
            base, spec, run=instance.run or "", claim=self._claim(instance), secret=name, settings=settings
        )
        if self.modify_pod_hook:
            pod = await maybe_future(self.modify_pod_hook(self, pod))
        await login.fetch()
        made = await calls.create_pod(pod, image=manifest.pinned(spec))
        await login.hand_over(made, run=instance.run or "", settings=settings)
        await pod_storages.hand_over(calls, spec, settings, run=instance.run or "", secret=name, pod=made)
        values = secret.session_secret(base, spec, run=instance.run or "", name=name, settings=settings)
        await calls.create_secret(secret.owned(values, made))
        return made["metadata"]["uid"], instance

    # ---- while it runs, and down -----------------------------------------------------------------------

    async def look(self, instance: Instance) -> int | None:
        """None also while the cluster is silent: that is no reason to stop anybody's work (S8)."""
        watch = await self._start_watching_pods()
        if self._check_pending:
            await self._wait_for_sight(watch, instance)
        seeing = watch.sees
        classes, since = self.renku.parts.policy.classes, self.renku.parts.since
        seen = pod_look.look(watch, self.key, instance, classes, hub_since=since) if seeing else None
        self.verdict = judge(seen.failure, self.verdict, monotonic()) if seen else self.verdict
        if seen is not None and seen.running and seen.address and instance.url:
            url = _at(seen.address, instance.url)
            if url != instance.url:  # its sandbox was made again: another address, with the same name and uid
                await self._move(instance, url)
        if seen is None or seen.running or not self.verdict.final:
            notices = None if seen is None else pod_look.notices(instance, seen)
            await runs.sighted(self.renku.parts, instance, seen=seeing, notices=notices)
            return None
        code = self.verdict.failure.values.get("exit_code") if self.verdict.failure else None
        return code if isinstance(code, int) else 1

    def failure(self, instance: Instance, exit_code: int, log: str) -> LaunchFailed:
        found = self.verdict.failure or Failure(code="pod_removed")
        found = crashes.with_log(found, log, Asked(image="", was_ready=True))
        return LaunchFailed(found.code, **found.values)

    def refined(self, failure: LaunchFailed, log: str) -> LaunchFailed:
        found = crashes.with_log(Failure(code=failure.reason, values=failure.values), log, Asked(image=""))
        return LaunchFailed(found.code, **found.values).because_of(failure.failed_storages)

    def see_off(self, instance: Instance) -> None:
        """Its pod may still be there, or even end just now (S7)."""
        self._mind_no_more()
        self.ending = beside.begin(self.take_down(instance), f"The removal of {self.key}")

    async def end_of_log(self, instance: Instance) -> str:
        watch, text = await self._start_watching_pods(), ""
        with suppress(TimeoutError):
            async with asyncio.timeout(None if watch.healthy else ANSWERS_WITHIN):
                if self.knowing is not None:  # what the log must not show
                    await asyncio.shield(self.knowing)
                text = await self.calls.log(self.pod_name, NOTEBOOK, lines=200)
                text = text or await self.calls.log(self.pod_name, NOTEBOOK, lines=200, previous=True)
        # Without it nobody knows what must not be shown: its Secret could not be read after a restart.
        return logs.redact(text, [self.api_token]) if self.api_token else ""

    def _ours(self, watch: Watch, instance: Instance, calls: Calls | None = None) -> Ours:
        return Ours(calls=calls or self.calls, watch=watch, key=self.key, session=instance.session)

    async def take_down(self, instance: Instance, *, now: bool = False) -> None:
        """A stop waits for a silent cluster, since it has not happened before the pod has gone;
        a start that failed is over, and what it may have left is seen to beside."""
        self._mind_no_more()
        watch, stopping = await self._start_watching_pods(), instance.desired is not Desired.RUNNING
        ours = self._ours(watch, instance)
        grace = 0 if now or instance.ready_at is None else self.pod_settings.stop_grace
        try:
            if watch.healthy or stopping:
                await ours.vanish(grace=grace, run=None if stopping else instance.run)
                return
        except Denied as denied:
            self.log.warning("The pod %s could not be deleted yet: %s", self.key, denied.refusal.code)
        cleaning = beside.begin(ours.vanish_at_last(run=instance.run), f"The removal of {self.key}")
        if stopping:
            await cleaning

    async def recall(self, instance: Instance) -> None:
        """The cluster is waited for, as long as the session is wanted. The token of one that runs is read beside:
        the cluster is asked slowly (R42), and thousands that run would not be served before all are known (B5)."""
        watch = await self._start_watching_pods()
        await self._wait_for_sight(watch, instance)
        self.knowing = beside.begin(self._know_token(watch, instance), f"Reading the token of {self.key}")
        if instance.desired is not Desired.RUNNING or instance.observed is not Observed.READY:
            await self.knowing
        self._mind(watch)


def _at(address: str, url: str) -> str:
    """Return *url* at another *address* of the same pod, which is an IPv6 one in some clusters."""
    port = urlsplit(url).port
    return pod_start.url_of(address, port or 80)
