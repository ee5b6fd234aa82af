"""Build fields of pydantic models from the classes of the domain."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from enum import StrEnum
from types import GenericAlias, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, Field, create_model

Model = TypeVar("Model", bound=BaseModel)


def with_fields(fields: Mapping[str, Any]) -> Callable[[type[Model]], type[Model]]:
    """Return a decorator that adds *fields* to a model, each a pair of its type and its default or `Field`.

    Fields that the model declares itself stay as they are.
    """

    def decorate(model: type[Model]) -> type[Model]:
        added = {name: each for name, each in fields.items() if name not in model.model_fields}
        return create_model(model.__name__, __base__=model, __module__=model.__module__, __doc__=model.__doc__, **added)

    return decorate


def list_answer_fields(
    value: type, descriptions: Mapping[str, str], *, omit: Collection[str] = ()
) -> dict[str, tuple[Any, Any]]:
    """Return the fields of the dataclass *value* except *omit*, required and with the types that they have in JSON."""
    types = get_type_hints(value)
    return {
        each.name: (to_json_type(types[each.name]), Field(description=descriptions.get(each.name)))
        for each in fields(value)
        if each.name not in omit
    }


def to_json_type(hint: Any) -> Any:
    """Return the type of a value in JSON: tuples are lists, mappings are objects, enums of texts are texts."""
    origin, parts = get_origin(hint), get_args(hint)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return str
    if origin in (UnionType, Union):
        return Union[tuple(map(to_json_type, parts))]  # noqa: UP007, as the members are not known here
    if origin is tuple:
        return GenericAlias(list, (to_json_type(parts[0]),))
    if origin is not None and issubclass(origin, Mapping):
        return GenericAlias(dict, tuple(map(to_json_type, parts)))
    return hint
