"""What the calls of the API have in common: JSON in, JSON out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, NoReturn

from jupyterhub.apihandlers import APIHandler
from pydantic import BaseModel
from tornado.escape import json_encode

from ..domain.errors import Forbidden
from ..domain.instance import Instance
from ..services import idling
from . import bodies, failures, reading
from .answers import Answers
from .base import Body, Handler
from .operations import Operation
from .urls import query


class RenkuAPIHandler(Handler, APIHandler):
    """A call of the API: JSON in, JSON out; tokens, or a cookie with the XSRF token."""

    kinds: ClassVar[tuple[str, ...]] = ("application/json",)
    calls: ClassVar[Mapping[str, Operation]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        cls.scope = {method: call.scope for method, call in cls.calls.items()}
        super().__init_subclass__(**kwargs)

    @property
    def content_security_policy(self) -> str:
        return "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

    def check_post_content_type(self) -> bool:
        """Our own check answers 415 for every method; the hub's makes the caller anonymous."""
        return True

    def refuse_stranger(self) -> NoReturn:
        raise Forbidden("Missing or invalid credentials.", code="credentials")

    def body(self, model: type[Body]) -> Body:
        """The body as a value. Raises Malformed, or Invalid with what is wrong at which field."""
        return bodies.check(model, reading.json_object(self.request.body))

    def limit(self) -> int:
        return reading.limit(self.request.query_arguments)

    @property
    def answers(self) -> Answers:
        parts, outlook = self.parts, partial(idling.outlook, self.parts)
        return Answers(
            urls=self.urls, person=self.person, now=parts.now(), line=parts.line, outlook=outlook,
            price=parts.policy.price,
        )  # fmt: skip

    def following(self, after: str | None, **asked: str) -> str | None:
        """The address at which a list goes on; None at its end."""
        limit = self.get_query_argument("limit", "")
        return query(self.request.path, **asked, limit=limit, after=after) if after else None

    def answer(self, value: BaseModel, status: int = 200) -> None:
        self.set_status(status)
        self.finish(value.model_dump_json())

    def answer_deletion(self, gone: bool, instance: Instance | None) -> None:
        """Answer 204 when the data is gone, 202 with the instance while its deletion goes on."""
        if gone:
            self.set_status(204)
        else:
            self.answer(self.answers.instance(instance), 202)

    def told(self, failure: failures.Failure) -> str:
        self.set_header("Content-Type", "application/json")
        return str(json_encode(failure.answer()))
