"""Examples of pages, generated from the typed view models that the pages are made from.

An example that is written by hand, because its text matters, gets from here what it leaves out, and loses what its view
model does not have.
"""

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from itertools import count
from random import Random
from types import NoneType, UnionType
from typing import Any, Literal, TypedDict, Union, get_args, get_origin, get_type_hints, is_typeddict

from renku_spawner.web.administration.views import (
    AdminInstancesView,
    AdminNodesView,
    AuditView,
    ClaimsView,
    FailuresView,
    LaunchStatisticsView,
    OrphansView,
)
from renku_spawner.web.environments.forms import build_blank_environment_fields
from renku_spawner.web.environments.views import (
    EnvironmentFormView,
    EnvironmentStateView,
    ManagedEnvironmentListView,
    ManagedEnvironmentView,
)
from renku_spawner.web.forms import build_blank_session_fields
from renku_spawner.web.images.forms import build_blank_ci_image_fields, build_blank_image_fields
from renku_spawner.web.images.views import CIImagesTabView, ImageCheckView, PackageChangesView
from renku_spawner.web.instances.views import DeleteDataView, KeepAwakeView
from renku_spawner.web.my_sessions import MySessionsView, PauseResultRow
from renku_spawner.web.page_context import (
    DescribedOptionView,
    LimitView,
    LinkView,
    NoticeView,
    SessionLinkView,
    TabView,
)
from renku_spawner.web.projects.pages import BLANK_PROJECT_FIELDS
from renku_spawner.web.projects.views import ProjectHeadView, ProjectListView, ProjectPageView, ProjectSettingsView
from renku_spawner.web.session_search import SessionSearchView
from renku_spawner.web.sessions.forms import build_blank_session_environment_fields
from renku_spawner.web.sessions.views import (
    AmountFieldView,
    ConfigurationFormView,
    CopySessionView,
    DescribedSessionsView,
    EnvironmentChoice,
    EnvironmentChoicesView,
    EnvironmentReplacementView,
    KeywordLink,
    LaunchPageView,
    NewSessionView,
    OwnImageFormView,
    SessionPageView,
    SessionRemovalView,
    SessionSoftwareView,
    StoppedSessionView,
)
from renku_spawner.web.storages.views import (
    OptionFieldView,
    SessionCredentialsView,
    StorageFormView,
    StorageRow,
    StoredCredentialsRow,
)

BASE = "/hub/"
ADDRESS = re.compile(r"(url|page|action|cancel|next|open|pause|resume|remove|change|leave|launch|use|forget)$")


class FormView(TypedDict):
    """What a handler adds to the view of a page with a form."""

    errors: dict[str, str]


class TypedFormView(FormView):
    values: dict[str, Any]


class AdminFrame(TypedDict):
    tabs: list[TabView]
    problems: list[NoticeView]
    errors: dict[str, str]


class SessionEditView(FormView):
    action: str
    version: int
    project: ProjectHeadView
    session: SessionLinkView
    form: ConfigurationFormView
    others: bool
    own: OwnImageFormView | None


class NewProjectView(TypedFormView):
    action: str
    namespaces: tuple[str]
    visibilities: list[DescribedOptionView]
    cancel: str
    share: str | None
    path_rule: str


class StoragePageView(FormView):
    project: ProjectHeadView
    form: StorageFormView
    settings: str
    action: str
    storage: StorageRow | None


class ErrorPageView(TypedDict):
    status: int
    title: str
    message: str
    links: list[LinkView]
    in_the_way: LimitView | None
    problem_code: str


