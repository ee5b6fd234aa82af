"""What the chart's values become is what the hub takes, without a warning; no setting is out of their reach."""

import json
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import kubespawner.spawner
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jupyterhub.app import JupyterHub
from jupyterhub.orm import Spawner as Row
from pydantic import BaseModel
from traitlets.config import Config

from renku_spawner import install
from renku_spawner.config.images import ImagePolicySetting, build_default_environments
from renku_spawner.config.parsing import (
    EnvironmentSetting,
    ResourceClassSetting,
    SessionLimitsSetting,
    TolerationSetting,
)
from renku_spawner.config.renku import Renku
from renku_spawner.config.storages import VolumeSetting
from renku_spawner.domain.quantities import parse_quantity
from renku_spawner.domain.resource_classes import RESOURCE_RANGES
from renku_spawner.hub.gitlab_login import RenkuGitLabOAuthenticator
from renku_spawner.hub.install import ADMIN_ROLE
from renku_spawner.spawners.kubernetes.spawner import RenkuSpawner
from tests.chart import schema as bounds
from tests.chart.rendered import CHART, HELMS, SETS, changed, rendered
from tests.config.test_settings import WRONG_CLASSES, WRONG_ENVIRONMENTS
from tests.config.test_volume_settings import VOLUME, WRONG_VOLUMES
from tests.fakes.spawning import Hub

# Not for the chart to say, and why.
ELSEWHERE = {
    "db_url": "Renku's tables stand in the hub's database",
    "webhook_secret": "a secret",
    "mail_password": "a secret",
    "notice_secret": "a secret",
    "allow_unisolated": "of the local spawner",
    "workspace": "of the local spawner",
}
SCHEMA = json.loads((CHART / "values.schema.json").read_text())["properties"]["renku"]["properties"]
MODELS: dict[str, type[BaseModel]] = {
    "environments": EnvironmentSetting,
    "resourceClasses": ResourceClassSetting,
    "policy": ImagePolicySetting,
    "volumes": VolumeSetting,
}
ENVIRONMENT = {"key": "python", "name": "Python", "image": "quay.io/jupyter/scipy-notebook:2026-11-02"}
CLASS = {"name": "small", "cpu": "1", "memory": "2Gi"}


def part(name: str) -> dict[str, Any]:
    """The schema of one object that has the keys of a setting."""
    if name == "volumes":
        return SCHEMA["storages"]["properties"]["volumes"]["items"]
    return SCHEMA["images"]["properties"]["policy"] if name == "policy" else SCHEMA[name]["items"]


@pytest.fixture
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Config]:
    """A function that mounts what a value set has become, as the hub's pod has it, and reads it."""

    def mount(name: str) -> Config:
        done = rendered(HELMS[0], name)
        for folder, kind in {"config": "ConfigMap", "secret": "Secret"}.items():
            (tmp_path / folder).mkdir()
            for key in done.one(kind, "renku-hub")["data"] if kind == "ConfigMap" or name != "own-namespace" else {}:
                (tmp_path / folder / key).write_text("x" * 40)
        for key, text in done.one("ConfigMap", "renku-hub")["data"].items():
            (tmp_path / "config" / key).write_text(text.replace("/etc/renku", str(tmp_path)))
        (tmp_path / "secret" / ".dockerconfigjson").write_text('{"auths": {}}')
        (tmp_path / "secret" / "Renku.notice_secret").write_text("x" * 40)
        (tmp_path / "secret" / "GitLabOAuthenticator.client_secret").write_text("told once\n")
        monkeypatch.setenv("RENKU_CONFIG_DIR", str(tmp_path))
        c = Config({"JupyterHub": {"spawner_class": "renku", "db_url": f"sqlite:///{tmp_path}/hub.sqlite"}})
        install(c)
        return c

    return mount


def warnings(log: pytest.LogCaptureFixture) -> list[str]:
    """JupyterHub warns of what it has not been rid of since 3.1, too, at each start."""
    said = [record.getMessage() for record in log.records if record.levelno >= logging.WARNING]
    return [each for each in said if "extra_handlers is deprecated" not in each]


def a_spawner(c: Config) -> RenkuSpawner:
    person = SimpleNamespace(name="ada", id=1, url="/user/ada/", escaped_name="ada", server_url=lambda name: name)
    return RenkuSpawner(
        _mock=True, user=person, hub=Hub(), orm_spawner=Row(name="work"), config=c, api_token="", oauth_client_id=""
    )


