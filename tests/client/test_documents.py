"""What docs/cli.md shows, typed into a shell beside a real hub; and the completion in a real bash."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from renku_spawner.cli_completion import script
from tests.docs import blocks
from tests.docs.blocks import Block
from tests.faults.own_hub import OwnHub

HUB = "https://hub.example.org"
REASON = "asks a hub; tests/client/test_documents.py runs it with one"
SHOWN = [block for block in blocks.everywhere() if blocks.not_run().get(block.name) == REASON]
PROGRAMS = {"sh": ["sh", "-euc"], "python": [sys.executable, "-W", "error", "-c"]}


@pytest.fixture(scope="module")
def variables(hub: OwnHub, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A machine on which nobody has logged in yet."""
    hub.session(hub.project("docs"), "Explore")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {"HOME": str(tmp_path_factory.mktemp("home")), "PATH": path}


@pytest.mark.parametrize("block", SHOWN, ids=lambda block: f"line-{block.line}")
def test_what_the_page_shows_is_done(block: Block, hub: OwnHub, variables: dict[str, str]) -> None:
    own = {"JUPYTERHUB_API_URL": f"{hub.url}api", "JUPYTERHUB_API_TOKEN": hub.alice()}
    text = block.text.replace(HUB, hub.url).replace("ada/climate", "alice/docs")
    done = subprocess.run(
        [*PROGRAMS[block.language], text],
        env=variables | (own if block.language == "python" or "login" in text else {}),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    if block.language == "python":
        assert done.stdout.splitlines()[-1].startswith(hub.url.removesuffix("/hub/"))


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
source {script("bash")}
COMP_WORDS=({" ".join(f"'{word}'" for word in words)}); COMP_CWORD={len(words) - 1}
COMP_LINE="{" ".join(words)}"; COMP_POINT=${{#COMP_LINE}}
function=$(complete -p renku-spawner | sed -E 's/.*-F ([^ ]+).*/\\1/')
"$function" renku-spawner "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD-1]}}"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", asked], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    assert {word.strip() for word in done.stdout.split("\n") if word.strip() not in ("", "-h", "--help")} == offered
