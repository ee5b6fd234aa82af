"""The route table: every URL with its name and handler."""

from __future__ import annotations

from typing import Any, NamedTuple

from jupyterhub.handlers.static import CacheControlStaticFilesHandler

from .administration.api import (
    AdminAuditLogAPIHandler,
    AdminClaimListAPIHandler,
    AdminFailureListAPIHandler,
    AdminInstanceListAPIHandler,
    AdminLaunchStatisticsAPIHandler,
    AdminNodeListAPIHandler,
    AdminOrphanListAPIHandler,
    AdminPauseAllAPIHandler,
    AdminPauseInstanceAPIHandler,
    AdminRestoreInstanceAPIHandler,
)
from .administration.pages import (
    AdminAuditLogHandler,
    AdminClaimListHandler,
    AdminFailureListHandler,
    AdminInstanceListHandler,
    AdminLaunchStatisticsHandler,
    AdminNodeListHandler,
    AdminOrphanListHandler,
    AdminPauseInstanceHandler,
    AdminRestoreInstanceHandler,
)
from .environments.api import (
    ArchiveEnvironmentAPIHandler,
    EnvironmentAPIHandler,
    EnvironmentListAPIHandler,
    MoveEnvironmentAPIHandler,
    RollBackEnvironmentAPIHandler,
    SetEnvironmentStateAPIHandler,
)
from .environments.pages import (
    CheckEditedEnvironmentHandler,
    CheckNewEnvironmentHandler,
    EditEnvironmentHandler,
    EnvironmentListHandler,
    MoveEnvironmentHandler,
    NewEnvironmentHandler,
    RollBackEnvironmentHandler,
    SetEnvironmentStateHandler,
)
from .events import OwnedInstanceEventsAPIHandler, SessionEventsAPIHandler
from .gitlab_webhook import GitLabWebhookAPIHandler
from .hub_pages import StoppedSessionHandler
from .images.api import CheckImageAPIHandler, CiImageListAPIHandler, SessionPackageListAPIHandler
from .instances.api import (
    GitCredentialAPIHandler,
    InstanceContentsAPIHandler,
    InstanceFilesAPIHandler,
    KeepAwakeAPIHandler,
    OwnedInstanceAPIHandler,
    OwnedInstanceListAPIHandler,
    OwnedInstanceLogAPIHandler,
    PauseOwnedInstanceAPIHandler,
    RestoreOwnedInstanceAPIHandler,
    SessionByIdAPIHandler,
    SessionSelfAPIHandler,
)
from .instances.pages import KeepAwakeHandler
from .misc import (
    CiGuideHandler,
    HealthAPIHandler,
    ImageGuideHandler,
    RenkuHomeHandler,
    ResourceClassListAPIHandler,
    UnknownEndpointAPIHandler,
    UnknownPageHandler,
)
from .my_sessions import (
    DeleteInstanceDataHandler,
    DownloadInstanceFilesHandler,
    MySessionsHandler,
    PauseMySessionsHandler,
    PauseOwnedInstanceHandler,
    RestoreOwnedInstanceHandler,
    ResumeOwnedInstanceHandler,
)
from .openapi import OpenAPIDocumentAPIHandler
from .projects.api import ProjectAPIHandler, ProjectListAPIHandler, ProjectMemberAPIHandler
from .projects.pages import (
    AddRepositoryHandler,
    DeleteProjectHandler,
    NewProjectHandler,
    ProjectHandler,
    ProjectListHandler,
    ProjectSettingsHandler,
    RemoveMemberHandler,
    RemoveRepositoryHandler,
    SetMemberHandler,
)
from .session_search import SessionSearchAPIHandler, SessionSearchHandler
from .sessions.api import (
    ApplySessionsAPIHandler,
    CopySessionAPIHandler,
    DismissSessionUpdateAPIHandler,
    ExportSessionsAPIHandler,
    PauseSessionAPIHandler,
    PinSessionRevisionAPIHandler,
    SessionAPIHandler,
    SessionInstanceAPIHandler,
    SessionListAPIHandler,
    SessionLogAPIHandler,
    SessionRevisionListAPIHandler,
    StartSessionAPIHandler,
)
from .sessions.pages import (
    AddSessionHandler,
    CheckEditedSessionHandler,
    CheckNewSessionHandler,
    CopySessionHandler,
    DescribedSessionsHandler,
    DismissSessionUpdateHandler,
    EditSessionHandler,
    ExportSessionsHandler,
    LaunchSessionHandler,
    NewSessionHandler,
    PauseSessionHandler,
    PinSessionRevisionHandler,
    RemoveSessionHandler,
    ReplaceSessionEnvironmentHandler,
    SessionHandler,
    SessionSbomHandler,
    SetDefaultSessionHandler,
    StartSessionHandler,
)
from .storages.api import (
    CheckStorageAPIHandler,
    SessionCredentialsAPIHandler,
    StorageAPIHandler,
    StorageCredentialsAPIHandler,
    StorageListAPIHandler,
)
from .storages.pages import (
    AddStorageHandler,
    CheckStorageHandler,
    DeleteStorageCredentialsHandler,
    EditStorageHandler,
    NewStorageHandler,
    RemoveStorageHandler,
    SessionCredentialsHandler,
)
from .urls import STATIC_DIR

