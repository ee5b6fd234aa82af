"""Parse the metadata that a registry reports about an image, and detect its user, its kind and how to run it.

Image names belong in `domain.images`, warnings and inspection results in `domain.image_checks`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from .environments import NewRevision, RunConfiguration
from .errors import InvalidInputError
from .images import ImageReference

MAX_LABELS, MAX_LABEL_LENGTH = 50, 200
MAX_IMAGE_VARIABLES, MAX_IMAGE_VARIABLE_LENGTH = 100, 500
MAX_COMMAND_PARTS, MAX_COMMAND_PART_LENGTH = 50, 500
MAX_HISTORY_STEPS, MAX_HISTORY_STEP_LENGTH = 300, 1000
MAX_PLATFORMS, MAX_PORTS = 50, 50
MAX_IMAGE_SIZE_BYTES = 1 << 50  # larger sizes cannot be real
# Words in the history that show what the image contains; they are stored in place of the whole history.
IMAGE_HISTORY_MARKERS = (
    "jupyterhub",
    "jupyterlab",
    "jupyter-server-proxy",
    "rstudio-server",
    "code-server",
    "openvscode",
    "shiny",
    "cuda",
)
SHELL_RAN_MARKER, NO_SHELL_RAN_MARKER = "a shell ran", "no shell ran"
_SHELL_RAN_PATTERN = re.compile(
    r"/bin/(?:ba|da|z|a)?sh -|\bdebian\.sh\b|\bapt-get\b|\bapk add\b|rootfs|\ba shell ran\b"
)
_NOP_STEP_PATTERN = re.compile(r"/bin/sh -c #\(nop\)")  # how the old builder records COPY, ENV …
_DIGEST_PATTERN = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_IMAGE_PLATFORM_PATTERN = re.compile(r"[a-z0-9]{1,20}/[a-z0-9_]{1,20}(/[a-z0-9]{1,20})?")
_EXPOSED_PORT_PATTERN = re.compile(r"([1-9][0-9]{0,4})(?:/tcp)?")


@dataclass(frozen=True, kw_only=True)
class ImageMetadata:
    """Metadata of one image content, from `parse_image_config` or `parse_image_metadata_json`.

    `digest` is that of the tag (of the index where there is one), `platform` the inspected variant, such as
    `linux/amd64`; `size` the compressed bytes of its layers; `history` the commands that made its layers,
    used as evidence only.
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

    def get_label(self, name: str) -> str:
        """Return the value of `org.opencontainers.image.<name>`, empty if the image does not set it.

        See https://github.com/opencontainers/image-spec/blob/main/annotations.md.
        """
        return self.labels.get(f"org.opencontainers.image.{name}", "")


def parse_image_config(
    config: Any,
    *,
    digest: str,
    media_type: str = "",
    platforms: Iterable[str] = (),
    platform: str | None = None,
    size: int | None = None,
    sbom: bool = False,
) -> ImageMetadata:
    """Return the metadata in an image's config blob, parsed from JSON but otherwise untrusted.

    Values of the wrong type are left out; nothing is raised. The format is
    https://github.com/opencontainers/image-spec/blob/main/config.md.
    """
    whole = _to_mapping(config)
    run = _to_mapping(whole.get("config"))
    created = whole.get("created")
    return ImageMetadata(
        digest=digest if _DIGEST_PATTERN.fullmatch(digest) else "",
        media_type=_clean_line(media_type, 100),
        platforms=_parse_platforms(platforms),
        platform=_parse_platform(platform),
        size=_parse_image_size(size),
        created=_parse_created_time(created),
        user=_clean_line(run.get("User"), 100),
        working_directory=_clean_line(run.get("WorkingDir"), MAX_COMMAND_PART_LENGTH),
        ports=_parse_exposed_ports(_to_mapping(run.get("ExposedPorts"))),
        entrypoint=_clean_lines(run.get("Entrypoint"), MAX_COMMAND_PARTS, MAX_COMMAND_PART_LENGTH),
        command=_clean_lines(run.get("Cmd"), MAX_COMMAND_PARTS, MAX_COMMAND_PART_LENGTH),
        environment=_parse_image_variables(run.get("Env")),
        labels=_clean_pairs(run.get("Labels"), MAX_LABELS, MAX_LABEL_LENGTH),
        history=_parse_history_steps(whole.get("history")),
        sbom=sbom is True,
    )


