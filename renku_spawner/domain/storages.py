"""Storages of a project: their kinds and options, validation, shared volumes and SSH host keys.

Mounting does not belong here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from .access import Person
from .errors import InvalidInputError
from .ids import RowVersion, check_directory
from .text import LongText, ShortText

# In the order in which Go's SSH client, and so rclone, prefers them: it requests the server's first one
# (https://pkg.go.dev/golang.org/x/crypto/ssh, supportedHostKeyAlgos).
HOST_KEY_TYPES = ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa", "ssh-ed25519")
_MAX_HOST_KEY_LENGTH = 4000
StorageOptionValues = Mapping[ShortText, LongText]


@dataclass(frozen=True, kw_only=True)
class HostKey:
    """A public key of a server: its type, and the key in base64, as in `known_hosts`."""

    type: str
    key: str

    @classmethod
    def from_text(cls, text: str) -> HostKey:
        """Parse `<type> <base64>`, with or without a comment. Raises ValueError."""
        kind, _, rest = text.strip().partition(" ")
        key = rest.partition(" ")[0]
        if len(text) > _MAX_HOST_KEY_LENGTH or kind not in HOST_KEY_TYPES:
            raise ValueError("This is not a host key that SSH knows.")
        try:
            blob = base64.b64decode(key, validate=True)
        except binascii.Error:
            raise ValueError("The host key is incomplete.") from None
        # RFC 4253, 6.6: the key begins with the length and the name of its type.
        if len(blob) < 32 or not blob.startswith(len(kind).to_bytes(4, "big") + kind.encode()):
            raise ValueError("The host key is incomplete.")
        return cls(type=kind, key=key)

    @property
    def text(self) -> str:
        return f"{self.type} {self.key}"

    @property
    def fingerprint(self) -> str:
        """The fingerprint as OpenSSH shows it: `SHA256:` and the digest in base64 without padding."""
        digest = hashlib.sha256(base64.b64decode(self.key)).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    @property
    def algorithms(self) -> str:
        """The signature algorithms of this type of key that an SSH client may request."""
        return "rsa-sha2-512 rsa-sha2-256 ssh-rsa" if self.type == "ssh-rsa" else self.type

    def to_known_hosts_line(self, port: int) -> str:
        """Return the line of a `known_hosts` file for a server on *port*, under any host name."""
        return f"{'*' if port == 22 else f'[*]:{port}'} {self.text}\n"


class OptionFormat(StrEnum):
    """Format of an option's value."""

    WORD = "word"
    URL = "url"
    HOST = "host"
    PORT = "port"
    CHOICE = "choice"
    USER = "user"
    SECRET = "secret"
    KEY = "key"  # several lines
    HOST_KEY = "host_key"


@dataclass(frozen=True, kw_only=True)
class StorageOption:
    """An option by rclone's name. A credential is encrypted and never shown; rclone wants some `obscured`.

    An option that is `ours` is not one of rclone's, and is not passed to it as an option.
    """

    name: str
    label: str
    form: OptionFormat = OptionFormat.WORD
    credential: bool = False
    obscured: bool = False
    required: bool = False
    ours: bool = False
    choices: tuple[str, ...] = ()
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class StorageKind:
    """A kind of storage.

    `rclone` is rclone's name of the backend, empty if rclone does not mount it; `fixed` are options that users
    cannot choose; `needs` are sets of credentials, one of which must be complete.
    """

    name: str
    label: str
    rclone: str = ""
    options: tuple[StorageOption, ...] = ()
    fixed: Mapping[str, str]
    needs: tuple[frozenset[str], ...] = ()
    anonymous: bool = False  # whether it can be opened without credentials
    path_label: str = "Folder"
    path_required: bool = False
    absolute: bool = False  # whether its paths may begin with /

    @property
    def settings(self) -> tuple[StorageOption, ...]:
        return tuple(option for option in self.options if not option.credential)

    @property
    def credentials(self) -> tuple[StorageOption, ...]:
        return tuple(option for option in self.options if option.credential)


def _build_credential_option(
    name: str, label: str, form: OptionFormat = OptionFormat.SECRET, *, obscured: bool = False, hint: str = ""
) -> StorageOption:
    return StorageOption(name=name, label=label, form=form, credential=True, obscured=obscured, hint=hint)


