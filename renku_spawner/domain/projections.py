"""Build fields of pydantic models from the classes of the domain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, create_model

Model = TypeVar("Model", bound=BaseModel)


def with_fields(fields: Mapping[str, Any]) -> Callable[[type[Model]], type[Model]]:
    """Return a decorator that adds *fields* to a model, each a pair of its type and its default or `Field`.

    Fields that the model declares itself stay as they are.
    """

    def decorate(model: type[Model]) -> type[Model]:
        added = {name: each for name, each in fields.items() if name not in model.model_fields}
        return create_model(model.__name__, __base__=model, __module__=model.__module__, __doc__=model.__doc__, **added)

    return decorate
