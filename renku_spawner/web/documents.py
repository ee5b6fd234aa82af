"""Documents of sessions, as requests bring them and answers give them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from ..as_code.model import document
from ..as_code.reading import Read, read
from ..as_code.writing import as_json, as_yaml
from ..domain.as_code import Document
from ..domain.errors import Invalid
from ..services import code_plan
from ..services.code_plan import Plan
from . import reading, servers, throttle
from .answer_models_code import DifferenceAnswer, PlanAnswer, StepAnswer

YAML = "application/yaml"  # RFC 9512
JSON = "application/json"


async def sent(kind: str, body: bytes) -> Document:
    """The document in a body of that content type, read in a thread: it may be long. Raises Malformed, Invalid."""
    return await asyncio.to_thread(_parse, kind, body)


def _parse(kind: str, body: bytes) -> Document:
    if kind.partition(";")[0].strip().lower() == YAML:
        return document(read(body))
    return document(Read(reading.json_object(body)))


async def written(found: Document, accept: str) -> tuple[str, str]:
    """The content type and the text that *accept* asks for: YAML, unless only JSON is wanted."""
    wants_json = JSON in accept.lower() and "yaml" not in accept.lower()
    write = as_json if wants_json else as_yaml
    return JSON if wants_json else YAML, await asyncio.to_thread(write, found)


def flag(arguments: Mapping[str, Any], name: str) -> bool:
    """A yes or no in the address. Raises Invalid."""
    said = reading.word(arguments, name)
    if said not in ("", "true", "false"):
        sentence = "true or false, please."
        raise Invalid(sentence, fields={name: sentence})
    return said == "true"


async def apply(handler: Any, ref: str, wanted: Document, *, prune: bool = False) -> Plan:
    """Do it; the person's own disk in a session cannot become smaller by that (H64)."""

    async def disks(planned: Plan) -> None:
        for step in planned.steps:
            size = next((each.new for each in step.differences if each.field == "disk"), None)
            if step.mine is not None and step.mine.claim and size:
                await _require_disk(handler, step.mine, size, f"{step.path}.configuration.disk")

    throttle.count_document(handler.parts, handler.person.name)
    return await code_plan.apply(
        handler.parts, handler.person, ref, wanted, prune=prune, count=_counter(handler), before=disks
    )


async def plan(handler: Any, ref: str, wanted: Document, *, prune: bool = False) -> Plan:
    """Say what it would do, which is nearly as much work."""
    throttle.count_document(handler.parts, handler.person.name)
    return await code_plan.plan(handler.parts, handler.person, ref, wanted, prune=prune, count=_counter(handler))


def _counter(handler: Any) -> Any:
    return lambda: throttle.count_check(handler.parts, handler.person.name)


async def _require_disk(handler: Any, mine: Any, size: str, path: str) -> None:
    try:
        await servers.require_disk(handler.current_user, mine, size)
    except Invalid as problem:
        raise Invalid(problem.message, code=problem.code, fields={path: problem.message}) from None


def answer(planned: Plan, *, applied: bool) -> PlanAnswer:
    return PlanAnswer(
        project=planned.project.id,
        applied=applied,
        changes=planned.changes,
        forbidden=planned.forbidden,
        refused=planned.refused,
        items=[
            StepAnswer(
                action=step.kind.value,
                of="storage" if step.storage else "session",
                title=step.title,
                path=step.path or None,
                session=step.session.id if step.session else None,
                differences=[DifferenceAnswer(**vars(each)) for each in step.differences],
                notes=list(step.notes),
            )
            for step in planned.steps
        ],
    )


def answer_json(planned: Plan, *, applied: bool) -> str:
    """The answer as text; of a large project that takes so long that it belongs in a thread."""
    return answer(planned, applied=applied).model_dump_json()
