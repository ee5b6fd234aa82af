"""Storages in a session's pod, and the claim and Secret by which csi-rclone mounts a remote."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import kubernetes_validate
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from renku_spawner.domain.errors import InvalidInputError
from renku_spawner.domain.policy import HubPolicy
from renku_spawner.domain.storages import (
    MountedStorage,
    NewStorage,
    NfsExport,
    SharedVolume,
    Storage,
    StorageCredentials,
    check_storage,
)
from renku_spawner.integrations.rclone import build_remote_options, reveal_options
from renku_spawner.spawners.kubernetes.diagnosis import PodExpectations, read_pod_status
from renku_spawner.spawners.kubernetes.pod import build_session_pod
from renku_spawner.spawners.kubernetes.secrets import copy_with_owner_pod
from renku_spawner.spawners.kubernetes.settings import PodSettings
from renku_spawner.spawners.kubernetes.storages import (
    STORAGE_VOLUME_PREFIX,
    build_remote_storage_objects,
    format_csi_rclone_config,
    get_storage_directories_by_name,
    list_unavailable_storage_notices,
)
from tests.fakes import kube_defaults, kube_validation

from . import made, pss
from .made import RUN, hub_pod, sent, spec

SETTINGS = replace(
    made.SETTINGS,
    rclone_storage_class="csi-rclone-secret-annotation",
    volumes=(
        SharedVolume(name="reference", claim="reference-data"),
        SharedVolume(name="scratch", claim="scratch", read_only=False),
        SharedVolume(name="archive", nfs=NfsExport(server="nfs.example.org", path="/export")),
        SharedVolume(name="folder", directory="/data"),
    ),
)
KEYS = {"user": "ada", "pass": "canary word; #1"}


def storage(directory: str, kind: str = "volume", **more: Any) -> Storage:
    usual: dict[str, Any] = {"settings": {"volume": directory}, "path": "", "read_only": True}
    return Storage(
        id=f"storage{directory[:5]:a<5}", project="projectaaaaa", position=0, directory=directory, kind=kind,
        credentials=StorageCredentials.NONE, created_by="ada", created_at=datetime.now(UTC), **usual | more,
    )  # fmt: skip


def volume(directory: str, **more: Any) -> MountedStorage:
    return MountedStorage(storage=storage(directory, **more))


def remote(directory: str = "era5", **more: Any) -> MountedStorage:
    usual = {"kind": "webdav", "settings": {"url": "https://dav.example.org/"}, "path": "climate/era5"}
    found = storage(directory, **usual | more)
    return MountedStorage(storage=found, options=build_remote_options(found, KEYS))


ALL = (
    remote(), remote("out", read_only=False), volume("reference", path="genomes/2019"),
    volume("scratch", read_only=False), volume("again", settings={"volume": "scratch"}, path="public"),
)  # fmt: skip


def pod(*mounted: MountedStorage, settings: PodSettings = SETTINGS) -> dict[str, Any]:
    said = spec(storages=mounted)
    return sent(build_session_pod(hub_pod(), said, run=RUN, claim="work-a", secret=f"renku-{RUN}", settings=settings))


def beside(*mounted: MountedStorage) -> list[dict[str, Any]]:
    said = spec(storages=mounted)
    options = {each.storage.directory: reveal_options(each.storage, each.options) for each in mounted}
    pairs = build_remote_storage_objects(said, SETTINGS, run=RUN, secret=f"renku-{RUN}", options=options)
    owner = {"metadata": {"name": "a", "uid": "u"}}
    return [sent(copy_with_owner_pod(each, owner)) for pair in pairs for each in pair]


def test_the_pod_with_storages_is_the_one_that_is_written_down(golden: Callable[[str, Any], None]) -> None:
    golden("pod-storages", pod(*ALL))


def test_what_a_remote_needs_is_what_is_written_down(golden: Callable[[str, Any], None]) -> None:
    golden("storages", beside(*ALL))


def test_no_credential_stands_in_a_pod_and_no_helper_gets_a_storage() -> None:
    found = pod(*ALL)
    assert "canary" not in json.dumps(found)
    assert KEYS["pass"] not in repr(ALL)
    for container in found["spec"]["initContainers"]:
        assert not [mount for mount in container["volumeMounts"] if mount["name"].startswith(STORAGE_VOLUME_PREFIX)]


def test_a_pod_with_storages_is_valid_and_restricted() -> None:
    for each in (pod(*ALL), *beside(*ALL)):
        resource = {"Secret": "secrets", "PersistentVolumeClaim": "persistentvolumeclaims"}.get(each["kind"], "pods")
        kube_validation.check(resource, each["kind"], kube_defaults.apply(resource, each, ""))
        kubernetes_validate.validate(each, "1.32", strict=True)
    assert pss.offences(pod(*ALL)) == []
    export = pod(volume("archive"))
    kube_validation.check("pods", "Pod", kube_defaults.apply("pods", export, ""))
    assert pss.offences(export), "as the setting's help says"


def test_a_declaration_that_is_read_only_wins() -> None:
    (mount,) = [m for m in mounts(pod(volume("reference", read_only=False))) if "storage" in m["name"]]
    assert mount["readOnly"] is True
    (found,) = [v for v in pod(volume("reference", read_only=False))["spec"]["volumes"] if "storage" in v["name"]]
    assert found["persistentVolumeClaim"] == {"claimName": "reference-data", "readOnly": True}


def mounts(found: dict[str, Any]) -> list[dict[str, Any]]:
    return list(found["spec"]["containers"][0]["volumeMounts"])


def test_what_this_cluster_cannot_have_is_left_out_and_told() -> None:
    mounted = (volume("folder"), volume("gone"), remote())
    settings = replace(SETTINGS, rclone_storage_class="")
    assert pod(*mounted, settings=settings) == pod()
    policy = HubPolicy(volumes=SETTINGS.volumes)
    told = [notice["title"] for notice in list_unavailable_storage_notices(spec(storages=mounted), policy)]
    assert [title.partition(":")[0] for title in told] == [
        f"The storage {name} is not available here" for name in ("folder", "gone", "era5")
    ]  # fmt: skip
    everything = replace(policy, rclone_storage_class="x")
    assert list_unavailable_storage_notices(spec(storages=ALL), everything) == []


def test_what_the_cluster_calls_a_storage_leads_to_its_directory() -> None:
    names = get_storage_directories_by_name(spec(storages=ALL), SETTINGS, "s")
    assert names == {
        "renku-storage-0": "era5", "s-0": "era5", "renku-storage-1": "out", "s-1": "out", "reference-data": "reference",
        "renku-storage-2": "reference", "renku-storage-3": "again", "scratch": "again",
    }  # fmt: skip


# What a person can type, were everything allowed that the grammar of the API takes.
LINES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30) | st.sampled_from(
    ["a;b", "#x", "`", "``", "a`b", '"', "'x'", "\\", "x\\", " x ", "", "=", "[other]", "%(user)", "type = local"]
)


@given(st.dictionaries(st.sampled_from(["user", "pass", "url"]), LINES))
def test_the_driver_reads_each_option_as_it_was_typed(options: dict[str, str]) -> None:
    first, *lines, last = format_csi_rclone_config({"type": "webdav", **options}).split("\n")
    assert (first, last) == ("[storage]", "")
    assert {name: go_ini(value) for name, value in (line.split(" =", 1) for line in lines)} == {
        "type": "webdav", **options
    }  # fmt: skip


REFERENCE = re.compile(r"%\(([^)]+)\)s")


def expand(values: dict[str, str], name: str) -> str:
    """What gopkg.in/ini.v1 gives for an option, after key.go (transformValue): references are replaced as long as the
    section has the option that they name."""
    value = values[name]
    for _ in range(99):
        found = REFERENCE.search(value)
        if found is None or found[1] not in values or found[1] == name:
            break
        value = value.replace(found[0], values[found[1]])
        if len(value) > 10_000:  # references to each other double it each time
            break
    return value


TEMPTING = st.lists(
    st.sampled_from(
        ["%", "%(", ")s", "s", "%(user)s", "%(secret_access_key)s", "%%(pass)s", "(", "https://x.org/", "a"]
    ),
    max_size=6,
).map("".join)


@given(TEMPTING, TEMPTING)
@example("https://files.example.org/%(secret_access_key)s", "a")
@example("https://files.example.org/", "%(access_key_id)s")
def test_the_driver_puts_no_option_into_another(endpoint: str, password: str) -> None:
    """What passes the form arrives as it was typed, and what an older release stored is no Secret for the driver."""
    typed = {"access_key_id": "AKIA", "secret_access_key": password}
    new = NewStorage(
        kind="s3", directory="era5", path="bucket", settings={"provider": "Minio", "endpoint": endpoint},
        credentials=StorageCredentials.PROJECT, secrets=typed,
    )  # fmt: skip
    raw = {"type": "s3", **new.settings, **typed}
    try:
        checked = check_storage(new, ["s3"], (), driver=True)
    except InvalidInputError as problem:
        assert problem.fields.keys() <= {"settings.endpoint", "secrets.secret_access_key"}
        if any(expand(raw, name) != value for name, value in raw.items()):
            with pytest.raises(ValueError, match="refers to another option"):
                format_csi_rclone_config(raw)
        return
    options = {"type": "s3", **checked.settings, **checked.secrets}
    lines = [line.partition("=") for line in format_csi_rclone_config(options).splitlines()[1:]]
    values = {name.strip(): go_ini(value) for name, _, value in lines}
    assert {name: expand(values, name) for name in values} == options


def go_ini(text: str) -> str:
    """What gopkg.in/ini.v1 reads of a value with its usual options, after parser.go (readValue)."""
    text = text.lstrip()
    if text.startswith("`"):
        return text[1 : text.rindex("`")] if len(text) > 1 else ""
    text = text.strip()
    assert not text.endswith("\\"), "goes on in the next line"
    text = text[: min((at for sign in "#;" if (at := text.find(sign)) >= 0), default=None)].strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


@pytest.mark.parametrize("path", ["$(JUPYTERHUB_API_TOKEN)", "{username}", "a b/c;d", "-x"])
def test_a_hostile_path_is_only_a_path(path: str) -> None:
    (mount,) = [m for m in mounts(pod(volume("scratch", path=path))) if "storage" in m["name"]]
    assert (mount["subPath"], mount["mountPath"]) == (path, "/work/scratch")
    assert "subPathExpr" not in mount
    secret, _claim = beside(remote(path=path))
    assert secret["stringData"]["remotePath"] == path


NAMES = {"renku-storage-0": "era5", "s-0": "era5", "pvc-1": "era5", "reference-data": "genomes"}
ASKED = PodExpectations(image="a", storages=NAMES)
WAITS = {"metadata": {"name": "a"}, "spec": {"nodeName": "n"}, "status": {
    "phase": "Pending",
    "containerStatuses": [{"name": "notebook", "state": {"waiting": {"reason": "ContainerCreating"}}}],
}}  # fmt: skip


def event(reason: str, message: str, about: str = "a") -> dict[str, Any]:
    return {"reason": reason, "message": message, "involvedObject": {"name": about}}


@pytest.mark.parametrize(
    ("told", "directory"),
    [
        (
            event("FailedMount", 'MountVolume.MountDevice failed for volume "pvc-1" : rpc error: code = Internal'),
            "era5",
        ),
        (event("FailedMount", "Unable to attach or mount volumes: unmounted volumes=[renku-storage-0]"), "era5"),
        (event("FailedAttachVolume", 'AttachVolume.Attach failed for volume "pvc-1"'), "era5"),
        (event("ProvisioningFailed", "error getting secret s-0", about="s-0"), "era5"),
        (event("FailedMount", 'MountVolume.SetUp failed for volume "pvc-2" : exit status 32'), None),
        (event("ProvisioningFailed", "no room", about="work-a"), None),
    ],
)
def test_what_the_cluster_says_of_a_storage_is_told_by_its_directory(
    told: dict[str, Any], directory: str | None
) -> None:
    found = read_pod_status(WAITS, [told], ASKED).failure
    assert found is not None
    assert (found.code == "data_mount_failed") is (directory is not None)
    assert found.values.get("storages") == directory


def test_a_declared_claim_that_is_not_there_is_told_by_its_directory_and_not_as_lost_work() -> None:
    message = '0/1 nodes are available: persistentvolumeclaim "reference-data" not found.'
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    unplaced = {"metadata": {"name": "a"}, "spec": {}, "status": {"phase": "Pending", "conditions": [condition]}}
    found = read_pod_status(unplaced, [], ASKED).failure
    assert found is not None
    assert (found.code, found.values["storages"]) == ("data_mount_failed", "genomes")
