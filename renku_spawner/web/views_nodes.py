"""On which nodes of the cluster the images of ready-made environments are, for their admins."""

from __future__ import annotations

from collections.abc import Sequence

from ..domain.environment import Environment
from ..domain.spread import Spread
from ..services.prepuller import Known
from . import words
from .views_frame import View

_MOST = 20  # names of nodes


def column(known: Known | None) -> View:
    """Of the list: whether it has the column, and what is amiss."""
    return {"prepulled": known is not None, "amiss": known.problem if known else ""}


def brief(known: Known | None, of: Environment) -> View | None:
    """`2 of 3 nodes`, and how many of the others have failed; None of what is not kept on them, or not known."""
    spread = known.spread.get(of.id) if known else None
    if spread is None:
        return None
    nodes = words.counted(spread.nodes, "node")
    return {"text": f"{len(spread.here)} of {nodes}", "failed": len(spread.failed), "complete": spread.complete}


def full(known: Known | None, of: Environment) -> View:
    """Of the page of one: which nodes have the image of its newest revision."""
    spread = known.spread.get(of.id, Spread()) if known else Spread()
    return column(known) | {
        "nodes": brief(known, of),
        "here": _names(spread.here),
        "coming": _names(spread.coming),
        "failed": [{"name": node, "text": why} for node, why in list(spread.failed.items())[:_MOST]],
        "more_failed": max(0, len(spread.failed) - _MOST),
    }


def _names(nodes: Sequence[str]) -> str:
    rest = len(nodes) - _MOST
    return ", ".join(nodes[:_MOST]) + (f" and {rest} more" if rest > 0 else "")
