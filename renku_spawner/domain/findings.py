"""The findings that can be made from what is known of an image: a function per question.

Rows of the reference table on hints (images.md §7), except those that only a start can tell.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta

from . import image_user
from .environment import RunConfiguration
from .facts import NO_SHELL, ImageFacts, marks
from .hint import Hint, Severity
from .image import Image
from .likely import LOWEST_PORT, gpu_libraries, hub_server, likely

OLD = timedelta(days=2 * 365)
WORK = "/work"
_ROOT = {"", "0", "root"}
_VARIABLE = re.compile(r"\$[A-Za-z_{(]")
_SHELL = re.compile(r"(.*/)?(ba|da|z|a|k)?sh")

UNVERIFIED = Hint(
    code="unverified",
    severity=Severity.WARNING,
    title="Not checked yet",
    text="We could not check this image now; it may still work. It is checked again later.",
)


def of_reference(image: Image, *, pinned: bool) -> Iterator[Hint]:
    if image.floating:
        then = "It is pinned to today's version." if pinned else "It is pinned as soon as it can be checked."
        yield Hint(
            code="floating_tag",
            severity=Severity.HINT,
            title="Tag changes",
            text=f"The tag “{image.tag}” changes over time. {then}",
        )


def of_project(used_by: Collection[str]) -> Iterator[Hint]:
    for title in sorted(used_by)[:1]:
        yield Hint(
            code="already_used",
            severity=Severity.INFO,
            title="Already used",
            text=f"The session “{title}” already uses this image.",
        )


def of_platform(facts: ImageFacts, platforms: Collection[str]) -> Iterator[Hint]:
    if facts.platforms and not set(facts.platforms) & set(platforms):
        there = " and ".join(facts.platforms[:5])
        yield Hint(
            code="platform_mismatch",
            severity=Severity.ERROR,
            title="Other kind of machine",
            text=f"No variant for {' or '.join(platforms)}, only for {there}. Try another tag.",
        )


def of_server(facts: ImageFacts, image: Image, run: RunConfiguration) -> Iterator[Hint]:
    if not hub_server(facts, image, run.command):
        wrap = "Unless its program is wrapped in “jupyter standaloneproxy”, nobody can log in to it."
        jupyter = likely(facts, image).jupyter
        yield Hint(
            code="no_hub_server",
            severity=Severity.WARNING,
            title="Perhaps no JupyterHub server",
            text="This image may not contain JupyterHub's server; the session could fail to start. "
            + ("It needs the Python package jupyterhub." if jupyter else wrap),
        )


def of_user(facts: ImageFacts, run: RunConfiguration) -> Iterator[Hint]:
    """Sessions run as the configured user id; without one the image's own user is asked only if somebody wants that."""
    if run.image_user:
        yield from _of_own_user(facts)
        return
    user = facts.user.partition(":")[0]
    if run.uid is not None or (user.isdecimal() and user not in _ROOT):
        return
    if user in _ROOT:
        yield Hint(
            code="root_user",
            severity=Severity.WARNING,
            title="Runs as root",
            text="The image runs as root by default; sessions run it as an ordinary user (usually 1000), "
            "so files that it expects to own may be read-only.",
            field="uid",
        )
    else:
        yield Hint(
            code="named_user",
            severity=Severity.WARNING,
            title="User without a number",
            text=f"The image names its user “{user}”; give its number, unless it is the usual 1000.",
            field="uid",
        )


def _of_own_user(facts: ImageFacts) -> Iterator[Hint]:
    if said := image_user.problem(facts.user):
        root = image_user.is_root(facts.user)
        yield Hint(
            code="root_user" if root else "named_user",
            severity=Severity.ERROR,
            title="Runs as root" if root else "User without a number",
            text=said,
            field="image_user",
        )


