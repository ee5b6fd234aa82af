"""The calls of the API that the client makes; a test compares them with the OpenAPI document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel

from . import models as m

Answer = TypeVar("Answer", bound=BaseModel)
Listed = TypeVar("Listed", bound=BaseModel)


@dataclass(frozen=True)
class Call(Generic[Answer]):
    """One method of one address below `/api/renku`, with what it takes and gives."""

    method: str
    path: str
    answer: type[Answer]
    body: type[BaseModel] | None = None


class Done(BaseModel):
    """What a call gives that answers nothing, or nothing that anybody needs."""


HEALTH = Call("GET", "/health", m.HealthAnswer)
PROJECTS = Call("GET", "/projects", m.ProjectList)
PROJECT_ADD = Call("POST", "/projects", m.ProjectAnswer, m.ProjectBody)
PROJECT = Call("GET", "/projects/{project}", m.ProjectAnswer)
PROJECT_CHANGE = Call("PATCH", "/projects/{project}", m.ProjectAnswer, m.ProjectChangeBody)
PROJECT_REMOVE = Call("DELETE", "/projects/{project}", Done)
MEMBER_REMOVE = Call("DELETE", "/projects/{project}/members/{name}", Done)

SESSIONS = Call("GET", "/projects/{project}/sessions", m.SessionList)
SESSION_ADD = Call("POST", "/projects/{project}/sessions", m.SessionAnswer, m.SessionBody)
SESSION_COPY = Call("POST", "/projects/{project}/sessions/{session}/copy", m.SessionAnswer, m.CopyBody)
SESSION = Call("GET", "/projects/{project}/sessions/{session}", m.SessionAnswer)
SESSION_CHANGE = Call("PATCH", "/projects/{project}/sessions/{session}", m.SessionAnswer, m.SessionChangeBody)
SESSION_REMOVE = Call("DELETE", "/projects/{project}/sessions/{session}", Done, m.RemovalBody)
SESSION_START = Call("POST", "/projects/{project}/sessions/{session}/start", m.InstanceAnswer, m.StartBody)
SESSION_EVENTS = Call("GET", "/projects/{project}/sessions/{session}/events", m.ProgressAnswer)
EXPORT = Call("GET", "/projects/{project}/export", m.DocumentPart)
APPLY = Call("POST", "/projects/{project}/apply", m.PlanAnswer, m.DocumentPart)
REVISIONS = Call("GET", "/projects/{project}/sessions/{session}/revisions", m.RevisionList)
REVISION_SET = Call("POST", "/projects/{project}/sessions/{session}/revision", m.SessionAnswer, m.RevisionBody)
SUCCESSOR_TAKE = Call("POST", "/projects/{project}/sessions/{session}/successor", m.SessionAnswer, m.SuccessorBody)
DISMISSAL = Call("POST", "/projects/{project}/sessions/{session}/dismissal", m.SessionAnswer, m.DismissalBody)
PACKAGES = Call("GET", "/projects/{project}/sessions/{session}/packages", m.SoftwareAnswer)
BUILT_IMAGES = Call("GET", "/projects/{project}/images", m.BuiltImageList)
IMAGE_CHECK = Call("POST", "/images/check", m.CheckedAnswer, m.CheckBody)

STORAGES = Call("GET", "/projects/{project}/storages", m.StorageList)
STORAGE_ADD = Call("POST", "/projects/{project}/storages", m.StorageAnswer, m.StorageBody)
STORAGE_CHANGE = Call("PATCH", "/projects/{project}/storages/{storage}", m.StorageAnswer, m.StorageChangeBody)
STORAGE_REMOVE = Call("DELETE", "/projects/{project}/storages/{storage}", Done)
STORAGE_CHECK = Call("POST", "/projects/{project}/storages/{storage}/check", m.StorageAnswer)
CREDENTIALS = Call("GET", "/projects/{project}/sessions/{session}/credentials", m.AskedStorageList)
CREDENTIALS_ENTER = Call(
    "POST", "/projects/{project}/sessions/{session}/credentials", m.AskedStorageList, m.OwnCredentialsBody
)
CREDENTIALS_FORGET = Call("DELETE", "/storages/{storage}/credentials", Done)

ME = Call("GET", "/me", m.OwnAnswer)
MINE = Call("GET", "/sessions", m.InstanceList)
EVENTS = Call("GET", "/sessions/events", m.ProgressAnswer)
SESSION_BY_ID = Call("GET", "/sessions/{session}", m.SessionAnswer)
CONTENTS = Call("GET", "/sessions/{session}/contents", m.ContentsAnswer)
PAUSE = Call("POST", "/sessions/{session}/pause", m.InstanceAnswer)
KEEP_AWAKE = Call("POST", "/sessions/{session}/keep-awake", m.InstanceAnswer, m.AwakeBody)
RESTORE = Call("POST", "/sessions/{session}/restore", m.InstanceAnswer)
DATA = Call("GET", "/sessions/{session}/data", Done)
DATA_DELETE = Call("DELETE", "/sessions/{session}/instance", m.InstanceAnswer)
LOGS = Call("GET", "/sessions/{session}/logs", m.LogAnswer)

RESOURCE_CLASSES = Call("GET", "/resource-classes", m.ResourceClassList)
ENVIRONMENTS = Call("GET", "/environments", m.EnvironmentList)
ENVIRONMENT_ADD = Call("POST", "/environments", m.ReadyMadeAnswer, m.EnvironmentBody)
ENVIRONMENT = Call("GET", "/environments/{environment}", m.ReadyMadeAnswer)
ENVIRONMENT_CHANGE = Call("PATCH", "/environments/{environment}", m.ReadyMadeAnswer, m.EnvironmentChangeBody)
ENVIRONMENT_ARCHIVE = Call("POST", "/environments/{environment}/archive", m.ReadyMadeAnswer, m.ArchiveBody)
ENVIRONMENT_STATE = Call("POST", "/environments/{environment}/state", m.ReadyMadeAnswer, m.StateBody)
ENVIRONMENT_ROLL_BACK = Call("POST", "/environments/{environment}/revision", m.ReadyMadeAnswer, m.RollBackBody)
ENVIRONMENT_MOVE = Call("POST", "/environments/{environment}/move", m.ReadyMadeAnswer, m.MoveBody)

ALL_INSTANCES = Call("GET", "/admin/instances", m.AdminInstanceList)
PAUSE_FOR = Call("POST", "/admin/pause", Done, m.PauseBody)
NODES = Call("GET", "/admin/nodes", m.NodeList)
PAUSE_ALL = Call("POST", "/admin/pause-all", m.PauseAllAnswer, m.PauseAllBody)
RESTORE_FOR = Call("POST", "/admin/restore", Done, m.PauseBody)
ORPHANS = Call("GET", "/admin/orphans", m.OrphansAnswer)
ORPHANS_REMOVE = Call("DELETE", "/admin/orphans", m.RemovedAnswer, m.OrphansBody)
CLAIMS = Call("GET", "/admin/claims", m.ClaimList)
FAILURES = Call("GET", "/admin/failures", m.FailureList)
STARTS = Call("GET", "/admin/launches", m.EnvironmentStartsList)
AUDIT = Call("GET", "/admin/audit", m.AuditList)

CALLS = tuple(each for each in list(vars().values()) if isinstance(each, Call))
