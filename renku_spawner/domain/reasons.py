# ruff: noqa: E501 - a table reads best with one row on one line
"""The closed table of reasons why a launch is refused, fails or ends."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from .errors import (
    LaunchRefusedError,
    NotFoundError,
)


class ReasonGroup(StrEnum):
    PERMISSION = "permission"
    POLICY = "policy"
    QUOTA = "quota"
    PLATFORM = "platform"
    IMAGE = "image"
    SCHEDULE = "schedule"
    VOLUME = "volume"
    CRASH = "crash"
    NETWORK = "network"
    TIMEOUT = "timeout"
    ENDED = "ended"


@dataclass(frozen=True)
class Reason:
    """`text` says what happened, `advice` what to do; `format_reason` fills the `{…}` placeholders."""

    code: str
    group: ReasonGroup
    text: str
    advice: str


_REASON_TABLE = (
    # Refused before anything was started
    Reason("not_found", ReasonGroup.PERMISSION, "There is no such session, or you have no access to it.", "Look at your projects."),
    Reason("permission_denied", ReasonGroup.PERMISSION, "Changing sessions needs write access to the project.", "Ask one of its owners."),
    Reason("access_unverified", ReasonGroup.PLATFORM, "We cannot check your access because GitLab does not answer.", "Try again in a moment."),
    Reason("options_invalid", ReasonGroup.POLICY, "This start request is not valid.", "Start it from the session's page."),
    Reason("changed", ReasonGroup.POLICY, "This session changed since you opened the page: {changed}. Nothing was started.", "See what would run now, then start it."),
    Reason("already_running", ReasonGroup.POLICY, "You already run a session with this environment in this project: {other}.", "Open it, or pause it first."),
    Reason("limit_user", ReasonGroup.QUOTA, "You run {count} of {limit} sessions, the limit that an admin has set.", "Pause one first."),
    Reason("limit_kept", ReasonGroup.QUOTA, "You have data in {limit} sessions, the limit that an admin has set.", "Delete the data of one that you no longer need."),
    Reason("limit_servers", ReasonGroup.QUOTA, "You have {limit} servers on this hub, the limit that an admin has set.", "Delete the data of a session that you no longer need."),
    Reason("hub_busy", ReasonGroup.PLATFORM, "So many sessions are starting that the queue is full.", "Try again in a moment."),
    Reason("env_draft", ReasonGroup.POLICY, "The environment {environment} is still being prepared.", "It can be started when an admin offers it."),
    Reason("env_expired", ReasonGroup.POLICY, "The environment {environment} was retired on {since}, and what was paused could be resumed until {until}.", "Your data is kept. Ask an editor of the project to choose another environment."),
    Reason("env_archived", ReasonGroup.POLICY, "The environment {environment} has been retired.", "Ask an editor of the project to choose another one."),
    Reason("class_gone", ReasonGroup.POLICY, "There is no class {resource_class}.", "Choose another one."),
    Reason("class_forbidden", ReasonGroup.PERMISSION, "You may not use the class {resource_class}.", "Choose another one."),
    Reason("class_too_small", ReasonGroup.POLICY, "The session asks for more than the class {resource_class} offers.", "Choose a larger one."),
    Reason("class_none", ReasonGroup.POLICY, "None of your classes has {needs}.", "Ask an admin."),
    Reason("disk_shrink", ReasonGroup.POLICY, "Your disk has {size}, and a disk cannot be made smaller.", "Keep the size, or delete your data and start again."),
    Reason("storage_credentials", ReasonGroup.POLICY, "Your own credentials are needed for {storages}.", "Enter them on the session's page, or start it without."),
    Reason("storage_unavailable", ReasonGroup.VOLUME, "The storage {storages} is not available: {why}.", "Ask an editor of the project, or start the session without it."),
    Reason("storage_host_key", ReasonGroup.VOLUME, "The server of the storage {storages} shows another host key than the one that was confirmed. It may be another server.", "Ask an editor of the project to compare and confirm the key, or start the session without it."),
    # While launching
    Reason("command_not_found", ReasonGroup.CRASH, "The program {program} does not exist.", "The environment lacks what a session needs; tell an admin."),
    Reason("command_not_executable", ReasonGroup.CRASH, "The program {program} cannot be executed.", "The environment lacks what a session needs; tell an admin."),
    Reason("crash_disk_full", ReasonGroup.CRASH, "The disk is full.", "Ask an editor of the project for a larger disk, which grows at the next start, or delete your data."),
    Reason("ephemeral_storage_full", ReasonGroup.CRASH, "The session wrote more than {limit} outside of its working directory.", "Your files in /work are kept. Start it again, and keep large files, packages and caches in /work."),
    Reason("crash_permission", ReasonGroup.CRASH, "The program may not write where it wants to.", "See the last lines of its log."),
    Reason("crash_oom", ReasonGroup.CRASH, "The session ran out of memory; its limit is {limit}.", "Try a larger class."),
    Reason("crash_exit", ReasonGroup.CRASH, "The program ended with code {exit_code}.", "See the last lines of its log."),
    Reason("hub_unreachable", ReasonGroup.NETWORK, "The program ended because the hub did not answer it.", "Start it again; if it happens again, tell an admin."),
    Reason("crash_killed", ReasonGroup.CRASH, "The program was killed (SIGKILL).", "See the last lines of its log; if it used much memory, try a larger class."),
    Reason("exited_clean", ReasonGroup.CRASH, "The program ended at once without an error.", "See the last lines of its log."),
    Reason("port_not_open", ReasonGroup.NETWORK, "Nothing answered on port {port}.", "See the log, then try again."),
    Reason("app_error", ReasonGroup.NETWORK, "The program answers with errors.", "See the last lines of its log."),
    Reason("base_url_wrong", ReasonGroup.NETWORK, "The program does not answer below its address {prefix}.", "Let it serve below that path (RENKU_BASE_URL_PATH), or choose another image."),
    Reason("auth_loop", ReasonGroup.NETWORK, "The image's JupyterHub version does not fit this hub ({version} / {hub}): logging in would never end.", "Choose a newer image."),
    Reason("start_timeout", ReasonGroup.TIMEOUT, "Starting took longer than {limit} at the step “{stage}”.", "See the log, then try again."),
    Reason("start_error", ReasonGroup.PLATFORM, "The session could not be started.", "Try again; if it happens again, tell an admin."),
    # While launching on a cluster; the same texts tell what a start waits for, until the reason is final
    Reason("cluster_unavailable", ReasonGroup.PLATFORM, "The cluster does not answer.", "Nothing is lost; try again in a moment."),
    Reason("cluster_forbidden", ReasonGroup.PLATFORM, "The hub lacks a right in the cluster: {message}", "Tell an admin."),
    Reason("quota_pool", ReasonGroup.QUOTA, "There is not enough room in this resource pool: {message}", "Try a smaller class, or try again later."),
    Reason("rejected_by_policy", ReasonGroup.POLICY, "The cluster's rules refuse this session: {message}", "Tell an admin."),
    Reason("unschedulable_gpu", ReasonGroup.SCHEDULE, "No GPU of this kind is free: {message}", "Try again later, or another class."),
    Reason("unschedulable_resources", ReasonGroup.SCHEDULE, "There is not enough free CPU or memory: {message}", "Try a smaller class, or try again later."),
    Reason("unschedulable_other", ReasonGroup.SCHEDULE, "No machine fits this session: {message}", "If it stays so, tell an admin."),
    Reason("image_invalid", ReasonGroup.IMAGE, "{image} is not the name of an image.", "Ask an editor of the project to correct it."),
    Reason("image_not_found", ReasonGroup.IMAGE, "The image {image} does not exist or is not public.", "Ask an editor of the project to check its name and tag."),
    Reason("image_denied", ReasonGroup.IMAGE, "The registry refuses access to {image}.", "Make it public, or choose another one. If it is a project's own, ask for access to that project."),
    Reason("image_platform_mismatch", ReasonGroup.IMAGE, "The image {image} has no variant for this cluster's machines.", "Choose another tag or another image."),
    Reason("image_digest_gone", ReasonGroup.IMAGE, "The registry no longer has this version of the image {image}.", "Ask an editor of the project to take the present one."),
    Reason("registry_not_allowed", ReasonGroup.POLICY, "The image {image} is not allowed on this hub.", "Choose another one, or ask an admin."),
    Reason("image_root", ReasonGroup.IMAGE, "The image {image} wants to run as root, which is not allowed.", "Set a user id in the run configuration, or choose another image."),
    Reason("image_pull_failed", ReasonGroup.IMAGE, "The image {image} could not be downloaded: {message}", "Try again; if it happens again, check the image."),
    Reason("image_pull_timeout", ReasonGroup.TIMEOUT, "Downloading the image {image} took longer than {limit}.", "Try again, or choose a smaller image."),
    Reason("registry_unreachable", ReasonGroup.IMAGE, "The registry of the image {image} does not answer: {message}", "Try again later."),
    Reason("image_never_pull", ReasonGroup.POLICY, "The image {image} is not there, and this cluster does not download images.", "Tell an admin."),
    Reason("image_rejected", ReasonGroup.POLICY, "The machine refused the image {image}: {message}", "Choose another image."),
    Reason("volume_lost", ReasonGroup.VOLUME, "The disk of this session is gone.", "Start with an empty disk, or ask an admin."),
    Reason("volume_pending", ReasonGroup.VOLUME, "The disk could not be created: {message}", "Try again; if it happens again, tell an admin."),
    Reason("volume_attach", ReasonGroup.VOLUME, "The disk is still attached to another machine.", "This often ends by itself; else try again later."),
    Reason("volume_mount", ReasonGroup.VOLUME, "The disk could not be mounted: {message}", "Try again; if it happens again, tell an admin."),
    Reason("sandbox_failed", ReasonGroup.PLATFORM, "The machine could not prepare the session: {message}", "Try again; if it happens again, tell an admin."),
    Reason("data_mount_failed", ReasonGroup.VOLUME, "The storage {storages} could not be mounted: {message}", "Start without it, or ask an editor of the project to check it and its credentials."),
    Reason("in_the_way", ReasonGroup.PLATFORM, "Something else on the cluster has the name {name}, which this session needs.", "Tell an admin."),
    Reason("config_error", ReasonGroup.PLATFORM, "Part of the session's configuration is missing: {message}", "Try again; if it happens again, tell an admin."),
    Reason("create_error", ReasonGroup.CRASH, "The container could not be created: {message}", "Ask an editor of the project to check its command and folders."),
    Reason("setup_broken", ReasonGroup.PLATFORM, "The step {container}, which prepares the session, failed: {message}", "Try again; if it happens again, tell an admin."),
    Reason("no_jupyter", ReasonGroup.CRASH, "The image {image} has no JupyterHub server in it.", "Choose an image that has one."),
    # While running
    Reason("evicted", ReasonGroup.SCHEDULE, "The session was removed from its machine: {message}", "Your files are kept; start it again, perhaps with a larger class."),
    Reason("node_drained", ReasonGroup.PLATFORM, "The machine of the session is being emptied for maintenance.", "Your files are kept. Start the session again."),
    Reason("preempted", ReasonGroup.SCHEDULE, "The session was displaced by one with higher priority.", "Your files are kept; start it again."),
    Reason("node_lost", ReasonGroup.PLATFORM, "The machine of the session disappeared.", "Your files are kept; start it again."),
    Reason("node_shutdown", ReasonGroup.PLATFORM, "The machine of the session was shut down.", "Your files are kept; start it again."),
    Reason("deadline_exceeded", ReasonGroup.TIMEOUT, "The maximum run time is over.", "Your files are kept; start it again."),
    Reason("pod_removed", ReasonGroup.PLATFORM, "The session was removed from outside.", "Your files are kept; start it again."),
    Reason("server_exited", ReasonGroup.ENDED, "The session was shut down from inside.", "Your files are kept: resume it whenever you like."),
    Reason("lost", ReasonGroup.PLATFORM, "The session ended while the hub could not see it.", "Your files are kept; start it again."),
    Reason("started_by", ReasonGroup.ENDED, "Started by {admin}, an admin of the hub, for you.", "Pause it if you did not want that."),
    # Ended
    Reason("cancelled", ReasonGroup.ENDED, "You cancelled the start.", ""),
    Reason("stopped_by_user", ReasonGroup.ENDED, "Paused by you.", ""),
    Reason("stopped_by_admin", ReasonGroup.ENDED, "Paused by an admin.", ""),
    Reason("stopped_for_node", ReasonGroup.ENDED, "Paused by an admin: the node is being maintained.", "Your files are kept: resume it whenever you like."),
    Reason("stopped_for_all", ReasonGroup.ENDED, "Paused by an admin, with all sessions of this hub.", "Your files are kept: resume it when the hub is ready for that."),
    Reason("stopped_by_hub", ReasonGroup.ENDED, "Paused from outside: the hub was shut down, or another page stopped it.", ""),
    Reason("not_running", ReasonGroup.ENDED, "This session does not run.", "Start it first."),
    Reason("keep_awake_off", ReasonGroup.POLICY, "Keeping idle sessions awake is disabled on this hub.", "Ask an admin."),
    Reason("culled_idle", ReasonGroup.ENDED, "Paused after {span} without activity (signals: {signals}).", "Your files are kept: resume it whenever you like."),
    Reason("culled_age", ReasonGroup.ENDED, "Paused after the maximum run time of {span}.", "Your files are kept: resume it whenever you like."),
    Reason("access_revoked", ReasonGroup.ENDED, "Paused because your access to the project ended.", "Your files are kept: delete them here, or ask a member of the project to let you in again."),
    Reason("deleted_by_user", ReasonGroup.ENDED, "You deleted its data.", ""),
    Reason("deleted_expired", ReasonGroup.ENDED, "Its data was deleted, as announced: it was paused for long.", ""),
    # Reasons of a download of data, which change no status
    Reason("download_running", ReasonGroup.POLICY, "Files can only be downloaded while the session is paused.", "Pause it first."),
    Reason("download_nothing", ReasonGroup.POLICY, "There are no files of yours in this session.", "Start it to make some."),
    Reason("download_yours", ReasonGroup.POLICY, "You are downloading files already.", "Wait until that has ended, or cancel it."),
    Reason("download_busy", ReasonGroup.QUOTA, "{limit} people download their files just now, as many as an admin allows at a time.", "Try again in a few minutes."),
    Reason("download_off", ReasonGroup.POLICY, "Downloading files is disabled on this hub.", "Ask an admin."),
    Reason("download_waits", ReasonGroup.PLATFORM, "Your files are being made ready for the download.", "Try again in a moment."),
    Reason("download_failed", ReasonGroup.VOLUME, "Your files cannot be read now: {message}", "Try again later; if it happens again, tell an admin."),
    # Notices, which change no status
    Reason("image_unverified", ReasonGroup.IMAGE, "The image {image} could not be checked: its registry does not answer.", "It may still work; the check is repeated."),
    Reason("pulling", ReasonGroup.IMAGE, "The image {image} is being downloaded.", "The first time on a machine takes longest."),
    Reason("scaling_up", ReasonGroup.SCHEDULE, "A new machine is being started for this session.", "This takes some minutes."),
    Reason("node_joining", ReasonGroup.SCHEDULE, "A new machine is joining the cluster.", "The session starts as soon as it is ready."),
    Reason("making_room", ReasonGroup.SCHEDULE, "Room is being made for this session.", "This takes a minute or two."),
    Reason("setting_up", ReasonGroup.PLATFORM, "The machine is preparing the session.", "This usually takes some seconds."),
    Reason("pull_again", ReasonGroup.IMAGE, "The image {image} could not be downloaded at once.", "It is tried again."),
    Reason("disk_creating", ReasonGroup.VOLUME, "The disk is being created.", "This takes some seconds to minutes."),
    Reason("disk_mounting", ReasonGroup.VOLUME, "The disk is being mounted.", "This usually takes some seconds."),
    Reason("disk_attaching", ReasonGroup.VOLUME, "The disk is being brought to the session's machine.", "Where another machine has just had it, this takes some minutes."),
    Reason("storage_mounting", ReasonGroup.VOLUME, "The storage {storages} is being mounted.", "This usually takes some seconds."),
    Reason("restarted_oom", ReasonGroup.CRASH, "Restarted: out of memory, limit {limit}.", "Try a larger class."),
    Reason("restarted_crash", ReasonGroup.CRASH, "Restarted: the program had ended with code {exit_code}.", "See the last lines of its log."),
    Reason("restarts_soon", ReasonGroup.CRASH, "The program has ended with code {exit_code}, and is started again within five minutes.", "See the last lines of its log."),
    Reason("node_silent", ReasonGroup.PLATFORM, "The machine of the session does not answer.", "It may come back by itself; your files are kept."),
    Reason("volume_resize", ReasonGroup.VOLUME, "The disk could not be enlarged: {message}", "The session has the disk as it was; tell an admin."),
    Reason("deleting", ReasonGroup.ENDED, "Its data is being deleted.", "That goes on by itself, also when the hub restarts."),
    Reason("delete_soon", ReasonGroup.ENDED, "Its data will be deleted on {day}.", "Resume it to keep its data."),
    Reason("in_trash", ReasonGroup.ENDED, "Its data is in the trash until {day}.", "Bring it back, or it is deleted for good."),
    Reason("stuck_terminating", ReasonGroup.PLATFORM, "Stopping takes longer than usual.", "Nothing is lost; it ends by itself or is forced."),
    Reason("storages_left_out", ReasonGroup.VOLUME, "Started without {storages}.", "The next start has all storages again."),
    Reason("variables_left_out", ReasonGroup.POLICY, "Started without the variables {variables}: they cannot be set any more.", "Ask an editor of the project to remove them from the session."),
    Reason("storage_not_here", ReasonGroup.VOLUME, "The storage {storages} is not available here: {why}.", "The session has everything else."),
    Reason("storage_slow", ReasonGroup.VOLUME, "The storage {storages} is slow: listing it took longer than {limit}.", "It may still work, but its files may open slowly."),
    Reason("storage_unprotected", ReasonGroup.VOLUME, "The storage {storages} is read-only, but this hub cannot prevent you from writing to it.", "Please do not: other people read the same files."),
    # A missing repository does not keep a session from starting
    Reason("clone_failed", ReasonGroup.NETWORK, "The repository {directory} could not be cloned: {message}", "It is tried again at the next start."),
    Reason("clone_auth", ReasonGroup.PERMISSION, "You have no read access to the repository {directory}: {message}", "Ask its owners; it is tried again at the next start."),
    Reason("clone_ref", ReasonGroup.POLICY, "The repository {directory} has no {ref}: {message}", "Ask an editor to correct it; it is tried again at the next start."),
    Reason("clone_disk_full", ReasonGroup.VOLUME, "The repository {directory} could not be cloned: The disk is full.", "Free some space; it is tried again at the next start."),
    Reason("clone_in_the_way", ReasonGroup.VOLUME, "The repository {directory} was not cloned: {message}", "Rename what is there; it is tried again at the next start."),
)  # fmt: skip

REASONS_BY_CODE = {reason.code: reason for reason in _REASON_TABLE}

# Notices that are facts of a start, and hold as long as what it started runs. All others describe the present
# observation: they are derived again at each check and are never kept from an earlier one.
LAUNCH_NOTICE_CODES = frozenset({
    "started_by", "image_unverified", "variables_left_out",
    "storages_left_out", "storage_not_here", "storage_slow", "storage_unprotected", "volume_resize",
    "clone_failed", "clone_auth", "clone_ref", "clone_disk_full", "clone_in_the_way",
})  # fmt: skip


def merge_notices(before: Iterable[Mapping[str, str]], *now: Mapping[str, str]) -> tuple[Mapping[str, str], ...]:
    """Return the facts of a start among the notices *before*, then those that hold *now*, each once."""
    facts = [notice for notice in before if notice["code"] in LAUNCH_NOTICE_CODES]
    return tuple({_get_notice_identity(notice): notice for notice in (*facts, *now)}.values())


def _get_notice_identity(notice: Mapping[str, str]) -> tuple[str, str]:
    """Return the key by which notices are the same.

    A code may apply to several storages or repositories, but only one disk can fail to grow.
    """
    return notice["code"], "" if notice["code"] == "volume_resize" else notice["title"]


class _PlaceholderValues(dict[str, object]):
    def __missing__(self, key: str) -> str:
        return "…"


def format_reason(code: str, **values: object) -> tuple[str, str]:
    """Return the text and the advice of *code* with *values* filled in.

    Values are inserted literally: braces in them mean nothing. A missing value reads “…”, so that
    reporting a failure never fails itself.
    """
    reason = REASONS_BY_CODE.get(code) or REASONS_BY_CODE["start_error"]
    filling = _PlaceholderValues({key: str(value) for key, value in values.items()})
    return reason.text.format_map(filling), reason.advice.format_map(filling)


def format_reason_sentence(code: str, **values: object) -> str:
    """Return text and advice in one line."""
    return " ".join(part for part in format_reason(code, **values) if part)


_REASONS_BY_EXIT_CODE = {126: "command_not_executable", 127: "command_not_found", 137: "crash_killed"}
# Reasons that end a working session as a pause: its user has shut the server down.
PAUSE_REASONS = frozenset({"server_exited"})


# `jupyterhub-singleuser` logs this before it exits, followed by a traceback of each try:
# https://github.com/jupyterhub/jupyterhub/blob/6.1.1/jupyterhub/singleuser/extension.py#L362
_HUB_UNREACHABLE_PATTERN = re.compile(r"Failed to connect to my Hub at \S{1,300} \(attempt (\d{1,3})/\1\)")
_HUB_UNREACHABLE_LOG_CHARACTERS = 16_000


def resolve_exit_reason(exit_code: int | None, log: str, *, was_ready: bool) -> str:
    """Return the code of the reason for a program's exit status and the end of its log.

    An exit code above 128 is a signal (bash's convention). 137 is SIGKILL, which is no proof of a lack of
    memory: the kernel sends it when memory runs out, but other programs may, too.
    """
    if exit_code is None:
        return "lost"
    if exit_code == 0:
        return "server_exited" if was_ready else "exited_clean"
    if _HUB_UNREACHABLE_PATTERN.search(log[-_HUB_UNREACHABLE_LOG_CHARACTERS:]):
        return "hub_unreachable"
    end = log[-4000:].lower()
    if "no space left on device" in end or "disk quota exceeded" in end:
        return "crash_disk_full"
    if exit_code in _REASONS_BY_EXIT_CODE:
        return _REASONS_BY_EXIT_CODE[exit_code]
    return "crash_permission" if "permission denied" in end else "crash_exit"


def build_launch_refusal(code: str, **values: object) -> LaunchRefusedError:
    return LaunchRefusedError(format_reason_sentence(code, **values), code=code)


def build_session_not_found_error() -> NotFoundError:
    """Return the same error for a session that is absent and for one that is hidden."""
    return NotFoundError(format_reason_sentence("not_found"))