_S3_PROVIDERS = ("AWS", "Ceph", "Cloudflare", "DigitalOcean", "IONOS", "Minio", "Scaleway", "Wasabi", "Other")
_STORAGE_KINDS = (
    StorageKind(
        name="volume",
        label="Shared volume",
        options=(StorageOption(name="volume", label="Volume", required=True),),
        fixed={},
        anonymous=True,
    ),
    StorageKind(
        name="s3",
        label="S3",
        rclone="s3",
        options=(
            StorageOption(
                name="provider", label="Provider", form=OptionFormat.CHOICE, choices=_S3_PROVIDERS, required=True
            ),
            StorageOption(name="endpoint", label="Endpoint", form=OptionFormat.URL, hint="https://… ; empty for AWS"),
            StorageOption(name="region", label="Region", hint="such as eu-central-1"),
            _build_credential_option("access_key_id", "Access key id", OptionFormat.USER),
            _build_credential_option("secret_access_key", "Secret access key"),
        ),
        fixed={"env_auth": "false", "no_check_bucket": "true"},
        needs=(frozenset({"access_key_id", "secret_access_key"}),),
        anonymous=True,
        path_label="Bucket and folder",
        path_required=True,
    ),
    StorageKind(
        name="webdav",
        label="WebDAV",
        rclone="webdav",
        options=(
            StorageOption(name="url", label="Address", form=OptionFormat.URL, required=True, hint="https://…"),
            StorageOption(
                name="vendor", label="Server", form=OptionFormat.CHOICE, choices=("other", "nextcloud", "owncloud")
            ),
            _build_credential_option("user", "User name", OptionFormat.USER),
            _build_credential_option(
                "pass", "Password", obscured=True, hint="best an app password that can be taken back"
            ),
        ),
        fixed={},
        needs=(frozenset({"user", "pass"}),),
        anonymous=True,
    ),
    StorageKind(
        name="sftp",
        label="SFTP",
        rclone="sftp",
        options=(
            StorageOption(name="host", label="Host", form=OptionFormat.HOST, required=True),
            StorageOption(name="port", label="Port", form=OptionFormat.PORT, hint="22"),
            StorageOption(
                name="host_key",
                label="Host key of the server",
                form=OptionFormat.HOST_KEY,
                ours=True,
                hint="Leave it empty to be shown the server's, then compare and confirm it",
            ),
            _build_credential_option("user", "User name", OptionFormat.USER),
            _build_credential_option("pass", "Password", obscured=True),
            _build_credential_option("key_pem", "Private key", OptionFormat.KEY, hint="in place of a password"),
            _build_credential_option("key_file_pass", "Passphrase of the key", obscured=True),
        ),
        # No shell on the server, and neither keys nor an agent of the machine on which rclone runs.
        fixed={
            "shell_type": "none",
            "md5sum_command": "none",
            "sha1sum_command": "none",
            "disable_hashcheck": "true",
            "ask_password": "false",
            "key_use_agent": "false",
        },
        needs=(frozenset({"user", "pass"}), frozenset({"user", "key_pem"})),
        absolute=True,
    ),
    StorageKind(
        name="azureblob",
        label="Azure Blob",
        rclone="azureblob",
        options=(
            StorageOption(name="account", label="Storage account", required=True),
            _build_credential_option("key", "Access key"),
        ),
        fixed={"use_msi": "false"},
        needs=(frozenset({"key"}),),
        path_label="Container and folder",
        path_required=True,
    ),
    StorageKind(
        name="b2",
        label="Backblaze B2",
        rclone="b2",
        options=(
            _build_credential_option("account", "Key id", OptionFormat.USER),
            _build_credential_option("key", "Application key"),
        ),
        fixed={},
        needs=(frozenset({"account", "key"}),),
        path_label="Bucket and folder",
        path_required=True,
    ),
)
STORAGE_KINDS_BY_NAME: Mapping[str, StorageKind] = {kind.name: kind for kind in _STORAGE_KINDS}
DEFAULT_STORAGE_KINDS = ("volume", "s3", "webdav", "sftp")  # may be added unless an admin sets other kinds


class StorageCredentials(StrEnum):
    """The owner of a storage's credentials: none needed, the project (an editor enters them), or each user."""

    NONE = "none"
    PROJECT = "project"
    USER = "user"


