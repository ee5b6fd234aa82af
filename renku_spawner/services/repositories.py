"""The repositories of a project: each in a directory of its own, and those of GitLab's projects looked at first."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Mapping, Sequence
from urllib.parse import quote, urlsplit

from ..domain import names
from ..domain.access import Person
from ..domain.errors import Invalid
from ..domain.policy import Policy
from ..domain.project import Project
from ..domain.repository import NewRepository, Repository, check_ref, check_url
from ..gitlab.client import GitLab
from ..gitlab.errors import Denied, Missing
from ..registry.errors import NotAllowed, Unreachable
from ..registry.git import NoRepository
from .parts import Parts

REPOSITORIES_LIMIT = 20
_AT_ONCE = 4  # looks at repositories, of one request
_COMMIT = re.compile(r"[0-9a-f]{7,40}")  # nobody but git itself can be asked for one


async def chosen(parts: Parts, person: Person, project: Project, wanted: Sequence[NewRepository]) -> list[Repository]:
    """The repositories beside the project's own; in GitLab those that are new are looked at first."""
    own = project.own
    result = placed(parts.policy, wanted, own, kept=project.directory)
    if project.ours:
        return result
    known = {(each.url, each.ref) for each in project.repositories}
    numbers = [number for number, new in enumerate(wanted) if own is None or new.url != own.url]
    placed_at = zip(numbers, result, strict=True)
    await _look(parts, person, {number: each for number, each in placed_at if (each.url, each.ref) not in known})
    return result


async def _look(parts: Parts, person: Person, new: Mapping[int, Repository]) -> None:
    """Raises what `check` does; Invalid at the fields of all that are wrong."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(each: Repository) -> None:
        async with gate:
            await check(parts, person, each)

    found = await asyncio.gather(*map(one, new.values()), return_exceptions=True)
    problems = [(number, problem) for number, problem in zip(new, found, strict=True) if problem is not None]
    wrong = [_at(number, problem) for number, problem in problems if isinstance(problem, Invalid)]
    if len(wrong) < len(problems):
        raise next(problem for _, problem in problems if not isinstance(problem, Invalid))
    if wrong:
        raise Invalid(wrong[0].message, fields={key: said for each in wrong for key, said in each.fields.items()})


def placed(
    policy: Policy, repositories: Sequence[NewRepository], own: Repository | None = None, *, kept: str | None = None
) -> list[Repository]:
    """Repositories with checked addresses, each in a directory of its own; without *own*, the
    project's, for which the directory *kept* stays free also while it has none.

    Raises:
        Invalid: at `repositories.<n>.url`, `.ref` or `.directory`.
    """
    if len(repositories) > REPOSITORIES_LIMIT:
        sentence = f"At most {REPOSITORIES_LIMIT} repositories, please."
        raise Invalid(sentence, fields={"repositories": sentence})
    named = [r.directory for r in repositories if r.directory]
    taken = [own.directory] if own else [kept] if kept else []
    result: list[Repository] = []
    for number, new in enumerate(repositories):
        if own and new.url == own.url:
            continue
        try:
            _refuse_again(own, new)
            found = _placed(policy, new, [*taken, *named])
            _refuse_twice([*taken, found.directory])
        except Invalid as problem:
            raise _at(number, problem) from None
        taken.append(found.directory)
        result.append(found)
    return result


def _at(number: int, problem: Invalid) -> Invalid:
    fields = {f"repositories.{number}.{key}": said for key, said in problem.fields.items()}
    return Invalid(problem.message, fields=fields)


def _placed(policy: Policy, new: NewRepository, taken: Sequence[str]) -> Repository:
    url = check_url(new.url, hosts=policy.repository_hosts)
    return Repository(
        directory=names.directory(new.directory) if new.directory else names.directory_for(url, taken),
        url=url,
        ref=check_ref(new.ref) if new.ref else None,
        lfs=new.lfs,
        submodules=new.submodules,
    )


def _refuse_again(own: Repository | None, new: NewRepository) -> None:
    """The project's own under another spelling would be cloned twice."""
    if own and _spelt(own.url) == _spelt(new.url):
        raise _wrong("url", "This is the project itself, which is there already.")


def _spelt(url: str) -> str:
    return url.casefold().rstrip("/").removesuffix(".git")


def _refuse_twice(directories: Sequence[str]) -> None:
    """Two directories that differ only in case are one on many disks."""
    folded = [directory.casefold() for directory in directories]
    if len(set(folded)) < len(folded):
        sentence = "Another repository has this directory already; capitals make no difference."
        raise Invalid(sentence, fields={"directory": sentence})


def refuse_beside(repositories: Sequence[Repository], storages: Collection[str]) -> None:
    """Storages lie beside repositories; *storages* are their directories.

    Raises:
        Invalid: at `repositories.<n>.directory`.
    """
    folded = {directory.casefold() for directory in storages}
    for number, repository in enumerate(repositories):
        if repository.directory.casefold() in folded:
            raise _at(number, _wrong("directory", "A storage of the project has this directory already."))


async def check(parts: Parts, person: Person, new: Repository) -> None:
    """Ask this GitLab as *person*, and any other host as nobody, as a clone will.

    Raises:
        Invalid: at `url` or `ref`.
        Away, LogInAgain: GitLab gives no answer.
    """
    path = path_in(parts.gitlab, new.url) if parts.gitlab else None
    if parts.gitlab and path is not None:
        await _in_gitlab(parts.gitlab, person, path, new.ref)
    elif parts.git is not None:
        await _elsewhere(parts, new)


def path_in(gitlab: GitLab, url: str) -> str | None:
    """The path of the project that *url* is in *gitlab*; None for other hosts."""
    here, there = urlsplit(gitlab.url), urlsplit(url)
    if (there.scheme, there.netloc.lower()) != (here.scheme, here.netloc.lower()):
        return None
    return there.path.removeprefix(f"{here.path}/").strip("/").removesuffix(".git")


async def _in_gitlab(gitlab: GitLab, person: Person, path: str, ref: str | None) -> None:
    repository = f"/projects/{quote(path, safe='')}/repository"
    try:
        await gitlab.get(person.name, f"{repository}/branches", {"per_page": 1})
    except Missing:
        raise _wrong("url", "There is no such repository in GitLab, or you have no access to it.") from None
    except Denied as refusal:
        raise _wrong("url", refusal.message if refusal.scope else "You may not read its code in GitLab.") from None
    if ref is None:
        return
    try:
        await gitlab.get(person.name, f"{repository}/commits/{quote(ref, safe='')}")
    except Missing:
        raise _no_ref(ref) from None


async def _elsewhere(parts: Parts, new: Repository) -> None:
    host = urlsplit(new.url).hostname or ""
    try:
        found = parts.git is None or await parts.git.has(new.url, new.ref)
    except NoRepository as problem:
        raise _wrong("url", str(problem)) from None
    except NotAllowed as problem:
        raise _wrong("url", f"The hub may not fetch from there: {problem.detail}.") from None
    except Unreachable as problem:
        raise _wrong("url", f"The host {host[:100]} {problem.detail}. Nothing was saved; try again later.") from None
    if not found and new.ref and not _COMMIT.fullmatch(new.ref):
        raise _no_ref(new.ref)


def _no_ref(ref: str) -> Invalid:
    return _wrong("ref", f"The repository has no branch, tag or commit {ref}.")


def _wrong(field: str, sentence: str) -> Invalid:
    return Invalid(sentence, fields={field: sentence})