@pytest.mark.parametrize("name", SETS)
async def test_what_the_values_become_is_taken_without_a_warning(name, mounted, caplog, monkeypatch) -> None:
    monkeypatch.setattr(kubespawner.spawner, "load_config", lambda **what: None)
    c = mounted(name)
    hub, spawner = JupyterHub(config=c, log=logging.getLogger("hub")), a_spawner(c)
    renku = Renku(config=c, log=logging.getLogger("renku"))
    renku.context.db.dispose()
    assert {**c.RenkuSpawner} == {trait: getattr(spawner, trait) for trait in c.RenkuSpawner}
    assert renku.context.policy.images.allows_all is (name == "trying-out")
    assert hub.subdomain_host == ("https://hub.example.org" if name == "production" else "")
    assert hub.hub_connect_url == "http://hub.jupyter.svc:8081"
    assert warnings(caplog) == []


def test_people_log_in_at_gitlab_where_projects_are(mounted, caplog) -> None:
    c = mounted("production")
    login = c.JupyterHub.authenticator_class(config=c, log=logging.getLogger("login"))
    assert isinstance(login, RenkuGitLabOAuthenticator)
    assert (login.client_id, login.client_secret) == ("0123456789abcdef", "told once")
    assert login.oauth_callback_url == "https://hub.example.org/hub/oauth_callback"
    assert login.allowed_gitlab_groups == {"research"}
    assert not login.allow_all
    assert warnings(caplog) == []


async def test_a_setting_that_is_none_is_noticed(mounted, caplog, monkeypatch) -> None:
    monkeypatch.setattr(kubespawner.spawner, "load_config", lambda **what: None)
    c = mounted("trying-out")
    c.RenkuSpawner.clone_imag = "a"
    a_spawner(c)
    assert ["clone_imag" in said for said in warnings(caplog)] == [True]


def test_to_try_it_out_anybody_logs_in_and_admin_is_one_unless_somebody_says_otherwise() -> None:
    section = "SharedPasswordAuthenticator"
    assert rendered(HELMS[0], "trying-out").settings()[section] == {"allow_all": True, "admin_users": ["admin"]}
    own = {f"jupyterhub.hub.config.{section}.admin_users": ["ada"], f"jupyterhub.hub.config.{section}.allow_all": False}
    assert changed(HELMS[0], own).settings()[section] == {"allow_all": False, "admin_users": ["ada"]}


def test_nobody_is_an_admin_by_a_name_that_is_for_another_log_in(mounted) -> None:
    c = mounted("production")
    assert [role["users"] for role in c.JupyterHub.load_roles if role["name"] == ADMIN_ROLE] == [["ada"]]
    assert "SharedPasswordAuthenticator" not in c


def test_a_path_of_the_hub_and_an_authenticator_of_ones_own_are_kept() -> None:
    own = {"jupyterhub.hub.config.JupyterHub.authenticator_class": "example.Login", "jupyterhub.hub.baseUrl": "/renku/"}
    said = changed(HELMS[0], own, "production").settings()
    assert said["JupyterHub"]["authenticator_class"] == "example.Login"
    assert said["JupyterHub"]["public_url"] == "https://hub.example.org/renku/"
    assert "GitLabOAuthenticator" not in said


def test_every_setting_can_be_said_by_a_value() -> None:
    said = set().union(*(rendered(HELMS[0], name).settings()["Renku"] for name in SETS))
    more = {"renku.images.registryProxy": "http://proxy:3128"}
    said |= set(changed(HELMS[0], more).settings()["Renku"])
    assert set(Renku.class_trait_names(config=True)) - said == set(ELSEWHERE)
    spawner = set(RenkuSpawner.class_own_traits(config=True))
    label = changed(HELMS[0], {"renku.sessions.hubLabel": "a"}).settings()["RenkuSpawner"]
    assert spawner - set(label) == set()


def test_the_charts_own_values_are_the_codes_defaults() -> None:
    done = rendered(HELMS[0], "trying-out").settings()
    given = done["Renku"]
    traits = Renku.class_traits(config=True)
    defaults = {name: traits[name].default() for name in given}
    assert given.pop("restart_on_change") is not defaults.pop("restart_on_change")  # Kubernetes starts it again
    assert given == {name: list(value) if isinstance(value, set) else value for name, value in defaults.items()}


def test_without_other_environments_the_prepuller_has_the_one_that_the_hub_then_offers() -> None:
    done = rendered(HELMS[0], "own-namespace")
    assert "environments" not in done.settings()["Renku"]
    (ours,) = build_default_environments(done.settings()["Renku"]["image_registry"])
    pulled = done.one("DaemonSet", "try-prepuller")["spec"]["template"]["spec"]["initContainers"]
    assert [one["image"] for one in pulled if one["name"] == f"configured-{ours['key']}"] == [ours["image"]]


@pytest.mark.parametrize("name", MODELS)
def test_the_schema_has_the_keys_of_the_setting_and_no_others(name: str) -> None:
    model = MODELS[name]
    assert set(part(name)["properties"]) == set(model.model_fields)
    required = {key for key, field in model.model_fields.items() if field.is_required()}
    assert set(part(name).get("required", [])) == required
    assert part(name)["additionalProperties"] is False