class StorageProbeOutcome(StrEnum):
    """The result of listing a storage."""

    FINE = "fine"
    DENIED = "denied"
    NOT_FOUND = "not_found"
    NOT_ALLOWED = "not_allowed"
    UNKNOWN_HOST = "unknown_host"
    OTHER_PROTOCOL = "other_protocol"
    HOST_KEY = "host_key"
    UNREACHABLE = "unreachable"
    SLOW = "slow"
    NOT_CHECKED = "not_checked"

    @property
    def description(self) -> str:
        return _OUTCOME_DESCRIPTIONS[self]

    @property
    def is_blocking(self) -> bool:
        """True if it is certain that no session could open the storage."""
        return self in _REFUSING_OUTCOMES


_REFUSING_OUTCOMES = frozenset(
    {
        StorageProbeOutcome.DENIED,
        StorageProbeOutcome.NOT_FOUND,
        StorageProbeOutcome.NOT_ALLOWED,
        StorageProbeOutcome.UNKNOWN_HOST,
        StorageProbeOutcome.OTHER_PROTOCOL,
        StorageProbeOutcome.HOST_KEY,
    }
)
_OUTCOME_DESCRIPTIONS = {
    StorageProbeOutcome.FINE: "It can be opened.",
    StorageProbeOutcome.DENIED: "These credentials are refused.",
    StorageProbeOutcome.NOT_FOUND: "There is no such bucket or folder.",
    StorageProbeOutcome.NOT_ALLOWED: "The hub may not connect to this host.",
    StorageProbeOutcome.UNKNOWN_HOST: "There is no host of this name.",
    StorageProbeOutcome.OTHER_PROTOCOL: "The server answers, but not as a server of this kind does. Check its address.",
    StorageProbeOutcome.HOST_KEY: "The server shows another host key than the one that was confirmed.",
    StorageProbeOutcome.UNREACHABLE: "The server does not answer.",
    StorageProbeOutcome.SLOW: "The server is too slow: it did not list the folder in time.",
    StorageProbeOutcome.NOT_CHECKED: "Not checked.",
}


@dataclass(frozen=True, kw_only=True)
class StorageProbe:
    """The result of the last check of a storage."""

    outcome: StorageProbeOutcome
    at: datetime


@dataclass(frozen=True, kw_only=True)
class DescribedStorage:
    """A storage without credentials, as documents have it; in a project it is identified by its directory."""

    kind: ShortText
    directory: ShortText
    settings: StorageOptionValues = field(default_factory=dict)
    path: LongText = ""
    credentials: StorageCredentials = StorageCredentials.NONE
    read_only: bool = True


@dataclass(frozen=True, kw_only=True)
class NewStorage(DescribedStorage):
    """A storage as an editor enters it; `secrets` are credentials by the names of their options."""

    secrets: StorageOptionValues = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class StorageChange:
    """A change of a storage; None leaves a field as it is.

    The directory cannot change: sessions refer to a storage by it. `version` is the one that the editor saw.
    """

    version: RowVersion
    settings: StorageOptionValues | None = None
    path: LongText | None = None
    credentials: StorageCredentials | None = None
    read_only: bool | None = None
    secrets: StorageOptionValues | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Storage:
    """A storage as all members of the project see it, without credentials.

    `path` lies inside the remote, in S3 with the bucket as its first part; `kept` is whether the project's
    credentials are stored.
    """

    id: str
    project: str
    position: int
    directory: str
    kind: str
    settings: Mapping[str, str]
    path: str
    credentials: StorageCredentials
    read_only: bool
    created_by: str
    created_at: datetime
    version: int = 1
    kept: bool = False
    checked: StorageProbe | None = None

    @property
    def storage_kind(self) -> StorageKind:
        return STORAGE_KINDS_BY_NAME[self.kind]

    @property
    def host_key(self) -> HostKey | None:
        """The SSH host key that an editor has confirmed; None for a storage from before keys were required."""
        text = self.settings.get("host_key")
        return HostKey.from_text(text) if text else None

    @property
    def known_hosts_text(self) -> str:
        """The content of the `known_hosts` file for its server; empty without a confirmed key."""
        return self.host_key.to_known_hosts_line(int(self.settings.get("port", 22))) if self.host_key else ""

    @property
    def summary(self) -> str:
        """The kind and the access mode: `S3, read only`."""
        return f"{self.storage_kind.label}, {'read only' if self.read_only else 'read and write'}"


