"""What a registry says of the image that stands in a form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..domain.session import Session
from ..domain.verdict import Checked
from ..services import images
from . import forms_image


async def checked(
    handler: Any, values: Mapping[str, Any], beside: Sequence[Session] = (), *, trusted: bool = False
) -> Checked | None:
    """What was found of the image in *values*, an admin's if it is *trusted*; None before somebody asks."""
    typed = str(values.get("image", "")).strip()
    if handler.request.method != "POST" or not typed:
        return None
    run, gpu = forms_image.run_of(values), forms_image.gpu_of(values)
    return await images.tried(handler.parts, handler.person, typed, run, gpu=gpu, beside=beside, trusted=trusted)