PROJECT_PATH_PATTERN = r"([^/]+(?:/(?!-/)[^/]+)+)"
ID_PATTERN = r"([a-z][a-z2-7]{11})"
NAME_PATTERN = r"([^/]+)"


class Route(NamedTuple):
    """A route; *path* is a regular expression below the hub's prefix, without anchors."""

    name: str
    path: str
    handler: type[Any]
    kwargs: dict[str, Any] = {}


PAGE_ROUTES = (
    Route("home", r"renku/?", RenkuHomeHandler),
    Route("projects", r"renku/projects", ProjectListHandler),
    Route("project_new", r"renku/projects/new", NewProjectHandler),
    Route("project", rf"renku/projects/{PROJECT_PATH_PATTERN}", ProjectHandler),
    Route("settings", rf"renku/projects/{PROJECT_PATH_PATTERN}/-/settings", ProjectSettingsHandler),
    Route("repositories", rf"renku/projects/{PROJECT_PATH_PATTERN}/-/repositories", AddRepositoryHandler),
    Route(
        "repository_remove",
        rf"renku/projects/{PROJECT_PATH_PATTERN}/-/repositories/{NAME_PATTERN}/delete",
        RemoveRepositoryHandler,
    ),
    Route("storage_new", rf"renku/projects/{PROJECT_PATH_PATTERN}/-/storages/new", NewStorageHandler),
    Route("storages", rf"renku/projects/{PROJECT_PATH_PATTERN}/-/storages", AddStorageHandler),
    Route("storage", rf"renku/projects/{PROJECT_PATH_PATTERN}/-/storages/{ID_PATTERN}", EditStorageHandler),
    Route(
        "storage_remove", rf"renku/projects/{PROJECT_PATH_PATTERN}/-/storages/{ID_PATTERN}/delete", RemoveStorageHandler
    ),
    Route(
        "storage_check", rf"renku/projects/{PROJECT_PATH_PATTERN}/-/storages/{ID_PATTERN}/check", CheckStorageHandler
    ),
    Route(
        "storage_credentials_remove",
        rf"renku/storages/{ID_PATTERN}/credentials/delete",
        DeleteStorageCredentialsHandler,
    ),
    Route("members", rf"renku/projects/{PROJECT_PATH_PATTERN}/-/members", SetMemberHandler),
    Route(
        "member_remove", rf"renku/projects/{PROJECT_PATH_PATTERN}/-/members/{NAME_PATTERN}/delete", RemoveMemberHandler
    ),
    Route("project_remove", rf"renku/projects/{PROJECT_PATH_PATTERN}/-/delete", DeleteProjectHandler),
    Route("session_new", rf"renku/projects/{PROJECT_PATH_PATTERN}/-/sessions/new", NewSessionHandler),
    Route("sessions", rf"renku/projects/{PROJECT_PATH_PATTERN}/-/sessions", AddSessionHandler),
    Route(
        "sessions_described", rf"renku/projects/{PROJECT_PATH_PATTERN}/-/sessions/described", DescribedSessionsHandler
    ),
    Route("sessions_file", rf"renku/projects/{PROJECT_PATH_PATTERN}/-/sessions\.yaml", ExportSessionsHandler),
    Route("session_check", rf"renku/projects/{PROJECT_PATH_PATTERN}/-/sessions/check", CheckNewSessionHandler),
    Route("session", rf"renku/projects/{PROJECT_PATH_PATTERN}/-/sessions/{ID_PATTERN}", SessionHandler),
    Route(
        "session_bill",
        rf"renku/projects/{PROJECT_PATH_PATTERN}/-/sessions/{ID_PATTERN}/packages\.cdx\.json",
        SessionSbomHandler,
    ),
    Route("session_edit", rf"renku/projects/{PROJECT_PATH_PATTERN}/-/sessions/{ID_PATTERN}/edit", EditSessionHandler),
    Route(
        "session_edit_check",
        rf"renku/projects/{PROJECT_PATH_PATTERN}/-/sessions/{ID_PATTERN}/check",
        CheckEditedSessionHandler,
    ),
    Route(
        "session_remove", rf"renku/projects/{PROJECT_PATH_PATTERN}/-/sessions/{ID_PATTERN}/delete", RemoveSessionHandler
    ),
    Route("session_copy", rf"renku/projects/{PROJECT_PATH_PATTERN}/-/sessions/{ID_PATTERN}/copy", CopySessionHandler),
    Route(
        "session_environment",
        rf"renku/projects/{PROJECT_PATH_PATTERN}/-/sessions/{ID_PATTERN}/environment",
        ReplaceSessionEnvironmentHandler,
    ),
    Route(
        "session_default",
        rf"renku/projects/{PROJECT_PATH_PATTERN}/-/sessions/{ID_PATTERN}/default",
        SetDefaultSessionHandler,
    ),
    Route(
        "session_dismissal",
        rf"renku/projects/{PROJECT_PATH_PATTERN}/-/sessions/{ID_PATTERN}/dismissal",
        DismissSessionUpdateHandler,
    ),
    Route(
        "session_revision",
        rf"renku/projects/{PROJECT_PATH_PATTERN}/-/sessions/{ID_PATTERN}/revision",
        PinSessionRevisionHandler,
    ),
    Route(
        "session_start", rf"renku/projects/{PROJECT_PATH_PATTERN}/-/sessions/{ID_PATTERN}/start", StartSessionHandler
    ),
    Route(
        "session_credentials",
        rf"renku/projects/{PROJECT_PATH_PATTERN}/-/sessions/{ID_PATTERN}/credentials",
        SessionCredentialsHandler,
    ),
    Route(
        "session_pause", rf"renku/projects/{PROJECT_PATH_PATTERN}/-/sessions/{ID_PATTERN}/pause", PauseSessionHandler
    ),
    Route("session_search", r"renku/search", SessionSearchHandler),
    Route("environments", r"renku/environments", EnvironmentListHandler),
    Route("environment_new", r"renku/environments/new", NewEnvironmentHandler),
    Route("environment_new_check", r"renku/environments/check", CheckNewEnvironmentHandler),
    Route("environment", rf"renku/environments/{ID_PATTERN}", EditEnvironmentHandler),
    Route("environment_check", rf"renku/environments/{ID_PATTERN}/check", CheckEditedEnvironmentHandler),
    Route("environment_state", rf"renku/environments/{ID_PATTERN}/state", SetEnvironmentStateHandler),
    Route("environment_revision", rf"renku/environments/{ID_PATTERN}/revision", RollBackEnvironmentHandler),
    Route("environment_move", rf"renku/environments/{ID_PATTERN}/move", MoveEnvironmentHandler),
    Route("image_guide", r"renku/images/guide", ImageGuideHandler),
    Route("ci_guide", r"renku/images/ci", CiGuideHandler),
    Route("my_sessions", r"renku/sessions", MySessionsHandler),
    Route("my_sessions_pause", r"renku/sessions/pause", PauseMySessionsHandler),
    Route("instance_pause", rf"renku/sessions/{ID_PATTERN}/pause", PauseOwnedInstanceHandler),
    Route("instance_resume", rf"renku/sessions/{ID_PATTERN}/resume", ResumeOwnedInstanceHandler),
    Route("instance_stopped", rf"renku/sessions/{ID_PATTERN}/stopped", StoppedSessionHandler),
    Route("instance_files", rf"renku/sessions/{ID_PATTERN}/download", DownloadInstanceFilesHandler),
    # The address of releases that always compressed with Zstandard.
    Route("instance_files_zst", rf"renku/sessions/{ID_PATTERN}/data\.tar\.zst", DownloadInstanceFilesHandler),
    Route("instance_restore", rf"renku/sessions/{ID_PATTERN}/restore", RestoreOwnedInstanceHandler),
    Route("instance_awake", rf"renku/sessions/{ID_PATTERN}/keep-awake", KeepAwakeHandler),
    Route("instance_data", rf"renku/sessions/{ID_PATTERN}/data", DeleteInstanceDataHandler),
    Route("admin", r"renku/admin", AdminInstanceListHandler),
    Route("admin_pause", r"renku/admin/pause", AdminPauseInstanceHandler),
    Route("admin_nodes", r"renku/admin/nodes", AdminNodeListHandler),
    Route("admin_restore", r"renku/admin/restore", AdminRestoreInstanceHandler),
    Route("admin_orphans", r"renku/admin/orphans", AdminOrphanListHandler),
    Route("admin_claims", r"renku/admin/claims", AdminClaimListHandler),
    Route("admin_failures", r"renku/admin/failures", AdminFailureListHandler),
    Route("admin_launches", r"renku/admin/launches", AdminLaunchStatisticsHandler),
    Route("admin_audit", r"renku/admin/audit", AdminAuditLogHandler),
    Route("launch", rf"renku/launch/{PROJECT_PATH_PATTERN}", LaunchSessionHandler),
    Route("launch_session", rf"renku/launch/{PROJECT_PATH_PATTERN}/-/{ID_PATTERN}", LaunchSessionHandler),
)
STATIC_FILES_ROUTE = Route("static", r"renku/static/(.*)", CacheControlStaticFilesHandler, {"path": str(STATIC_DIR)})
API_ROUTES: tuple[Route, ...] = (
    Route("api_openapi", r"api/renku/openapi\.json", OpenAPIDocumentAPIHandler, {"table": lambda: API_ROUTES}),
    Route("api_health", r"api/renku/health", HealthAPIHandler),
    Route("api_projects", r"api/renku/projects", ProjectListAPIHandler),
    Route("api_project", rf"api/renku/projects/{NAME_PATTERN}", ProjectAPIHandler),
    Route("api_member", rf"api/renku/projects/{NAME_PATTERN}/members/{NAME_PATTERN}", ProjectMemberAPIHandler),
    Route("api_storages", rf"api/renku/projects/{NAME_PATTERN}/storages", StorageListAPIHandler),
    Route("api_storage", rf"api/renku/projects/{NAME_PATTERN}/storages/{NAME_PATTERN}", StorageAPIHandler),
    Route(
        "api_storage_check", rf"api/renku/projects/{NAME_PATTERN}/storages/{NAME_PATTERN}/check", CheckStorageAPIHandler
    ),
    Route(
        "api_credentials",
        rf"api/renku/projects/{NAME_PATTERN}/sessions/{ID_PATTERN}/credentials",
        SessionCredentialsAPIHandler,
    ),
    Route("api_storage_credentials", rf"api/renku/storages/{ID_PATTERN}/credentials", StorageCredentialsAPIHandler),
    Route("api_sessions", rf"api/renku/projects/{NAME_PATTERN}/sessions", SessionListAPIHandler),
    Route("api_export", rf"api/renku/projects/{NAME_PATTERN}/export", ExportSessionsAPIHandler),
    Route("api_apply", rf"api/renku/projects/{NAME_PATTERN}/apply", ApplySessionsAPIHandler),
    Route("api_session", rf"api/renku/projects/{NAME_PATTERN}/sessions/{ID_PATTERN}", SessionAPIHandler),
    Route(
        "api_session_start", rf"api/renku/projects/{NAME_PATTERN}/sessions/{ID_PATTERN}/start", StartSessionAPIHandler
    ),
    Route(
        "api_session_pause", rf"api/renku/projects/{NAME_PATTERN}/sessions/{ID_PATTERN}/pause", PauseSessionAPIHandler
    ),
    Route(
        "api_session_instance",
        rf"api/renku/projects/{NAME_PATTERN}/sessions/{ID_PATTERN}/instance",
        SessionInstanceAPIHandler,
    ),
    Route(
        "api_session_events",
        rf"api/renku/projects/{NAME_PATTERN}/sessions/{ID_PATTERN}/events",
        SessionEventsAPIHandler,
    ),
    Route("api_session_logs", rf"api/renku/projects/{NAME_PATTERN}/sessions/{ID_PATTERN}/logs", SessionLogAPIHandler),
    Route(
        "api_session_revisions",
        rf"api/renku/projects/{NAME_PATTERN}/sessions/{ID_PATTERN}/revisions",
        SessionRevisionListAPIHandler,
    ),
    Route(
        "api_session_revision",
        rf"api/renku/projects/{NAME_PATTERN}/sessions/{ID_PATTERN}/revision",
        PinSessionRevisionAPIHandler,
    ),
    Route("api_session_copy", rf"api/renku/projects/{NAME_PATTERN}/sessions/{ID_PATTERN}/copy", CopySessionAPIHandler),
    Route(
        "api_session_dismissal",
        rf"api/renku/projects/{NAME_PATTERN}/sessions/{ID_PATTERN}/dismissal",
        DismissSessionUpdateAPIHandler,
    ),
    Route(
        "api_session_packages",
        rf"api/renku/projects/{NAME_PATTERN}/sessions/{ID_PATTERN}/packages",
        SessionPackageListAPIHandler,
    ),
    Route("api_built_images", rf"api/renku/projects/{NAME_PATTERN}/images", CiImageListAPIHandler),
    Route("api_gitlab_hook", r"api/renku/gitlab-hook", GitLabWebhookAPIHandler),
    Route("api_image_check", r"api/renku/images/check", CheckImageAPIHandler),
    Route("api_session_search", r"api/renku/search", SessionSearchAPIHandler),
    Route("api_my_sessions", r"api/renku/sessions", OwnedInstanceListAPIHandler),
    Route("api_events", r"api/renku/sessions/events", OwnedInstanceEventsAPIHandler),
    Route("api_session_by_id", rf"api/renku/sessions/{ID_PATTERN}", SessionByIdAPIHandler),
    Route("api_instance_contents", rf"api/renku/sessions/{ID_PATTERN}/contents", InstanceContentsAPIHandler),
    Route("api_instance_pause", rf"api/renku/sessions/{ID_PATTERN}/pause", PauseOwnedInstanceAPIHandler),
    Route("api_instance_restore", rf"api/renku/sessions/{ID_PATTERN}/restore", RestoreOwnedInstanceAPIHandler),
    Route("api_instance_awake", rf"api/renku/sessions/{ID_PATTERN}/keep-awake", KeepAwakeAPIHandler),
    Route("api_instance", rf"api/renku/sessions/{ID_PATTERN}/instance", OwnedInstanceAPIHandler),
    Route("api_instance_files", rf"api/renku/sessions/{ID_PATTERN}/data", InstanceFilesAPIHandler),
    Route("api_instance_logs", rf"api/renku/sessions/{ID_PATTERN}/logs", OwnedInstanceLogAPIHandler),
    Route("api_me", r"api/renku/me", SessionSelfAPIHandler),
    Route("api_git_credential", r"api/renku/git-credential", GitCredentialAPIHandler),
    Route("api_admin_instances", r"api/renku/admin/instances", AdminInstanceListAPIHandler),
    Route("api_admin_pause", r"api/renku/admin/pause", AdminPauseInstanceAPIHandler),
    Route("api_admin_nodes", r"api/renku/admin/nodes", AdminNodeListAPIHandler),
    Route("api_admin_pause_all", r"api/renku/admin/pause-all", AdminPauseAllAPIHandler),
    Route("api_admin_restore", r"api/renku/admin/restore", AdminRestoreInstanceAPIHandler),
    Route("api_admin_orphans", r"api/renku/admin/orphans", AdminOrphanListAPIHandler),
    Route("api_admin_claims", r"api/renku/admin/claims", AdminClaimListAPIHandler),
    Route("api_admin_failures", r"api/renku/admin/failures", AdminFailureListAPIHandler),
    Route("api_admin_launches", r"api/renku/admin/launches", AdminLaunchStatisticsAPIHandler),
    Route("api_admin_audit", r"api/renku/admin/audit", AdminAuditLogAPIHandler),
    Route("api_environments", r"api/renku/environments", EnvironmentListAPIHandler),
    Route("api_environment", rf"api/renku/environments/{ID_PATTERN}", EnvironmentAPIHandler),
    Route("api_environment_archive", rf"api/renku/environments/{ID_PATTERN}/archive", ArchiveEnvironmentAPIHandler),
    Route("api_environment_state", rf"api/renku/environments/{ID_PATTERN}/state", SetEnvironmentStateAPIHandler),
    Route("api_environment_revision", rf"api/renku/environments/{ID_PATTERN}/revision", RollBackEnvironmentAPIHandler),
    Route("api_environment_move", rf"api/renku/environments/{ID_PATTERN}/move", MoveEnvironmentAPIHandler),
    Route("api_resource_classes", r"api/renku/resource-classes", ResourceClassListAPIHandler),
)
# All other addresses below our two prefixes.
FALLBACK_ROUTES = (
    Route("api_nowhere", r"api/renku(?:/.*)?", UnknownEndpointAPIHandler),
    Route("nowhere", r"renku/.*", UnknownPageHandler),
)
ALL_ROUTES = (*PAGE_ROUTES, STATIC_FILES_ROUTE, *API_ROUTES, *FALLBACK_ROUTES)


def list_extra_handlers() -> list[tuple[str, type[Any], dict[str, Any]]]:
    """Return the table for `JupyterHub.extra_handlers`; the hub adds its prefix before the slash."""
    return [(f"/{route.path}", route.handler, dict(route.kwargs)) for route in ALL_ROUTES]
