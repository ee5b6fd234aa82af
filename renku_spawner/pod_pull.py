"""The login with which a pod downloads a private image, good for as long as that takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from .domain.session import SessionSpec
from .failures import LaunchFailed
from .gitlab.errors import Away, LogInAgain
from .kube import pull
from .kube.calls import Calls, Denied
from .kube.objects import Raw
from .kube.secret import owned
from .kube.settings import PodSettings
from .services import pulls
from .services.parts import Parts

_LOOK_AGAIN = 2.0  # seconds; a kubelet tries again after ten


@dataclass(kw_only=True)
class PullLogin:
    """*secret* is the name of the session's own Secret; *given* is the login that the pod has, as far as we know."""

    parts: Parts
    calls: Calls
    spec: SessionSpec
    secret: str
    given: str | None = None

    async def fetch(self) -> None:
        """Have a login that lasts, before the pod is made. Raises LaunchFailed."""
        try:
            self.given = await self._login(left=pulls.FRESH)
        except LogInAgain:
            raise LaunchFailed("image_denied", image=self.spec.image) from None
        except Away:
            raise LaunchFailed("access_unverified") from None

    async def hand_over(self, pod: Raw, *, run: str, settings: PodSettings) -> None:
        """Give it to the pod that was made; nothing where its image needs no login."""
        if self.given is not None:
            name = pull.name_of(self.secret)
            made = pull.secret(self.given, self.spec, run=run, name=name, settings=settings)
            await self.calls.create_secret(owned(made, pod))

    @asynccontextmanager
    async def kept_good(self) -> AsyncIterator[None]:
        """While the image comes: whoever else needs a newer token of the user ends the one that the pod has."""
        keeping = asyncio.ensure_future(self._keep()) if self.spec.pull else None
        try:
            yield
        finally:
            if keeping is not None:
                keeping.cancel()
                await asyncio.wait({keeping})  # not `await keeping`: its cancellation must not hide ours
                if not keeping.cancelled():
                    keeping.result()

    async def _keep(self) -> None:
        while True:
            with suppress(LogInAgain, Away, Denied):  # then the download itself says what is wrong
                await self._renew()
            await asyncio.sleep(_LOOK_AGAIN)

    async def _renew(self) -> None:
        said = await self._login(left=pulls.LEFT)
        if said is not None and said != self.given:
            await self.calls.patch_secret(pull.name_of(self.secret), pull.patch(said))
            self.given = said

    async def _login(self, *, left: float) -> str | None:
        login = await pulls.login(self.parts, self.spec, left=left)
        return pull.config(host=login.host, username=login.username, password=login.password) if login else None
