"""What an admin says of images is taken literally, or the hub does not start."""

import json
from pathlib import Path
from typing import Any

import pytest

from renku_spawner.config.images import (
    JUPYTER_PYTHON_IMAGE_TAG,
    build_default_environments,
    load_registry_credentials_setting,
    parse_image_policy_setting,
    parse_platforms_setting,
    parse_registry_proxy_setting,
)
from renku_spawner.config.renku import Renku
from renku_spawner.domain.images import ImagePolicy
from renku_spawner.integrations.registry.client import RegistryClient

from .test_settings import renku, said

WRONG_POLICIES = [
    ({"alowed": ["quay.io"]}, "'alowed' is not known; known are allowed, denied, hosts, plain_http, outside."),
    ({"deny": []}, "'deny' is not known"),
    ({"allowed": "quay.io"}, "'allowed'"),
    ({"allowed": None}, "'allowed'"),
    ({"denied": [3]}, "'denied.0'"),
    ({"allowed": ["https://quay.io"]}, "'https://quay.io' is not a pattern such as quay.io, *.example.org or"),
    ({"denied": ["quay.io/a:1"]}, "'quay.io/a:1' is not a pattern"),
    ({"denied": ["Quay.io"]}, "'Quay.io' is not a pattern"),
    ({"allowed": ["quay.io", "quay.io"]}, "'quay.io' is listed twice."),
    ({"allowed": ["quay.io"], "denied": ["quay.io"]}, "'quay.io' is both allowed and denied."),
    ({"hosts": ["https://registry.internal"]}, "'https://registry.internal' is neither `host` nor `host:port`"),
    ({"hosts": ["registry.internal/x"]}, "'registry.internal/x' is neither"),
    ({"hosts": ["Registry.internal"]}, "'Registry.internal' is neither"),
    ({"plain_http": ["*"]}, "'*' is neither"),
    ({"plain_http": ["localhost:0"]}, "'localhost:0' is neither"),
    ({"outside": ["alice"]}, "outside has no effect while all images are allowed; set allowed too."),
    ({"allowed": [], "outside": [""]}, "'' is neither a user name nor group:<name> (in outside)."),
    ({"allowed": [], "outside": ["group:"]}, "'group:' is neither a user name"),
]


@pytest.mark.parametrize(("policy", "sentence"), WRONG_POLICIES)
def test_a_policy_that_cannot_be_meant_is_named(policy: dict[str, Any], sentence: str) -> None:
    text = said(parse_image_policy_setting, policy)
    assert text.startswith("Renku.image_policy")
    assert sentence in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("platforms", "sentence"),
    [
        ([], "Renku.platforms is empty: no image could run."),
        (["amd64"], "Renku.platforms: 'amd64' is not a platform such as linux/amd64."),
        (["windows/amd64"], "Renku.platforms: 'windows/amd64' is not a platform such as linux/amd64."),
        (["linux/amd64\n"], "Renku.platforms: 'linux/amd64\\n' is not a platform such as linux/amd64."),
        (["linux/arm64", "linux/arm64"], "Renku.platforms: 'linux/arm64' is listed twice."),
    ],
)
def test_a_platform_that_no_machine_has_is_named(platforms: list[str], sentence: str) -> None:
    assert said(parse_platforms_setting, platforms) == sentence


@pytest.mark.parametrize("proxy", ["proxy", "https://proxy:3128", "http://proxy", "http://a:hunter2@proxy:3128"])
def test_a_proxy_that_would_not_be_used_is_named(proxy: str) -> None:
    assert said(parse_registry_proxy_setting, proxy).startswith("Renku.registry_proxy: ")


