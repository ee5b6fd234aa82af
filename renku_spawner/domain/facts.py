"""What a registry says of an image: hostile text, cleaned and bounded before anything looks at it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

LABELS, LABEL_LIMIT = 50, 200
VARIABLES, VARIABLE_LIMIT = 100, 500
WORDS, WORD_LIMIT = 50, 500
STEPS, STEP_LIMIT = 300, 1000
PLATFORMS, PORTS = 50, 50
SIZE_LIMIT = 1 << 50  # bytes; nobody pulls a petabyte
# Words in the commands that made the layers which tell what is inside; kept in place of the whole history.
MARKS = (
    "jupyterhub",
    "jupyterlab",
    "jupyter-server-proxy",
    "rstudio-server",
    "code-server",
    "openvscode",
    "shiny",
    "cuda",
)
SHELL, NO_SHELL = "a shell ran", "no shell ran"
_RAN = re.compile(r"/bin/(?:ba|da|z|a)?sh -|\bdebian\.sh\b|\bapt-get\b|\bapk add\b|rootfs|\ba shell ran\b")
_NOT_RUN = re.compile(r"/bin/sh -c #\(nop\)")  # the old builder's way to write COPY, ENV …
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_PLATFORM = re.compile(r"[a-z0-9]{1,20}/[a-z0-9_]{1,20}(/[a-z0-9]{1,20})?")
_PORT = re.compile(r"([1-9][0-9]{0,4})(?:/tcp)?")


@dataclass(frozen=True, kw_only=True)
class ImageFacts:
    """What is known of one content of an image, in `cleaned` or `read` form.

    `digest` is of what the tag resolved to (the index where there is one), `platform`
    the variant looked into, such as `linux/amd64`; `size` the compressed bytes of its
    layers; `history` what its layers were made by, for evidence only.
    """

    digest: str
    media_type: str = ""
    platforms: tuple[str, ...] = ()
    platform: str | None = None
    size: int | None = None
    created: datetime | None = None
    user: str = ""
    working_directory: str = ""
    ports: tuple[int, ...] = ()
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    history: tuple[str, ...] = ()
    sbom: bool = False

    def label(self, name: str) -> str:
        """The value of `org.opencontainers.image.<name>`, empty where the image is silent
        (https://github.com/opencontainers/image-spec/blob/main/annotations.md)."""
        return self.labels.get(f"org.opencontainers.image.{name}", "")


def read(
    config: Any,
    *,
    digest: str,
    media_type: str = "",
    platforms: Iterable[str] = (),
    platform: str | None = None,
    size: int | None = None,
    sbom: bool = False,
) -> ImageFacts:
    """The facts in an image's config blob, parsed from JSON but otherwise untrusted
    (https://github.com/opencontainers/image-spec/blob/main/config.md).

    What has the wrong type is left out; nothing is raised.
    """
    whole = _mapping(config)
    run = _mapping(whole.get("config"))
    created = whole.get("created")
    return ImageFacts(
        digest=digest if _DIGEST.fullmatch(digest) else "",
        media_type=_line(media_type, 100),
        platforms=_platforms(platforms),
        platform=_platform(platform),
        size=_size(size),
        created=_time(created),
        user=_line(run.get("User"), 100),
        working_directory=_line(run.get("WorkingDir"), WORD_LIMIT),
        ports=_ports(_mapping(run.get("ExposedPorts"))),
        entrypoint=_lines(run.get("Entrypoint"), WORDS, WORD_LIMIT),
        command=_lines(run.get("Cmd"), WORDS, WORD_LIMIT),
        environment=_variables(run.get("Env")),
        labels=_pairs(run.get("Labels"), LABELS, LABEL_LIMIT),
        history=_steps(whole.get("history")),
        sbom=sbom is True,
    )


def as_json(facts: ImageFacts) -> dict[str, Any]:
    """What `Revision.facts` stores; of the history only the words that are evidence."""
    return {
        "digest": facts.digest,
        "media_type": facts.media_type,
        "platforms": list(facts.platforms),
        "platform": facts.platform,
        "size": facts.size,
        "created": facts.created.isoformat() if facts.created else None,
        "user": facts.user,
        "working_directory": facts.working_directory,
        "ports": list(facts.ports),
        "entrypoint": list(facts.entrypoint),
        "command": list(facts.command),
        "environment": dict(facts.environment),
        "labels": dict(facts.labels),
        "marks": list(marks(facts)),
        "sbom": facts.sbom,
    }


def from_json(stored: Mapping[str, Any]) -> ImageFacts | None:
    """What `as_json` made, with `history` reduced to its marks; None where nothing was stored.

    Keys that are unknown, missing or of the wrong type are ignored: rows outlive versions.
    """
    digest = stored.get("digest")
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        return None
    return ImageFacts(
        digest=digest,
        media_type=_line(stored.get("media_type"), 100),
        platforms=_platforms(stored.get("platforms")),
        platform=_platform(stored.get("platform")),
        size=_size(stored.get("size")),
        created=_time(stored.get("created")),
        user=_line(stored.get("user"), 100),
        working_directory=_line(stored.get("working_directory"), WORD_LIMIT),
        ports=_ports(stored.get("ports")),
        entrypoint=_lines(stored.get("entrypoint"), WORDS, WORD_LIMIT),
        command=_lines(stored.get("command"), WORDS, WORD_LIMIT),
        environment=_pairs(stored.get("environment"), VARIABLES, VARIABLE_LIMIT),
        labels=_pairs(stored.get("labels"), LABELS, LABEL_LIMIT),
        history=_lines(stored.get("marks"), len(MARKS) + 1, STEP_LIMIT),
        sbom=stored.get("sbom") is True,
    )


def marks(facts: ImageFacts) -> tuple[str, ...]:
    """The words of `MARKS` that occur in the history, and whether a shell made some layer
    (so that there is one); nothing where there is no history."""
    if not facts.history:
        return ()
    told = _NOT_RUN.sub("", "\n".join(facts.history).lower())
    return (*(mark for mark in MARKS if mark in told), SHELL if _RAN.search(told) else NO_SHELL)


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}


