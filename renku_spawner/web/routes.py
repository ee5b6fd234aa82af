"""The one table of addresses: each with its name, its handler and nothing else.

A project's path has two parts or more; what follows it comes after `/-/`. Ids are
matched by their alphabet: anything else is the same 404 as what is hidden.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from jupyterhub.handlers.static import CacheControlStaticFilesHandler

from . import (
    api_admin,
    api_awake,
    api_code,
    api_environments,
    api_git,
    api_health,
    api_hook,
    api_images,
    api_instances,
    api_me,
    api_misc,
    api_projects,
    api_sessions,
    api_storages,
    pages_add,
    pages_admin,
    pages_awake,
    pages_code,
    pages_copy,
    pages_edit,
    pages_environments,
    pages_mine,
    pages_misc,
    pages_projects,
    pages_sessions,
    pages_storages,
    pages_successor,
    stream,
)
from .assets import STATIC
from .openapi import OpenAPI

P = r"([^/]+(?:/(?!-/)[^/]+)+)"
ID = r"([a-z][a-z2-7]{11})"
NAME = r"([^/]+)"


class Route(NamedTuple):
    """*path* is a regular expression below the hub's prefix, without anchors."""

    name: str
    path: str
    handler: type[Any]
    kwargs: dict[str, Any] = {}


