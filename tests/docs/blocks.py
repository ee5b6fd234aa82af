"""The blocks of code in the documents, and those that no test runs (not_run.toml)."""

import re
import textwrap
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^( *)```([^\n`]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
RUN = {"sh", "bash", "python"}
DATA = {"dockerfile", "ini", "json", "markdown", "promql", "text", "yaml"}


@dataclass(frozen=True, kw_only=True)
class Block:
    page: str
    line: int
    language: str
    text: str

    @property
    def name(self) -> str:
        """What not_run.toml calls it: its page and its first line, without a remark."""
        first = re.split(r"\s+#", self.text.strip().splitlines()[0])[0]
        return f"{self.page}: {first}"


def of_text(page: str, text: str) -> list[Block]:
    return [
        Block(
            page=page,
            line=text[: found.start()].count("\n") + 1,
            language=found[2].strip(),
            text=textwrap.dedent(found[3]),
        )
        for found in FENCE.finditer(text)
    ]


def everywhere() -> list[Block]:
    pages = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
    return [block for page in pages for block in of_text(page.relative_to(ROOT).as_posix(), page.read_text())]


def in_values(block: Block) -> list[Block]:
    """The configurations that a block of YAML gives a hub by `extraConfig`, as blocks of their own."""
    return [
        Block(page=block.page, line=block.line, language="python", text=text)
        for document in yaml.safe_load_all(block.text)
        for text in _extra(document)
    ]


def _extra(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (text for text in value.get("extraConfig", {}).values())
        yield from (text for inner in value.values() for text in _extra(inner))


def not_run() -> dict[str, str]:
    """Reasons, by the name of the block."""
    listed = tomllib.loads((Path(__file__).parent / "not_run.toml").read_text())
    return {name: reason for reason, names in listed.items() for name in names}
