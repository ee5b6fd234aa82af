"""A misspelt or contradictory setting stops with a sentence that names it."""

from pathlib import Path
from typing import Any

import pytest
from traitlets import TraitError
from traitlets.config import Config

from renku_spawner.config.parsing import (
    check_setting_names,
    parse_environments_setting,
    parse_hosts_setting,
    parse_resource_classes_setting,
    parse_session_limits_setting,
)
from renku_spawner.config.renku import Renku
from renku_spawner.domain.errors import SettingError
from renku_spawner.domain.resource_classes import ResourceClass

CLASS = {"name": "small", "cpu": "1", "memory": "2Gi"}
ENVIRONMENT = {"key": "python", "name": "Python", "image": "quay.io/jupyter/scipy-notebook:2026-11-02"}
WRONG_CLASSES = [
    (
        {"cpus": "1"},
        "entry 1: 'cpus' is not known; known are name, cpu, memory, gpu, disk, ephemeral_storage, description, users, "
        "groups, gpu_resource, node_selector, tolerations, idle_pause, expire_paused_days.",
    ),
    ({"user": ["alice"]}, "'user' is not known"),
    ({"name": ""}, "'name'"),
    ({"name": " "}, "name of ' '"),
    ({"name": "x" * 41}, "'name'"),
    ({"cpu": 1}, "'cpu'"),
    ({"cpu": "0"}, "cpu of 'small'"),
    ({"cpu": "-1"}, "cpu of 'small'"),
    ({"cpu": "1e9"}, "cpu of 'small'"),
    ({"cpu": "NaN"}, "cpu of 'small'"),
    ({"memory": "2GB"}, "memory of 'small'"),
    ({"memory": "1Ki"}, "memory of 'small'"),
    ({"memory": "\N{ARABIC-INDIC DIGIT ONE}Gi"}, "memory of 'small'"),
    ({"disk": "ten"}, "disk of 'small'"),
    ({"gpu": -1}, "gpu of 'small'"),
    ({"gpu": 65}, "gpu of 'small'"),
    ({"gpu": True}, "'gpu'"),
    ({"gpu": "1"}, "'gpu'"),
    ({"users": "alice"}, "'users'"),
    ({"groups": "staff"}, "'groups'"),
    ({"gpu_resource": "gpu"}, "'gpu_resource'"),
    ({"idle_pause": -1}, "'idle_pause'"),
    ({"gpu_resource": "Nvidia.com/gpu"}, "'gpu_resource'"),
    ({"gpu_resource": "nvidia.com/gpu\n"}, "'gpu_resource'"),
    ({"node_selector": "gpu"}, "'node_selector'"),
    ({"node_selector": {"pool": 1}}, "'node_selector.pool'"),
    ({"node_selector": {"a b": "gpu"}}, "'node_selector.a b.[key]'"),
    ({"node_selector": {"pool": "x" * 64}}, "'node_selector.pool'"),
    ({"tolerations": {"key": "gpu"}}, "'tolerations'"),
    ({"tolerations": [{"key": "gpu", "operator": "exists"}]}, "'tolerations.0.operator'"),
    ({"tolerations": [{"key": "gpu", "effekt": "NoSchedule"}]}, "'tolerations.0.effekt' is not known; known are key, "),
    ({"tolerations": [{"key": "gpu", "effect": "Never"}]}, "'tolerations.0.effect'"),
    (
        {"tolerations": [{"key": "gpu", "operator": "Exists", "value": "a"}]},
        "'tolerations.0': with the operator Exists there is no value.",
    ),
    ({"tolerations": [{"value": "a"}]}, "'tolerations.0': without a key the operator is Exists."),
    (
        {"tolerations": [{"key": "gpu", "tolerationSeconds": 5}]},
        "'tolerations.0': tolerationSeconds go with the effect NoExecute.",
    ),
]


@pytest.mark.parametrize(("said", "size"), [("0", ""), ("", ""), ("0Gi", ""), ("500Mi", "500Mi"), (None, "10Gi")])
def test_a_class_without_a_limit_of_ephemeral_storage_has_none(said: str | None, size: str) -> None:
    (found,) = parse_resource_classes_setting([CLASS if said is None else CLASS | {"ephemeral_storage": said}])
    assert found.ephemeral_storage == size