# Templates, with the view models and the further values that their handlers give them, and the fields of the form.
CONFIRM = {"confirm": ""}
PAGES: dict[str, tuple[Sequence[type], Mapping[str, Any], Mapping[str, Any]]] = {
    "renku_admin_audit.html": ([AuditView, AdminFrame], {}, {}),
    "renku_admin_claims.html": ([ClaimsView, AdminFrame], {}, {}),
    "renku_admin_failures.html": ([FailuresView, AdminFrame], {}, {}),
    "renku_admin_instances.html": ([AdminInstancesView, AdminFrame], {}, {}),
    "renku_admin_launches.html": ([LaunchStatisticsView, AdminFrame], {}, {}),
    "renku_admin_nodes.html": ([AdminNodesView, AdminFrame], {}, {}),
    "renku_admin_orphans.html": ([OrphansView, AdminFrame], {}, {}),
    "renku_ci_guide.html": ([], {"pattern": str, "protected": bool}, {}),
    "renku_credentials.html": ([SessionCredentialsView, FormView], {"project": ProjectHeadView}, {}),
    "renku_delete_data.html": ([DeleteDataView, TypedFormView], {}, CONFIRM),
    "renku_environment.html": (
        [ManagedEnvironmentView, EnvironmentFormView, FormView],
        {"lost": str, "action": str, "cancel": str, "version": int},
        build_blank_environment_fields(),
    ),
    "renku_environment_state.html": (
        [EnvironmentStateView, FormView], {"version": int}, {"successor": "", "message": ""}
    ),
    "renku_environments.html": ([ManagedEnvironmentListView], {}, {}),
    "renku_error.html": ([ErrorPageView], {}, {}),
    "renku_image_guide.html": ([], {}, {}),
    "renku_keep_awake.html": ([KeepAwakeView], {"errors": dict[str, str], "action": str}, {}),
    "renku_launch.html": ([LaunchPageView], {"acts": str | None}, {}),
    "renku_project.html": ([ProjectPageView], {}, {}),
    "renku_project_new.html": ([NewProjectView], {}, BLANK_PROJECT_FIELDS | {"namespace": ""}),
    "renku_project_remove.html": (
        [TypedFormView], {"project": ProjectHeadView, "others": bool, "action": str}, CONFIRM
    ),
    "renku_projects.html": ([ProjectListView], {"going": LinkView | None}, {}),
    "renku_search.html": ([SessionSearchView, FormView], {}, {}),
    "renku_session.html": ([SessionPageView, SessionSoftwareView], {"acts": str | None}, {}),
    "renku_session_copy.html": ([CopySessionView, TypedFormView], {}, {"title": "", "project": ""}),
    "renku_session_environment.html": (
        [EnvironmentChoicesView, TypedFormView],
        {"own": OwnImageFormView | None, "built": CIImagesTabView | None},
        build_blank_session_environment_fields(),
    ),
    "renku_session_edit.html": ([SessionEditView], {}, build_blank_session_fields("") | build_blank_image_fields()),
    "renku_session_new.html": (
        [NewSessionView, FormView],
        {"environments": list[EnvironmentChoice], "keywords": list[KeywordLink]},
        build_blank_session_fields(""),
    ),
    "renku_session_new_built.html": (
        [NewSessionView, FormView],
        {"built": CIImagesTabView},
        build_blank_session_fields("") | build_blank_ci_image_fields(),
    ),
    "renku_session_new_image.html": (
        [NewSessionView, FormView],
        {"own": OwnImageFormView},
        build_blank_session_fields("") | build_blank_image_fields(),
    ),
    "renku_session_remove.html": ([SessionRemovalView, TypedFormView], {}, CONFIRM),
    "renku_session_replacement.html": (
        [EnvironmentReplacementView, FormView],
        {"difference": PackageChangesView | None, "verdict": ImageCheckView | None},
        {},
    ),
    "renku_sessions.html": ([MySessionsView], {"told": list[PauseResultRow], "kept": list[StoredCredentialsRow]}, {}),
    "renku_sessions_described.html": ([DescribedSessionsView, FormView], {}, {}),
    "renku_settings.html": (
        [ProjectSettingsView, FormView], {"confirms_member": bool, "suggested_members": list[str]}, {}
    ),
    "renku_stopped.html": ([StoppedSessionView], {}, {}),
    "renku_storage.html": (
        [StoragePageView], {}, dict.fromkeys(("kind", "directory", "path", "credentials", "access", "version"), "")
    ),
}  # fmt: skip


