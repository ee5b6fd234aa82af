"""Write the tables of settings from the traits' own help: `python -m tests.docs.settings` after a change."""

import re
import textwrap
from inspect import cleandoc
from pathlib import Path
from typing import Any

from renku_spawner.config.renku import Renku
from renku_spawner.spawners.kubernetes.spawner import RenkuSpawner
from renku_spawner.spawners.local.spawner import RenkuLocalSpawner

ROOT = Path(__file__).parents[2]
BEGIN, END = "<!-- settings: begin -->", "<!-- settings: end -->"
SHOWN = {"db_url": "the hub's `db_url`", "gitlab_url": "where users log in"}  # defaults that another setting decides
# Renku's own settings of the spawners; the others are documented by JupyterHub and KubeSpawner.
OWN = {
    RenkuLocalSpawner: ("cmd", "poll_interval"),
    RenkuSpawner: ("clone_image", "hub_label", "prepuller", "probe_images", "show_unsaved"),
}


def _traits() -> dict[str, Any]:
    return dict(Renku.class_traits(config=True))


def _first(text: str) -> str:
    """Return the first sentence of a help text, on one line."""
    paragraph = " ".join(cleandoc(text).split("\n\n")[0].split())
    sentence = re.match(r".+?[.:](?= [A-Z]|$)", paragraph)
    return (sentence.group() if sentence else paragraph).replace("|", "\\|")


def _default(name: str, trait: Any) -> str:
    if name in SHOWN:
        return SHOWN[name]
    value = trait.default()
    if isinstance(value, list) and value:
        return ", ".join(f"`{each['name'] if isinstance(each, dict) else each}`" for each in value)
    return f"`{value!r}`" if value or isinstance(value, bool | int | float) else "none"


def table() -> str:
    """Build the table in the README: name, default, first sentence of the help."""
    rows = [f"| `{name}` | {_default(name, trait)} | {_first(trait.help)} |" for name, trait in _traits().items()]
    return "\n".join(["| `c.Renku.…` | default | what it is |", "| --- | --- | --- |", *rows])


def _help(text: str) -> str:
    """Convert help to Markdown: an example after `::` becomes a block of Python."""
    parts = re.split(r"::\n\n((?:    .*\n?|\n)+)", cleandoc(text) + "\n")
    said = [part if number % 2 == 0 else _block(part) for number, part in enumerate(parts)]
    return "".join(said).strip()


def _block(code: str) -> str:
    return f":\n\n```python\n{textwrap.dedent(code).strip()}\n```\n\n"


def page() -> str:
    """Build docs/settings.md: every setting with its complete help."""
    head = (
        "# Settings\n\nThey stand in `jupyterhub_config.py`, before `install(c)`. This page is made from their help "
        "by `python -m tests.docs.settings`.\nA setting that is misspelt, impossible or contradicts another one keeps "
        "the hub from starting, with a sentence that names it.\n"
    )
    ours = [_section("Renku", name, trait) for name, trait in _traits().items()]
    theirs = [
        _section(spawner.__name__, name, spawner.class_traits(config=True)[name])
        for spawner, names in OWN.items()
        for name in names
    ]
    return "\n".join([head, *ours, *theirs])


def _section(owner: str, name: str, trait: Any) -> str:
    shown = (
        _default(name, trait)
        if owner == "Renku"
        else {"cmd": "`jupyterhub-singleuser` of the hub's Python"}.get(name, f"`{trait.default()!r}`")
    )
    return f"## `c.{owner}.{name}`\n\n{type(trait).__name__}, default: {shown}.\n\n{_help(trait.help)}\n"


def readme(text: str) -> str:
    """Return *text* of the README with the current table."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


def main() -> None:
    file = ROOT / "README.md"
    file.write_text(readme(file.read_text()))
    (ROOT / "docs" / "settings.md").write_text(page())


if __name__ == "__main__":
    main()