WRONG_CLASSES += [
    ({"ephemeral_storage": "ten"}, "Please give a quantity such as 10Gi between 16Mi and 1Pi, or 0 for no limit."),
    ({"ephemeral_storage": "1Ki"}, "or 0 for no limit."),
    ({"ephemeral_storage": "-1Gi"}, "or 0 for no limit."),
    ({"ephemeral_storage": 10}, "'ephemeral_storage'"),
    ({"expire_paused_days": "60"}, "'expire_paused_days'"),
    ({"expire_paused_days": 3}, "'expire_paused_days': use 0 for never, or at least 4 days."),
    ({"expire_paused_days": -1}, "'expire_paused_days'"),
]
WRONG_ENVIRONMENTS = [
    ({"colour": "red"}, "'colour' is not known"),
    ({"key": "Python"}, "'key'"),
    ({"name": ""}, "name of 'python': Please give a title."),
    ({"name": "x" * 100}, "name of 'python'"),
    ({"image": "https://quay.io/x"}, "image of 'python'"),
    ({"image": ""}, "image of 'python'"),
    ({"image": "quay.io/UPPER"}, "image of 'python'"),
    ({"description": "x" * 2001}, "description of 'python'"),
    ({"keywords": "python"}, "'keywords'"),
    ({"keywords": ["x" * 33]}, "keywords of 'python'"),
    ({"keywords": [str(n) for n in range(21)]}, "keywords of 'python'"),
    ({"default_url": "lab"}, "'default_url'"),
    ({"default_url": "//evil.example"}, "'default_url'"),
    ({"default_url": "/\\evil.example"}, "'default_url'"),
    ({"default_url": "https://evil.example"}, "'default_url'"),
    ({"port": 0}, "'port'"),
    ({"port": 65536}, "'port'"),
    ({"command": "jupyter lab"}, "'command'"),
    ({"arguments": "--debug"}, "'arguments'"),
    ({"working_directory": "/home/jovyan"}, "'working_directory'"),
    ({"working_directory": "/work/../etc"}, "'working_directory': this is outside of /work."),
    ({"uid": 0}, "'uid'"),
    ({"uid": 999}, "'uid'"),
    ({"gid": -1}, "'gid'"),
]
WRONG_LIMITS = [
    ({"runing": 3}, "'runing' is not known; known are running, kept, projects, per_project, writes_per_minute."),
    ({"running": 0}, "'running'"),
    ({"kept": -1}, "'kept'"),
    ({"per_project": "3"}, "'per_project'"),
    ({"projects": 0}, "'projects'"),
    ({"writes_per_minute": 0}, "'writes_per_minute'"),
    ({"writes_per_minute": 10_001}, "'writes_per_minute'"),
    ({"running": True}, "'running'"),
    ({"running": 1.5}, "'running'"),
    ({"running": 5, "kept": 2}, "running (5) is more than kept (2)"),
]
WRONG_HOSTS = [
    "https://gitlab.internal",
    "gitlab.internal/",
    "GitLab.internal",
    "alice@gitlab.internal",
    "",
    " ",
    "a b",
    "a:",
]
WRONG_TRAITS = {
    "projects": "github",
    "access_window": 901,
    "access_check": 0,
    "environments": {"key": "python"},
    "resource_classes": "small",
    "session_limits": 3,
    "one_active_per_environment": "no",
    "git_credentials": "everybody",
    "gitlab_url": ["https://gitlab.com"],
    "gitlab_ca": "/nonexistent/ca.pem",
    "push": "perhaps",
    "private_images": "some",
    "ci_tag_pattern": 3,
    "ci_protected_refs_only": "main",
    "webhook_secret": 3,
    "repository_hosts": {"gitlab.internal", 3},
    "api_rate": 0,
    "start_timeout": "5 min",
    "start_timeout_max": 0,
    "clone_timeout": -1,
    "stop_grace": "soon",
    "launches_kept_days": 0,
    "db_url": 3,
    "allow_plain_servers": "no",
    "allow_unisolated": "no",
    "workspace": 3,
    "image_policy": ["quay.io"],
    "platforms": [3],
    "registry_credentials": 3,
    "registries_asked": 3,
    "registry_proxy": 3,
    "image_registry": 3,
    "archived_resume_days": -1,
    "restart_on_change": "no",
    "image_big": "large",
    "idle_pause": -1,
    "idle_warning": 59,
    "idle_processor": -0.1,
    "keep_awake_max": "a day",
    "run_time_max": -1,
    "rounds_interval": 0,
    "image_checks_per_minute": 0,
    "expire_paused_days": -1,
    "trash_days": 0,
    "price": 0.08,
    "mail_server": 25,
    "mail_security": "ssl",
    "mail_sender": 3,
    "mail_username": 3,
    "mail_password": 3,
    "mail_address": 3,
    "notice_url": 3,
    "notice_secret": 3,
    "downloads": -1,
    "download_min_rate": -1,
    "download_rate_window": 0.5,
    "volumes": "reference",
    "rclone_storage_class": 3,
    "storage_kinds": [3],
    "storage_hosts": [3],
    "storage_check": "perhaps",
    "queue_limit": -1,
}


