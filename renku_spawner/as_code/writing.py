"""Writes a document: all keys, always in the same order, so that git shows what has changed and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import yaml

from ..domain.as_code import VERSION, Described, DescribedStorage, Document, OwnImage, ReadyMade, Source
from ..domain.running import RunChoice

_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_HEAD = """\
# Sessions of a Renku project: renku-spawner apply, or .renku/sessions.yaml in one of its repositories.
# Everybody who reads the project can read this; put no secrets here.
"""
_LEFT_OUT = "# Left out, since the name looks secret: {names} of session {number}. An apply leaves it as it is.\n"


class _Writer(_Dumper):
    """Texts of several lines stand as such."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(writer: Any, text: str) -> Any:
    return writer.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Writer.add_representer(str, _text)


def as_yaml(document: Document) -> str:
    """The document as YAML. Of two equal documents the texts are equal."""
    body = yaml.dump(
        plain(document), Dumper=_Writer, sort_keys=False, allow_unicode=True, default_flow_style=False, width=2**16
    )
    numbers = {each.title: number for number, each in enumerate(document.sessions, 1)}
    left = (
        _LEFT_OUT.format(names=", ".join(sorted(names)), number=numbers[title])
        for title, names in document.left_out.items()
    )
    return f"{_HEAD}{''.join(left)}{body}"


def as_json(document: Document) -> str:
    """The same as JSON, without what is left out."""
    return json.dumps(plain(document), ensure_ascii=False, indent=2) + "\n"


def plain(document: Document) -> dict[str, Any]:
    """The document as lists, objects, texts and numbers, in the order in which they are written."""
    sessions = [_session(each) for each in document.sessions]
    storages = [_storage(each) for each in document.storages] or None
    return _said(version=VERSION, project=document.project, storages=storages, sessions=sessions)


def _session(each: Described) -> dict[str, Any]:
    return _said(
        title=each.title,
        was=each.was,
        default=each.default or None,
        description=each.description,
        environment=_environment(each.environment),
        configuration=_configuration(each) or None,
    )


def _storage(each: DescribedStorage) -> dict[str, Any]:
    return _said(
        directory=each.directory,
        kind=each.kind,
        settings=_sorted(each.settings) or None,
        path=each.path or None,
        credentials=str(each.credentials),
        read_only=each.read_only,
    )


def _environment(source: Source) -> dict[str, Any]:
    if isinstance(source, ReadyMade):
        return _said(ready_made=source.name, digest=source.digest)
    run = _run(source.run) or None
    if isinstance(source, OwnImage):
        return _said(image=source.image, digest=source.digest, name=source.name, run=run)
    repository = _said(directory=source.directory, branch=source.branch)
    return _said(repository=repository, image=source.image, digest=source.digest, name=source.name, run=run)


def _run(run: RunChoice) -> dict[str, Any]:
    said = {field.name: getattr(run, field.name) for field in fields(run)}
    return _said(**said | {"command": None if run.command is None else list(run.command)})


def _configuration(each: Described) -> dict[str, Any]:
    variables = each.variables
    return _said(
        cpu=each.cpu,
        memory=each.memory,
        gpu=each.gpu,
        disk=each.disk,
        repositories=_chosen(each.repositories),
        storages=_chosen(each.storages),
        variables=None if variables is None else _sorted(variables),
    )


def _chosen(directories: str | tuple[str, ...] | None) -> str | list[str] | None:
    return list(directories) if isinstance(directories, tuple) else directories


def _sorted(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: variables[name] for name in sorted(variables)}


def _said(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