@dataclass(frozen=True, kw_only=True)
class OwnStorageCredentials:
    """Credentials that a user entered for one version of a storage; they must not be used for any other version."""

    version: RowVersion
    secrets: StorageOptionValues = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class MountedStorage:
    """A storage that a start gets.

    `options` are those of an rclone remote, including `type`, in the form of rclone's configuration: one line
    each, with credentials in clear text except for those that rclone wants obscured. Empty for a volume.
    """

    storage: Storage
    options: Mapping[str, str] = field(default_factory=dict, repr=False)


MAX_PROJECT_STORAGES = 20
_MAX_STORAGE_PATH_LENGTH, _MAX_PRIVATE_KEY_LENGTH, _MAX_SECRET_LENGTH = 1000, 16_000, 2000
_OPTION_WORD_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_STORAGE_HOST_PATTERN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\]")
_STORAGE_PORT_PATTERN = re.compile(r"[1-9][0-9]{0,4}")
_MAX_STORAGE_URL_LENGTH = 2000
# csi-rclone's parser replaces such a reference with another option's value, and knows no way to escape it:
# https://github.com/go-ini/ini/blob/v1.67.0/key.go
_OPTION_REFERENCE_PATTERN = re.compile(r"%\((?:[^)%]|%(?!\())*\)s")
_PRIVATE_KEY_PATTERN = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----\n[A-Za-z0-9+/=:, \n-]{1,16000}\n-----END [A-Z ]{0,40}PRIVATE KEY-----\n?"
)


def check_storage(
    new: NewStorage, kinds: Collection[str], taken: Collection[str], *, driver: bool = False
) -> NewStorage:
    """Return the storage with cleaned values, if it is valid, of one of *kinds*, and in a directory not in *taken*.

    *driver* is whether csi-rclone mounts remotes on this hub: it cannot read every credential.

    Raises:
        InvalidInputError: with all errors at `directory`, `kind`, `path`, `credentials`, `settings.<name>` and
            `secrets.<name>`; no credential is repeated.
    """
    if new.kind not in kinds or new.kind not in STORAGE_KINDS_BY_NAME:
        raise _build_storage_error("kind", "Storages of this kind cannot be added here.")
    kind = STORAGE_KINDS_BY_NAME[new.kind]
    problems: dict[str, str] = {}
    settings = _check_options(kind.settings, new.settings, "settings", problems)
    secrets = _check_options(kind.credentials, new.secrets, "secrets", problems)
    problems |= _find_reference_problems(secrets) if driver else {}
    found = {
        "directory": _collect_problems(problems, _check_storage_directory, new.directory, taken),
        "path": _collect_problems(problems, normalize_storage_path, new.path, kind),
    }
    problems |= _check_endpoint(kind, settings) | _check_credentials_owner(kind, new.credentials, secrets)
    if problems:
        raise InvalidInputError(next(iter(problems.values())), fields=problems)
    return NewStorage(
        kind=kind.name,
        settings=settings,
        secrets=secrets,
        credentials=new.credentials,
        read_only=new.read_only,
        **found,
    )


def check_storage_secrets(kind: StorageKind, said: Mapping[str, str], *, driver: bool = False) -> dict[str, str]:
    """Return a user's credentials for a storage of *kind*, cleaned.

    Raises:
        InvalidInputError: with all errors at `secrets.<name>`; no credential is repeated.
    """
    problems: dict[str, str] = {}
    found = _check_options(kind.credentials, said, "secrets", problems)
    problems |= _find_missing_secrets(kind, found) | (_find_reference_problems(found) if driver else {})
    if problems:
        raise InvalidInputError(next(iter(problems.values())), fields=problems)
    return found


