"""Validate values of settings with pydantic models and convert them for the hub's policy.

It also has the settings of downloads and of the start queue.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from traitlets import Float, Integer
from traitlets.config import LoggingConfigurable

from ..domain.environments import RunConfiguration
from ..domain.errors import InvalidInputError, SettingError
from ..domain.expiry import MIN_EXPIRY_DAYS
from ..domain.images import parse_image_reference
from ..domain.projections import list_input_fields, to_domain_values, with_fields
from ..domain.resource_classes import (
    ResourceClass,
    ResourceRequirements,
    check_ephemeral_storage,
    check_resource_requirements,
)
from ..domain.text import clean_description, clean_keywords, clean_title
from ..usecases.environments import ConfiguredEnvironment


class DownloadSettings(LoggingConfigurable):
    """Settings of `c.Renku` about downloads of session files."""

    downloads = Integer(
        4,
        min=0,
        config=True,
        help="""
        Maximum number of users who can download the files of a session at the same time, one download each. The files
        are streamed through the hub. 0 disables downloads.
        """,
    )
    download_min_rate = Integer(
        20_000,
        min=0,
        config=True,
        help="""
        Minimum rate of a download in bytes per second, averaged over `download_rate_window` while the hub waits for the
        client. A slower download is aborted, so that other users can download. With 0 a download is aborted only if the
        client has received nothing for that time.
        """,
    )
    download_rate_window = Float(
        120.0,
        min=1.0,
        config=True,
        help="Number of seconds of waiting for the client over which `download_min_rate` is measured.",
    )


M = TypeVar("M", bound=BaseModel)
_HOST_PATTERN = re.compile(r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?|(?=.*:.*:)[0-9a-f:.]+)(:[0-9]{1,5})?")
# Keys of labels and taints, and names of extended resources, which always have a prefix:
# https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
_LABEL_NAME_REGEX = r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_LABEL_PREFIX_REGEX = r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/"
_LABEL_KEY_REGEX, _LABEL_KEY_OR_NONE_REGEX = (
    rf"^({_LABEL_PREFIX_REGEX})?{_LABEL_NAME_REGEX}$",
    rf"^(({_LABEL_PREFIX_REGEX})?{_LABEL_NAME_REGEX})?$",
)
_LABEL_VALUE_REGEX, _RESOURCE_REGEX = rf"^({_LABEL_NAME_REGEX})?$", rf"^{_LABEL_PREFIX_REGEX}{_LABEL_NAME_REGEX}$"


class SettingModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProjectedSettingModel(SettingModel):
    """A schema that has fields from a class of the domain, by `with_fields`; those with limits it declares itself."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...


class TolerationSetting(SettingModel):
    """Schema of an entry in a class's `tolerations`, as in a pod.

    See https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/.
    """

    key: str = Field("", pattern=_LABEL_KEY_OR_NONE_REGEX)
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str = Field("", pattern=_LABEL_VALUE_REGEX)
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""
    tolerationSeconds: int | None = None

    @model_validator(mode="after")
    def _check_toleration(self) -> Self:
        if self.operator == "Exists" and self.value:
            raise ValueError("with the operator Exists there is no value")
        if not self.key and self.operator != "Exists":
            raise ValueError("without a key the operator is Exists")
        if self.tolerationSeconds is not None and self.effect != "NoExecute":
            raise ValueError("tolerationSeconds go with the effect NoExecute")
        return self

    def to_value(self) -> dict[str, Any]:
        """Return it as a pod has it."""
        return self.model_dump(exclude_defaults=True)


@with_fields(list_input_fields(ResourceClass, {}))
class ResourceClassSetting(ProjectedSettingModel):
    """Schema of an entry in `Renku.resource_classes`; sizes are Kubernetes quantities."""

    name: str = Field(min_length=1, max_length=40)
    gpu_resource: str = Field("nvidia.com/gpu", pattern=_RESOURCE_REGEX)
    node_selector: dict[
        Annotated[str, Field(pattern=_LABEL_KEY_REGEX)], Annotated[str, Field(pattern=_LABEL_VALUE_REGEX)]
    ] = {}
    tolerations: list[TolerationSetting] = []
    idle_pause: int | None = Field(None, ge=0, le=366 * 86_400)
    expire_paused_days: int | None = Field(None, ge=0, le=36_500)

    @field_validator("expire_paused_days")
    @classmethod
    def _check_expire_paused_days(cls, value: int | None) -> int | None:
        if value and value < MIN_EXPIRY_DAYS:
            raise ValueError(f"use 0 for never, or at least {MIN_EXPIRY_DAYS} days")
        return value


