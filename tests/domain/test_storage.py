"""Storages: what may be said of one, and what may never be."""

from typing import Any

import pytest

from renku_spawner.domain.errors import InvalidInputError
from renku_spawner.domain.sessions import SessionConfiguration
from renku_spawner.domain.storages import (
    DEFAULT_STORAGE_KINDS,
    STORAGE_KINDS_BY_NAME,
    MountedStorage,
    NewStorage,
    OptionFormat,
    Storage,
    StorageCredentials,
    StorageProbeOutcome,
    check_storage,
    check_storage_secrets,
)

from .values import NOON, session

PEM = "-----BEGIN OPENSSH PRIVATE KEY-----\r\nb3BlbnNzaC1rZXktdjEAAAA=\r\n-----END OPENSSH PRIVATE KEY-----"
KEYS = {"access_key_id": "AKIA", "secret_access_key": "s3cret/+"}
SAID: dict[str, dict[str, Any]] = {
    "s3": {"settings": {"provider": "AWS", "region": "eu-central-1"}, "path": "era5/alps/"},
    "webdav": {"settings": {"url": "https://cloud.example.org/remote.php/dav/files/ada"}},
    "sftp": {
        "settings": {"host": "sftp.example.org"},
        "credentials": StorageCredentials.PROJECT,
        "secrets": {"user": "ada", "pass": "p w"},
    },
    "volume": {"settings": {"volume": "gauges"}},
    "azureblob": {"settings": {"account": "ourdata"}, "path": "c", "credentials": StorageCredentials.USER},
    "b2": {"path": "bucket", "credentials": StorageCredentials.USER},
}


def said(kind: str, **more: Any) -> NewStorage:
    return NewStorage(**{"kind": kind, "directory": "era5"} | SAID[kind] | more)


def refused(
    new: NewStorage, *, taken: tuple[str, ...] = (), kinds: tuple[str, ...] = tuple(STORAGE_KINDS_BY_NAME)
) -> dict[str, str]:
    with pytest.raises(InvalidInputError) as problem:
        check_storage(new, kinds, taken)
    for secret in new.secrets.values():
        assert secret not in str(problem.value.fields) + problem.value.message
    return problem.value.fields


@pytest.mark.parametrize("kind", STORAGE_KINDS_BY_NAME)
def test_every_kind_can_be_added(kind: str) -> None:
    found = check_storage(said(kind), tuple(STORAGE_KINDS_BY_NAME), ())
    assert check_storage(found, tuple(STORAGE_KINDS_BY_NAME), ()) == found
    assert found.read_only
    assert found.path in ("era5/alps", "bucket", "c", "")


def test_a_kind_that_no_admin_allows_is_refused() -> None:
    assert list(refused(said("b2"), kinds=DEFAULT_STORAGE_KINDS)) == ["kind"]
    assert list(refused(NewStorage(kind="alias", directory="x"))) == ["kind"]


# What lets rclone run a command, read a file of the machine, take its credentials or do without TLS.
FORBIDDEN = (
    "ssh", "ssh_command", "key_file", "pubkey_file", "known_hosts_file", "bearer_token_command", "env_auth",
    "shared_credentials_file", "profile", "session_token", "server_command", "md5sum_command", "sha1sum_command",
    "path_override", "key_use_agent", "service_principal_file", "use_emulator", "msi_object_id", "type", "remote",
    "headers", "sts_endpoint", "download_url", "endpoint_command", "ask_password", "no_check_certificate",
)  # fmt: skip


@pytest.mark.parametrize("name", FORBIDDEN)
@pytest.mark.parametrize("kind", STORAGE_KINDS_BY_NAME)
def test_no_option_beyond_the_table_can_be_set(name: str, kind: str) -> None:
    known = {option.name for option in STORAGE_KINDS_BY_NAME[kind].options}
    assert not known & set(FORBIDDEN)
    assert f"settings.{name}" in refused(said(kind, settings={**said(kind).settings, name: "s3cret+"}))
    assert f"secrets.{name}" in refused(said(kind, secrets={**said(kind).secrets, name: "s3cret+"}))


def test_a_credential_is_no_setting_and_a_setting_no_credential() -> None:
    fields = refused(said("s3", settings={**said("s3").settings, **KEYS}))
    assert set(fields) == {"settings.access_key_id", "settings.secret_access_key"}
    assert "secrets.region" in refused(said("s3", secrets={"region": "eu"}))


HOSTILE: list[tuple[dict[str, Any], str]] = [
    *(({"directory": name}, "directory") for name in ("../x", ".git", "a/b", "", "-x", "Code", "ERA-land")),
    *(({"path": path}, "path") for path in ("a/../../b", "..", ".", "a\\b", "a\nb", "b\x00", "", "/", "x" * 1001)),
    *(({"settings": {"provider": "Minio", "endpoint": url}}, "settings.endpoint") for url in (
        "file:///etc", "https://user:pass@s3.example.org", "https://", "s3.example.org", "https://x.org/?a",
        "https://x y", "https://x.org/#f", "ftp://x.org", "https://x.org/../y", "https://x.org:99999", "",
    )),
    ({"settings": {"provider": "AWS\nendpoint = x"}}, "settings.provider"),
    ({"settings": {}}, "settings.provider"),
    ({"settings": {"provider": "AWS", "region": "eu\nenv_auth = true"}}, "settings.region"),
    ({"settings": {"provider": "AWS", "region": "-x"}}, "settings.region"),
    ({"credentials": StorageCredentials.PROJECT}, "secrets.access_key_id"),
    ({"credentials": StorageCredentials.PROJECT, "secrets": {"access_key_id": "AKIA"}}, "secrets.secret_access_key"),
    ({"secrets": {**KEYS, "secret_access_key": "s3c\nret"}}, "secrets.secret_access_key"),
    ({"credentials": StorageCredentials.USER, "secrets": KEYS}, "secrets"),
    ({"secrets": KEYS}, "credentials"),
]  # fmt: skip


