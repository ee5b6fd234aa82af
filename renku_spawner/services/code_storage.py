"""What a document means for the storages of a project; those that it does not name stay."""

from __future__ import annotations

from dataclasses import replace

from ..domain import storage_checks
from ..domain.as_code import DescribedStorage, Difference
from ..domain.errors import Invalid
from ..domain.storage import Credentials, NewStorage, Storage, StorageChange
from ..domain.storage_kinds import KINDS
from . import storages
from .code_step import Asked, Kind, Step

_BY_HAND = "Credentials stand in no file: please enter them on the project's page of settings."
_OTHER = "The storage in this directory is of another kind; remove it first, or choose another directory."


async def step(asked: Asked, path: str, wanted: DescribedStorage, present: Storage | None) -> Step:
    """What *wanted* does; what is wrong with it is in the step."""
    made = Step(kind=Kind.CHANGE if present else Kind.ADD, title=wanted.directory, path=path, storage=True)
    try:
        return await (_changed(asked, made, wanted, present) if present else _added(asked, made, wanted))
    except Invalid as problem:
        fields = {f"{path}.{name}": sentence for name, sentence in _without_secrets(problem).items()}
        return replace(made, refused=fields or {path: problem.message})


def _without_secrets(problem: Invalid) -> dict[str, str]:
    """Who keeps a file is asked for no credentials."""
    fields = {name: sentence for name, sentence in problem.fields.items() if not name.startswith("secrets")}
    return fields if len(fields) == len(problem.fields) else {**fields, "credentials": _BY_HAND}


async def _added(asked: Asked, made: Step, wanted: DescribedStorage) -> Step:
    if wanted.credentials is Credentials.PROJECT:
        raise Invalid(_BY_HAND, fields={"credentials": _BY_HAND})
    made = replace(made, differences=(Difference(field="kind", old="", new=wanted.kind), *_differences(None, wanted)))
    if not asked.may:
        return made
    new = NewStorage(**vars(wanted))
    return replace(made, works=(await storages.adding(asked.parts, asked.person, asked.project, new),))


async def _changed(asked: Asked, made: Step, wanted: DescribedStorage, present: Storage) -> Step:
    if wanted.kind != present.kind:
        raise Invalid(_OTHER, fields={"kind": _OTHER})
    wanted = _cleaned(replace(wanted, settings=storage_checks.keep_host_key(present.settings, wanted.settings)))
    found = _differences(present, wanted)
    if not found:
        return replace(made, kind=Kind.SAME)
    made = replace(made, differences=found)
    if not asked.may:
        return made
    change = StorageChange(
        version=present.version, settings=wanted.settings, path=wanted.path, credentials=wanted.credentials,
        read_only=wanted.read_only,
    )  # fmt: skip
    work = await storages.changing(asked.parts, asked.person, asked.project, present.id, change)
    return replace(made, works=(work,))


def _cleaned(wanted: DescribedStorage) -> DescribedStorage:
    """As it would be stored. Raises Invalid: at `path`."""
    settings = {name: value.strip() for name, value in wanted.settings.items() if value.strip()}
    return replace(wanted, settings=settings, path=storage_checks.path(wanted.path, KINDS[wanted.kind]))


def _differences(present: Storage | None, wanted: DescribedStorage) -> tuple[Difference, ...]:
    old, new = _flat(present) if present else {}, _flat(wanted)
    return tuple(
        Difference(field=name, old=old.get(name, ""), new=new.get(name, ""))
        for name in {**old, **new}
        if old.get(name, "") != new.get(name, "")
    )


def _flat(storage: Storage | DescribedStorage) -> dict[str, str]:
    return {
        **{f"settings.{name}": value for name, value in storage.settings.items()},
        "path": storage.path,
        "credentials": str(storage.credentials),
        "read_only": "yes" if storage.read_only else "no",
    }