def keep_confirmed_host_key(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """Return the *new* settings, with the *old* confirmed host key if they have none and name the same server."""
    same = all(old.get(name, usual) == new.get(name, usual) for name, usual in (("host", ""), ("port", "22")))
    kept = {"host_key": old["host_key"]} if same and old.get("host_key") else {}
    return {**kept, **{name: value for name, value in new.items() if value.strip()}}


def is_other_server_or_account(old: Mapping[str, str], new: Mapping[str, str]) -> bool:
    """Return whether the *new* settings would send credentials for the *old* ones to another server or account.

    Adding a first host key keeps the server; a different host key may belong to another server.
    """
    first = "host_key" in new and "host_key" not in old
    return dict(old) != {name: value for name, value in new.items() if not (first and name == "host_key")}


def has_option_reference(values: Collection[str]) -> bool:
    """Return whether csi-rclone would replace a part of one of *values* with another option's value."""
    return any(_OPTION_REFERENCE_PATTERN.search(value) for value in values)


def _find_reference_problems(secrets: Mapping[str, str]) -> dict[str, str]:
    sentence = "The cluster's storage driver cannot read %(…)s in a credential: please choose another one."
    return {f"secrets.{name}": sentence for name, value in secrets.items() if has_option_reference([value])}


def normalize_storage_path(text: str, kind: StorageKind) -> str:
    """Return a path inside the remote, without a trailing slash; the root is empty.

    Raises:
        InvalidInputError: at `path`.
    """
    text = text.strip()
    if len(text) > _MAX_STORAGE_PATH_LENGTH or not text.isprintable() or "\\" in text:
        raise _build_storage_error(
            "path", f"A path has at most {_MAX_STORAGE_PATH_LENGTH} characters, no control characters and no \\."
        )
    root = "/" if kind.absolute and text.startswith("/") else ""
    parts = [part for part in text.split("/") if part]
    if any(part in (".", "..") for part in parts):
        raise _build_storage_error("path", "A path leads down: leave out . and ..")
    if kind.path_required and not parts:
        raise _build_storage_error("path", f"{kind.path_label}, please.")
    return root + "/".join(parts)


def _check_storage_directory(text: str, taken: Collection[str]) -> str:
    """Return the directory, if no repository or storage has it; many disks do not distinguish capitals."""
    name = check_directory(text.strip())
    if name.casefold() in {each.casefold() for each in taken}:
        raise _build_storage_error("directory", "Another storage or repository has this directory already.")
    return name


def _collect_problems(problems: dict[str, str], read: Any, *arguments: Any) -> str:
    try:
        return str(read(*arguments))
    except InvalidInputError as problem:
        problems |= problem.fields
        return ""


def _check_options(
    options: Collection[StorageOption], said: Mapping[str, str], where: str, problems: dict[str, str]
) -> dict[str, str]:
    """Return the options that are not empty, cleaned, and add errors by field to *problems*."""
    options_by_name = {option.name: option for option in options}
    problems |= {f"{where}.{name}": "There is no such option." for name in said if name not in options_by_name}
    values = {
        name: _clean_option_value(options_by_name[name], value)
        for name, value in said.items()
        if name in options_by_name and value.strip()
    }
    for name, option in options_by_name.items():
        problem = _find_option_problem(option, values[name]) if name in values else _find_missing_option_problem(option)
        if problem:
            problems[f"{where}.{name}"] = problem
    return values


def _find_missing_option_problem(option: StorageOption) -> str | None:
    return f"{option.label}, please." if option.required else None


def _clean_option_value(option: StorageOption, value: str) -> str:
    if option.form is OptionFormat.KEY:
        return value.replace("\r\n", "\n").strip() + "\n"
    if option.form is OptionFormat.HOST_KEY:  # without a comment
        return " ".join(value.split()[:2])
    return value if option.form is OptionFormat.SECRET else value.strip()


def _find_option_problem(option: StorageOption, value: str) -> str | None:
    return _OPTION_CHECKS[option.form](option, value)


def _find_word_problem(option: StorageOption, value: str) -> str | None:
    fits = _OPTION_WORD_PATTERN.fullmatch(value)
    return None if fits else f"{option.label}: letters, digits and . _ - only, at most 100."


def _find_choice_problem(option: StorageOption, value: str) -> str | None:
    return None if value in option.choices else f"One of {', '.join(option.choices)}."


def _find_host_problem(_option: StorageOption, value: str) -> str | None:
    return None if _STORAGE_HOST_PATTERN.fullmatch(value) else "This is not the name of a host."


def _find_port_problem(_option: StorageOption, value: str) -> str | None:
    return None if _STORAGE_PORT_PATTERN.fullmatch(value) and int(value) < 65536 else "A port is a number up to 65535."


def _find_user_name_problem(_option: StorageOption, value: str) -> str | None:
    return None if len(value) <= 255 and value.isprintable() else "At most 255 characters, please."


def _find_secret_problem(_option: StorageOption, value: str) -> str | None:
    return None if len(value) <= _MAX_SECRET_LENGTH and value.isprintable() else "This is not possible here."


def _find_private_key_problem(_option: StorageOption, value: str) -> str | None:
    fits = len(value) <= _MAX_PRIVATE_KEY_LENGTH and _PRIVATE_KEY_PATTERN.fullmatch(value)
    return None if fits else "This is not a private key: it begins with -----BEGIN and ends with KEY-----."


def _find_host_key_problem(_option: StorageOption, value: str) -> str | None:
    try:
        HostKey.from_text(value)
    except ValueError as error:
        return f"{error} It looks like: ssh-ed25519 AAAA…"
    return None


def _find_storage_url_problem(_option: StorageOption, value: str) -> str | None:
    """Return what is wrong with the URL; whether the hub may connect to its host is checked elsewhere."""
    if (
        len(value) > _MAX_STORAGE_URL_LENGTH
        or not value.isascii()
        or not value.isprintable()
        or " " in value
        or "\\" in value
    ):
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
        return "Leave out user name and password: everyone in the project could read them."
    if "?" in value or "#" in value or {".", ".."} & set(parts.path.split("/")):
        return "Leave out everything after ? or #, and . and .. in the path."
    return None


_OPTION_CHECKS = {
    OptionFormat.WORD: _find_word_problem,
    OptionFormat.URL: _find_storage_url_problem,
    OptionFormat.HOST: _find_host_problem,
    OptionFormat.PORT: _find_port_problem,
    OptionFormat.CHOICE: _find_choice_problem,
    OptionFormat.USER: _find_user_name_problem,
    OptionFormat.SECRET: _find_secret_problem,
    OptionFormat.KEY: _find_private_key_problem,
    OptionFormat.HOST_KEY: _find_host_key_problem,
}


def _check_endpoint(kind: StorageKind, settings: Mapping[str, str]) -> dict[str, str]:
    """Require an endpoint for all S3 providers but AWS."""
    if kind.name == "s3" and settings.get("provider", "AWS") != "AWS" and "endpoint" not in settings:
        return {"settings.endpoint": "Please give the address of the server."}
    return {}


def _check_credentials_owner(
    kind: StorageKind, credentials: StorageCredentials, secrets: Mapping[str, str]
) -> dict[str, str]:
    """Check that the credentials match their owner.

    When a change keeps the project's credentials, its caller has added them to *secrets*.
    """
    if credentials is StorageCredentials.NONE:
        unwanted = secrets or not kind.anonymous
        return (
            {"credentials": f"{kind.label} needs credentials." if not secrets else "Choose who owns these credentials."}
            if unwanted
            else {}
        )
    if not kind.needs:
        return {"credentials": f"{kind.label} takes no credentials."}
    if credentials is StorageCredentials.USER:
        return {"secrets": "Each user enters their own; leave these empty."} if secrets else {}
    return _find_missing_secrets(kind, secrets)


def _find_missing_secrets(kind: StorageKind, secrets: Mapping[str, str]) -> dict[str, str]:
    if any(needed <= secrets.keys() for needed in kind.needs):
        return {}
    first = kind.needs[0] - secrets.keys() if kind.needs else frozenset()
    labels = {option.name: option.label for option in kind.credentials}
    return {f"secrets.{name}": f"{labels[name]}, please." for name in sorted(first)}


def _build_storage_error(field: str, sentence: str) -> InvalidInputError:
    return InvalidInputError(sentence, fields={field: sentence})


@dataclass(frozen=True, kw_only=True)
class NfsExport:
    """A directory *path* that an NFS server exports."""

    server: str
    path: str


@dataclass(frozen=True, kw_only=True)
class SharedVolume:
    """A PVC in the sessions' namespace, an NFS export or a folder of this machine: exactly one of the three.

    `users` and `groups` say who may use it, all users if both are None; `projects` are the ids of the projects
    that may use it, None is all. With `read_only` it is mounted read-only even if a storage is writable.
    """

    name: str
    description: str = ""
    claim: str = ""
    nfs: NfsExport | None = None
    directory: str = ""
    users: frozenset[str] | None = None
    groups: frozenset[str] | None = None
    projects: frozenset[str] | None = None
    read_only: bool = True

    def is_usable_by(self, person: Person, project: str) -> bool:
        """Return whether *person* may use it in the project with that id; paths can change owners, so ids count."""
        if self.projects is not None and project not in self.projects:
            return False
        if self.users is None and self.groups is None:
            return True
        return person.name in (self.users or ()) or bool(person.groups & (self.groups or frozenset()))

    def is_available(self, *, local: bool) -> bool:
        """Return whether it can be mounted where sessions run: on this machine, or on a cluster."""
        return bool(self.directory) if local else not self.directory
