"""Settings of `c.Renku` about images: policy, platforms, registries and CI images."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from traitlets import Bool, Dict, Float, Integer, List, Unicode
from traitlets.config import LoggingConfigurable

from ..domain.ci_images import CiRules
from ..domain.errors import InvalidInputError, SettingError
from ..domain.images import GROUP_PREFIX, ImagePolicy, parse_image_reference
from ..domain.projections import list_input_fields, with_fields
from ..integrations.git_server import GitServerClient
from ..integrations.net.guarded_http import EgressGuard
from ..integrations.registry.client import RegistryClient
from ..integrations.registry.login import load_registry_credentials
from .parsing import SettingModel, require_unique_entries, validate_setting_entry

_MIN_WEBHOOK_SECRET_LENGTH = 16  # characters of a secret that is sent over the network


class CiSettings(LoggingConfigurable):
    """Settings of `c.Renku` about images that GitLab CI builds."""

    ci_tag_pattern = Unicode(
        config=True,
        help="""
        Regular expression for image tags that name the commit they were built from, with a group `commit` of at least 7
        hexadecimal characters. Tags that are a commit themselves, in 7, 8 or 40 characters, are always recognised. For
        example `r"build-[0-9-]+-(?P<commit>[0-9a-f]{7,40})"`.
        """,
    )
    ci_protected_refs_only = Bool(
        False,
        config=True,
        help="Offer only CI images of commits for which a pipeline has run on a protected branch.",
    )
    webhook_secret = Unicode(
        config=True,
        help="""
        Secret token of GitLab webhooks that announce new images at `{hub}/api/renku/gitlab-hook`; at least 16
        characters. By default there is none: the endpoint is disabled, and new images are noticed within ten minutes.
        """,
    )

    def build_ci_rules(self) -> CiRules:
        """Return the rules for CI images. Raises SettingError."""
        return CiRules(pattern=_compile_tag_pattern(self.ci_tag_pattern), protected_only=self.ci_protected_refs_only)

    def get_webhook_secret(self) -> str:
        """Return the webhooks' secret, empty without one. Raises SettingError, which does not contain the secret."""
        if self.webhook_secret and len(self.webhook_secret) < _MIN_WEBHOOK_SECRET_LENGTH:
            raise SettingError(f"Renku.webhook_secret is too short: at least {_MIN_WEBHOOK_SECRET_LENGTH} characters.")
        return self.webhook_secret


def _compile_tag_pattern(text: str) -> re.Pattern[str] | None:
    if not text:
        return None
    try:
        pattern = re.compile(text)
    except re.error as problem:
        raise SettingError(f"Renku.ci_tag_pattern is not a valid regular expression: {problem}.") from None
    if "commit" not in pattern.groupindex:
        raise SettingError("Renku.ci_tag_pattern has no group named commit: (?P<commit>[0-9a-f]{8}).")
    return pattern