def test_what_is_right_becomes_the_policy(tmp_path: Path) -> None:
    said = {
        "allowed": ["quay.io/jupyter/*", "registry.internal:5000", "[::1]:5000"],
        "denied": ["quay.io/jupyter/old*"],
        "hosts": ["registry.internal:5000", "[::1]:5000", "10.1.2.3"],
        "plain_http": ["localhost:5000"],
        "outside": ["alice", "group:imaging"],
    }
    made = renku(
        tmp_path, image_policy=said, platforms=["linux/arm64", "linux/arm/v7"], image_big=1.5, image_checks_per_minute=7
    )
    policy = made.context.policy
    assert policy.images == ImagePolicy(**{key: tuple(value) for key, value in said.items()})
    assert policy.platforms == ("linux/arm64", "linux/arm/v7")
    assert (policy.image_big, policy.image_checks_per_minute) == (1_500_000_000, 7)


def test_by_default_everybody_brings_any_public_image_for_the_usual_machines(tmp_path: Path) -> None:
    policy = renku(tmp_path).context.policy
    assert policy.images == ImagePolicy(allowed=("*",))
    assert (policy.platforms, policy.image_big) == (("linux/amd64",), 3_000_000_000)


@pytest.mark.parametrize(
    "setting",
    [{"image_policy": {"alowed": []}}, {"platforms": []}, {"registry_proxy": "proxy"}, {"registry_credentials": "/no"}],
)
def test_the_hub_does_not_start_with_a_wrong_setting(setting: dict[str, Any], tmp_path: Path) -> None:
    (name,) = setting
    assert said(lambda: renku(tmp_path, **setting)).startswith(f"Renku.{name}")


def credentials(tmp_path: Path, **auths: Any) -> str:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"auths": auths}))
    return str(file)


def test_credentials_are_read_from_the_mounted_file(tmp_path: Path) -> None:
    path = credentials(tmp_path, **{"registry.internal": {"username": "reader", "password": "hunter2"}})
    assert load_registry_credentials_setting(path) == {"registry.internal": ("reader", "hunter2")}
    assert load_registry_credentials_setting("") == {}


def test_credentials_that_cannot_be_used_are_told_without_their_secret(tmp_path: Path) -> None:
    path = credentials(tmp_path, **{"registry.internal/team": {"username": "reader", "password": "hunter2"}})
    text = said(load_registry_credentials_setting, path)
    assert text.startswith("Renku.registry_credentials: Credentials for 'registry.internal/team'")
    assert "hunter2" not in text


async def test_registries_are_asked_as_the_settings_say(tmp_path: Path) -> None:
    made = renku(tmp_path, image_policy={"plain_http": ["localhost:5000"]}, registry_proxy="http://proxy:3128")
    assert isinstance(made, Renku)
    client = made.build_registry_client()
    assert isinstance(client, RegistryClient)
    assert client._guard.get_scheme("localhost:5000") == "http"
    await client.close()


def test_our_own_environment_is_on_offer_as_soon_as_somebody_says_where_it_is(tmp_path: Path) -> None:
    (own,) = renku(tmp_path, image_registry="registry.example.org/renku").configured
    assert own.image == f"registry.example.org/renku/jupyter-python:{JUPYTER_PYTHON_IMAGE_TAG}"
    assert (own.run.uid, own.run.gid, own.run.default_url) == (1000, 100, "/lab")


def test_without_a_place_for_it_or_with_others_it_is_not(tmp_path: Path) -> None:
    assert renku(tmp_path).configured == ()
    other = [{"key": "r", "name": "R", "image": "docker.io/rocker/geospatial:4.5.2"}]
    made = renku(tmp_path, image_registry="registry.example.org/renku", environments=other)
    assert [each.key for each in made.configured] == ["r"]


@pytest.mark.parametrize("registry", ["https://registry.example.org", "registry.example.org/renku/", "a b"])
def test_a_place_for_it_that_cannot_be_is_named(registry: str) -> None:
    assert said(build_default_environments, registry).startswith("Renku.image_registry: ")


def test_the_tag_is_the_one_that_its_dockerfile_and_the_chart_have() -> None:
    helm = Path(__file__).parents[2] / "helm"
    assert f"ARG TAG={JUPYTER_PYTHON_IMAGE_TAG}\n" in (helm / "environments/jupyter-python/Dockerfile").read_text()
    assert f"jupyter-python:{JUPYTER_PYTHON_IMAGE_TAG}" in (helm / "renku-hub/templates/_names.tpl").read_text()