def renku(folder: Path, **changes: Any) -> Renku:
    c = Config()
    c.Renku.db_url = f"sqlite:///{folder}/renku.sqlite"
    c.Renku.update(changes)
    made = Renku(config=c)
    made.context.db.dispose()
    return made


def said(read: Any, *given: Any) -> str:
    with pytest.raises(SettingError) as problem:
        read(*given)
    return str(problem.value)


@pytest.mark.parametrize(("change", "sentence"), WRONG_CLASSES)
def test_a_resource_class_that_cannot_be_is_named(change: dict[str, Any], sentence: str) -> None:
    text = said(parse_resource_classes_setting, [CLASS | change])
    assert text.startswith("Renku.resource_classes")
    assert sentence in text
    assert "\n" not in text


@pytest.mark.parametrize(("change", "sentence"), WRONG_ENVIRONMENTS)
def test_an_environment_that_cannot_be_is_named(change: dict[str, Any], sentence: str) -> None:
    text = said(parse_environments_setting, [ENVIRONMENT | change])
    assert text.startswith("Renku.environments")
    assert sentence in text
    assert "\n" not in text


@pytest.mark.parametrize(("limits", "sentence"), WRONG_LIMITS)
def test_limits_that_cannot_be_are_named(limits: dict[str, Any], sentence: str) -> None:
    text = said(parse_session_limits_setting, limits)
    assert text.startswith("Renku.session_limits: ")
    assert sentence in text


@pytest.mark.parametrize("key", sorted(set(CLASS)))
def test_a_class_says_which_key_is_missing(key: str) -> None:
    entry = {name: value for name, value in CLASS.items() if name != key}
    assert (
        said(parse_resource_classes_setting, [CLASS, entry]) == f"Renku.resource_classes, entry 2: {key!r} is missing."
    )


@pytest.mark.parametrize("key", sorted(set(ENVIRONMENT)))
def test_an_environment_says_which_key_is_missing(key: str) -> None:
    entry = {name: value for name, value in ENVIRONMENT.items() if name != key}
    assert said(parse_environments_setting, [entry]) == f"Renku.environments, entry 1: {key!r} is missing."


def test_a_class_may_say_on_which_machines_it_runs() -> None:
    there = {"gpu_resource": "amd.com/gpu", "node_selector": {"example.org/pool": "gpu", "zone": ""}}
    taints = [
        {"key": "example.org/gpu", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "gone", "value": "a", "effect": "NoExecute", "tolerationSeconds": 0},
        {"operator": "Exists"},
    ]
    (read,) = parse_resource_classes_setting([CLASS | there | {"tolerations": taints}])
    assert {"gpu_resource": read.gpu_resource, "node_selector": read.node_selector} == there
    assert list(read.tolerations) == taints


def test_two_entries_of_one_name_are_refused() -> None:
    assert said(parse_resource_classes_setting, [CLASS, CLASS]) == "Renku.resource_classes: 'small' is listed twice."
    assert said(parse_environments_setting, [ENVIRONMENT] * 2) == "Renku.environments: 'python' is listed twice."


def test_a_hub_without_any_class_is_refused() -> None:
    assert said(parse_resource_classes_setting, []) == "Renku.resource_classes is empty: no session could start."


@pytest.mark.parametrize("host", WRONG_HOSTS)
def test_a_host_that_would_never_match_is_refused(host: str) -> None:
    assert said(parse_hosts_setting, {host}).startswith(f"Renku.repository_hosts: {host!r} is neither")


def test_hosts_are_taken_with_and_without_a_port() -> None:
    right = {"gitlab.internal", "gitlab.internal:8443", "127.0.0.1:8003", "localhost", "::1"}
    assert parse_hosts_setting(right) == right


