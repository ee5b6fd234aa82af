"""Build fields of pydantic models from the classes of the domain, and values of the domain from such models."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Set
from dataclasses import MISSING, Field, fields
from enum import StrEnum
from functools import lru_cache
from types import GenericAlias, MappingProxyType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import pydantic
from pydantic import BaseModel, create_model

Model = TypeVar("Model", bound=BaseModel)
NO_MODELS: Mapping[type, type[BaseModel]] = MappingProxyType({})


def with_fields(fields: Mapping[str, Any]) -> Callable[[type[Model]], type[Model]]:
    """Return a decorator that adds *fields* to a model, each a pair of its type and its default or `Field`.

    Fields that the model declares itself stay as they are, except for the order, which is that of *fields*.
    """

    def decorate(model: type[Model]) -> type[Model]:
        added = {name: each for name, each in fields.items() if name not in model.model_fields}
        made = create_model(model.__name__, __base__=model, __module__=model.__module__, __doc__=model.__doc__, **added)
        ordered = {name: made.model_fields[name] for name in (*fields, *made.model_fields) if name in made.model_fields}
        made.model_fields.clear()  # pydantic has put those of the base class first
        made.model_fields.update(ordered)
        made.model_rebuild(force=True)
        return made

    return decorate


def list_answer_fields(
    value: type, descriptions: Mapping[str, str], *, omit: Collection[str] = ()
) -> dict[str, tuple[Any, Any]]:
    """Return the fields of the dataclass *value* except *omit*, required and with the types that they have in JSON."""
    types = get_type_hints(value)
    return {
        each.name: (_to_json_type(types[each.name], _to_answer_type), _describe_field(descriptions.get(each.name, {})))
        for each in fields(value)
        if each.name not in omit
    }


def list_input_fields(
    value: type,
    descriptions: Mapping[str, str | Mapping[str, Any]],
    *,
    omit: Collection[str] = (),
    models: Mapping[type, type[BaseModel]] = NO_MODELS,
) -> dict[str, tuple[Any, Any]]:
    """Return the fields of the dataclass *value* except *omit*, as JSON may give them, with the dataclass's defaults.

    The limits of texts and numbers are those of the dataclass, whose types may be `Annotated`. A description is a text,
    or arguments of pydantic's `Field`. *models* are the models of dataclasses that are values of fields.
    """

    def to_input_type(hint: Any) -> Any:
        if isinstance(hint, type) and issubclass(hint, StrEnum):
            return Literal[tuple(map(str, hint))]
        return models.get(hint, hint) if isinstance(hint, type) else hint

    types = get_type_hints(value, include_extras=True)
    return {
        each.name: (
            _to_json_type(types[each.name], to_input_type),
            _describe_field(descriptions.get(each.name, {}), default=_get_json_default(each, models), repr=each.repr),
        )
        for each in fields(value)
        if each.name not in omit
    }


def to_domain_values(value: type, given: BaseModel, *, omit: Collection[str] = ()) -> dict[str, Any]:
    """Return the values of the model *given* for fields of the dataclass *value* except *omit*, as it has them.

    A model that is a value of a field has to have a method `to_value`.
    """
    types = _get_types(value)
    names = [name for name in types if name in type(given).model_fields and name not in omit]
    return {name: _to_domain_value(types[name], getattr(given, name)) for name in names}


@lru_cache(maxsize=256)  # more than there are dataclasses of the domain
def _get_types(value: type) -> dict[str, Any]:
    types = get_type_hints(value)
    return {each.name: types[each.name] for each in fields(value)}


def _to_domain_value(hint: Any, given: Any) -> Any:
    """Convert *given* to the type *hint*: lists to tuples or sets, texts to their enum, models to their values."""
    if isinstance(given, BaseModel):
        return given.to_value()  # type: ignore[attr-defined]
    if isinstance(given, list):
        member, kind = _find_collection(hint)
        return kind(_to_domain_value(member, each) for each in given)
    if isinstance(given, str):
        enum = next((t for t in (hint, *get_args(hint)) if isinstance(t, type) and issubclass(t, StrEnum)), None)
        return enum(given) if enum else given
    return given


def _find_collection(hint: Any) -> tuple[Any, type]:
    """Return the type of the members of a tuple or a set, and `tuple` or `frozenset`."""
    hints = get_args(hint) if get_origin(hint) in (UnionType, Union) else (hint,)
    return next((get_args(each)[0], get_origin(each)) for each in hints if get_origin(each) in (tuple, frozenset))


def _to_json_type(hint: Any, convert: Callable[[Any], Any]) -> Any:
    """Return the type of a value in JSON: tuples and sets are lists, mappings are objects; *convert* does the rest."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (UnionType, Union):
        return Union[tuple(_to_json_type(part, convert) for part in parts)]  # noqa: UP007, members are not known here
    if origin is Annotated or not isinstance(origin, type):
        return convert(hint)
    if origin is tuple or issubclass(origin, Set):
        return GenericAlias(list, (_to_json_type(parts[0], convert),))
    if issubclass(origin, Mapping):
        return GenericAlias(dict, tuple(_to_json_type(part, convert) for part in parts))
    return convert(hint)


def _to_answer_type(hint: Any) -> Any:
    return str if isinstance(hint, type) and issubclass(hint, StrEnum) else hint


def _describe_field(described: str | Mapping[str, Any], **arguments: Any) -> Any:
    return pydantic.Field(**arguments, **({"description": described} if isinstance(described, str) else described))


def _get_json_default(each: Field[Any], models: Mapping[type, type[BaseModel]]) -> Any:
    """Return the default of a field as JSON has it, `...` if the field is required."""
    if each.default is MISSING and each.default_factory is MISSING:
        return ...
    default = each.default if each.default_factory is MISSING else each.default_factory()
    if type(default) in models:
        return models[type(default)]()
    if isinstance(default, tuple | Set):
        return list(default)
    return str(default) if isinstance(default, StrEnum) else default