def of_port(facts: ImageFacts, image: Image, run: RunConfiguration) -> Iterator[Hint]:
    announced = ", ".join(map(str, facts.ports[:5]))
    if run.port < LOWEST_PORT or (facts.ports and max(facts.ports) < LOWEST_PORT):
        yield Hint(
            code="low_port",
            severity=Severity.WARNING,
            title="Port needs root",
            text=f"Only root may listen on port {announced or run.port}, and sessions never run as root. "
            f"Let the program listen on one above {LOWEST_PORT - 1}.",
            field="port",
        )
    elif facts.ports and run.port not in facts.ports:
        yield Hint(
            code="other_port",
            severity=Severity.HINT,
            title="Other port",
            text=f"The image announces port {announced}; the session expects {run.port}.",
            field="port",
        )
    elif not facts.ports and not hub_server(facts, image, run.command):
        yield Hint(
            code="no_port",
            severity=Severity.HINT,
            title="No port announced",
            text=f"The image does not say on which port its program listens; the session expects {run.port}.",
            field="port",
        )


def of_command(facts: ImageFacts, run: RunConfiguration) -> Iterator[Hint]:
    runs = run.command or facts.entrypoint or facts.command
    if NO_SHELL in marks(facts) and not any(_SHELL.fullmatch(word) for word in (*facts.entrypoint, *facts.command)):
        yield Hint(
            code="no_shell",
            severity=Severity.WARNING,
            title="Perhaps no shell",
            text="This image seems to have no shell; terminals and many programs need /bin/sh.",
        )
    if not runs:
        yield Hint(
            code="no_command",
            severity=Severity.WARNING,
            title="No command",
            text="The image does not say what to run; give a command.",
            field="command",
        )
    elif any(map(_VARIABLE.search, (*run.command, *run.arguments))) and not _SHELL.fullmatch(runs[0]):
        yield Hint(
            code="shell_syntax",
            severity=Severity.HINT,
            title="Variables stay as they are",
            text="Variables like $X are only expanded by a shell: wrap the command in sh -c '…'.",
            field="command",
        )
    if run.arguments and not run.command and facts.command:
        yield Hint(
            code="arguments_replace",
            severity=Severity.HINT,
            title="Replaces the image's command",
            text=f"The arguments take the place of what the image runs by itself ({' '.join(facts.command)[:100]}).",
            field="arguments",
        )


def of_folders(facts: ImageFacts) -> Iterator[Hint]:
    folder = facts.working_directory
    if f"{folder}/".startswith(f"{WORK}/"):
        yield Hint(
            code="hidden_files",
            severity=Severity.HINT,
            title="Files hidden",
            text=f"Files in {WORK} of the image will be hidden by your disk.",
        )
    elif folder not in ("", "/"):
        yield Hint(
            code="other_folder",
            severity=Severity.INFO,
            title="Other folder",
            text=f"The image works in {folder[:100]}; the session works in {WORK}, which alone survives a pause.",
        )


def of_age_and_size(facts: ImageFacts, *, now: datetime, big: int) -> Iterator[Hint]:
    if facts.size is not None and facts.size > big:
        yield Hint(
            code="big",
            severity=Severity.HINT,
            title="Large",
            text=f"{facts.size / 1e9:.1f} GB compressed; the first start on a machine may take several minutes.",
        )
    if (
        facts.created and now - facts.created > OLD and facts.created.year > 1980
    ):  # reproducible builds say 1970 or 1980
        yield Hint(
            code="old",
            severity=Severity.HINT,
            title="Old",
            text=f"Built on {facts.created.day} {facts.created:%B %Y}; security updates may be missing.",
        )


def of_contents(facts: ImageFacts, image: Image, *, gpu: int) -> Iterator[Hint]:
    if gpu and not gpu_libraries(facts, image):
        yield Hint(
            code="no_gpu_libraries",
            severity=Severity.HINT,
            title="No GPU libraries",
            text="No sign of GPU libraries in this image.",
        )
    if not facts.sbom and not any(map(facts.label, ("title", "description", "source", "documentation"))):
        yield Hint(
            code="silent",
            severity=Severity.INFO,
            title="Says little about itself",
            text="The image does not say what is in it.",
        )
