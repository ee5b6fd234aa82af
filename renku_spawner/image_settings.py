"""The settings about images: which may be brought, from where, and who vouches for them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from traitlets import Bool, Dict, Float, Integer, List, Unicode
from traitlets.config import LoggingConfigurable

from .domain.errors import Invalid
from .domain.image import parse
from .domain.image_policy import GROUP, ImagePolicy
from .registry import credentials
from .registry.client import Client
from .registry.git import GitServers
from .registry.guard import Guard
from .settings import Setting, SettingError, once, validated

_HOST = re.compile(r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(:[1-9][0-9]{0,4})?")
_PERSON = re.compile(rf"(?!{GROUP}\Z)\S(.*\S)?")
_PLATFORM = re.compile(r"linux/[a-z0-9]+(/v[0-9]+)?")
_PROXY = re.compile(r"http://[A-Za-z0-9.\[\]:-]+:[0-9]{1,5}/?")
OWN_TAG = "2026-11-28"  # of helm/environments/jupyter-python, as its Dockerfile has it


class ImageSettings(LoggingConfigurable):
    """Those of the settings of `c.Renku` that are about images."""

    image_policy = Dict(
        config=True,
        help="""
        Which images people may bring for a session of their own; ready-made
        environments are not bound to it. By default any public image on any public
        registry. All keys are lists and may be left out:

        `allowed` and `denied` are patterns of names, either of a registry (`quay.io`) or
        of what is in it (`quay.io/jupyter/*`, `docker.io/library/*`); `*` stands for any
        characters, in the registry's part for any but a slash. With `allowed` nothing
        else is; an empty one lets nobody bring an image. `denied` holds for everybody.
        `outside`: user names and `group:<name>` who are not bound to `allowed`.
        `hosts`: registries (`host` or `host:port`) that may be asked although they have
        private addresses or another port than 443; `plain_http`: those without TLS.
        Listing a host lets everybody make the hub connect to it.

        For example::

            c.Renku.image_policy = {
                "allowed": ["quay.io/jupyter/*", "ghcr.io/our-group/*", "registry.internal:5000"],
                "hosts": ["registry.internal:5000"],
                "outside": ["group:imaging"],
            }
        """,
    )
    image_registry = Unicode(
        config=True,
        help="""
        Where the images that `make images` builds were pushed, such as
        `registry.example.org/renku`: nobody publishes them. `Renku.environments` is by
        default our own environment from there, and empty without.
        """,
    )
    platforms = List(
        Unicode(),
        default_value=["linux/amd64"],
        config=True,
        help="""
        Platforms of the machines that run sessions, the preferred first, such as
        `["linux/amd64", "linux/arm64"]`. An image for none of them is refused.
        """,
    )
    registry_credentials = Unicode(
        config=True,
        help="""
        Path of a mounted `.dockerconfigjson` with read credentials for registries.
        They are used for ready-made environments only, and sent to the host that they
        are for only; images that people bring are always asked for anonymously.
        """,
    )
    registry_proxy = Unicode(
        config=True,
        help="Proxy (`http://host:port`) through which registries are asked; none by default.",
    )
    image_big = Float(
        3.0, min=0.001, config=True, help="Compressed size in GB from which a slow first start is announced."
    )
    image_checks_per_minute = Integer(
        30, min=1, max=10_000, config=True, help="How often one user may have an image checked in a minute."
    )

    registries_asked = Bool(
        True,
        config=True,
        help="""
        Whether the hub asks registries about images, and git servers about the
        repositories that are added to projects in GitLab. Without it, where the hub may
        not connect to them, images are saved and started unchecked, by their tags.
        """,
    )

    def registry(self) -> Client | None:
        """Asks registries as these settings say. Raises SettingError."""
        policy, proxy = image_policy(self.image_policy), registry_proxy(self.registry_proxy)
        known = registry_credentials(self.registry_credentials)
        if not self.registries_asked:
            return None
        guard = Guard(hosts=policy.hosts, plain_http=policy.plain_http, proxy=proxy)
        return Client(guard, platforms(self.platforms), credentials=known)

    def git_servers(self, hosts: Collection[str]) -> GitServers | None:
        """Asks git servers, public ones and *hosts*, on the same way out. Raises SettingError."""
        if not self.registries_asked:
            return None
        return GitServers(Guard(hosts=hosts, plain_http=hosts, proxy=registry_proxy(self.registry_proxy)))


def own_environments(registry: str) -> list[dict[str, Any]]:
    """The default of `Renku.environments`: what this repository builds, in *registry*. Raises SettingError."""
    if not registry:
        return []
    image = f"{registry}/jupyter-python:{OWN_TAG}"
    try:
        parse(image)
    except Invalid as problem:
        raise SettingError(f"Renku.image_registry: {registry!r} cannot be: {problem.message}") from None
    return [
        {
            "key": "jupyter-python",
            "name": "Jupyter Python",
            "image": image,
            "description": "JupyterLab with NumPy, SciPy, pandas, Matplotlib, scikit-learn and git.",
            "keywords": ["python", "jupyter"],
            "uid": 1000,
            "gid": 100,
        }
    ]


class PolicySetting(Setting):
    """`Renku.image_policy`."""

    allowed: list[str] = ["*"]
    denied: list[str] = []
    hosts: list[str] = []
    plain_http: list[str] = []
    outside: list[str] = []


def image_policy(entry: Mapping[str, Any]) -> ImagePolicy:
    """The value of `Renku.image_policy`. Raises SettingError."""
    read = validated(PolicySetting, "image_policy", None, entry)
    lists = {key: tuple(value) for key, value in read.model_dump().items()}
    for key, values in lists.items():
        once(f"image_policy[{key!r}]", values)
    try:
        policy = ImagePolicy(**lists)
    except Invalid as problem:
        raise SettingError(f"Renku.image_policy: {problem.message}") from None
    _consistent(policy)
    return policy


def _consistent(policy: ImagePolicy) -> None:
    _check_each("neither `host` nor `host:port` in lower case, without https://", policy.hosts, _HOST)
    _check_each("neither `host` nor `host:port` in lower case, without https://", policy.plain_http, _HOST)
    _check_each("in outside neither a user's name nor group:<name>", policy.outside, _PERSON)
    both = sorted(set(policy.allowed) & set(policy.denied))
    if both:
        raise SettingError(f"Renku.image_policy: {both[0]!r} is both allowed and denied.")
    if policy.outside and policy.open:
        raise SettingError("Renku.image_policy: outside means nothing while everything is allowed; set allowed too.")


def _check_each(otherwise: str, entries: Sequence[str], expected: re.Pattern[str]) -> None:
    for entry in entries:
        if not expected.fullmatch(entry):
            raise SettingError(f"Renku.image_policy: {entry!r} is {otherwise}.")


def platforms(entries: Sequence[str]) -> tuple[str, ...]:
    """The value of `Renku.platforms`. Raises SettingError."""
    if not entries:
        raise SettingError("Renku.platforms is empty: no image could run.")
    for entry in entries:
        if not _PLATFORM.fullmatch(entry):
            raise SettingError(f"Renku.platforms: {entry!r} is not a platform such as linux/amd64.")
    once("platforms", entries)
    return tuple(entries)


def registry_credentials(path: str) -> dict[str, tuple[str, str]]:
    """User and password per host of the file at *path*, none without one.

    Raises:
        SettingError: it cannot be read, or says something that would not be used; no secret is repeated.
    """
    if not path:
        return {}
    try:
        return credentials.read(Path(path))
    except OSError as problem:
        raise SettingError(f"Renku.registry_credentials: {path!r} cannot be read: {problem.strerror}.") from None
    except ValueError as problem:
        raise SettingError(f"Renku.registry_credentials: {problem}.") from None


def registry_proxy(address: str) -> str:
    """The value of `Renku.registry_proxy`. Raises SettingError."""
    if address and not _PROXY.fullmatch(address):
        raise SettingError(f"Renku.registry_proxy: {address!r} is not an address such as http://proxy:3128.")
    return address
