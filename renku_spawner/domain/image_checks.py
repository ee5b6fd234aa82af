"""Check an image for problems before it is saved or started, and describe the result.

Reading metadata of an image belongs in `domain.image_metadata`, and registry requests in `integrations.registry`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from .environments import RunConfiguration
from .image_metadata import (
    MIN_UNPRIVILEGED_PORT,
    NO_SHELL_RAN_MARKER,
    ImageMetadata,
    detect_image_kind,
    find_history_markers,
    find_image_user_problem,
    has_gpu_libraries,
    has_hub_server,
    is_root_user,
)
from .images import ImageReference


class WarningSeverity(StrEnum):
    """Severity of a warning, from an image that cannot run to a remark."""

    ERROR = "error"
    WARNING = "warning"
    HINT = "hint"


# Without one of these being mended, the program does not run or the hub does not reach it.
_START_PREVENTING_CODES = {"platform_mismatch", "no_hub_server", "low_port", "no_command"}


@dataclass(frozen=True, kw_only=True)
class ImageWarning:
    """A warning: `title` fits a badge, `text` explains it and says what helps.

    `field` names the form's field next to which it is shown (`image`, `port`, `uid`, …).
    """

    code: str
    severity: WarningSeverity
    title: str
    text: str
    field: str = "image"

    @property
    def is_problem(self) -> bool:
        """True if it should be mended; a hint is only worth knowing."""
        return self.severity is not WarningSeverity.HINT

    @property
    def prevents_start(self) -> bool:
        """True if a session with this image will probably not start."""
        return self.severity is WarningSeverity.ERROR or self.code in _START_PREVENTING_CODES


OLD_IMAGE_AGE = timedelta(days=2 * 365)
WORK_DIRECTORY = "/work"
_ROOT_USERS = {"", "0", "root"}
_SHELL_VARIABLE_PATTERN = re.compile(r"\$[A-Za-z_{(]")
_SHELL_PROGRAM_PATTERN = re.compile(r"(.*/)?(ba|da|z|a|k)?sh")

UNVERIFIED_IMAGE_WARNING = ImageWarning(
    code="unverified",
    severity=WarningSeverity.WARNING,
    title="Not checked yet",
    text="We could not check this image now; it may still work. It is checked again later.",
)


def find_reference_warnings(image: ImageReference, *, pinned: bool) -> Iterator[ImageWarning]:
    if image.has_floating_tag:
        then = "It is pinned to today's version." if pinned else "It is pinned as soon as it can be checked."
        yield ImageWarning(
            code="floating_tag",
            severity=WarningSeverity.HINT,
            title="Tag changes",
            text=f"The tag “{image.tag}” changes over time. {then}",
        )


def find_project_warnings(used_by: Collection[str]) -> Iterator[ImageWarning]:
    for title in sorted(used_by)[:1]:
        yield ImageWarning(
            code="already_used",
            severity=WarningSeverity.HINT,
            title="Already used",
            text=f"The session “{title}” already uses this image.",
        )


def find_platform_warnings(facts: ImageMetadata, platforms: Collection[str]) -> Iterator[ImageWarning]:
    if facts.platforms and not set(facts.platforms) & set(platforms):
        available = " and ".join(facts.platforms[:5])
        yield ImageWarning(
            code="platform_mismatch",
            severity=WarningSeverity.ERROR,
            title="Other kind of machine",
            text=f"No variant for {' or '.join(platforms)}, only for {available}. Try another tag.",
        )


def find_hub_server_warnings(
    facts: ImageMetadata, image: ImageReference, run: RunConfiguration
) -> Iterator[ImageWarning]:
    if not has_hub_server(facts, image, run.command):
        wrap = "Unless its program is wrapped in “jupyter standaloneproxy”, users cannot log in to it."
        jupyter = detect_image_kind(facts, image).is_jupyter
        yield ImageWarning(
            code="no_hub_server",
            severity=WarningSeverity.WARNING,
            title="Perhaps no JupyterHub server",
            text="This image may not contain JupyterHub's server; the session could fail to start. "
            + ("It needs the Python package jupyterhub." if jupyter else wrap),
        )


def find_user_warnings(facts: ImageMetadata, run: RunConfiguration) -> Iterator[ImageWarning]:
    """Yield warnings about the image's user.

    Sessions run as the configured user id; the image's own user matters only if it was chosen.
    """
    if run.image_user:
        yield from _find_image_user_warnings(facts)
        return
    user = facts.user.partition(":")[0]
    if run.uid is not None or (user.isdecimal() and user not in _ROOT_USERS):
        return
    if user in _ROOT_USERS:
        yield ImageWarning(
            code="root_user",
            severity=WarningSeverity.WARNING,
            title="Runs as root",
            text="The image runs as root by default; sessions run it as an ordinary user (usually 1000), "
            "so files that it expects to own may be read-only.",
            field="uid",
        )
    else:
        yield ImageWarning(
            code="named_user",
            severity=WarningSeverity.WARNING,
            title="User without a number",
            text=f"The image names its user “{user}”; give its number, unless it is the usual 1000.",
            field="uid",
        )


def _find_image_user_warnings(facts: ImageMetadata) -> Iterator[ImageWarning]:
    if problem := find_image_user_problem(facts.user):
        root = is_root_user(facts.user)
        yield ImageWarning(
            code="root_user" if root else "named_user",
            severity=WarningSeverity.ERROR,
            title="Runs as root" if root else "User without a number",
            text=problem,
            field="image_user",
        )


def find_port_warnings(facts: ImageMetadata, image: ImageReference, run: RunConfiguration) -> Iterator[ImageWarning]:
    announced = ", ".join(map(str, facts.ports[:5]))
    if run.port < MIN_UNPRIVILEGED_PORT or (facts.ports and max(facts.ports) < MIN_UNPRIVILEGED_PORT):
        yield ImageWarning(
            code="low_port",
            severity=WarningSeverity.WARNING,
            title="Port needs root",
            text=f"Only root may listen on port {announced or run.port}, and sessions never run as root. "
            f"Let the program listen on one above {MIN_UNPRIVILEGED_PORT - 1}.",
            field="port",
        )
    elif facts.ports and run.port not in facts.ports:
        yield ImageWarning(
            code="other_port",
            severity=WarningSeverity.HINT,
            title="Other port",
            text=f"The image announces port {announced}; the session expects {run.port}.",
            field="port",
        )
    elif not facts.ports and not has_hub_server(facts, image, run.command):
        yield ImageWarning(
            code="no_port",
            severity=WarningSeverity.HINT,
            title="No port announced",
            text=f"The image does not say on which port its program listens; the session expects {run.port}.",
            field="port",
        )


def find_command_warnings(facts: ImageMetadata, run: RunConfiguration) -> Iterator[ImageWarning]:
    runs = run.command or facts.entrypoint or facts.command
    if NO_SHELL_RAN_MARKER in find_history_markers(facts) and not any(
        _SHELL_PROGRAM_PATTERN.fullmatch(word) for word in (*facts.entrypoint, *facts.command)
    ):
        yield ImageWarning(
            code="no_shell",
            severity=WarningSeverity.WARNING,
            title="Perhaps no shell",
            text="This image seems to have no shell; terminals and many programs need /bin/sh.",
        )
    if not runs:
        yield ImageWarning(
            code="no_command",
            severity=WarningSeverity.WARNING,
            title="No command",
            text="The image does not say what to run; give a command.",
            field="command",
        )
    elif any(
        map(_SHELL_VARIABLE_PATTERN.search, (*run.command, *run.arguments))
    ) and not _SHELL_PROGRAM_PATTERN.fullmatch(runs[0]):
        yield ImageWarning(
            code="shell_syntax",
            severity=WarningSeverity.HINT,
            title="Variables stay as they are",
            text="Variables like $X are only expanded by a shell: wrap the command in sh -c '…'.",
            field="command",
        )
    if run.arguments and not run.command and facts.command:
        yield ImageWarning(
            code="arguments_replace",
            severity=WarningSeverity.HINT,
            title="Replaces the image's command",
            text=f"The arguments take the place of what the image runs by itself ({' '.join(facts.command)[:100]}).",
            field="arguments",
        )


def find_folder_warnings(facts: ImageMetadata) -> Iterator[ImageWarning]:
    folder = facts.working_directory
    if f"{folder}/".startswith(f"{WORK_DIRECTORY}/"):
        yield ImageWarning(
            code="hidden_files",
            severity=WarningSeverity.HINT,
            title="Files hidden",
            text=f"Files in {WORK_DIRECTORY} of the image will be hidden by your disk.",
        )
    elif folder not in ("", "/"):
        yield ImageWarning(
            code="other_folder",
            severity=WarningSeverity.HINT,
            title="Other folder",
            text=f"The image works in {folder[:100]}; the session works in {WORK_DIRECTORY}, "
            "and only that folder is kept when it is paused.",
        )


def find_age_and_size_warnings(facts: ImageMetadata, *, now: datetime, big: int) -> Iterator[ImageWarning]:
    if facts.size is not None and facts.size > big:
        yield ImageWarning(
            code="big",
            severity=WarningSeverity.HINT,
            title="Large",
            text=f"{facts.size / 1e9:.1f} GB compressed; the first start on a machine may take several minutes.",
        )
    if (
        facts.created and now - facts.created > OLD_IMAGE_AGE and facts.created.year > 1980
    ):  # reproducible builds use 1970 or 1980
        yield ImageWarning(
            code="old",
            severity=WarningSeverity.HINT,
            title="Old",
            text=f"Built on {facts.created.day} {facts.created:%B %Y}; security updates may be missing.",
        )


def find_contents_warnings(facts: ImageMetadata, image: ImageReference, *, gpu: int) -> Iterator[ImageWarning]:
    if gpu and not has_gpu_libraries(facts, image):
        yield ImageWarning(
            code="no_gpu_libraries",
            severity=WarningSeverity.HINT,
            title="No GPU libraries",
            text="No sign of GPU libraries in this image.",
        )
    if not facts.sbom and not any(map(facts.get_label, ("title", "description", "source", "documentation"))):
        yield ImageWarning(
            code="silent",
            severity=WarningSeverity.HINT,
            title="Says little about itself",
            text="The image does not say what is in it.",
        )


LARGE_IMAGE_SIZE_BYTES = 3_000_000_000


def find_image_warnings(
    facts: ImageMetadata | None,
    image: ImageReference,
    *,
    run: RunConfiguration,
    platforms: Collection[str],
    now: datetime,
    big: int = LARGE_IMAGE_SIZE_BYTES,
    gpu: int = 0,
    used_by: Collection[str] = (),
) -> tuple[ImageWarning, ...]:
    """Return all warnings about *image* when it is run as *run*, most severe first.

    Args:
        facts: None while the registry could not be queried.
        platforms: of the machines that run sessions, such as `linux/amd64`.
        big: compressed bytes from which a slow first start is announced.
        gpu: how many GPUs the session asks for at least.
        used_by: titles of the project's sessions that use the image already.
    """
    warnings = [*find_reference_warnings(image, pinned=facts is not None), *find_project_warnings(used_by)]
    if facts is None:
        warnings.append(UNVERIFIED_IMAGE_WARNING)
    else:
        warnings += find_platform_warnings(facts, platforms)
        warnings += find_hub_server_warnings(facts, image, run)
        warnings += find_user_warnings(facts, run)
        warnings += find_port_warnings(facts, image, run)
        warnings += find_command_warnings(facts, run)
        warnings += find_folder_warnings(facts)
        warnings += find_age_and_size_warnings(facts, now=now, big=big)
        warnings += find_contents_warnings(facts, image, gpu=gpu)
    order = list(WarningSeverity)
    return tuple(sorted(warnings, key=lambda warning: order.index(warning.severity)))


class InspectionResult(StrEnum):
    """Result of inspecting an image at its registry; only `unverified` is not definitive."""

    OK = "ok"
    NOT_FOUND = "not_found"
    DENIED = "denied"
    PLATFORM_MISMATCH = "platform_mismatch"
    DIGEST_GONE = "digest_gone"
    UNVERIFIED = "unverified"
    NOT_ALLOWED = "not_allowed"

    @property
    def is_blocking(self) -> bool:
        """True if an image with this result is neither saved nor started."""
        return self not in (InspectionResult.OK, InspectionResult.UNVERIFIED)

    @property
    def is_definitive(self) -> bool:
        return self is not InspectionResult.UNVERIFIED

    @property
    def reason(self) -> str | None:
        """The code in `domain.reasons`; None if the image is fine."""
        return _INSPECTION_REASONS[self]


_INSPECTION_REASONS = {
    InspectionResult.OK: None,
    InspectionResult.NOT_FOUND: "image_not_found",
    InspectionResult.DENIED: "image_denied",
    InspectionResult.PLATFORM_MISMATCH: "image_platform_mismatch",
    InspectionResult.DIGEST_GONE: "image_digest_gone",
    InspectionResult.UNVERIFIED: "image_unverified",
    InspectionResult.NOT_ALLOWED: "registry_not_allowed",
}


@dataclass(frozen=True, kw_only=True)
class ImageInspection:
    """The result of inspecting an image.

    `image` carries the digest that was found, `facts` is None unless the registry returned metadata, and
    `detail` is a sentence for the user.
    """

    image: ImageReference
    verdict: InspectionResult
    checked_at: datetime
    facts: ImageMetadata | None = None
    hints: tuple[ImageWarning, ...] = ()
    detail: str = ""

    @property
    def is_blocking(self) -> bool:
        return self.verdict.is_blocking

    @property
    def reason(self) -> str | None:
        return self.verdict.reason
