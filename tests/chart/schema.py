"""Writes the bounds of settings into the chart's schema: `python -m tests.chart.schema` after a change of a setting.

Values and their words are the chart's own; what a number, a text or a quantity may be comes from the settings' models.
"""

import json
import math
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from pydantic import BaseModel

from renku_spawner.config.images import ImagePolicySetting
from renku_spawner.config.parsing import EnvironmentSetting, ResourceClassSetting, SessionLimitsSetting
from renku_spawner.config.renku import Renku
from renku_spawner.config.storages import VolumeSetting
from renku_spawner.domain.quantities import parse_quantity
from renku_spawner.domain.resource_classes import MAX_GPU_COUNT, RESOURCE_RANGES
from tests.chart.rendered import CHART

FILE = CHART / "values.schema.json"
MODELS: dict[str, type[BaseModel]] = {
    "environments[]": EnvironmentSetting,
    "resourceClasses[]": ResourceClassSetting,
    "limits": SessionLimitsSetting,
    "images.policy": ImagePolicySetting,
    "storages.volumes[]": VolumeSetting,
}
_BOUNDS = ("minimum", "maximum", "minLength", "maxLength", "pattern")
_EXACT_BELOW = 100_000  # larger numbers are told by how many digits they have: admins read these patterns
_SUFFIXES = ("", "m", "k", "Ki", "M", "Mi", "G", "Gi", "T", "Ti", "P", "Pi")
_VALUE = re.compile(r'^  "(\w+)" \.([\w.]+)$', re.MULTILINE)


def quantity_pattern(low: Decimal, high: Decimal) -> str:
    """Return a pattern that takes every quantity from *low* to *high* and, of numbers outside, only such as differ
    from a bound by less than one, lack a digit of a large one, or are written as nobody writes them."""
    unusual = "nu" if low < 1 else "num"
    suffixes = [suffix for suffix in _SUFFIXES if suffix not in unusual or not suffix]
    whole = [_scaled(low, high, suffix) for suffix in suffixes]
    below_one = [suffix for suffix in suffixes if low < parse_quantity(f"1{suffix}")]
    fraction = rf"0*\.[0-9]+({'|'.join(below_one)})"
    return rf"^({'|'.join(filter(None, whole))}|{fraction}|[0-9.]+([eE][+-]?[0-9]+|[{unusual}]))$"


def _scaled(low: Decimal, high: Decimal, suffix: str) -> str:
    """Numbers of at least one with *suffix*, without an end of the pattern."""
    factor = parse_quantity(f"1{suffix}")
    whole = _numbers(max(int(low / factor), 1), int(high / factor))
    return rf"0*({whole})(\.[0-9]*)?{suffix}" if whole else ""


def _numbers(least: int, most: int) -> str:
    """The integers from *least* to *most*, without leading zeros; those of many digits by their number of digits."""
    if most < least:
        return ""
    if most >= _EXACT_BELOW:
        return f"[1-9][0-9]{{{len(str(least)) - 1},{len(str(most)) - 1}}}"
    digits = len(str(most + 1)) - 1
    if least > 1 or not digits:
        return "|".join(_ranges(least, most))
    shorter = f"[1-9][0-9]{{0,{digits - 1}}}" if digits > 1 else "[1-9]"
    return "|".join([shorter, *_ranges(10**digits, most)])


def _ranges(least: int, most: int) -> Iterator[str]:
    """Patterns that together match the integers from *least* to *most*: ends that share all digits but the last."""
    while least <= most:
        step = 1
        while least % (step * 10) == 0 and least + step * 10 - 1 <= most:
            step *= 10
        count = 1
        while (least // step + count) % 10 and least + step * (count + 1) - 1 <= most:
            count += 1
        first, last = least // step, least // step + count - 1
        head, digit = str(first)[:-1], f"[{first % 10}-{last % 10}]" if count > 1 else str(first % 10)
        zeros = len(str(step)) - 1
        yield head + digit + (f"[0-9]{{{zeros}}}" if zeros > 1 else "[0-9]" * zeros)
        least += step * count


def bounds_of_models() -> Iterator[tuple[str, dict[str, Any]]]:
    """The path of a value below `renku` (`resourceClasses[].cpu`), and what its model says of it."""
    for place, model in MODELS.items():
        for key, said in model.model_json_schema()["properties"].items():
            named = next((each for each in said.get("anyOf", ()) if each.get("type") != "null"), said)
            spelt = re.sub("_(.)", lambda part: part[1].upper(), key) if place == "limits" else key
            yield f"{place}.{spelt}", {bound: named[bound] for bound in _BOUNDS if bound in named}
    for key, (low, high, _) in RESOURCE_RANGES.items():
        yield f"resourceClasses[].{key}", {"pattern": quantity_pattern(low, high)}
    low, high, _ = RESOURCE_RANGES["disk"]
    yield "resourceClasses[].ephemeral_storage", {"pattern": f"^(0+[A-Za-z]{{0,2}})?$|{quantity_pattern(low, high)}"}
    yield "resourceClasses[].gpu", {"minimum": 0, "maximum": MAX_GPU_COUNT}


def bounds_of_settings() -> Iterator[tuple[str, dict[str, Any]]]:
    """The path of a value that is a setting of its own, and what that may be."""
    template = (CHART / "templates" / "_settings.tpl").read_text()
    traits = Renku.class_traits(config=True)
    for part, place in {"renku.settings.renku": "", "renku.settings.gitlab": "gitlab."}.items():
        text = template.partition(f'define "{part}"')[2].partition("{{- define")[0]
        for name, path in _VALUE.findall(text):
            ends = {"minimum": getattr(traits[name], "min", None), "maximum": getattr(traits[name], "max", None)}
            yield f"{place}{path}", {bound: end for bound, end in ends.items() if _is_bound(end)}


def _is_bound(end: float | None) -> bool:
    return end is not None and math.isfinite(end)


def find(schema: dict[str, Any], path: str) -> dict[str, Any]:
    """Return the part of the chart's *schema* that is about the value at *path* below `renku`."""
    found = schema["properties"]["renku"]
    for key in path.split("."):
        found = found["properties"][key.removesuffix("[]")]
        found = found["items"] if key.endswith("[]") else found
    return found


def written(text: str) -> str:
    """Return *text* of the schema with all bounds as the settings have them."""
    schema = json.loads(text)
    for path, bounds in (*bounds_of_models(), *bounds_of_settings()):
        found = find(schema, path)
        if bounds != {bound: found[bound] for bound in bounds if bound in found}:
            found.update(bounds)
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(written(FILE.read_text()))
