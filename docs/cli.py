# ruff: noqa: E501 - the text of a page has its own lines
"""Write docs/cli.md from the commands; a test keeps it current."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from renku_spawner.cli.main import command_line
from renku_spawner.cli.output import EXIT_STATUS_DESCRIPTIONS

PAGE = Path(__file__).with_name("cli.md")
_TOP = """# The command line

This page is made from the code (`python docs/cli.py`). `renku-spawner` does from a terminal or a script what the pages do.
It is part of the package (`pip install renku-spawner`), and runs on any machine that can reach the hub.

## Log in

Make a token on the hub's page *Token*. `login` asks for it without showing it, checks it, and saves it with the hub's
address in `~/.config/renku-spawner/login.json` (below `XDG_CONFIG_HOME`, if that is set), which only you can read:

```sh
renku-spawner login https://hub.example.org
```

A script passes the token in `JUPYTERHUB_API_TOKEN` or on stdin. Without `login`, `JUPYTERHUB_API_URL` (such as
`https://hub.example.org/hub/api`) and `JUPYTERHUB_API_TOKEN` together log in for one command. `logout` deletes the saved
login; revoke the token itself on the page *Token*. You can restrict a token there: `custom:renku:read` is enough for lists and
logs, `custom:renku:launch` for `start`, `pause`, `download` and `delete-data`.

**Inside a session** the two variables are set, and are used unless you log in there. With the token of a session you can only
call `me`, which says which session it is and when it pauses. To list projects and sessions, and to start, pause or delete
sessions, log in with a token of your own, or let an admin add scopes to `c.Spawner.server_token_scopes`.

## Start and manage sessions

```sh
renku-spawner projects
renku-spawner sessions ada/climate
renku-spawner start ada/climate:Explore
renku-spawner logs ada/climate:Explore
renku-spawner open --print ada/climate:Explore
renku-spawner pause --all
```

Give a session by its id, or as `project/path:title`. Upper and lower case are the same, and the beginning of a title is enough
if it is unique. `start` with only a project's path starts its default session. Commands for one of *your* sessions (`pause`,
`logs`, `download`, `delete-data`, `open`) also take the title alone. If several sessions match, they are listed and nothing is
done.

`start` waits until the session runs, shows its progress (on a terminal as a bar, otherwise as a line for each step on stderr) and
prints its address. With `--no-wait` it returns at once; `--open` opens it in a browser. Ctrl-C stops the waiting, not the start.
`download` fetches the files of a paused session as a `.tar.zst` or `.tar.gz`, and leaves no incomplete file. `delete-data`
shows which of the files are not saved elsewhere, and asks for the title, or takes `--yes`.

## Sessions as code

`export` prints the sessions of a project as YAML, and `apply` changes a project to match such a file; see
[sessions as code](sessions-as-code.md).

## Use it in scripts

All commands that list something have `--json`: the entries as [the API](api.md) returns them. Results go to stdout, everything
else to stderr. There are no colours in a pipe, or if `NO_COLOR` is set. For example, pause all sessions that have been running
for more than a day:

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
| 0 | success |
{exits}

A failed command prints the reason as one sentence on stderr.

## For admins

Run `check` before you start a hub: it tells whether the hub would start, and whether its dependencies answer. It checks the
settings of `jupyterhub_config.py`, the database, GitLab, the images of `Renku.environments` in their registries, and on a cluster
each right of [helm/role.yaml](kubernetes.md). Run it where the hub runs, as the hub's user. It changes nothing, and its exit
status is 1 if there is a problem. It does not check whether the proxy in front of the hub supports websockets.

```sh
renku-spawner check --config jupyterhub_config.py
```

`environments`, `instances` and `orphans` use the hub's API, and need a token of an admin of Renku: with other tokens they end with
4. `orphans --remove` shows what it removes and asks you to type a word, or takes `--yes`. `environments probe` (the same as
`images probe`), `db` and `demo` run where the hub runs.

## Completion

```sh
mkdir -p ~/.local/share/bash-completion/completions ~/.config/fish/completions
renku-spawner completion bash > ~/.local/share/bash-completion/completions/renku-spawner
renku-spawner completion fish > ~/.config/fish/completions/renku-spawner.fish
renku-spawner completion zsh > ~/_renku-spawner   # into a folder of your $fpath
```

## Use it in Python

The commands use a client that is available to all programs:

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

Request bodies and responses are the models of [the API](api.md), checked on both sides; only the fields that you set are sent.
Lists are iterators that fetch further pages when they are needed. Every call may raise `ClientError`, with `message`, `code`,
`status`, `fields` and `details`:

| exception | |
| --- | --- |
| `NotAllowed` | 401, 403: the token is invalid, lacks the scope, or its user lacks the right |
| `NotFound` | 404 |
| `Refused` | 400, 409, 413, 422; the code is `changed` if another user has changed the object since you read it |
| `Busy` | 429, 503, after all retries; `retry_after` is in seconds |
| `HubAway` | no connection, a timeout, an invalid certificate, or an error page of a proxy |
| `NotUnderstood` | the server is not a hub with Renku, or runs another release |

If the hub says when to retry, the client does so, three times at most and for half a minute at a time. It checks certificates
(`REQUESTS_CA_BUNDLE` names your own), does not follow redirects, and never puts the token into a message.

## All commands
"""


def page() -> str:
    exits = "\n".join(f"| {int(status)} | {words} |" for status, words in EXIT_STATUS_DESCRIPTIONS.items())
    return _TOP.replace("{exits}", exits) + "\n" + "\n".join(_commands(command_line, ""))


def _commands(command: click.Command, name: str) -> Iterator[str]:
    """Describe the arguments of each command; those that only group others have no section."""
    if isinstance(command, click.Group):
        for word, inner in command.commands.items():
            yield from _commands(inner, f"{name} {word}".strip())
        return
    yield f"### {name}\n"
    yield f"{command.help}\n"
    if command.params:
        yield "| argument | |\n| --- | --- |\n" + "\n".join(map(_argument, command.params)) + "\n"


def _argument(parameter: click.Parameter) -> str:
    choices = parameter.type.choices if isinstance(parameter.type, click.Choice) else ()
    value = parameter.metavar or "\\|".join(choices) or str(parameter.name).upper()
    if isinstance(parameter, click.Option):
        takes = "" if parameter.is_flag else f" {value}"
        names = [*parameter.opts, *parameter.secondary_opts]
        called = ", ".join(f"`{name}{takes}`" for name in names)
    else:
        called = f"`{value}{' …' if parameter.nargs < 0 else ''}`" + ("" if parameter.required else " (optional)")
    return f"| {called} | {parameter.help or ''} |"


if __name__ == "__main__":
    PAGE.write_text(page())
