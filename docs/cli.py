# ruff: noqa: E501 - the text of a page has its own lines
"""Writes docs/cli.md and the scripts of `renku-spawner completion` from the commands; a test keeps them current."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import shtab

from renku_spawner import cli, cli_completion
from renku_spawner.cli_base import EXITS

PAGE = Path(__file__).with_name("cli.md")
_FILES = ("config", "report", "file", "output")  # arguments that name one
_TOP = """# The command line

This page is made from the code (`python docs/cli.py`). `renku-spawner` does from a terminal or a script what the pages do.
It comes with the package (`pip install renku-spawner`), on any machine that reaches the hub.

## Log in

Make a token on the hub's page *Token*. `login` asks for it without showing it, tries it, and keeps it with the hub's
address in `~/.config/renku-spawner/login.json` (below `XDG_CONFIG_HOME`, if that is set), which nobody else can read:

```sh
renku-spawner login https://hub.example.org
```

A script gives the token in `JUPYTERHUB_API_TOKEN` or on stdin. Without `login` both `JUPYTERHUB_API_URL` (such as
`https://hub.example.org/hub/api`) and `JUPYTERHUB_API_TOKEN` do for one command. `logout` forgets the login; the token ends
on the page *Token*. A token can be narrowed there: `custom:renku:read` is enough for lists and logs, `custom:renku:launch`
for `start`, `pause`, `download` and `delete-data`.

**Inside a session** the two variables are set, and are used unless you log in there. With the token of a session `me` says
which session it is and when it pauses, and that is all: it lists no projects or sessions, and starts, pauses or deletes
none. For these log in with a token of your own, or let an admin add scopes to `c.Spawner.server_token_scopes`.

## Sessions

```sh
renku-spawner projects
renku-spawner sessions ada/climate
renku-spawner start ada/climate:Explore
renku-spawner logs ada/climate:Explore
renku-spawner open --print ada/climate:Explore
renku-spawner pause --all
```

A session is named by its id, or as `project/path:title`; letters may be small, and the beginning of a title is enough where
no other begins so. `start` with only a project's path starts its default session; what takes one of *your* sessions
(`pause`, `logs`, `download`, `delete-data`, `open`) takes the title alone. If several fit, they are listed and nothing is done.

`start` waits until the session runs, shows how far it is (on a terminal as a bar, else a line for each step on stderr) and
prints its address. With `--no-wait` it returns at once; `--open` shows it in a browser. Ctrl-C ends the waiting, not the
start. `download` fetches the files of a paused session as a `tar.zst`, whole or not at all; `delete-data` says what of them
is nowhere else, and wants the title typed, or `--yes`.

## Sessions as code

`export` prints the sessions of a project as YAML, `apply` makes a project what such a file says; see
[sessions as code](sessions-as-code.md).

## In scripts

All that lists has `--json`: the entries as [the API](api.md) gives them. Results go to stdout, all else to stderr; there are
no colours in a pipe, or with `NO_COLOR` set. For example, pause what runs longer than a day:

```sh
renku-spawner sessions --json | python3 -c '
import datetime, json, sys
for each in json.load(sys.stdin):
    started = each["instance"]["started_at"]
    now = datetime.datetime.now(datetime.timezone.utc)
    if started and each["instance"]["status"] == "running" and (now - datetime.datetime.fromisoformat(started)).days:
        print(each["session"])
' | xargs -r renku-spawner pause
```

| exit status | means |
| --- | --- |
| 0 | it is done |
{exits}

A failed command says why in one sentence on stderr.

## For admins

`check` says before a hub starts whether it would, and whether what it needs answers: the settings of
`jupyterhub_config.py`, the database, GitLab, the images of `Renku.environments` in their registries, and on a cluster each
right of [helm/role.yaml](kubernetes.md). It runs where the hub runs, as the hub, and makes and changes nothing by itself;
the exit status is 1 if something is not as it should be. Whether the proxy in front passes websockets on is not looked at.

```sh
renku-spawner check --config jupyterhub_config.py
```

`environments`, `instances` and `orphans` ask the hub over the API, and want a token of an admin of Renku: for everybody else
they end with 4. `orphans --remove` shows what it removes and wants a word typed, or `--yes`. `environments probe` (the same
as `images probe`), `db` and `demo` run where the hub runs.