def _line(value: Any, limit: int) -> str:
    """One printable line; what is longer is cut, never refused."""
    if not isinstance(value, str):
        return ""
    printable = "".join(c if c.isprintable() else " " for c in value[: 2 * limit])
    return " ".join(printable.split())[:limit].strip()


def _lines(value: Any, count: int, limit: int) -> tuple[str, ...]:
    """A list of lines. A string is one (the config's Entrypoint may be null or a list)."""
    items = value[:count] if isinstance(value, list | tuple) else []
    return tuple(_line(item, limit) for item in items)


def _platform(value: Any) -> str | None:
    return value if isinstance(value, str) and _PLATFORM.fullmatch(value) else None


def _platforms(value: Any) -> tuple[str, ...]:
    items = value if isinstance(value, list | tuple) else ()
    known = [platform for item in items if (platform := _platform(item))]
    return tuple(dict.fromkeys(known))[:PLATFORMS]


def _size(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= SIZE_LIMIT else None


def _time(value: Any) -> datetime | None:
    """RFC 3339, as registries and `as_json` write it; in UTC. Go writes nanoseconds."""
    text = re.sub(r"(\.\d{6})\d+", r"\1", value[:40]) if isinstance(value, str) else ""
    try:
        read_as = datetime.fromisoformat(text)
        return read_as.astimezone(UTC) if read_as.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _ports(value: Any) -> tuple[int, ...]:
    """TCP ports, of `{"8888/tcp": {}}` or `[8888]`, in ascending order."""
    said = [str(item)[:20] for item in list(value)[: 4 * PORTS]] if isinstance(value, Mapping | list | tuple) else []
    numbers = {int(found[1]) for item in said if (found := _PORT.fullmatch(item))}
    return tuple(sorted(number for number in numbers if number <= 65535))[:PORTS]


def _pairs(value: Any, count: int, limit: int) -> dict[str, str]:
    items = list(_mapping(value).items())[:count]
    lines = {_line(key, 100): _line(said, limit) for key, said in items if isinstance(said, str)}
    return {key: said for key, said in lines.items() if key}


def _variables(value: Any) -> dict[str, str]:
    """`["PATH=/bin", …]`."""
    said = [item for item in value if isinstance(item, str)] if isinstance(value, list | tuple) else []
    parts = (item[: 4 * VARIABLE_LIMIT].partition("=") for item in said[:VARIABLES])
    return _pairs({name: value for name, _, value in parts}, VARIABLES, VARIABLE_LIMIT)


def _steps(value: Any) -> tuple[str, ...]:
    steps = value[:STEPS] if isinstance(value, list | tuple) else []
    lines = (_line(_mapping(step).get("created_by"), STEP_LIMIT) for step in steps)
    return tuple(line for line in lines if line)
