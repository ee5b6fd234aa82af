"""REST endpoints that the client calls; a test compares them with the OpenAPI document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel

from ..domain.session_files import DocumentPart
from ..web.administration.forms import OrphansBody, PauseAllBody, PauseBody
from ..web.administration.schemas import (
    AdminInstanceList,
    AuditList,
    ClaimList,
    EnvironmentStartsList,
    FailureList,
    NodeList,
    OrphansAnswer,
    PauseAllAnswer,
    RemovedAnswer,
)
from ..web.environments.schemas import (
    ArchiveBody,
    EnvironmentBody,
    EnvironmentChangeBody,
    MoveBody,
    ReadyMadeAnswer,
    RollBackBody,
    StateBody,
    SuccessorBody,
)
from ..web.images.schemas import BuiltImageList, CheckBody, CheckedAnswer, DismissalBody, RevisionBody, SoftwareAnswer
from ..web.instances.schemas import ContentsAnswer, InstanceAnswer, InstanceList, LogAnswer, OwnAnswer, ProgressAnswer
from ..web.schemas import (
    AwakeBody,
    HealthAnswer,
    ProjectBody,
    ProjectChangeBody,
    RemovalBody,
    SessionBody,
    SessionChangeBody,
    StartBody,
)
from ..web.sessions.schemas import (
    CopyBody,
    EnvironmentList,
    PlanAnswer,
    ProjectAnswer,
    ProjectList,
    ResourceClassList,
    RevisionList,
    SessionAnswer,
    SessionList,
)
from ..web.storages.schemas import (
    AskedStorageList,
    OwnCredentialsBody,
    StorageAnswer,
    StorageBody,
    StorageChangeBody,
    StorageList,
)

Answer = TypeVar("Answer", bound=BaseModel)
Listed = TypeVar("Listed", bound=BaseModel)


@dataclass(frozen=True)
class HubEndpoint(Generic[Answer]):
    """A method and path below `/api/renku`, with the models of its request body and response."""

    method: str
    path: str
    answer: type[Answer]
    body: type[BaseModel] | None = None


class EmptyAnswer(BaseModel):
    """An empty response, or one that the client ignores."""


GET_HEALTH = HubEndpoint("GET", "/health", HealthAnswer)
LIST_PROJECTS = HubEndpoint("GET", "/projects", ProjectList)
ADD_PROJECT = HubEndpoint("POST", "/projects", ProjectAnswer, ProjectBody)
GET_PROJECT = HubEndpoint("GET", "/projects/{project}", ProjectAnswer)
CHANGE_PROJECT = HubEndpoint("PATCH", "/projects/{project}", ProjectAnswer, ProjectChangeBody)
REMOVE_PROJECT = HubEndpoint("DELETE", "/projects/{project}", EmptyAnswer)
REMOVE_MEMBER = HubEndpoint("DELETE", "/projects/{project}/members/{name}", EmptyAnswer)

LIST_SESSIONS = HubEndpoint("GET", "/projects/{project}/sessions", SessionList)
ADD_SESSION = HubEndpoint("POST", "/projects/{project}/sessions", SessionAnswer, SessionBody)
COPY_SESSION = HubEndpoint("POST", "/projects/{project}/sessions/{session}/copy", SessionAnswer, CopyBody)
GET_SESSION = HubEndpoint("GET", "/projects/{project}/sessions/{session}", SessionAnswer)
CHANGE_SESSION = HubEndpoint("PATCH", "/projects/{project}/sessions/{session}", SessionAnswer, SessionChangeBody)
REMOVE_SESSION = HubEndpoint("DELETE", "/projects/{project}/sessions/{session}", EmptyAnswer, RemovalBody)
START_SESSION = HubEndpoint("POST", "/projects/{project}/sessions/{session}/start", InstanceAnswer, StartBody)
STREAM_SESSION_EVENTS = HubEndpoint("GET", "/projects/{project}/sessions/{session}/events", ProgressAnswer)
EXPORT_SESSION_FILE = HubEndpoint("GET", "/projects/{project}/export", DocumentPart)
APPLY_SESSION_FILE = HubEndpoint("POST", "/projects/{project}/apply", PlanAnswer, DocumentPart)
LIST_REVISIONS = HubEndpoint("GET", "/projects/{project}/sessions/{session}/revisions", RevisionList)
SET_REVISION = HubEndpoint("POST", "/projects/{project}/sessions/{session}/revision", SessionAnswer, RevisionBody)
TAKE_SUCCESSOR = HubEndpoint("POST", "/projects/{project}/sessions/{session}/successor", SessionAnswer, SuccessorBody)
DISMISS_IMAGE_UPDATE = HubEndpoint(
    "POST", "/projects/{project}/sessions/{session}/dismissal", SessionAnswer, DismissalBody
)
LIST_PACKAGES = HubEndpoint("GET", "/projects/{project}/sessions/{session}/packages", SoftwareAnswer)
LIST_CI_IMAGES = HubEndpoint("GET", "/projects/{project}/images", BuiltImageList)
CHECK_IMAGE = HubEndpoint("POST", "/images/check", CheckedAnswer, CheckBody)

LIST_STORAGES = HubEndpoint("GET", "/projects/{project}/storages", StorageList)
ADD_STORAGE = HubEndpoint("POST", "/projects/{project}/storages", StorageAnswer, StorageBody)
CHANGE_STORAGE = HubEndpoint("PATCH", "/projects/{project}/storages/{storage}", StorageAnswer, StorageChangeBody)
REMOVE_STORAGE = HubEndpoint("DELETE", "/projects/{project}/storages/{storage}", EmptyAnswer)
CHECK_STORAGE = HubEndpoint("POST", "/projects/{project}/storages/{storage}/check", StorageAnswer)
LIST_REQUESTED_CREDENTIALS = HubEndpoint("GET", "/projects/{project}/sessions/{session}/credentials", AskedStorageList)
ENTER_CREDENTIALS = HubEndpoint(
    "POST", "/projects/{project}/sessions/{session}/credentials", AskedStorageList, OwnCredentialsBody
)
DELETE_CREDENTIALS = HubEndpoint("DELETE", "/storages/{storage}/credentials", EmptyAnswer)

GET_OWN_SESSION = HubEndpoint("GET", "/me", OwnAnswer)
LIST_MY_INSTANCES = HubEndpoint("GET", "/sessions", InstanceList)
STREAM_MY_EVENTS = HubEndpoint("GET", "/sessions/events", ProgressAnswer)
GET_SESSION_BY_ID = HubEndpoint("GET", "/sessions/{session}", SessionAnswer)
GET_INSTANCE_CONTENTS = HubEndpoint("GET", "/sessions/{session}/contents", ContentsAnswer)
PAUSE_INSTANCE = HubEndpoint("POST", "/sessions/{session}/pause", InstanceAnswer)
KEEP_INSTANCE_AWAKE = HubEndpoint("POST", "/sessions/{session}/keep-awake", InstanceAnswer, AwakeBody)
RESTORE_INSTANCE = HubEndpoint("POST", "/sessions/{session}/restore", InstanceAnswer)
DOWNLOAD_INSTANCE_FILES = HubEndpoint("GET", "/sessions/{session}/data", EmptyAnswer)
DELETE_INSTANCE = HubEndpoint("DELETE", "/sessions/{session}/instance", InstanceAnswer)
GET_INSTANCE_LOGS = HubEndpoint("GET", "/sessions/{session}/logs", LogAnswer)

LIST_RESOURCE_CLASSES = HubEndpoint("GET", "/resource-classes", ResourceClassList)
LIST_ENVIRONMENTS = HubEndpoint("GET", "/environments", EnvironmentList)
ADD_ENVIRONMENT = HubEndpoint("POST", "/environments", ReadyMadeAnswer, EnvironmentBody)
GET_ENVIRONMENT = HubEndpoint("GET", "/environments/{environment}", ReadyMadeAnswer)
CHANGE_ENVIRONMENT = HubEndpoint("PATCH", "/environments/{environment}", ReadyMadeAnswer, EnvironmentChangeBody)
ARCHIVE_ENVIRONMENT = HubEndpoint("POST", "/environments/{environment}/archive", ReadyMadeAnswer, ArchiveBody)
SET_ENVIRONMENT_STATE = HubEndpoint("POST", "/environments/{environment}/state", ReadyMadeAnswer, StateBody)
ROLL_BACK_ENVIRONMENT = HubEndpoint("POST", "/environments/{environment}/revision", ReadyMadeAnswer, RollBackBody)
MOVE_ENVIRONMENT = HubEndpoint("POST", "/environments/{environment}/move", ReadyMadeAnswer, MoveBody)

LIST_ALL_INSTANCES = HubEndpoint("GET", "/admin/instances", AdminInstanceList)
PAUSE_INSTANCE_FOR_USER = HubEndpoint("POST", "/admin/pause", EmptyAnswer, PauseBody)
LIST_NODES = HubEndpoint("GET", "/admin/nodes", NodeList)
PAUSE_ALL_INSTANCES = HubEndpoint("POST", "/admin/pause-all", PauseAllAnswer, PauseAllBody)
RESTORE_INSTANCE_FOR_USER = HubEndpoint("POST", "/admin/restore", EmptyAnswer, PauseBody)
LIST_ORPHANS = HubEndpoint("GET", "/admin/orphans", OrphansAnswer)
REMOVE_ORPHANS = HubEndpoint("DELETE", "/admin/orphans", RemovedAnswer, OrphansBody)
LIST_CLAIMS = HubEndpoint("GET", "/admin/claims", ClaimList)
LIST_FAILURES = HubEndpoint("GET", "/admin/failures", FailureList)
LIST_ENVIRONMENT_STARTS = HubEndpoint("GET", "/admin/launches", EnvironmentStartsList)
LIST_AUDIT_EVENTS = HubEndpoint("GET", "/admin/audit", AuditList)

HUB_ENDPOINTS = tuple(each for each in list(vars().values()) if isinstance(each, HubEndpoint))