def test_a_kind_of_storages_that_nobody_knows_is_named(tmp_path: Path) -> None:
    assert "no kind 'ftp'; known are volume, s3" in said(lambda: renku(tmp_path, storage_kinds=["s3", "ftp"]))
    assert said(lambda: renku(tmp_path, storage_kinds=["s3", "s3"])) == "Renku.storage_kinds: 's3' is listed twice."
    assert said(lambda: renku(tmp_path, storage_hosts={"https://x"})).startswith("Renku.storage_hosts: 'https://x'")


def test_no_start_is_given_up_before_it_may_stand_still(tmp_path: Path) -> None:
    text = said(lambda: renku(tmp_path, start_timeout=600, start_timeout_max=300))
    assert text == "Renku.start_timeout (600) is longer than Renku.start_timeout_max (300)."


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"idle_pause": 600}, "Renku.idle_pause (600) has to be longer than Renku.idle_warning (600)."),
        ({"run_time_max": 60}, "Renku.run_time_max (60) has to be longer than Renku.idle_warning (600)."),
        (
            {"resource_classes": [CLASS | {"idle_pause": 300}]},
            "Renku.resource_classes: idle_pause of 'small' (300) has to be longer than Renku.idle_warning (600).",
        ),
        (
            {"environments": [ENVIRONMENT | {"idle_pause": 300}]},
            "Renku.environments: idle_pause of 'python' (300) has to be longer than Renku.idle_warning (600).",
        ),
    ],
)
def test_nothing_pauses_within_its_own_warning(wrong: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    assert said(lambda: renku(tmp_path, **wrong)) == sentence


@pytest.mark.parametrize("setting", sorted(Renku.class_trait_names(config=True)))
def test_every_setting_refuses_what_it_cannot_be(setting: str, tmp_path: Path) -> None:
    with pytest.raises(TraitError, match=setting):
        renku(tmp_path, **{setting: WRONG_TRAITS[setting]})


@pytest.mark.parametrize("setting", sorted(Renku.class_trait_names(config=True)))
def test_every_setting_refuses_to_be_misspelt(setting: str) -> None:
    misspelt = setting[:-2] + setting[-1] + setting[-2] if setting[-1] != setting[-2] else setting[:-1]
    text = said(check_setting_names, {misspelt: 1}, Renku.class_trait_names(config=True))
    assert text.startswith(f"There is no setting Renku.{misspelt}. Did you mean Renku.{setting}? Known are ")


def test_a_setting_that_looks_like_none_gets_no_guess() -> None:
    assert said(check_setting_names, {"zzz": 1}, ["db_url"]) == "There is no setting Renku.zzz. Known are db_url."


@pytest.mark.parametrize(
    "url", ["mysql://root:hunter2@db/x", "sqlite://", "foo//root:hunter2", "sqlite:////nowhere/x.sqlite"]
)
def test_a_database_that_cannot_be_is_told_without_its_password(url: str, tmp_path: Path) -> None:
    with pytest.raises((ValueError, OSError)) as problem:
        renku(tmp_path, db_url=url)
    assert "atabase" in str(problem.value) or "SQLite" in str(problem.value)
    assert "hunter2" not in str(problem.value)


def test_what_is_right_becomes_the_policy(tmp_path: Path) -> None:
    made = renku(
        tmp_path,
        resource_classes=[CLASS, CLASS | {"name": "staff only", "groups": ["staff"], "gpu": 1}],
        session_limits={"running": 2, "kept": 3, "projects": 5, "writes_per_minute": 30},
        repository_hosts={"gitlab.internal"},
        environments=[ENVIRONMENT | {"working_directory": "/work/data", "uid": 1000, "keywords": ["python", "python"]}],
    )
    policy, [configured] = made.context.policy, made.configured
    small, staff = policy.classes
    assert small == ResourceClass(name="small", cpu="1", memory="2Gi")
    assert staff.groups == frozenset({"staff"})
    assert (policy.running_per_user, policy.kept_per_user, policy.sessions_per_project) == (2, 3, None)
    assert (policy.projects_per_user, policy.writes_per_minute) == (5, 30)
    assert policy.repository_hosts == frozenset({"gitlab.internal"})
    assert (configured.run.working_directory, configured.run.uid, configured.keywords) == (
        "/work/data",
        1000,
        ("python",),
    )


def test_the_settings_that_come_with_renku_are_right(tmp_path: Path) -> None:
    made = renku(tmp_path)
    assert [c.name for c in made.context.policy.classes] == ["small", "medium", "large"]
    assert made.configured == ()