def to_image_metadata_json(facts: ImageMetadata) -> dict[str, Any]:
    """Return the stored form (`Revision.facts`); the history is reduced to `IMAGE_HISTORY_MARKERS`."""
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
        "marks": list(find_history_markers(facts)),
        "sbom": facts.sbom,
    }


def parse_image_metadata_json(stored: Mapping[str, Any]) -> ImageMetadata | None:
    """Read the form of `to_image_metadata_json`, whose history is reduced to its markers; None if there is none.

    Unknown, missing and wrongly typed keys are ignored: rows outlive versions.
    """
    digest = stored.get("digest")
    if not isinstance(digest, str) or not _DIGEST_PATTERN.fullmatch(digest):
        return None
    return ImageMetadata(
        digest=digest,
        media_type=_clean_line(stored.get("media_type"), 100),
        platforms=_parse_platforms(stored.get("platforms")),
        platform=_parse_platform(stored.get("platform")),
        size=_parse_image_size(stored.get("size")),
        created=_parse_created_time(stored.get("created")),
        user=_clean_line(stored.get("user"), 100),
        working_directory=_clean_line(stored.get("working_directory"), MAX_COMMAND_PART_LENGTH),
        ports=_parse_exposed_ports(stored.get("ports")),
        entrypoint=_clean_lines(stored.get("entrypoint"), MAX_COMMAND_PARTS, MAX_COMMAND_PART_LENGTH),
        command=_clean_lines(stored.get("command"), MAX_COMMAND_PARTS, MAX_COMMAND_PART_LENGTH),
        environment=_clean_pairs(stored.get("environment"), MAX_IMAGE_VARIABLES, MAX_IMAGE_VARIABLE_LENGTH),
        labels=_clean_pairs(stored.get("labels"), MAX_LABELS, MAX_LABEL_LENGTH),
        history=_clean_lines(stored.get("marks"), len(IMAGE_HISTORY_MARKERS) + 1, MAX_HISTORY_STEP_LENGTH),
        sbom=stored.get("sbom") is True,
    )


def find_history_markers(facts: ImageMetadata) -> tuple[str, ...]:
    """Return the `IMAGE_HISTORY_MARKERS` in the history, and whether a shell ran in some layer.

    If a shell ran, the image has one. Empty without a history.
    """
    if not facts.history:
        return ()
    history = _NOP_STEP_PATTERN.sub("", "\n".join(facts.history).lower())
    return (
        *(mark for mark in IMAGE_HISTORY_MARKERS if mark in history),
        SHELL_RAN_MARKER if _SHELL_RAN_PATTERN.search(history) else NO_SHELL_RAN_MARKER,
    )


def _to_mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}


def _clean_line(value: Any, limit: int) -> str:
    """Return one printable line; a longer one is cut, never refused."""
    if not isinstance(value, str):
        return ""
    printable = "".join(c if c.isprintable() else " " for c in value[: 2 * limit])
    return " ".join(printable.split())[:limit].strip()


def _clean_lines(value: Any, count: int, limit: int) -> tuple[str, ...]:
    """Return a list of lines; anything else than a list is empty (the config's Entrypoint may be null)."""
    items = value[:count] if isinstance(value, list | tuple) else []
    return tuple(_clean_line(item, limit) for item in items)


def _parse_platform(value: Any) -> str | None:
    return value if isinstance(value, str) and _IMAGE_PLATFORM_PATTERN.fullmatch(value) else None


def _parse_platforms(value: Any) -> tuple[str, ...]:
    items = value if isinstance(value, list | tuple) else ()
    platforms = [platform for item in items if (platform := _parse_platform(item))]
    return tuple(dict.fromkeys(platforms))[:MAX_PLATFORMS]


