"""What may be said of a storage: settings and credentials per kind, paths, directories."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from . import names
from .errors import Invalid
from .host_keys import HostKey
from .storage import Credentials, NewStorage
from .storage_kinds import KINDS, Form, Kind, Option

STORAGES_LIMIT = 20  # of a project
_PATH_LIMIT, _KEY_LIMIT, _SECRET_LIMIT = 1000, 16_000, 2000
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\]")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_URL_LIMIT = 2000
# A reference that the reader of csi-rclone's configuration replaces with another option's value, wherever it stands:
# https://github.com/go-ini/ini/blob/v1.67.0/key.go. It knows no way to write one that stays.
_REFERENCE = re.compile(r"%\((?:[^)%]|%(?!\())*\)s")
_KEY = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----\n[A-Za-z0-9+/=:, \n-]{1,16000}\n-----END [A-Z ]{0,40}PRIVATE KEY-----\n?"
)


def check(new: NewStorage, kinds: Collection[str], taken: Collection[str], *, driver: bool = False) -> NewStorage:
    """The same storage, cleaned, if it can be: of one of *kinds*, in a directory that is none of *taken*.

    *driver* says whether csi-rclone mounts remotes on this hub, which reads some credentials as something else.

    Raises:
        Invalid: with all that is wrong at `directory`, `kind`, `path`, `credentials`, `settings.<name>` and
            `secrets.<name>`; no credential is repeated.
    """
    if new.kind not in kinds or new.kind not in KINDS:
        raise _wrong("kind", "Storages of this kind cannot be added here.")
    kind = KINDS[new.kind]
    problems: dict[str, str] = {}
    settings = _all(kind.settings, new.settings, "settings", problems)
    secrets = _all(kind.credentials, new.secrets, "secrets", problems)
    problems |= _references(secrets) if driver else {}
    found = {
        "directory": _tried(problems, _directory, new.directory, taken),
        "path": _tried(problems, path, new.path, kind),
    }
    problems |= _endpoint(kind, settings) | _needs(kind, new.credentials, secrets)
    if problems:
        raise Invalid(next(iter(problems.values())), fields=problems)
    return NewStorage(
        kind=kind.name,
        settings=settings,
        secrets=secrets,
        credentials=new.credentials,
        read_only=new.read_only,
        **found,
    )


def secrets(kind: Kind, said: Mapping[str, str], *, driver: bool = False) -> dict[str, str]:
    """Credentials of a person for a storage of *kind*. Raises Invalid, as `check`."""
    problems: dict[str, str] = {}
    found = _all(kind.credentials, said, "secrets", problems)
    problems |= _lacking(kind, found) | (_references(found) if driver else {})
    if problems:
        raise Invalid(next(iter(problems.values())), fields=problems)
    return found


def keep_host_key(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """Return *new* settings with the confirmed host key of the *old* ones, if they name none and the same server."""
    same = all(old.get(name, usual) == new.get(name, usual) for name, usual in (("host", ""), ("port", "22")))
    kept = {"host_key": old["host_key"]} if same and old.get("host_key") else {}
    return {**kept, **{name: value for name, value in new.items() if value.strip()}}


def is_elsewhere(old: Mapping[str, str], new: Mapping[str, str]) -> bool:
    """Return whether credentials that were entered for *old* settings were entered for another server or account.

    A first host key only says more of the same server; another one may be another server's.
    """
    first = "host_key" in new and "host_key" not in old
    return dict(old) != {name: value for name, value in new.items() if not (first and name == "host_key")}


def has_reference(values: Collection[str]) -> bool:
    """Return whether csi-rclone would replace a part of one of *values* with another option's value."""
    return any(_REFERENCE.search(value) for value in values)


def _references(secrets: Mapping[str, str]) -> dict[str, str]:
    sentence = "The cluster's storage driver cannot read %(…)s in a credential: please choose another one."
    return {f"secrets.{name}": sentence for name, value in secrets.items() if has_reference([value])}


def path(text: str, kind: Kind) -> str:
    """A path inside the remote, without a slash at the end; the root is empty.

    Raises:
        Invalid: at `path`.
    """
    text = text.strip()
    if len(text) > _PATH_LIMIT or not text.isprintable() or "\\" in text:
        raise _wrong("path", f"A path has at most {_PATH_LIMIT} characters, no control characters and no \\.")
    root = "/" if kind.absolute and text.startswith("/") else ""
    parts = [part for part in text.split("/") if part]
    if any(part in (".", "..") for part in parts):
        raise _wrong("path", "A path leads down: leave out . and ..")
    if kind.path_required and not parts:
        raise _wrong("path", f"{kind.path_label}, please.")
    return root + "/".join(parts)


def _directory(text: str, taken: Collection[str]) -> str:
    """Repositories and storages lie beside each other; capitals make no difference on many disks."""
    name = names.directory(text.strip())
    if name.casefold() in {each.casefold() for each in taken}:
        raise _wrong("directory", "Another storage or repository has this directory already.")
    return name


def _tried(problems: dict[str, str], read: Any, *arguments: Any) -> str:
    try:
        return str(read(*arguments))
    except Invalid as problem:
        problems |= problem.fields
        return ""


