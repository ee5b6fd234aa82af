"""What is wrong with a value of a body or a file, by pydantic's name for it; values are never repeated (trap 88)."""

from __future__ import annotations

WORDS = {
    "missing": "This is required.",
    "extra_forbidden": "There is no such field.",
    "string_type": "A text, please.",
    "int_type": "A whole number, please.",
    "bool_type": "true or false, please.",
    "list_type": "A list, please.",
    "dict_type": "An object, please.",
    "model_type": "An object, please.",
    "string_too_long": "This text is too long.",
    "string_pattern_mismatch": "This is not an id.",
}
