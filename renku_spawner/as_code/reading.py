"""Reads YAML that a stranger wrote: plain values, each key once, no tags, anchors or aliases, within limits (T19).

Only libyaml's events are taken; nothing is ever constructed but texts, whole numbers, true, false, null, lists and
objects. What `yes`, `012` or `2026-11-28` are is never guessed: they are texts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import yaml

from ..domain.errors import Malformed

SIZE_LIMIT = 64 * 1024  # bytes
_DEPTH_LIMIT = 12
_VALUES_LIMIT = 5000
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Value = TypeVar("Value")


@dataclass(frozen=True)
class Read:
    """A value, and in which line (from 1) each path such as `sessions.0.title` begins."""

    value: Any
    lines: Mapping[str, int] = field(default_factory=dict)


def read(data: bytes) -> Read:
    """The one document in *data*.

    Raises:
        Malformed: too large, no UTF-8, no YAML, or YAML of more than plain values; with the line where that is so.
    """
    if len(data) > SIZE_LIMIT:
        raise Malformed(f"The file is larger than {SIZE_LIMIT // 1024} kB.", code="too_large")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("The file is not valid UTF-8.") from None
    builder, loader = _Builder(), _Loader(text)
    try:
        while loader.check_event():
            builder.take(loader.get_event())
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        raise _at(mark.line if mark else None, "this is no YAML", problem.problem or "") from None
    except (yaml.YAMLError, ValueError):
        raise Malformed("The file is no YAML: it has characters that cannot stand there.") from None
    finally:
        loader.dispose()
    return Read(builder.value, builder.lines)


def _at(line: int | None, said: str, detail: str = "") -> Malformed:
    where = f"Line {line + 1}" if line is not None else "The file"
    return Malformed(f"{where}: {said}{f' ({detail[:100]})' if detail else ''}.")


class _Open:
    """A list or an object that has begun; `key` is the one whose value comes next."""

    def __init__(self, value: dict[str, Any] | list[Any], path: str) -> None:
        self.value, self.path = value, path
        self.key: str | None = None

    @property
    def waits_for_key(self) -> bool:
        return isinstance(self.value, dict) and self.key is None

    def place(self) -> str:
        last = self.key if isinstance(self.value, dict) else str(len(self.value))
        return f"{self.path}.{last}" if self.path else str(last)

    def put(self, value: Any) -> None:
        if isinstance(self.value, list):
            self.value.append(value)
        else:
            self.value[str(self.key)] = value
            self.key = None


class _Builder:
    """Puts a value together from events: a stack of its own, so that nothing is nested by whoever wrote the file."""

    def __init__(self) -> None:
        self.value: Any = None
        self.lines: dict[str, int] = {}
        self._open: list[_Open] = []
        self._values = self._documents = 0

    def take(self, event: Any) -> None:
        line = event.start_mark.line
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise _at(line, "a second document begins here")
        elif isinstance(event, yaml.CollectionEndEvent):
            self._open.pop()
        elif isinstance(event, yaml.NodeEvent):
            _require_plain(event, line)
            self._node(event, line)

    def _node(self, event: Any, line: int) -> None:
        self._values += 1
        if self._values > _VALUES_LIMIT:
            raise _at(line, f"there are more than {_VALUES_LIMIT} values")
        top = self._open[-1] if self._open else None
        if top is not None and top.waits_for_key:
            self._key(top, event, line)
        else:
            self._value(top, event, line)

    def _key(self, top: _Open, event: Any, line: int) -> None:
        if not isinstance(event, yaml.ScalarEvent):
            raise _at(line, "a key is a plain word")
        if event.value in top.value:
            raise _at(line, f"the key {event.value[:64]!r} stands twice")
        top.key = event.value
        self.lines[top.place()] = line + 1

    def _value(self, top: _Open | None, event: Any, line: int) -> None:
        path = top.place() if top else ""
        self.lines.setdefault(path, line + 1)
        value = _scalar(event) if isinstance(event, yaml.ScalarEvent) else _empty(event)
        if top is not None:
            top.put(value)
        else:
            self.value = value
        if isinstance(value, dict | list):
            if len(self._open) >= _DEPTH_LIMIT:
                raise _at(line, "the file is nested too deeply")
            self._open.append(_Open(value, path))


def _require_plain(event: Any, line: int) -> None:
    if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
        raise _at(line, "anchors (&) and aliases (*) are not read; write it out")
    if event.tag is not None:
        raise _at(line, "tags (!) are not read")


def _empty(event: Any) -> dict[str, Any] | list[Any]:
    return {} if isinstance(event, yaml.MappingStartEvent) else []


def _scalar(event: Any) -> Any:
    """Plain words as in JSON; whatever is quoted, or anything else, is a text."""
    if event.style or not event.implicit[0]:
        return event.value
    if event.value in _WORDS:
        return _WORDS[event.value]
    return int(event.value) if _NUMBER.fullmatch(event.value) else event.value