class EnvironmentSetting(SettingModel):
    """Schema of an entry in `Renku.environments`; `key` identifies it when its name changes."""

    key: str = Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")
    name: str
    image: str
    description: str = ""
    keywords: list[str] = []
    icon: str = ""
    default_url: str = Field("/lab", pattern=r"^/([^/\\\s][^\\\s]*)?$")
    port: int = Field(8888, ge=1, le=65535)
    command: list[str] = []
    arguments: list[str] = []
    working_directory: str = Field("/work", pattern=r"^/work(/[A-Za-z0-9._-]+)*$")
    uid: int | None = Field(None, ge=1000)
    gid: int | None = Field(None, ge=0)
    idle_pause: int | None = Field(None, ge=0, le=366 * 86_400)

    @field_validator("working_directory")
    @classmethod
    def _check_working_directory(cls, value: str) -> str:
        if {".", ".."} & set(value.split("/")):
            raise ValueError("this is outside of /work")
        return value


class SessionLimitsSetting(SettingModel):
    """Schema of `Renku.session_limits`; None is no limit."""

    running: int | None = Field(None, ge=1)
    kept: int | None = Field(None, ge=1)
    projects: int | None = Field(None, ge=1)
    per_project: int | None = Field(None, ge=1)
    writes_per_minute: int | None = Field(None, ge=1, le=10_000)  # as many timestamps are kept in memory for each user


def parse_resource_classes_setting(entries: Sequence[Mapping[str, Any]]) -> tuple[ResourceClass, ...]:
    """Parse `Renku.resource_classes`. Raises SettingError."""
    read = [
        validate_setting_entry(ResourceClassSetting, "resource_classes", number, entry)
        for number, entry in enumerate(entries, 1)
    ]
    if not read:
        raise SettingError("Renku.resource_classes is empty: no session could start.")
    require_unique_entries("resource_classes", [setting.name for setting in read])
    return tuple(_build_resource_class(setting) for setting in read)


def _build_resource_class(setting: ResourceClassSetting) -> ResourceClass:
    fields = to_domain_values(ResourceClass, setting)
    sizes = ResourceRequirements(cpu=setting.cpu, memory=setting.memory, gpu=setting.gpu, disk=setting.disk)
    with convert_to_setting_error("resource_classes", setting.name):
        fields["name"] = clean_title(setting.name, field="name")
        check_resource_requirements(sizes)
        fields["ephemeral_storage"] = check_ephemeral_storage(setting.ephemeral_storage)
    return ResourceClass(**fields)


def parse_environments_setting(entries: Sequence[Mapping[str, Any]]) -> tuple[ConfiguredEnvironment, ...]:
    """Parse `Renku.environments`. Raises SettingError."""
    read = [
        validate_setting_entry(EnvironmentSetting, "environments", number, entry)
        for number, entry in enumerate(entries, 1)
    ]
    require_unique_entries("environments", [setting.key for setting in read])
    return tuple(_parse_environment_setting(setting) for setting in read)


def _parse_environment_setting(setting: EnvironmentSetting) -> ConfiguredEnvironment:
    run = RunConfiguration(
        default_url=setting.default_url,
        port=setting.port,
        command=tuple(setting.command),
        arguments=tuple(setting.arguments),
        working_directory=setting.working_directory,
        uid=setting.uid,
        gid=setting.gid,
        idle_pause=setting.idle_pause,
    )
    with convert_to_setting_error("environments", setting.key):
        parse_image_reference(setting.image)
        return ConfiguredEnvironment(
            key=setting.key,
            name=clean_title(setting.name, field="name"),
            image=setting.image,
            description=clean_description(setting.description),
            keywords=clean_keywords(setting.keywords),
            icon=setting.icon,
            run=run,
        )


