"""Read, write, plan and apply session files for requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from ..domain.errors import InvalidInputError
from ..domain.instances import Instance
from ..domain.session_files import (
    ParsedYaml,
    SessionsDocument,
    build_sessions_document,
    parse_yaml,
    render_document_json,
    render_document_yaml,
)
from ..hub.adapter import require_disk_not_smaller
from ..usecases.session_files import SessionFilePlan, apply_session_file, plan_session_file
from .base import RenkuBaseHandler
from .rate_limits import LimitedRequest, count_request
from .request_parsing import parse_json_object, parse_text_parameter
from .sessions.schemas import DifferenceAnswer, PlanAnswer, StepAnswer

YAML_CONTENT_TYPE = "application/yaml"  # RFC 9512
JSON_CONTENT_TYPE = "application/json"


async def read_session_file_body(kind: str, body: bytes) -> SessionsDocument:
    """Parse the session file in a body, in a thread since it may be long.

    Raises MalformedInputError, InvalidInputError.
    """
    return await asyncio.to_thread(_parse_session_file_body, kind, body)


def _parse_session_file_body(kind: str, body: bytes) -> SessionsDocument:
    if kind.partition(";")[0].strip().lower() == YAML_CONTENT_TYPE:
        return build_sessions_document(parse_yaml(body))
    return build_sessions_document(ParsedYaml(value=parse_json_object(body)))


async def render_session_file(found: SessionsDocument, accept: str) -> tuple[str, str]:
    """Return the content type and text that *accept* asks for: YAML, unless only JSON is accepted."""
    wants_json = JSON_CONTENT_TYPE in accept.lower() and "yaml" not in accept.lower()
    write = render_document_json if wants_json else render_document_yaml
    return JSON_CONTENT_TYPE if wants_json else YAML_CONTENT_TYPE, await asyncio.to_thread(write, found)


def parse_query_flag(arguments: Mapping[str, Any], name: str) -> bool:
    """Parse a boolean query parameter. Raises InvalidInputError."""
    flag = parse_text_parameter(arguments, name)
    if flag not in ("", "true", "false"):
        sentence = "true or false, please."
        raise InvalidInputError(sentence, fields={name: sentence})
    return flag == "true"


async def apply_requested_session_file(
    handler: RenkuBaseHandler, ref: str, wanted: SessionsDocument, *, prune: bool = False
) -> SessionFilePlan:
    """Apply a session file.

    Raises InvalidInputError if the user's own disk in a session would become smaller.
    """

    async def disks(planned: SessionFilePlan) -> None:
        for step in planned.steps:
            size = next((difference.new for difference in step.differences if difference.field == "disk"), None)
            if step.mine is not None and step.mine.claim and size:
                await _require_disk_size(handler, step.mine, size, f"{step.path}.configuration.disk")

    count_request(handler.context, handler.person.name, LimitedRequest.SESSION_FILE)
    return await apply_session_file(
        handler.context, handler.person, ref, wanted, prune=prune, count=_make_check_counter(handler), before=disks
    )


async def plan_requested_session_file(
    handler: RenkuBaseHandler, ref: str, wanted: SessionsDocument, *, prune: bool = False
) -> SessionFilePlan:
    """Plan what a session file changes, which costs nearly as much as applying it."""
    count_request(handler.context, handler.person.name, LimitedRequest.SESSION_FILE)
    return await plan_session_file(
        handler.context, handler.person, ref, wanted, prune=prune, count=_make_check_counter(handler)
    )


def _make_check_counter(handler: RenkuBaseHandler) -> Callable[[], None]:
    return lambda: count_request(handler.context, handler.person.name, LimitedRequest.IMAGE_CHECK)


async def _require_disk_size(handler: RenkuBaseHandler, mine: Instance, size: str, path: str) -> None:
    try:
        await require_disk_not_smaller(handler.current_user, mine, size)
    except InvalidInputError as problem:
        raise InvalidInputError(problem.message, code=problem.code, fields={path: problem.message}) from None


def to_plan_answer(planned: SessionFilePlan, *, applied: bool) -> PlanAnswer:
    return PlanAnswer(
        project=planned.project.id,
        applied=applied,
        changes=planned.has_changes,
        forbidden=planned.forbidden,
        refused=planned.refusals,
        items=[
            StepAnswer(
                action=step.kind.value,
                of="storage" if step.storage else "session",
                title=step.title,
                path=step.path or None,
                session=step.session.id if step.session else None,
                differences=[DifferenceAnswer.model_validate(each) for each in step.differences],
                notes=list(step.notes),
            )
            for step in planned.steps
        ],
    )


def render_plan_answer_json(planned: SessionFilePlan, *, applied: bool) -> str:
    """Return the plan as JSON; run it in a thread, because it is slow for a large project."""
    return to_plan_answer(planned, applied=applied).model_dump_json()