def _all(options: Collection[Option], said: Mapping[str, str], where: str, problems: dict[str, str]) -> dict[str, str]:
    """What is said, without what is empty; adds to *problems* what cannot be, by field."""
    known = {option.name: option for option in options}
    problems |= {f"{where}.{name}": "There is no such option." for name in said if name not in known}
    found = {name: _cleaned(known[name], value) for name, value in said.items() if name in known and value.strip()}
    for name, option in known.items():
        problem = _problem(option, found[name]) if name in found else _missing(option)
        if problem:
            problems[f"{where}.{name}"] = problem
    return found


def _missing(option: Option) -> str | None:
    return f"{option.label}, please." if option.required else None


def _cleaned(option: Option, value: str) -> str:
    if option.form is Form.KEY:
        return value.replace("\r\n", "\n").strip() + "\n"
    if option.form is Form.HOST_KEY:  # without a comment
        return " ".join(value.split()[:2])
    return value if option.form is Form.SECRET else value.strip()


def _problem(option: Option, value: str) -> str | None:
    return _PROBLEMS[option.form](option, value)


def _word(option: Option, value: str) -> str | None:
    fits = _WORD.fullmatch(value)
    return None if fits else f"{option.label}: letters, digits and . _ - only, at most 100."


def _choice(option: Option, value: str) -> str | None:
    return None if value in option.choices else f"One of {', '.join(option.choices)}."


def _host(_option: Option, value: str) -> str | None:
    return None if _HOST.fullmatch(value) else "This is not the name of a host."


def _port(_option: Option, value: str) -> str | None:
    return None if _PORT.fullmatch(value) and int(value) < 65536 else "A port is a number up to 65535."


def _user(_option: Option, value: str) -> str | None:
    return None if len(value) <= 255 and value.isprintable() else "At most 255 characters, please."


def _secret(_option: Option, value: str) -> str | None:
    return None if len(value) <= _SECRET_LIMIT and value.isprintable() else "This is not possible here."


def _key(_option: Option, value: str) -> str | None:
    fits = len(value) <= _KEY_LIMIT and _KEY.fullmatch(value)
    return None if fits else "This is no private key: it begins with -----BEGIN and ends with KEY-----."


def _host_key(_option: Option, value: str) -> str | None:
    try:
        HostKey.from_text(value)
    except ValueError as error:
        return f"{error} It looks like: ssh-ed25519 AAAA…"
    return None


def _url(_option: Option, value: str) -> str | None:
    """Who may be asked is for the guard to say."""
    if len(value) > _URL_LIMIT or not value.isascii() or not value.isprintable() or " " in value or "\\" in value:
        return "Please give an address that starts with https://."
    try:
        parts = urlsplit(value)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        return "This is not a valid address."
    if parts.scheme not in ("https", "http") or not host:
        return "Please give an address that starts with https://."
    if "%(" in value:
        return "Leave out %(: it stands for another option, which may be a credential. In a path write %25(."
    if "@" in parts.netloc:
        return "Leave out user name and password: they would be readable by everybody in the project."
    if "?" in value or "#" in value or {".", ".."} & set(parts.path.split("/")):
        return "Leave out everything after ? or #, and . and .. in the path."
    return None


_PROBLEMS = {
    Form.WORD: _word,
    Form.URL: _url,
    Form.HOST: _host,
    Form.PORT: _port,
    Form.CHOICE: _choice,
    Form.USER: _user,
    Form.SECRET: _secret,
    Form.KEY: _key,
    Form.HOST_KEY: _host_key,
}


def _endpoint(kind: Kind, settings: Mapping[str, str]) -> dict[str, str]:
    """Only AWS is found without an address."""
    if kind.name == "s3" and settings.get("provider", "AWS") != "AWS" and "endpoint" not in settings:
        return {"settings.endpoint": "Please give the address of the server."}
    return {}


def _needs(kind: Kind, credentials: Credentials, secrets: Mapping[str, str]) -> dict[str, str]:
    """Which credentials go with whose they are; a change may keep the project's, which its caller has added."""
    if credentials is Credentials.NONE:
        unwanted = secrets or not kind.anonymous
        return (
            {"credentials": f"{kind.label} needs credentials." if not secrets else "Whose are they?"}
            if unwanted
            else {}
        )
    if not kind.needs:
        return {"credentials": f"{kind.label} takes no credentials."}
    if credentials is Credentials.USER:
        return {"secrets": "Each user enters their own; leave these empty."} if secrets else {}
    return _lacking(kind, secrets)


def _lacking(kind: Kind, secrets: Mapping[str, str]) -> dict[str, str]:
    if any(needed <= secrets.keys() for needed in kind.needs):
        return {}
    first = kind.needs[0] - secrets.keys() if kind.needs else frozenset()
    labels = {option.name: option.label for option in kind.credentials}
    return {f"secrets.{name}": f"{labels[name]}, please." for name in sorted(first)}


def _wrong(field: str, sentence: str) -> Invalid:
    return Invalid(sentence, fields={field: sentence})