@pytest.mark.parametrize(("more", "field"), HOSTILE)
def test_what_is_impossible_is_said_at_its_field(more: dict[str, Any], field: str) -> None:
    assert field in refused(said("s3", **more), taken=("code", "Era-Land"))


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"settings": {"host": "-oProxyCommand=id"}}, "settings.host"),
        ({"settings": {"host": "a b"}}, "settings.host"),
        ({"settings": {"host": "h.example", "port": "0"}}, "settings.port"),
        ({"settings": {"host": "h.example", "host_key": "ssh-ed25519 AAAA"}}, "settings.host_key"),
        ({"settings": {"host": "h.example", "host_key": "* ssh-ed25519\nx"}}, "settings.host_key"),
        ({"settings": {"host": "h.example", "port": "65536"}}, "settings.port"),
        ({"settings": {"host": "h.example", "port": "\u0663"}}, "settings.port"),
        ({"secrets": {"user": "ada", "key_pem": "/etc/ssh/key"}}, "secrets.key_pem"),
        ({"secrets": {"user": "ada", "key_pem": PEM.replace("=", '"\\n')}}, "secrets.key_pem"),
        ({"secrets": {"user": "ada"}}, "secrets.pass"),
        ({"credentials": StorageCredentials.NONE, "secrets": {}}, "credentials"),
    ],
)
def test_sftp_takes_a_host_and_a_key_as_text(more: dict[str, Any], field: str) -> None:
    assert field in refused(said("sftp", **more))


def test_sftp_opens_with_a_key_and_from_the_root() -> None:
    found = check_storage(
        said("sftp", secrets={"user": "ada", "key_pem": PEM}, path="/srv//data/"), DEFAULT_STORAGE_KINDS, ()
    )
    assert found.path == "/srv/data"
    assert found.secrets["key_pem"] == PEM.replace("\r\n", "\n") + "\n"


def test_what_people_enter_for_themselves_is_checked_alike() -> None:
    assert check_storage_secrets(STORAGE_KINDS_BY_NAME["s3"], KEYS | {"access_key_id": " AKIA "}) == KEYS
    with pytest.raises(InvalidInputError) as problem:
        check_storage_secrets(STORAGE_KINDS_BY_NAME["webdav"], {"user": "ada", "url": "x"})
    assert set(problem.value.fields) == {"secrets.url", "secrets.pass"}


def storage(**more: Any) -> Storage:
    usual = {"id": "storageaaaaa", "project": "projectaaaaa", "position": 0, "directory": "era5", "kind": "s3"}
    rest = {
        "settings": {"provider": "AWS"},
        "path": "era5",
        "credentials": StorageCredentials.PROJECT,
        "read_only": True,
    }
    return Storage(**usual | rest | {"created_by": "ada", "created_at": NOON} | more)


def test_neither_what_is_typed_nor_what_is_mounted_shows_its_credentials() -> None:
    shown = repr(said("s3", credentials=StorageCredentials.PROJECT, secrets=KEYS)) + repr(
        MountedStorage(storage=storage(), options={"type": "s3", **KEYS})
    )
    assert not any(secret in shown for secret in KEYS.values())


def test_every_password_and_key_is_a_credential() -> None:
    hidden = {OptionFormat.SECRET, OptionFormat.KEY, OptionFormat.USER}
    for kind in STORAGE_KINDS_BY_NAME.values():
        assert {option.form in hidden for option in kind.credentials} <= {True}
        assert not {option.form for option in kind.settings} & hidden
        assert {name for need in kind.needs for name in need} <= {option.name for option in kind.credentials}


def test_a_storage_says_what_it_is_and_what_was_found() -> None:
    assert storage().summary == "S3, read only"
    assert storage(kind="volume", read_only=False).summary == "Shared volume, read and write"
    assert all(outcome.description.endswith(".") for outcome in StorageProbeOutcome)
    assert [outcome for outcome in StorageProbeOutcome if outcome.is_blocking] == [
        StorageProbeOutcome.DENIED,
        StorageProbeOutcome.NOT_FOUND,
        StorageProbeOutcome.NOT_ALLOWED,
        StorageProbeOutcome.UNKNOWN_HOST,
        StorageProbeOutcome.OTHER_PROTOCOL,
        StorageProbeOutcome.HOST_KEY,
    ]


def test_a_session_gets_all_storages_or_those_chosen_and_an_old_one_keeps_its_fingerprint() -> None:
    both = (storage(), storage(id="b", directory="gauges"))
    assert SessionConfiguration().select_storages(both) == both
    assert SessionConfiguration(storages=("gauges", "gone")).select_storages(both) == both[1:]
    prints = {session(configuration=SessionConfiguration(storages=s)).fingerprint for s in (None, (), ("era5",))}
    assert len(prints) == 3
