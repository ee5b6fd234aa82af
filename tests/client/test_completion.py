"""The completion of commands in a real bash; what docs/cli.md shows is typed in test_hub.py."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("st", {"start"}),
        ("start --no", {"--no-wait"}),
        ("environments ", {"list", "add", "archive", "probe"}),
        ("instances list --status p", {"paused"}),
        ("completion ", {"bash", "zsh", "fish"}),
    ],
)
def test_bash_completes_commands_and_options(typed: str, offered: set[str], tmp_path: Path) -> None:
    words = ["renku-spawner", *typed.split(" ")]
    asked = f"""
source <(renku-spawner completion bash)
COMP_WORDS=({" ".join(f"'{word}'" for word in words)}); COMP_CWORD={len(words) - 1}
COMP_LINE="{" ".join(words)}"; COMP_POINT=${{#COMP_LINE}}
function=$(complete -p renku-spawner | sed -E 's/.*-F ([^ ]+).*/\\1/')
"$function" renku-spawner "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD-1]}}"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(
        ["bash", "-c", asked],
        cwd=tmp_path, env=os.environ | {"PATH": PATH}, capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    assert {word.strip() for word in done.stdout.split("\n") if word.strip() not in ("", "-h", "--help")} == offered