def parse_session_limits_setting(entry: Mapping[str, Any]) -> SessionLimitsSetting:
    """Parse `Renku.session_limits`. Raises SettingError."""
    read = validate_setting_entry(SessionLimitsSetting, "session_limits", None, entry)
    if read.running and read.kept and read.running > read.kept:
        raise SettingError(
            f"Renku.session_limits: running ({read.running}) is more than kept ({read.kept}), which counts those too."
        )
    return read


def parse_hosts_setting(entries: Iterable[str], *, name: str = "repository_hosts") -> frozenset[str]:
    """Parse the hosts of the setting *name*. Raises SettingError."""
    for entry in sorted(entries):
        if not _HOST_PATTERN.fullmatch(entry):
            raise SettingError(
                f"Renku.{name}: {entry!r} is neither `host` nor `host:port` in lower case, without https://."
            )
    return frozenset(entries)


def check_start_timeouts(*, start_timeout: int, start_timeout_max: int) -> int:
    """Return *start_timeout* in seconds. Raises SettingError if it is longer than *start_timeout_max*."""
    if start_timeout > start_timeout_max:
        raise SettingError(
            f"Renku.start_timeout ({start_timeout}) is longer than Renku.start_timeout_max ({start_timeout_max})."
        )
    return start_timeout


def check_setting_names(section: Mapping[str, Any], traits: Iterable[str]) -> None:
    """Raise SettingError for a misspelt `c.Renku.…`: traitlets would only warn, and a limit would not apply."""
    names = sorted(traits)
    unknown = sorted(set(section) - set(names))
    if unknown:
        matches = get_close_matches(unknown[0], names, 1)
        hint = f" Did you mean Renku.{matches[0]}?" if matches else ""
        raise SettingError(f"There is no setting Renku.{unknown[0]}.{hint} Known are {', '.join(names)}.")


def validate_setting_entry(model: type[M], setting: str, number: int | None, entry: Mapping[str, Any]) -> M:
    """Validate one entry of a setting. Raises SettingError.

    *number* is its position in a list, counted from 1; None for a setting that is not a list.
    """
    where = f"Renku.{setting}" if number is None else f"Renku.{setting}, entry {number}"
    try:
        return model.model_validate(dict(entry), strict=True)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise SettingError(f"{where}: {_format_validation_error(model, first)}") from None


def _format_validation_error(model: type[BaseModel], problem: Mapping[str, Any]) -> str:
    key = ".".join(map(str, problem["loc"]))
    fields = (TolerationSetting if len(problem["loc"]) > 1 else model).model_fields
    messages = {
        "extra_forbidden": f"{key!r} is not known; known are {', '.join(fields)}.",
        "missing": f"{key!r} is missing.",
    }
    return messages.get(problem["type"], f"{key!r}: {problem['msg'].removeprefix('Value error, ')}.")


@contextmanager
def convert_to_setting_error(setting: str, name: str) -> Iterator[None]:
    """Convert InvalidInputError of a form's validation to SettingError, with the same message as on the page."""
    try:
        yield
    except InvalidInputError as problem:
        key, sentence = next(iter(problem.fields.items()), ("", problem.message))
        raise SettingError(f"Renku.{setting}: {key} of {name!r}: {sentence}") from None


def require_unique_entries(setting: str, names: Sequence[str]) -> None:
    """Raise SettingError if one of *names* is listed twice."""
    for name in names:
        if list(names).count(name) > 1:
            raise SettingError(f"Renku.{setting}: {name!r} is listed twice.")


class StartQueueSettings(LoggingConfigurable):
    """Settings of `c.Renku` about the start queue."""

    queue_limit = Integer(
        1000,
        min=0,
        config=True,
        help="""
        Maximum length of the start queue. Starts are queued while the hub starts as many servers as
        `JupyterHub.concurrent_spawn_limit` allows, or runs as many as `active_server_limit` allows. Queued starts begin
        automatically, fairly between users. If the queue is full, further starts are refused and can be tried again
        later. 0 disables the queue.
        """,
    )