PAGES = (
    Route("home", r"renku/?", pages_misc.Home),
    Route("projects", r"renku/projects", pages_projects.Projects),
    Route("project_new", r"renku/projects/new", pages_projects.ProjectNew),
    Route("project", rf"renku/projects/{P}", pages_projects.ProjectPage),
    Route("settings", rf"renku/projects/{P}/-/settings", pages_projects.Settings),
    Route("repositories", rf"renku/projects/{P}/-/repositories", pages_projects.Repositories),
    Route("repository_remove", rf"renku/projects/{P}/-/repositories/{NAME}/delete", pages_projects.RepositoryRemoval),
    Route("storage_new", rf"renku/projects/{P}/-/storages/new", pages_storages.StorageNew),
    Route("storages", rf"renku/projects/{P}/-/storages", pages_storages.Storages),
    Route("storage", rf"renku/projects/{P}/-/storages/{ID}", pages_storages.OneStorage),
    Route("storage_remove", rf"renku/projects/{P}/-/storages/{ID}/delete", pages_storages.StorageRemoval),
    Route("storage_check", rf"renku/projects/{P}/-/storages/{ID}/check", pages_storages.StorageLook),
    Route("storage_credentials_remove", rf"renku/storages/{ID}/credentials/delete", pages_storages.CredentialsRemoval),
    Route("members", rf"renku/projects/{P}/-/members", pages_projects.Members),
    Route("member_remove", rf"renku/projects/{P}/-/members/{NAME}/delete", pages_projects.MemberRemoval),
    Route("project_remove", rf"renku/projects/{P}/-/delete", pages_projects.ProjectRemoval),
    Route("session_new", rf"renku/projects/{P}/-/sessions/new", pages_add.SessionNew),
    Route("sessions", rf"renku/projects/{P}/-/sessions", pages_add.Sessions),
    Route("sessions_described", rf"renku/projects/{P}/-/sessions/described", pages_code.Described),
    Route("sessions_file", rf"renku/projects/{P}/-/sessions\.yaml", pages_code.Exported),
    Route("session_check", rf"renku/projects/{P}/-/sessions/check", pages_add.SessionCheck),
    Route("session", rf"renku/projects/{P}/-/sessions/{ID}", pages_sessions.SessionPage),
    Route("session_bill", rf"renku/projects/{P}/-/sessions/{ID}/packages\.cdx\.json", pages_sessions.SessionBill),
    Route("session_edit", rf"renku/projects/{P}/-/sessions/{ID}/edit", pages_edit.SessionEdit),
    Route("session_edit_check", rf"renku/projects/{P}/-/sessions/{ID}/check", pages_edit.SessionEditCheck),
    Route("session_remove", rf"renku/projects/{P}/-/sessions/{ID}/delete", pages_sessions.SessionRemoval),
    Route("session_copy", rf"renku/projects/{P}/-/sessions/{ID}/copy", pages_copy.SessionCopy),
    Route("session_successor", rf"renku/projects/{P}/-/sessions/{ID}/successor", pages_successor.SessionSuccessor),
    Route("session_default", rf"renku/projects/{P}/-/sessions/{ID}/default", pages_sessions.SessionDefault),
    Route("session_dismissal", rf"renku/projects/{P}/-/sessions/{ID}/dismissal", pages_sessions.SessionDismissal),
    Route("session_revision", rf"renku/projects/{P}/-/sessions/{ID}/revision", pages_sessions.SessionRevision),
    Route("session_start", rf"renku/projects/{P}/-/sessions/{ID}/start", pages_sessions.SessionStart),
    Route("session_credentials", rf"renku/projects/{P}/-/sessions/{ID}/credentials", pages_storages.SessionCredentials),
    Route("session_pause", rf"renku/projects/{P}/-/sessions/{ID}/pause", pages_sessions.SessionPause),
    Route("environments", r"renku/environments", pages_environments.Environments),
    Route("environment_new", r"renku/environments/new", pages_environments.EnvironmentNew),
    Route("environment_new_check", r"renku/environments/check", pages_environments.EnvironmentNewCheck),
    Route("environment", rf"renku/environments/{ID}", pages_environments.Environment),
    Route("environment_check", rf"renku/environments/{ID}/check", pages_environments.EnvironmentCheck),
    Route("environment_state", rf"renku/environments/{ID}/state", pages_environments.EnvironmentState),
    Route("environment_revision", rf"renku/environments/{ID}/revision", pages_environments.EnvironmentRevision),
    Route("environment_move", rf"renku/environments/{ID}/move", pages_environments.EnvironmentMove),
    Route("image_guide", r"renku/images/guide", pages_misc.ImageGuide),
    Route("ci_guide", r"renku/images/ci", pages_misc.CiGuide),
    Route("my_sessions", r"renku/sessions", pages_mine.MySessions),
    Route("my_sessions_pause", r"renku/sessions/pause", pages_mine.MySessionsPause),
    Route("instance_pause", rf"renku/sessions/{ID}/pause", pages_mine.InstancePause),
    Route("instance_resume", rf"renku/sessions/{ID}/resume", pages_mine.InstanceResume),
    Route("instance_files", rf"renku/sessions/{ID}/data\.tar\.zst", pages_mine.InstanceFiles),
    Route("instance_restore", rf"renku/sessions/{ID}/restore", pages_mine.InstanceRestore),
    Route("instance_awake", rf"renku/sessions/{ID}/keep-awake", pages_awake.InstanceAwake),
    Route("instance_data", rf"renku/sessions/{ID}/data", pages_mine.InstanceData),
    Route("admin", r"renku/admin", pages_admin.Instances),
    Route("admin_pause", r"renku/admin/pause", pages_admin.Pause),
    Route("admin_nodes", r"renku/admin/nodes", pages_admin.Nodes),
    Route("admin_restore", r"renku/admin/restore", pages_admin.Restore),
    Route("admin_orphans", r"renku/admin/orphans", pages_admin.Orphans),
    Route("admin_claims", r"renku/admin/claims", pages_admin.Claims),
    Route("admin_failures", r"renku/admin/failures", pages_admin.Failures),
    Route("admin_launches", r"renku/admin/launches", pages_admin.Launches),
    Route("admin_audit", r"renku/admin/audit", pages_admin.Audit),
    Route("launch", rf"renku/launch/{P}", pages_sessions.LaunchPage),
    Route("launch_session", rf"renku/launch/{P}/-/{ID}", pages_sessions.LaunchPage),
)
STATIC_FILES = Route("static", r"renku/static/(.*)", CacheControlStaticFilesHandler, {"path": str(STATIC)})
API: tuple[Route, ...] = (
    Route("api_openapi", r"api/renku/openapi\.json", OpenAPI, {"table": lambda: API}),
    Route("api_health", r"api/renku/health", api_health.Health),
    Route("api_projects", r"api/renku/projects", api_projects.Projects),
    Route("api_project", rf"api/renku/projects/{NAME}", api_projects.Project),
    Route("api_member", rf"api/renku/projects/{NAME}/members/{NAME}", api_projects.Member),
    Route("api_storages", rf"api/renku/projects/{NAME}/storages", api_storages.Storages),
    Route("api_storage", rf"api/renku/projects/{NAME}/storages/{NAME}", api_storages.Storage),
    Route("api_storage_check", rf"api/renku/projects/{NAME}/storages/{NAME}/check", api_storages.Look),
    Route("api_credentials", rf"api/renku/projects/{NAME}/sessions/{ID}/credentials", api_storages.Credentials),
    Route("api_storage_credentials", rf"api/renku/storages/{ID}/credentials", api_storages.Kept),
    Route("api_sessions", rf"api/renku/projects/{NAME}/sessions", api_sessions.Sessions),
    Route("api_export", rf"api/renku/projects/{NAME}/export", api_code.Export),
    Route("api_apply", rf"api/renku/projects/{NAME}/apply", api_code.Apply),
    Route("api_session", rf"api/renku/projects/{NAME}/sessions/{ID}", api_sessions.Session),
    Route("api_session_start", rf"api/renku/projects/{NAME}/sessions/{ID}/start", api_sessions.Start),
    Route("api_session_pause", rf"api/renku/projects/{NAME}/sessions/{ID}/pause", api_sessions.Pause),
    Route("api_session_instance", rf"api/renku/projects/{NAME}/sessions/{ID}/instance", api_sessions.Instance),
    Route("api_session_events", rf"api/renku/projects/{NAME}/sessions/{ID}/events", stream.SessionEvents),
    Route("api_session_logs", rf"api/renku/projects/{NAME}/sessions/{ID}/logs", api_sessions.Logs),
    Route("api_session_revisions", rf"api/renku/projects/{NAME}/sessions/{ID}/revisions", api_sessions.Revisions),
    Route("api_session_revision", rf"api/renku/projects/{NAME}/sessions/{ID}/revision", api_sessions.Revision),
    Route("api_session_copy", rf"api/renku/projects/{NAME}/sessions/{ID}/copy", api_sessions.Copy),
    Route("api_session_successor", rf"api/renku/projects/{NAME}/sessions/{ID}/successor", api_environments.Successor),
    Route("api_session_dismissal", rf"api/renku/projects/{NAME}/sessions/{ID}/dismissal", api_sessions.Dismissal),
    Route("api_session_packages", rf"api/renku/projects/{NAME}/sessions/{ID}/packages", api_images.Packages),
    Route("api_built_images", rf"api/renku/projects/{NAME}/images", api_images.Built),
    Route("api_gitlab_hook", r"api/renku/gitlab-hook", api_hook.GitLabHook),
    Route("api_image_check", r"api/renku/images/check", api_images.Check),
    Route("api_my_sessions", r"api/renku/sessions", api_instances.Mine),
    Route("api_events", r"api/renku/sessions/events", stream.Events),
    Route("api_session_by_id", rf"api/renku/sessions/{ID}", api_instances.Session),
    Route("api_instance_contents", rf"api/renku/sessions/{ID}/contents", api_instances.Contents),
    Route("api_instance_pause", rf"api/renku/sessions/{ID}/pause", api_instances.Pause),
    Route("api_instance_restore", rf"api/renku/sessions/{ID}/restore", api_instances.Restore),
    Route("api_instance_awake", rf"api/renku/sessions/{ID}/keep-awake", api_awake.KeepAwake),
    Route("api_instance", rf"api/renku/sessions/{ID}/instance", api_instances.Instance),
    Route("api_instance_files", rf"api/renku/sessions/{ID}/data", api_instances.Files),
    Route("api_instance_logs", rf"api/renku/sessions/{ID}/logs", api_instances.Logs),
    Route("api_me", r"api/renku/me", api_me.Me),
    Route("api_git_credential", r"api/renku/git-credential", api_git.GitCredential),
    Route("api_admin_instances", r"api/renku/admin/instances", api_admin.Instances),
    Route("api_admin_pause", r"api/renku/admin/pause", api_admin.Pause),
    Route("api_admin_nodes", r"api/renku/admin/nodes", api_admin.Nodes),
    Route("api_admin_pause_all", r"api/renku/admin/pause-all", api_admin.PauseAll),
    Route("api_admin_restore", r"api/renku/admin/restore", api_admin.Restore),
    Route("api_admin_orphans", r"api/renku/admin/orphans", api_admin.Orphans),
    Route("api_admin_claims", r"api/renku/admin/claims", api_admin.Claims),
    Route("api_admin_failures", r"api/renku/admin/failures", api_admin.Failures),
    Route("api_admin_launches", r"api/renku/admin/launches", api_admin.Launches),
    Route("api_admin_audit", r"api/renku/admin/audit", api_admin.Audit),
    Route("api_environments", r"api/renku/environments", api_environments.Environments),
    Route("api_environment", rf"api/renku/environments/{ID}", api_environments.Environment),
    Route("api_environment_archive", rf"api/renku/environments/{ID}/archive", api_environments.Archive),
    Route("api_environment_state", rf"api/renku/environments/{ID}/state", api_environments.Life),
    Route("api_environment_revision", rf"api/renku/environments/{ID}/revision", api_environments.RollBack),
    Route("api_environment_move", rf"api/renku/environments/{ID}/move", api_environments.Move),
    Route("api_resource_classes", r"api/renku/resource-classes", api_misc.ResourceClasses),
)
# Whatever lies below our two prefixes and is none of the above.
NOWHERE = (
    Route("api_nowhere", r"api/renku(?:/.*)?", api_misc.Nowhere),
    Route("nowhere", r"renku/.*", pages_misc.Nowhere),
)
ROUTES = (*PAGES, STATIC_FILES, *API, *NOWHERE)


def handlers() -> list[tuple[str, type[Any], dict[str, Any]]]:
    """The table as `JupyterHub.extra_handlers` takes it: the hub puts its prefix in front of the slash."""
    return [(f"/{route.path}", route.handler, dict(route.kwargs)) for route in ROUTES]
