"""Ready-made environments as their admins' API answers them."""

from __future__ import annotations

from ..domain.environment import RunConfiguration
from ..domain.spread import Spread
from ..services.ready_made import Whole
from . import answers
from .answer_models_environment import NodesAnswer, ReadyMadeAnswer, RunAnswer, UsageAnswer


def ready_made(found: Whole) -> ReadyMadeAnswer:
    each = found.environment
    return ReadyMadeAnswer(
        **vars(answers.environment(each, each.revision)),
        version=each.version,
        configured=each.configured,
        archived_at=each.archived_at,
        run=_run(each.revision.run),
        usage=UsageAnswer(**vars(found.usage)),
        revisions=[answers.revision(one) for one in found.revisions],
        nodes=_nodes(found.nodes.spread.get(each.id) if found.nodes else None),
        nodes_problem=found.nodes.problem if found.nodes else "",
    )


def _nodes(spread: Spread | None) -> NodesAnswer | None:
    if spread is None:
        return None
    return NodesAnswer(here=list(spread.here), coming=list(spread.coming), failed=dict(spread.failed))


def _run(run: RunConfiguration) -> RunAnswer:
    return RunAnswer(
        default_url=run.default_url,
        port=run.port,
        command=list(run.command),
        arguments=list(run.arguments),
        working_directory=run.working_directory,
        uid=run.uid,
        gid=run.gid,
        image_user=run.image_user,
    )
