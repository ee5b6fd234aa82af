"""Kinds of storages, and the options that each takes: a closed table.

What is not in it cannot be said: rclone has options that run a command, read a file of the machine or take its
credentials (`ssh`, `key_file`, `bearer_token_command`, `env_auth`, `known_hosts_file`, …), and others that undo TLS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Form(StrEnum):
    """What an option looks like."""

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
class Option:
    """One option by rclone's name. A credential is encrypted and never shown; rclone wants some `obscured`.

    `ours` is none of rclone's: it is given to it in another way.
    """

    name: str
    label: str
    form: Form = Form.WORD
    credential: bool = False
    obscured: bool = False
    required: bool = False
    ours: bool = False
    choices: tuple[str, ...] = ()
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """`rclone` is what rclone calls the backend, empty for what is not mounted by it; `fixed` are options
    that nobody chooses; `needs` are sets of credentials of which one must be whole."""

    name: str
    label: str
    rclone: str = ""
    options: tuple[Option, ...] = ()
    fixed: Mapping[str, str]
    needs: tuple[frozenset[str], ...] = ()
    anonymous: bool = False  # whether it can be opened without credentials
    path_label: str = "Folder"
    path_required: bool = False
    absolute: bool = False  # whether its paths may begin with /

    @property
    def settings(self) -> tuple[Option, ...]:
        return tuple(option for option in self.options if not option.credential)

    @property
    def credentials(self) -> tuple[Option, ...]:
        return tuple(option for option in self.options if option.credential)


def _credential(name: str, label: str, form: Form = Form.SECRET, *, obscured: bool = False, hint: str = "") -> Option:
    return Option(name=name, label=label, form=form, credential=True, obscured=obscured, hint=hint)


_S3_PROVIDERS = ("AWS", "Ceph", "Cloudflare", "DigitalOcean", "IONOS", "Minio", "Scaleway", "Wasabi", "Other")
_KINDS = (
    Kind(
        name="volume",
        label="Shared volume",
        options=(Option(name="volume", label="Volume", required=True),),
        fixed={},
        anonymous=True,
    ),
    Kind(
        name="s3",
        label="S3",
        rclone="s3",
        options=(
            Option(name="provider", label="Provider", form=Form.CHOICE, choices=_S3_PROVIDERS, required=True),
            Option(name="endpoint", label="Endpoint", form=Form.URL, hint="https://… ; empty for AWS"),
            Option(name="region", label="Region", hint="such as eu-central-1"),
            _credential("access_key_id", "Access key id", Form.USER),
            _credential("secret_access_key", "Secret access key"),
        ),
        fixed={"env_auth": "false", "no_check_bucket": "true"},
        needs=(frozenset({"access_key_id", "secret_access_key"}),),
        anonymous=True,
        path_label="Bucket and folder",
        path_required=True,
    ),
    Kind(
        name="webdav",
        label="WebDAV",
        rclone="webdav",
        options=(
            Option(name="url", label="Address", form=Form.URL, required=True, hint="https://…"),
            Option(name="vendor", label="Server", form=Form.CHOICE, choices=("other", "nextcloud", "owncloud")),
            _credential("user", "User name", Form.USER),
            _credential("pass", "Password", obscured=True, hint="best an app password that can be taken back"),
        ),
        fixed={},
        needs=(frozenset({"user", "pass"}),),
        anonymous=True,
    ),
    Kind(
        name="sftp",
        label="SFTP",
        rclone="sftp",
        options=(
            Option(name="host", label="Host", form=Form.HOST, required=True),
            Option(name="port", label="Port", form=Form.PORT, hint="22"),
            Option(
                name="host_key",
                label="Host key of the server",
                form=Form.HOST_KEY,
                ours=True,
                hint="Leave it empty to be shown the server's, then compare and confirm it",
            ),
            _credential("user", "User name", Form.USER),
            _credential("pass", "Password", obscured=True),
            _credential("key_pem", "Private key", Form.KEY, hint="in place of a password"),
            _credential("key_file_pass", "Passphrase of the key", obscured=True),
        ),
        # No shell on the server, and neither keys nor an agent of the machine where rclone runs.
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
    Kind(
        name="azureblob",
        label="Azure Blob",
        rclone="azureblob",
        options=(
            Option(name="account", label="Storage account", required=True),
            _credential("key", "Access key"),
        ),
        fixed={"use_msi": "false"},
        needs=(frozenset({"key"}),),
        path_label="Container and folder",
        path_required=True,
    ),
    Kind(
        name="b2",
        label="Backblaze B2",
        rclone="b2",
        options=(_credential("account", "Key id", Form.USER), _credential("key", "Application key")),
        fixed={},
        needs=(frozenset({"account", "key"}),),
        path_label="Bucket and folder",
        path_required=True,
    ),
)
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _KINDS}
USUAL = ("volume", "s3", "webdav", "sftp")  # what people may add where no admin says otherwise