_REGISTRY_HOST_PATTERN = re.compile(r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(:[1-9][0-9]{0,4})?")
_USER_OR_GROUP_PATTERN = re.compile(rf"(?!{GROUP_PREFIX}\Z)\S(.*\S)?")
_PLATFORM_NAME_PATTERN = re.compile(r"linux/[a-z0-9]+(/v[0-9]+)?")
_PROXY_URL_PATTERN = re.compile(r"http://[A-Za-z0-9.\[\]:-]+:[0-9]{1,5}/?")
JUPYTER_PYTHON_IMAGE_TAG = "2026-11-28"  # of helm/environments/jupyter-python; the same as in its Dockerfile


class ImageSettings(LoggingConfigurable):
    """Settings of `c.Renku` about images and registries."""

    image_policy = Dict(
        config=True,
        help="""
        Which images users may use for their own sessions; ready-made environments are not limited by it. By default any
        public image in any public registry. All keys are lists and optional:

        `allowed` and `denied` are patterns of a registry (`quay.io`) or of images in it (`quay.io/jupyter/*`,
        `docker.io/library/*`). `*` matches any characters, in the registry's part any except a slash. If `allowed` is
        set, only matching images are allowed; an empty list allows none. `denied` applies to all users.
        `outside`: user names and `group:<name>` to which `allowed` does not apply.
        `hosts`: registries (`host` or `host:port`) that the hub may connect to although they have private addresses or
        another port than 443; `plain_http`: registries without TLS. Listing a host lets every user make the hub connect
        to it.

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
        Registry and path to which you have pushed the images that `make images` builds, such as
        `registry.example.org/renku`; they are not published elsewhere. If set, the default of `Renku.environments` is
        the environment *Jupyter Python* from there; otherwise it is empty.
        """,
    )
    platforms = List(
        Unicode(),
        default_value=["linux/amd64"],
        config=True,
        help="""
        Platforms of the nodes that run sessions, the preferred one first, such as `["linux/amd64", "linux/arm64"]`.
        Images for other platforms are refused.
        """,
    )
    registry_credentials = Unicode(
        config=True,
        help="""
        Path of a mounted `.dockerconfigjson` with read credentials for registries. The credentials are used only for
        ready-made environments and sent only to their own host; images of users are always requested anonymously.
        """,
    )
    registry_proxy = Unicode(
        config=True,
        help="HTTP proxy (`http://host:port`) for requests to registries; none by default.",
    )
    image_big = Float(
        3.0, min=0.001, config=True, help="Compressed image size in GB that announces a slow first start to users."
    )
    image_checks_per_minute = Integer(
        30, min=1, max=10_000, config=True, help="Maximum number of image checks per user and minute."
    )

    registries_asked = Bool(
        True,
        config=True,
        help="""
        Let the hub request images from registries, and repositories that are added to projects from git servers.
        Set it to `False` if the hub cannot connect to them: images are then saved and started by tag, and
        repositories saved, without a check.
        """,
    )

    def build_registry_client(self) -> RegistryClient | None:
        """Return a registry client for these settings; None if `registries_asked` is off. Raises SettingError."""
        policy, proxy = parse_image_policy_setting(self.image_policy), parse_registry_proxy_setting(self.registry_proxy)
        credentials = load_registry_credentials_setting(self.registry_credentials)
        if not self.registries_asked:
            return None
        guard = EgressGuard(hosts=policy.hosts, plain_http=policy.plain_http, proxy=proxy)
        return RegistryClient(guard, parse_platforms_setting(self.platforms), credentials=credentials)

    def build_git_servers(self, hosts: Collection[str]) -> GitServerClient | None:
        """Return a client for public git servers and *hosts*, with the proxy of registries. Raises SettingError."""
        if not self.registries_asked:
            return None
        return GitServerClient(
            EgressGuard(hosts=hosts, plain_http=hosts, proxy=parse_registry_proxy_setting(self.registry_proxy))
        )


def build_default_environments(registry: str) -> list[dict[str, Any]]:
    """Return the default of `Renku.environments`: the image that `make images` builds, in *registry*.

    Raises:
        SettingError: *registry* is not a valid image prefix.
    """
    if not registry:
        return []
    image = f"{registry}/jupyter-python:{JUPYTER_PYTHON_IMAGE_TAG}"
    try:
        parse_image_reference(image)
    except InvalidInputError as problem:
        raise SettingError(f"Renku.image_registry: {registry!r} is not valid: {problem.message}") from None
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


@with_fields(list_input_fields(ImagePolicy, {}))
class ImagePolicySetting(SettingModel):
    """Schema of `Renku.image_policy`."""


def parse_image_policy_setting(entry: Mapping[str, Any]) -> ImagePolicy:
    """Parse `Renku.image_policy`. Raises SettingError."""
    read = validate_setting_entry(ImagePolicySetting, "image_policy", None, entry)
    lists = {key: tuple(value) for key, value in read.model_dump().items()}
    for key, values in lists.items():
        require_unique_entries(f"image_policy[{key!r}]", values)
    try:
        policy = ImagePolicy(**lists)
    except InvalidInputError as problem:
        raise SettingError(f"Renku.image_policy: {problem.message}") from None
    _check_image_policy(policy)
    return policy


def _check_image_policy(policy: ImagePolicy) -> None:
    _check_policy_entries(
        "neither `host` nor `host:port` in lower case, without https://", policy.hosts, _REGISTRY_HOST_PATTERN
    )
    _check_policy_entries(
        "neither `host` nor `host:port` in lower case, without https://", policy.plain_http, _REGISTRY_HOST_PATTERN
    )
    _check_policy_entries("neither a user name nor group:<name> (in outside)", policy.outside, _USER_OR_GROUP_PATTERN)
    both = sorted(set(policy.allowed) & set(policy.denied))
    if both:
        raise SettingError(f"Renku.image_policy: {both[0]!r} is both allowed and denied.")
    if policy.outside and policy.allows_all:
        raise SettingError("Renku.image_policy: outside has no effect while all images are allowed; set allowed too.")


def _check_policy_entries(otherwise: str, entries: Sequence[str], expected: re.Pattern[str]) -> None:
    for entry in entries:
        if not expected.fullmatch(entry):
            raise SettingError(f"Renku.image_policy: {entry!r} is {otherwise}.")


def parse_platforms_setting(entries: Sequence[str]) -> tuple[str, ...]:
    """Parse `Renku.platforms`. Raises SettingError."""
    if not entries:
        raise SettingError("Renku.platforms is empty: no image could run.")
    for entry in entries:
        if not _PLATFORM_NAME_PATTERN.fullmatch(entry):
            raise SettingError(f"Renku.platforms: {entry!r} is not a platform such as linux/amd64.")
    require_unique_entries("platforms", entries)
    return tuple(entries)


def load_registry_credentials_setting(path: str) -> dict[str, tuple[str, str]]:
    """Return user name and password by host from the file at *path*; empty without a path.

    Raises:
        SettingError: the file cannot be read or has entries that would be ignored; the message contains no secret.
    """
    if not path:
        return {}
    try:
        return load_registry_credentials(Path(path))
    except OSError as problem:
        raise SettingError(f"Renku.registry_credentials: {path!r} cannot be read: {problem.strerror}.") from None
    except ValueError as problem:
        raise SettingError(f"Renku.registry_credentials: {problem}.") from None


def parse_registry_proxy_setting(address: str) -> str:
    """Check `Renku.registry_proxy` and return it. Raises SettingError."""
    if address and not _PROXY_URL_PATTERN.fullmatch(address):
        raise SettingError(f"Renku.registry_proxy: {address!r} is not an address such as http://proxy:3128.")
    return address
