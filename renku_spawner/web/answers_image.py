"""What is known of images, as answers of the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..domain import facts as image_facts
from ..domain import likely
from ..domain import software as domain_software
from ..domain.built import BuiltImage
from ..domain.ci import Branch
from ..domain.environment import Revision
from ..domain.facts import ImageFacts
from ..domain.sighting import Update
from ..domain.software import Software
from ..domain.verdict import Checked
from ..services import images
from ..services.builds import Builds
from .answer_models_image import (
    BranchAnswer,
    BuiltAnswer,
    BuiltImageAnswer,
    BuiltImageList,
    CheckedAnswer,
    FactsAnswer,
    HintAnswer,
    PackageAnswer,
    PipelineAnswer,
    SoftwareAnswer,
    SuggestedAnswer,
    UpdateAnswer,
)


def checked(found: Checked) -> CheckedAnswer:
    known = found.facts
    return CheckedAnswer(
        image=found.image.canonical,
        verdict=str(found.verdict),
        usable=not found.refuses,
        digest=found.image.digest,
        code=found.reason,
        message=images.words(found),
        likely=str(likely.likely(known, found.image)) if known else None,
        facts=_facts(known) if known else None,
        hints=[
            HintAnswer(code=h.code, severity=str(h.severity), title=h.title, text=h.text, field=h.field)
            for h in found.hints
        ],
        suggested=_suggested(found),
        checked_at=found.checked_at,
    )


def _facts(known: ImageFacts) -> FactsAnswer:
    return FactsAnswer.model_validate(image_facts.as_json(known))


def stored(facts: Mapping[str, Any]) -> FactsAnswer | None:
    """Those that a revision was pinned with; null while it could not be checked."""
    known = image_facts.from_json(facts)
    return _facts(known) if known else None


def _suggested(found: Checked) -> SuggestedAnswer | None:
    if found.facts is None:
        return None
    run = likely.suggested(found.facts, found.image)
    return SuggestedAnswer(
        default_url=run.default_url,
        port=run.port,
        command=list(run.command),
        working_directory=run.working_directory,
    )


def update(found: Update | None) -> UpdateAnswer | None:
    if found is None:
        return None
    return UpdateAnswer(
        revision=found.revision,
        image=found.image,
        digest=found.digest,
        created_at=found.since,
        commits=found.commits,
        commit=found.commit,
    )


def built(revision: Revision) -> BuiltAnswer | None:
    found = revision.built
    if found is None:
        return None
    return BuiltAnswer(repository=found.url, branch=found.ref, commit=revision.commit or "", pipeline=found.pipeline)


def builds(directory: str, found: Builds) -> BuiltImageList:
    return BuiltImageList(
        repository=directory,
        branch=found.branch.name if found.branch else None,
        state=str(found.state),
        log=found.job or None,
        branches=[_branch(each, found) for each in found.branches],
        items=[_built_image(each) for each in found.images],
    )


def _branch(branch: Branch, found: Builds) -> BranchAnswer:
    newest = found.newest.get(branch.name)
    return BranchAnswer(
        name=branch.name,
        default=branch.default,
        protected=branch.protected,
        image=newest.tag.reference if newest else None,
    )


def _built_image(each: BuiltImage) -> BuiltImageAnswer:
    commit, pipeline = each.commit, each.pipeline
    return BuiltImageAnswer(
        image=each.tag.reference,
        commit=commit.sha,
        title=commit.title,
        author=commit.author,
        committed_at=commit.at,
        url=commit.url,
        pipeline=PipelineAnswer(id=pipeline.id, status=pipeline.status, url=pipeline.url),
    )


def software(found: Software, revision: Revision, text: str) -> SoftwareAnswer:
    return SoftwareAnswer(
        image=revision.canonical,
        digest=revision.digest,
        origin=str(found.origin),
        found_at=found.found_at,
        complete=found.complete,
        interpreters=dict(found.interpreters),
        cuda=found.cuda,
        packages=[
            PackageAnswer(name=p.name, version=p.version, kind=str(p.kind)) for p in domain_software.search(found, text)
        ],
        more=found.more,
    )
