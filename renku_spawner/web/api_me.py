"""The API of a session about itself, with its own token: when it pauses, and whether it works."""

from __future__ import annotations

from pydantic import Field

from ..domain.errors import Forbidden
from ..services import idling, instances, use
from ..services.instances import MyInstance
from . import own_token, throttle, words
from .answer_models_me import OwnAnswer
from .base_api import RenkuAPIHandler
from .bodies import Body
from .operations import Operation
from .scopes import OWN

_MANY, _LARGE = 100_000, 2**62


class OwnReport(Body):
    """What a session's own server says of itself; all may be left out."""

    kernels: int = Field(default=0, ge=0, le=_MANY)
    terminals: int = Field(default=0, ge=0, le=_MANY)
    busy: int = Field(default=0, ge=0, le=2 * _MANY, description="How many of the kernels and terminals work")
    disk_used: int | None = Field(default=None, ge=0, le=_LARGE, description="Bytes in the working directory")
    keep_awake: int | None = Field(default=None, ge=0, le=31_622_400, description="Seconds from now on; 0: no longer")

    def value(self) -> use.Report:
        return use.Report(**self.model_dump(exclude={"keep_awake"}))


class Me(RenkuAPIHandler):
    """Asked by the extension in `extension/`."""

    count = staticmethod(throttle.count_own)
    calls = {
        "get": Operation(
            summary="What a session knows of itself, asked for with its own token", scope=OWN, answer=OwnAnswer,
            errors=(403, 503),
        ),
        "post": Operation(
            summary="What the server of a session says of itself, with its own token", scope=OWN, body=OwnReport,
            answer=OwnAnswer, errors=(403, 409, 422, 429, 503),
        ),
    }  # fmt: skip

    async def get(self) -> None:
        self.tell(await self.mine())

    async def post(self) -> None:
        said, mine = self.body(OwnReport), await self.mine()
        await use.report(self.parts, mine.instance, said.value())
        if said.keep_awake is not None:
            await use.keep_awake(self.parts, self.person, mine.instance.session, seconds=said.keep_awake)
        self.tell(await instances.whole(self.parts, self.person, mine.instance.session))

    async def mine(self) -> MyInstance:
        """The session that asks. Raises Forbidden for any other token."""
        session = await own_token.of_token(self.current_user, self.get_auth_token())
        if session is None:
            raise Forbidden("This is for running sessions only.", code="no_session")
        return await instances.whole(self.parts, self.person, session)

    def tell(self, mine: MyInstance) -> None:
        instance, now = mine.instance, self.parts.now()
        found = idling.outlook(self.parts, instance)
        self.answer(
            OwnAnswer(
                session=instance.session,
                title=mine.title,
                project=mine.project.id if mine.project else None,
                project_path=mine.project.path if mine.project else None,
                status=str(instance.status),
                pauses_at=found.at if found else None,
                pauses_in=max(0, int((found.at - now).total_seconds())) if found else None,
                pauses_because=words.because(instance, found, now),
                awake_until=instance.awake_until,
                keep_awake_max=self.parts.policy.idle.awake_max if found is None or found.can_be_put_off else 0,
                ask_again=use.ask_again(self.parts, instance),
            )
        )