def _parse_image_size(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= MAX_IMAGE_SIZE_BYTES else None


def _parse_created_time(value: Any) -> datetime | None:
    """Parse RFC 3339, as registries and `to_image_metadata_json` write it, to UTC. Go writes nanoseconds."""
    text = re.sub(r"(\.\d{6})\d+", r"\1", value[:40]) if isinstance(value, str) else ""
    try:
        read_as = datetime.fromisoformat(text)
        return read_as.astimezone(UTC) if read_as.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _parse_exposed_ports(value: Any) -> tuple[int, ...]:
    """Return the TCP ports of `{"8888/tcp": {}}` or `[8888]` in ascending order."""
    items = (
        [str(item)[:20] for item in list(value)[: 4 * MAX_PORTS]] if isinstance(value, Mapping | list | tuple) else []
    )
    numbers = {int(match[1]) for item in items if (match := _EXPOSED_PORT_PATTERN.fullmatch(item))}
    return tuple(sorted(number for number in numbers if number <= 65535))[:MAX_PORTS]


def _clean_pairs(value: Any, count: int, limit: int) -> dict[str, str]:
    items = list(_to_mapping(value).items())[:count]
    lines = {_clean_line(key, 100): _clean_line(text, limit) for key, text in items if isinstance(text, str)}
    return {key: text for key, text in lines.items() if key}


def _parse_image_variables(value: Any) -> dict[str, str]:
    """Parse `["PATH=/bin", …]`."""
    items = [item for item in value if isinstance(item, str)] if isinstance(value, list | tuple) else []
    parts = (item[: 4 * MAX_IMAGE_VARIABLE_LENGTH].partition("=") for item in items[:MAX_IMAGE_VARIABLES])
    return _clean_pairs({name: value for name, _, value in parts}, MAX_IMAGE_VARIABLES, MAX_IMAGE_VARIABLE_LENGTH)


def _parse_history_steps(value: Any) -> tuple[str, ...]:
    steps = value[:MAX_HISTORY_STEPS] if isinstance(value, list | tuple) else []
    lines = (_clean_line(_to_mapping(step).get("created_by"), MAX_HISTORY_STEP_LENGTH) for step in steps)
    return tuple(line for line in lines if line)


_USER_ID_PATTERN = re.compile(r"[0-9]{1,10}")
_ROOT_USER_PATTERN = re.compile(r"root|0*")  # an image without a user runs as root, too
_MAX_USER_ID = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class ImageUserIds:
    """Numeric user and group of an image; `gid` is None if the image does not give a number."""

    uid: int
    gid: int | None


def parse_image_user(user: str) -> ImageUserIds | None:
    """Return the numbers in an image's `User` (`1000`, `1000:0`, `jovyan`); None for root and for a name.

    The Pod Security Standard *restricted* requires a number other than 0 only for the user.
    """
    name, _, group = user.partition(":")
    uid = _parse_user_id(name)
    return ImageUserIds(uid=uid, gid=_parse_user_id(group)) if uid else None


def is_root_user(user: str) -> bool:
    return _ROOT_USER_PATTERN.fullmatch(user.partition(":")[0]) is not None


def _parse_user_id(text: str) -> int | None:
    number = int(text) if _USER_ID_PATTERN.fullmatch(text) else None
    return number if number is not None and number <= _MAX_USER_ID else None


def find_image_user_problem(user: str) -> str:
    """Return why sessions cannot run as an image's *user*; empty if they can."""
    if parse_image_user(user):
        return ""
    if is_root_user(user):
        return "The image runs as root, and sessions never do. Without this they run it as an ordinary user."
    name = user.partition(":")[0][:50]
    return (
        f"The image names its user “{name}”, and only a number shows that it is not root. Give its number as user id."
    )


def check_image_user(run: RunConfiguration, known: Mapping[str, Any], *, field: str = "image_user") -> None:
    """Check that *run* does not ask for the image's own user where that is root or only a name.

    *known* is the image's metadata in its stored form, which is empty for some images.

    Raises:
        InvalidInputError: at *field*.
    """
    facts = parse_image_metadata_json(known)
    problem = find_image_user_problem(facts.user) if run.image_user and facts else ""
    if problem:
        raise InvalidInputError(problem, fields={field: problem}, code="image_root")


def get_image_user_ids(revision: NewRevision) -> ImageUserIds | None:
    """Return the ids of the image's own user, if it was chosen and can be used."""
    facts = parse_image_metadata_json(revision.facts) if revision.run.image_user else None
    return parse_image_user(facts.user) if facts else None


def apply_image_user(revision: NewRevision) -> RunConfiguration:
    """Return the run configuration with the ids of the image's own user, if it was chosen."""
    own = get_image_user_ids(revision)
    return replace(revision.run, uid=own.uid, group=own.gid) if own else revision.run


MIN_UNPRIVILEGED_PORT = 1024  # lower ports need root
_DOCKER_STACKS_PATTERN = re.compile(r"(quay\.io|docker\.io)/jupyter/[a-z0-9-]+-notebook\b")
_DOCKER_STACKS_COMMAND_PATTERN = re.compile(r"\bstart-(notebook|singleuser)(\.sh|\.py)?\b")
_RENKU_IMAGE_PATTERN = re.compile(
    r"\brenku/(renkulab|singleuser)|registry\.renkulab\.io/|renku-frontend-buildpacks|/\.renku/"
)
_STANDALONE_PROXY_PATTERN = re.compile(r"\b(jupyter-standaloneproxy|standaloneproxy|jhsingle-native-proxy)\b")
_JUPYTERHUB_PATTERN = re.compile(r"\bjupyterhub\b")
_JUPYTER_PATTERN = re.compile(r"\bjupyter(lab|hub)?\b")
_RSTUDIO_PATTERN = re.compile(r"\brstudio\b|\brserver\b|\brstudio_version\b")
_VSCODE_PATTERN = re.compile(r"\bcode-server\b|\bopenvscode|\bvscod(e|ium)\b|\bcodium-server\b")
_WEB_APP_PATTERN = re.compile(
    r"\b(streamlit|gunicorn|uvicorn|flask|dash|gradio|panel|voila|bokeh|shiny|rstudio-connect|nginx|httpd|caddy|"
    r"http\.server|httpuv|plumber|marimo|pluto)\b"
)
_GPU_PATTERN = re.compile(r"\bcuda|\bnvidia|\brocm|\bcudnn|\bhip_|\bamdgpu")


class ImageKind(StrEnum):
    """The kind of software in an image; `none` shows no sign of a web app."""

    DOCKER_STACKS = "docker_stacks"
    RENKU_BASE = "renku_base"
    JUPYTER = "jupyter"
    RSTUDIO = "rstudio"
    VSCODE = "vscode"
    WEB_APP = "web_app"
    NONE = "none"

    @property
    def description(self) -> str:
        return _IMAGE_KIND_DESCRIPTIONS[self]

    @property
    def is_jupyter(self) -> bool:
        """True if JupyterHub's single-user server runs it without a wrapper."""
        return self in (ImageKind.DOCKER_STACKS, ImageKind.RENKU_BASE, ImageKind.JUPYTER)


_IMAGE_KIND_DESCRIPTIONS = {
    ImageKind.DOCKER_STACKS: "an image of the Jupyter Docker Stacks, or made from one",
    ImageKind.RENKU_BASE: "a Renku image, or made from one",
    ImageKind.JUPYTER: "an image with Jupyter",
    ImageKind.RSTUDIO: "an image with RStudio",
    ImageKind.VSCODE: "an image with VS Code",
    ImageKind.WEB_APP: "a web app of another kind",
    ImageKind.NONE: "an image without a web app",
}


def detect_image_kind(facts: ImageMetadata, image: ImageReference) -> ImageKind:
    """Return the first kind for which the image's name, base, command, variables or labels give evidence."""
    base, runs, evidence = _get_base_text(facts, image), _get_command_text(facts), _get_evidence_text(facts, image)
    for kind, matches in (
        (
            ImageKind.RENKU_BASE,
            _RENKU_IMAGE_PATTERN.search(evidence)
            and (_JUPYTER_PATTERN.search(evidence) or _VSCODE_PATTERN.search(evidence) is None),
        ),
        (ImageKind.DOCKER_STACKS, _DOCKER_STACKS_PATTERN.search(base) or _DOCKER_STACKS_COMMAND_PATTERN.search(runs)),
        (ImageKind.JUPYTER, _JUPYTER_PATTERN.search(runs) and not _STANDALONE_PROXY_PATTERN.search(runs)),
        (ImageKind.RSTUDIO, _RSTUDIO_PATTERN.search(evidence)),
        (ImageKind.VSCODE, _VSCODE_PATTERN.search(evidence)),
        (ImageKind.JUPYTER, _JUPYTER_PATTERN.search(evidence) and not _STANDALONE_PROXY_PATTERN.search(runs)),
        (ImageKind.WEB_APP, facts.ports or _WEB_APP_PATTERN.search(runs) or _STANDALONE_PROXY_PATTERN.search(runs)),
    ):
        if matches:
            return kind
    return ImageKind.NONE


def detect_run_configuration(facts: ImageMetadata, image: ImageReference) -> RunConfiguration:
    """Return the detected port, default URL and command; the working directory stays `/work`.

    The command stays empty where the image's own one works: the start script of the Docker Stacks runs
    JupyterHub's server by itself, and a wrapped app is started by its wrapper, which takes its port from the hub.
    """
    kind, wrapped = detect_image_kind(facts, image), bool(_STANDALONE_PROXY_PATTERN.search(_get_command_text(facts)))
    default = RunConfiguration()
    if kind.is_jupyter:
        runs_hub = kind is ImageKind.DOCKER_STACKS or "jupyterhub-singleuser" in _get_command_text(facts)
        return RunConfiguration(port=default.port, command=() if runs_hub else ("jupyterhub-singleuser",))
    port = (
        default.port if wrapped else next((port for port in facts.ports if port >= MIN_UNPRIVILEGED_PORT), default.port)
    )
    return RunConfiguration(port=port, default_url="/" if kind is not ImageKind.NONE else default.default_url)


def has_hub_server(facts: ImageMetadata, image: ImageReference, command: tuple[str, ...] = ()) -> bool:
    """Return whether there is evidence that the image contains JupyterHub's server, or a wrapper that replaces it."""
    runs = f"{_get_command_text(facts)} {' '.join(command).lower()}"
    has_evidence = (
        _DOCKER_STACKS_PATTERN.search(_get_base_text(facts, image))
        or _DOCKER_STACKS_COMMAND_PATTERN.search(runs)
        or _STANDALONE_PROXY_PATTERN.search(runs)
    )
    return bool(
        has_evidence
        or _JUPYTERHUB_PATTERN.search(_get_evidence_text(facts, image))
        or "jupyter-server-proxy" in find_history_markers(facts)
    )


def has_gpu_libraries(facts: ImageMetadata, image: ImageReference) -> bool:
    """Return whether the variables, labels, name or history name GPU libraries."""
    return bool(_GPU_PATTERN.search(_get_evidence_text(facts, image)))


def _get_base_text(facts: ImageMetadata, image: ImageReference) -> str:
    return f"{image.repository} {facts.get_label('base.name')}".lower()


def _get_command_text(facts: ImageMetadata) -> str:
    return " ".join((*facts.entrypoint, *facts.command)).lower()


def _get_evidence_text(facts: ImageMetadata, image: ImageReference) -> str:
    """Return all text that gives evidence of a kind, without documentation, which may mention anything."""
    labels = [value for key, value in facts.labels.items() if not key.endswith((".description", ".documentation"))]
    values = [*facts.environment, *facts.environment.values(), *facts.labels, *labels, *find_history_markers(facts)]
    words = (image.canonical_reference, _get_base_text(facts, image), _get_command_text(facts), *values)

    return " ".join(words).lower()