def test_the_schema_has_the_keys_of_limits_and_tolerations() -> None:
    limits = {re.sub("[A-Z]", lambda big: f"_{big[0].lower()}", key) for key in SCHEMA["limits"]["properties"]}
    assert limits == set(SessionLimitsSetting.model_fields)
    toleration = part("resourceClasses")["properties"]["tolerations"]["items"]
    assert set(toleration["properties"]) == set(TolerationSetting.model_fields)


# Rules about two keys at once, and what patterns cannot say in every language: the hub alone knows them.
ALONE = ("'tolerations.0': ", "'working_directory': Value", "/gpu\\n", "/..")
WRONG = [
    (name, right | change)
    for name, right, rows in (
        ("environments", ENVIRONMENT, WRONG_ENVIRONMENTS),
        ("resourceClasses", CLASS, WRONG_CLASSES),
        ("volumes", VOLUME, WRONG_VOLUMES),
    )
    for change, said in rows
    if re.match(r"(entry 1: )?'", said) and not any(each in f"{said} {change}" for each in ALONE)
]


def test_the_schema_has_the_bounds_of_the_settings() -> None:
    """`python -m tests.chart.schema` writes them."""
    text = bounds.FILE.read_text()
    assert bounds.written(text) == text
    found = dict([*bounds.bounds_of_models(), *bounds.bounds_of_settings()])
    assert found["resourceClasses[].gpu"] == {"minimum": 0, "maximum": 64}
    assert found["gitlab.accessWindow"] == {"minimum": 0, "maximum": 900}
    assert found["idle.pause"]["maximum"] == 366 * 86_400


def refused(**change: Any) -> list[Any]:
    return list(jsonschema.Draft7Validator(part("resourceClasses")).iter_errors(CLASS | change))


@given(
    number=st.one_of(st.integers(0, 10**18).map(str), st.decimals(0, 10**6, places=3).map(str), st.just(".5")),
    suffix=st.sampled_from(["", "n", "u", "m", "k", "M", "G", "T", "P", "Ki", "Mi", "Gi", "Ti", "Pi", "e3", "E-2"]),
    key=st.sampled_from(sorted(RESOURCE_RANGES)),
)
def test_a_quantity_that_the_hub_takes_the_schema_takes(number: str, suffix: str, key: str) -> None:
    low, high, _ = RESOURCE_RANGES[key]
    if low <= parse_quantity(number + suffix) <= high:
        assert refused(**{key: number + suffix}) == []


@pytest.mark.parametrize(
    ("key", "right", "wrong"),
    [
        (
            "cpu",
            ["1024", "0.01", "10m", "1000000m", "1", "1.5", "100m"],
            ["1025", "2000", "0", "-1", "9m", "two", "2 "],
        ),
        ("memory", ["16Mi", "8Gi", "64Ti", "65536Gi", "16777216"], ["8", "0", "65Ti", "65537Gi", "9Mi", "8GB", "1Pi"]),
        ("ephemeral_storage", ["", "0", "0Gi", "16Mi", "10Gi", "1Pi"], ["50", "2Pi", "1Ki", "-1", "ten", "0.5"]),
        ("disk", ["16Mi", "50Gi", "1Pi", "1024Ti"], ["50", "2Pi", "1025Ti", "9Mi", "0Gi"]),
    ],
)
def test_a_quantity_beyond_the_bounds_of_the_hub_is_refused(key: str, right: list[str], wrong: list[str]) -> None:
    assert [each for each in right if refused(**{key: each})] == []
    assert [each for each in wrong if not refused(**{key: each})] == []


@pytest.mark.parametrize(("name", "entry"), WRONG, ids=str)
def test_what_the_hub_would_refuse_the_schema_refuses_before(name: str, entry: dict[str, Any]) -> None:
    schema = jsonschema.Draft7Validator(part(name))
    assert list(schema.iter_errors(entry))
    right = {"environments": ENVIRONMENT, "resourceClasses": CLASS, "volumes": VOLUME}
    assert not list(schema.iter_errors(right[name]))


def test_every_level_of_ours_refuses_what_it_does_not_know() -> None:
    def levels(schema: dict[str, Any], path: str) -> Iterator[tuple[str, Any]]:
        if "properties" in schema:
            yield path, schema.get("additionalProperties")
        for key, each in schema.get("properties", {}).items():
            yield from levels(each, f"{path}.{key}")
        if "items" in schema:
            yield from levels(schema["items"], f"{path}[]")

    found = dict(levels({"properties": SCHEMA, "additionalProperties": False}, "renku"))
    assert len(found) > 10
    assert [path for path, more in found.items() if more is not False] == []
