"""What would be lost with an instance's files, as the answer of the API."""

from __future__ import annotations

from ..runtime.contents import Look
from ..runtime.unsaved import Unsaved
from .answer_models_contents import ContentsAnswer, WorkAnswer


def contents(look: Look) -> ContentsAnswer:
    found = look.contents
    if found is None:
        return ContentsAnswer(
            known=False, under_way=look.under_way, bytes=None, complete=False, repositories=[], more=0, loose=0
        )
    return ContentsAnswer(
        known=True,
        under_way=look.under_way,
        bytes=found.total.bytes,
        complete=found.total.complete and found.loose.complete,
        repositories=[_work(each) for each in found.unsaved],
        more=found.more,
        loose=found.loose.files,
    )


def _work(each: Unsaved) -> WorkAnswer:
    unread = each.problem is not None
    return WorkAnswer(
        directory=each.directory,
        branch=each.branch,
        lost=each.lost,
        changed=None if unread else each.changed + each.untracked,
        unpushed=None if unread else each.unpushed + each.stashes,
    )
