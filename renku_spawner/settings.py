"""Reads what an admin wrote into the settings, and refuses what is misspelt or impossible."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from .domain import image, resources, text
from .domain.environment import RunConfiguration
from .domain.errors import Invalid
from .domain.expiry import LEAST_DAYS
from .domain.resources import Requirements, ResourceClass
from .services.environments import Configured

M = TypeVar("M", bound=BaseModel)
_HOST = re.compile(r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?|(?=.*:.*:)[0-9a-f:.]+)(:[0-9]{1,5})?")
# Names of labels and taints, and of extended resources, which always have a prefix:
# https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
_NAME = r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_PREFIX = r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/"
_LABEL_KEY, _LABEL_KEY_OR_NONE = rf"^({_PREFIX})?{_NAME}$", rf"^(({_PREFIX})?{_NAME})?$"
_LABEL_VALUE, _RESOURCE = rf"^({_NAME})?$", rf"^{_PREFIX}{_NAME}$"


class SettingError(ValueError):
    """A setting that cannot be; the message names it and says what is wrong."""


class Setting(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TolerationSetting(Setting):
    """One entry of a class's `tolerations`, as in a pod
    (https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/).
    """

    key: str = Field("", pattern=_LABEL_KEY_OR_NONE)
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str = Field("", pattern=_LABEL_VALUE)
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""
    tolerationSeconds: int | None = None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.operator == "Exists" and self.value:
            raise ValueError("with the operator Exists there is no value")
        if not self.key and self.operator != "Exists":
            raise ValueError("without a key the operator is Exists")
        if self.tolerationSeconds is not None and self.effect != "NoExecute":
            raise ValueError("tolerationSeconds go with the effect NoExecute")
        return self


class ClassSetting(Setting):
    """One entry of `Renku.resource_classes`; quantities as in Kubernetes."""

    name: str = Field(min_length=1, max_length=40)
    cpu: str
    memory: str
    gpu: int = 0
    disk: str = "100Gi"
    ephemeral_storage: str = "10Gi"
    description: str = ""
    users: list[str] | None = None
    groups: list[str] | None = None
    gpu_resource: str = Field("nvidia.com/gpu", pattern=_RESOURCE)
    node_selector: dict[Annotated[str, Field(pattern=_LABEL_KEY)], Annotated[str, Field(pattern=_LABEL_VALUE)]] = {}
    tolerations: list[TolerationSetting] = []
    idle_pause: int | None = Field(None, ge=0, le=366 * 86_400)
    expire_paused_days: int | None = Field(None, ge=0, le=36_500)

    @field_validator("expire_paused_days")
    @classmethod
    def _long_enough(cls, value: int | None) -> int | None:
        if value and value < LEAST_DAYS:
            raise ValueError(f"0 is never, and {LEAST_DAYS} days are the least")
        return value


class EnvironmentSetting(Setting):
    """One entry of `Renku.environments`; `key` stays when the name changes."""

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
    def _below_work(cls, value: str) -> str:
        if {".", ".."} & set(value.split("/")):
            raise ValueError("this leads out of /work")
        return value


class LimitsSetting(Setting):
    """`Renku.session_limits`: None where there is no limit."""

    running: int | None = Field(None, ge=1)
    kept: int | None = Field(None, ge=1)
    projects: int | None = Field(None, ge=1)
    per_project: int | None = Field(None, ge=1)
    writes_per_minute: int | None = Field(None, ge=1, le=10_000)  # so many moments are remembered of each user


def resource_classes(entries: Sequence[Mapping[str, Any]]) -> tuple[ResourceClass, ...]:
    """The classes of `Renku.resource_classes`. Raises SettingError."""
    read = [validated(ClassSetting, "resource_classes", number, entry) for number, entry in enumerate(entries, 1)]
    if not read:
        raise SettingError("Renku.resource_classes is empty: nobody could start anything.")
    once("resource_classes", [setting.name for setting in read])
    return tuple(_class(setting) for setting in read)


def _class(setting: ClassSetting) -> ResourceClass:
    said = setting.model_dump()
    for key in ("users", "groups"):
        said[key] = None if said[key] is None else frozenset(said[key])
    said["tolerations"] = tuple(each.model_dump(exclude_defaults=True) for each in setting.tolerations)
    sizes = Requirements(cpu=setting.cpu, memory=setting.memory, gpu=setting.gpu, disk=setting.disk)
    with said_of("resource_classes", setting.name):
        said["name"] = text.title(setting.name, field="name")
        resources.check(sizes)
        said["ephemeral_storage"] = resources.check_ephemeral_storage(setting.ephemeral_storage)
    return ResourceClass(**said)


def environments(entries: Sequence[Mapping[str, Any]]) -> tuple[Configured, ...]:
    """The ready-made environments of `Renku.environments`. Raises SettingError."""
    read = [validated(EnvironmentSetting, "environments", number, entry) for number, entry in enumerate(entries, 1)]
    once("environments", [setting.key for setting in read])
    return tuple(_environment(setting) for setting in read)


def _environment(setting: EnvironmentSetting) -> Configured:
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
    with said_of("environments", setting.key):
        image.parse(setting.image)
        return Configured(
            key=setting.key,
            name=text.title(setting.name, field="name"),
            image=setting.image,
            description=text.description(setting.description),
            keywords=text.keywords(setting.keywords),
            icon=setting.icon,
            run=run,
        )


def limits(entry: Mapping[str, Any]) -> LimitsSetting:
    """The limits of `Renku.session_limits`. Raises SettingError."""
    read = validated(LimitsSetting, "session_limits", None, entry)
    if read.running and read.kept and read.running > read.kept:
        raise SettingError(
            f"Renku.session_limits: running ({read.running}) is more than kept ({read.kept}), which counts those too."
        )
    return read


def hosts(entries: Iterable[str], *, name: str = "repository_hosts") -> frozenset[str]:
    """The hosts of a setting. Raises SettingError."""
    for entry in sorted(entries):
        if not _HOST.fullmatch(entry):
            raise SettingError(
                f"Renku.{name}: {entry!r} is neither `host` nor `host:port` in lower case, without https://."
            )
    return frozenset(entries)


def timeouts(*, start_timeout: int, start_timeout_max: int) -> int:
    """Seconds that a start may go on without progress. Raises SettingError if any start is given up before."""
    if start_timeout > start_timeout_max:
        raise SettingError(
            f"Renku.start_timeout ({start_timeout}) is longer than Renku.start_timeout_max ({start_timeout_max})."
        )
    return start_timeout


def known(section: Mapping[str, Any], traits: Iterable[str]) -> None:
    """Refuse a misspelt `c.Renku.…`: traitlets would only warn, and a limit would be off."""
    right = sorted(traits)
    wrong = sorted(set(section) - set(right))
    if wrong:
        near = get_close_matches(wrong[0], right, 1)
        hint = f" Did you mean Renku.{near[0]}?" if near else ""
        raise SettingError(f"There is no setting Renku.{wrong[0]}.{hint} Known are {', '.join(right)}.")


def validated(model: type[M], setting: str, number: int | None, entry: Mapping[str, Any]) -> M:
    """One entry of a setting, the *number*th from 1 where there are several. Raises SettingError."""
    where = f"Renku.{setting}" if number is None else f"Renku.{setting}, entry {number}"
    try:
        return model.model_validate(dict(entry), strict=True)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise SettingError(f"{where}: {_wrong(model, first)}") from None


def _wrong(model: type[BaseModel], problem: Mapping[str, Any]) -> str:
    key = ".".join(map(str, problem["loc"]))
    known = (TolerationSetting if len(problem["loc"]) > 1 else model).model_fields
    said = {
        "extra_forbidden": f"{key!r} is not known; known are {', '.join(known)}.",
        "missing": f"{key!r} is missing.",
    }
    return said.get(problem["type"], f"{key!r}: {problem['msg'].removeprefix('Value error, ')}.")


@contextmanager
def said_of(setting: str, name: str) -> Iterator[None]:
    """What is wrong with a value, in the words of the page that asks for the same."""
    try:
        yield
    except Invalid as problem:
        key, sentence = next(iter(problem.fields.items()), ("", problem.message))
        raise SettingError(f"Renku.{setting}: {key} of {name!r}: {sentence}") from None


def once(setting: str, names: Sequence[str]) -> None:
    """Raise SettingError if one of *names* stands there twice."""
    for name in names:
        if list(names).count(name) > 1:
            raise SettingError(f"Renku.{setting}: {name!r} stands there twice.")
