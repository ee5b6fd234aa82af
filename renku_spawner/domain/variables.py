"""Environment variables of a session: which names a person may set."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .errors import Invalid

COUNT_LIMIT = 32
VALUE_LIMIT = 1000
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
# What the hub, the loader, the shell, Python, git and Kubernetes read (security.md T14).
_PREFIXES = (
    "JUPYTERHUB_", "JPY_", "JUPYTER_", "LD_", "DYLD_", "PYTHON", "KUBERNETES_", "GIT_", "NB_", "RENKU", "BASH_", "PIP_",
)  # fmt: skip
_NAMES = frozenset(
    {
        "PATH", "HOME", "USER", "LOGNAME", "SHELL", "IFS", "ENV", "PS4", "PWD", "SHELLOPTS", "BASHOPTS", "CDPATH",
        "MEM_LIMIT", "MEM_GUARANTEE", "CPU_LIMIT", "CPU_GUARANTEE", "SSH_ASKPASS", "EDITOR", "VISUAL", "PAGER",
        "HOSTNAME", "TMPDIR", "NODE_OPTIONS", "PERL5LIB", "PERL5OPT", "RUBYOPT", "GLIBC_TUNABLES", "VIRTUAL_ENV",
    }
)  # fmt: skip
_STORABLE = re.compile(r"[^\x00\ud800-\udfff]*")  # lone surrogates have no UTF-8
_SECRET = re.compile(r"(?i)(token|secret|passw|api_?key|credential|private_?key)")


def check(variables: Mapping[str, str]) -> dict[str, str]:
    """The same variables, if all names may be set and all values are short texts.

    Raises:
        Invalid: at field `variables`.
    """
    if len(variables) > COUNT_LIMIT:
        raise _wrong(f"At most {COUNT_LIMIT} variables, please.")
    for name, value in variables.items():
        _check_name(name)
        if len(value) > VALUE_LIMIT or not _STORABLE.fullmatch(value):
            raise _wrong(f"The value of {name} is not possible: at most {VALUE_LIMIT} characters, without NUL.")
    return dict(variables)


def settable(name: str) -> bool:
    """Whether people may set it: asked again at each start, since what is stored may be older than a rule."""
    return bool(_NAME.fullmatch(name)) and not _ours(name)


def _ours(name: str) -> bool:
    return name.upper().startswith(_PREFIXES) or name.upper() in _NAMES


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise _wrong("A variable's name has letters, digits and _ only and does not start with a digit.")
    if _ours(name):
        raise _wrong(f"{name} is set by the platform and cannot be changed.")


def look_secret(variables: Mapping[str, str]) -> list[str]:
    """Names that look as if their values were secret: everybody in the project reads them."""
    return [name for name in variables if _SECRET.search(name)]


def _wrong(sentence: str) -> Invalid:
    return Invalid(sentence, fields={"variables": sentence})