## Completion

```sh
mkdir -p ~/.local/share/bash-completion/completions ~/.config/fish/completions
renku-spawner completion bash > ~/.local/share/bash-completion/completions/renku-spawner
renku-spawner completion fish > ~/.config/fish/completions/renku-spawner.fish
renku-spawner completion zsh > ~/_renku-spawner   # into a folder of your $fpath
```

## In Python

The commands are made of a client that any program can use:

```python
import os

from renku_spawner.client import Client, Refused
from renku_spawner.client.models import ProjectBody, SessionBody

with Client(os.environ["JUPYTERHUB_API_URL"], os.environ["JUPYTERHUB_API_TOKEN"]) as hub:
    try:
        project = hub.add_project(ProjectBody(path=f"{hub.whoami()}/snow", title="Snow"))
    except Refused as refused:
        raise SystemExit(f"{refused.message} {refused.fields}")
    environment = next(hub.environments())
    session = hub.add_session(project.id, SessionBody(environment=environment.id, title="Explore"))
    hub.start(project.id, session.id)
    for told in hub.until_settled(project.id, session.id):
        print(told.status, told.stage_text)
    print(hub.address(hub.session(project.id, session.id).instance.url))
    hub.pause(session.id)
```

Bodies and answers are the models of [the API](api.md), checked on both sides; of a body only what was given is sent. Lists
are iterators that ask for the next page when they come to it. Every call may raise `ClientError`, with `message`, `code`,
`status`, `fields` and `details`:

| exception | |
| --- | --- |
| `NotAllowed` | 401, 403: the token is unknown, has not the scope, or its user not the right |
| `NotFound` | 404 |
| `Refused` | 400, 409, 413, 422; an edit of what somebody else has changed has the code `changed` |
| `Busy` | 429, 503, when trying again as the hub asked has not helped; `retry_after` in seconds |
| `HubAway` | no connection, no answer in time, no certificate to trust, or only a proxy's words |
| `NotUnderstood` | no hub with Renku, or one of another release |

Where the hub says when to try again, the client does, three times at most and half a minute at a time. Certificates are
checked (`REQUESTS_CA_BUNDLE` names a bundle of your own), redirections are not followed, and the token stands in no message.

## All commands
"""


def page() -> str:
    exits = "\n".join(f"| {int(status)} | {words} |" for status, words in EXITS.items())
    return _TOP.replace("{exits}", exits) + "\n" + "\n".join(_commands(cli.parser(), "renku-spawner"))


def _commands(parser: argparse.ArgumentParser, name: str) -> Iterator[str]:
    """What each command takes; those that only hold others have no part of their own."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, inner in action.choices.items():
                yield from _commands(inner, f"{name} {word}")
            return
    yield f"### {name.removeprefix('renku-spawner ')}\n"
    yield f"{parser.description}\n"
    rows = [_argument(action) for action in parser._actions if not isinstance(action, argparse._HelpAction)]
    if rows:
        yield "| argument | |\n| --- | --- |\n" + "\n".join(rows) + "\n"


def _argument(action: argparse.Action) -> str:
    value = action.metavar or ("\\|".join(action.choices) if action.choices else action.dest.upper())
    if action.option_strings:
        takes = "" if action.nargs == 0 or isinstance(action, argparse.BooleanOptionalAction) else f" {value}"
        called = ", ".join(f"`{option}{takes}`" for option in action.option_strings)
    else:
        called = f"`{value}{' …' if action.nargs == '*' else ''}`" + (
            " (optional)" if action.nargs in ("*", "?") else ""
        )
    return f"| {called} | {action.help or ''} |"


def completion(shell: str) -> str:
    parser = cli.parser()
    _name_files(parser)
    return str(shtab.complete(parser, shell=shell))


def _name_files(parser: argparse.ArgumentParser) -> None:
    for action in parser._actions:
        if action.dest in _FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        for inner in set(action.choices.values()) if isinstance(action, argparse._SubParsersAction) else ():
            _name_files(inner)


if __name__ == "__main__":
    PAGE.write_text(page())
    cli_completion.SCRIPTS.mkdir(exist_ok=True)
    for shell in cli_completion.SHELLS:
        cli_completion.script(shell).write_text(completion(shell))