class Generator:
    """Values of view models: each optional part, list and choice as *seed* has it.

    With the seed 0 nothing optional is there, with 1 all of it.
    """

    def __init__(self, seed: int, fields: Mapping[str, Any]) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.typed = {name: value or self.random.choice(["", "typed"]) for name, value in fields.items()}
        self.numbers = count(1)

    def decide(self) -> bool:
        return bool(self.seed) if self.seed < 2 else self.random.random() < 0.6

    def view(self, *kinds: type) -> dict[str, Any]:
        hints = {key: hint for kind in kinds for key, hint in get_type_hints(kind).items()}
        view = {key: self.value(hint, key) for key, hint in hints.items()}
        view |= {f"{key}_at": self.text("_at") for key, value in view.items() if value and f"{key}_at" in view}
        if kinds in ((AmountFieldView,), (OptionFieldView,)):
            self.typed[view["name"]] = ""
        return view

    def value(self, kind: Any, key: str) -> Any:
        origin, inner = get_origin(kind), get_args(kind)
        if is_typeddict(kind):
            return self.view(kind)
        if origin in (Union, UnionType):
            there = [choice for choice in inner if choice is not NoneType]
            return self.value(self.random.choice(there), key) if len(there) == len(inner) or self.decide() else None
        if key == "values" and not is_typeddict(kind):
            return self.typed
        if key == "errors":
            return {"form": "That did not work."} if self.decide() else {}
        if origin in (list, Sequence):
            return [self.value(inner[0], key) for _ in range(self.random.randint(1, 2) if self.decide() else 0)]
        if origin is tuple:
            return tuple(self.value(part, key) for part in inner)
        if origin is Literal:
            return self.random.choice(inner)
        if kind is bool:
            return self.decide()
        if kind is int:
            return next(self.numbers)
        if kind is str:
            return self.text(key)
        if issubclass(kind, Enum):
            return self.random.choice(list(kind))
        raise TypeError(f"{key}: no value of {kind} can be made.")

    def text(self, key: str) -> str:
        if key.endswith("_at") or key == "at":
            return "2026-11-24T08:10:00+00:00"
        number = next(self.numbers)
        return f"{BASE}renku/{key}/{number}" if ADDRESS.search(key) else f"{key}-{number}"

    def complete(self, kind: Any, value: Any, key: str = "") -> Any:
        """Return *value* with exactly the keys of its view models, missing ones generated."""
        if value is None:
            return None
        if is_typeddict(kind):
            hints = get_type_hints(kind)
            return {k: self.complete(h, value[k], k) if k in value else self.value(h, k) for k, h in hints.items()}
        if get_origin(kind) in (Union, UnionType):
            kind = next(choice for choice in get_args(kind) if choice is not NoneType)
            return self.complete(kind, value, key)
        if get_origin(kind) is list:
            return [self.complete(get_args(kind)[0], item, key) for item in value]
        return value


def list_values(template: str) -> dict[str, Any]:
    """Return the types of the values that *template* gets, by name."""
    kinds, further, _ = PAGES[template]
    return {key: hint for kind in kinds for key, hint in get_type_hints(kind).items()} | dict(further)


def generate_page(template: str, seed: int) -> dict[str, Any]:
    """Return values of the page that *template* shows, as *seed* has them."""
    generator = Generator(seed, PAGES[template][2])
    return {key: generator.value(kind, key) for key, kind in list_values(template).items()}


def complete_page(template: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return *values* with exactly the keys of the view models of *template*; what is left out is absent or empty."""
    generator, kinds = Generator(0, PAGES[template][2]), list_values(template)
    return {
        key: generator.complete(kind, values[key], key) if key in values else generator.value(kind, key)
        for key, kind in kinds.items()
    }
