"""The guide *What an image needs*: two places, the same words, and Dockerfiles that our own checks are content with."""

import json
import re
import shlex
import subprocess
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from renku_spawner.domain.image_checks import WarningSeverity, find_image_warnings
from renku_spawner.domain.image_metadata import (
    ImageMetadata,
    detect_image_kind,
    detect_run_configuration,
    parse_image_config,
)
from renku_spawner.domain.images import ImageReference, parse_image_reference
from tests.domain.known_images import CONFIGS, DIGEST

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/images.md").read_text()
PAGE = (ROOT / "templates/_renku_image_guide.html").read_text()
DOCKERFILES = re.findall(r"```dockerfile\n(.*?)```", GUIDE, re.DOTALL)
WRAPPED = [text for text in DOCKERFILES if "standaloneproxy" in text]


class Text(HTMLParser):
    """The words of a page, with a blank at each change of element."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def words_of_page(page: str) -> list[str]:
    without_comment = re.sub(r"\{#.*?#\}", "", page, flags=re.DOTALL)
    return "".join(Text(re.sub(r"</(th|td|h2|p|li)>", " ", without_comment)).words).split()


def words_of_document(document: str) -> list[str]:
    prose, *rest = re.split(r"```\w*\n", document)
    text = _plain(prose)
    for number, part in enumerate(rest):
        text += part if number % 2 == 0 else _plain(part)
    return text.split()


def _plain(prose: str) -> str:
    """Prose without what Markdown adds to it."""
    lines = [line for line in prose.splitlines() if not re.match(r"# |\|( ---)", line)]
    plain = [re.sub(r"^\| | \|$|^- |^## ", "", line).replace(" | ", " ") for line in lines]
    parts = re.split(r"(`[^`]*`)", "\n".join(plain))
    return "".join(part[1:-1] if part.startswith("`") else part.replace("*", "") for part in parts) + "\n"


def parsed(dockerfile: str) -> list[tuple[str, str]]:
    """Its instructions, with continued lines joined."""
    lines = re.sub(r"\\\n\s*", " ", dockerfile).strip().splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def built(dockerfile: str) -> tuple[ImageMetadata, ImageReference]:
    """The facts of the image that a builder makes of it, on its base's config."""
    steps = parsed(dockerfile)
    base = parse_image_reference(dict(steps)["FROM"])
    config: dict[str, Any] = {**CONFIGS[base.canonical_reference]}
    history = config.pop("history") + [f"RUN /bin/sh -c {rest} # buildkit" for word, rest in steps if word == "RUN"]
    for word, rest in steps:
        config |= {
            "USER": {"User": rest},
            "EXPOSE": {"ExposedPorts": {f"{rest}/tcp": {}}},
            "CMD": {"Cmd": json.loads(rest) if word == "CMD" else None},
        }.get(word, {})
    whole = {"config": config, "history": [{"created_by": step} for step in history]}
    return parse_image_config(whole, digest=DIGEST, platforms=["linux/amd64"]), parse_image_reference(
        "registry.example.org/me/my-image:1"
    )


def test_page_and_document_say_the_same() -> None:
    assert words_of_page(PAGE) == words_of_document(GUIDE)
    assert len(words_of_page(PAGE)) > 900


def test_a_difference_between_page_and_document_is_noticed() -> None:
    assert words_of_page(PAGE.replace("1000", "1001", 1)) != words_of_document(GUIDE)


def test_there_is_a_dockerfile_for_jupyter_for_any_web_app_and_for_rstudio() -> None:
    assert len(DOCKERFILES) == 4
    assert len(WRAPPED) == 2
    assert [detect_image_kind(*built(text)).value for text in DOCKERFILES] == [
        "docker_stacks",
        "jupyter",
        "web_app",
        "rstudio",
    ]


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_the_check_is_content_with_every_dockerfile(dockerfile: str) -> None:
    found, name = built(dockerfile)
    run = detect_run_configuration(found, name)
    said = find_image_warnings(found, name, run=run, platforms=["linux/amd64"], now=datetime(2026, 11, 24, tzinfo=UTC))
    assert [hint.code for hint in said if hint.severity in (WarningSeverity.ERROR, WarningSeverity.WARNING)] == []
    assert (run.port, run.command, found.user) == (8888, (), "1000")
    assert not parse_image_reference(dict(parsed(dockerfile))["FROM"]).has_floating_tag


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_a_builder_knows_every_line_of_a_dockerfile(dockerfile: str) -> None:
    steps = parsed(dockerfile)
    assert [word for word, _ in steps].index("FROM") == 0
    assert {word for word, _ in steps} <= {"FROM", "RUN", "COPY", "ENV", "USER", "EXPOSE", "CMD"}
    for _, command in (step for step in steps if step[0] == "RUN"):
        subprocess.run(["/bin/sh", "-n", "-c", command], check=True)
    for word, rest in steps:
        if word == "CMD":
            assert all(isinstance(each, str) for each in json.loads(rest))
        if word == "ENV":
            assert all("=" in each for each in shlex.split(rest))


def test_the_wrappers_options_exist() -> None:
    asked = ["jupyter", "standaloneproxy", "--help"]
    known = set(
        re.findall(r"^(--[a-z-]+)", subprocess.run(asked, capture_output=True, text=True, check=True).stdout, re.M)
    )
    commands = [json.loads(dict(parsed(text))["CMD"]) for text in WRAPPED]
    commands += [line.split() for line in re.findall(r"jupyter standaloneproxy (?:.*\\\n)?.* -- ", GUIDE)]
    used = {word.partition("=")[0] for each in commands for word in each[: each.index("--")] if word.startswith("--")}
    assert {"--no-authentication", "--base-url", "--timeout", "--activity-interval"} <= used
    assert used <= known
    assert "--absolute-url" in known
    assert all("--activity-interval=0" in each[: each.index("--")] for each in commands), "else it is never idle"


def test_only_what_the_wrapper_fills_in_stands_in_braces() -> None:
    assert set(re.findall(r"\{[a-z_]*\}", GUIDE)) == {"{port}", "{base_url}"}
