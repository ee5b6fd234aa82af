"""What will be different, or may go wrong, with an image: warned of and explained, rarely refused."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from . import findings
from .environment import RunConfiguration
from .facts import ImageFacts
from .hint import Hint, Severity
from .image import Image

__all__ = ["BIG", "Hint", "Severity", "hints"]

BIG = 3_000_000_000  # bytes


def hints(
    facts: ImageFacts | None,
    image: Image,
    *,
    run: RunConfiguration,
    platforms: Collection[str],
    now: datetime,
    big: int = BIG,
    gpu: int = 0,
    used_by: Collection[str] = (),
) -> tuple[Hint, ...]:
    """All that can be said of *image* when it is run as *run*, most severe first.

    Args:
        facts: None while the registry could not be asked.
        platforms: of the machines that run sessions, such as `linux/amd64`.
        big: compressed bytes from which a slow first start is announced.
        gpu: how many GPUs the session asks for at least.
        used_by: titles of the project's sessions that use the image already.
    """
    found = [*findings.of_reference(image, pinned=facts is not None), *findings.of_project(used_by)]
    if facts is None:
        found.append(findings.UNVERIFIED)
    else:
        found += findings.of_platform(facts, platforms)
        found += findings.of_server(facts, image, run)
        found += findings.of_user(facts, run)
        found += findings.of_port(facts, image, run)
        found += findings.of_command(facts, run)
        found += findings.of_folders(facts)
        found += findings.of_age_and_size(facts, now=now, big=big)
        found += findings.of_contents(facts, image, gpu=gpu)
    order = list(Severity)
    return tuple(sorted(found, key=lambda hint: order.index(hint.severity)))
