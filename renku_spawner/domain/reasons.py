# ruff: noqa: E501 - a table reads best with one row on one line
"""Why a start was refused, why a session failed or ended: one closed table.

Codes, groups and words follow reference table 4 of the design; the group is what
metrics and `SpawnException.reason` carry, the code is stored and shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Group(StrEnum):
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
    """`text` says what happened, `advice` what to do; `{…}` are filled by `words`."""

    code: str
    group: Group
    text: str
    advice: str


_TABLE = (
    # Refused before anything was started
    Reason("not_found", Group.PERMISSION, "There is no such session, or you have no access to it.", "Look at your projects."),
    Reason("permission_denied", Group.PERMISSION, "Changing sessions needs write access to the project.", "Ask one of its owners."),
    Reason("access_unverified", Group.PLATFORM, "We cannot check your access because GitLab does not answer.", "Try again in a moment."),
    Reason("options_invalid", Group.POLICY, "This start request is not valid.", "Start it from the session's page."),
    Reason("changed", Group.POLICY, "This session changed since you opened the page: {changed}. Nothing was started.", "See what would run now, then start it."),
    Reason("already_running", Group.POLICY, "You already run a session with this environment in this project: {other}.", "Open it, or pause it first."),
    Reason("limit_user", Group.QUOTA, "You run {count} of {limit} sessions, the limit that an admin has set.", "Pause one first."),
    Reason("limit_kept", Group.QUOTA, "You have data in {limit} sessions, the limit that an admin has set.", "Delete the data of one that you no longer need."),
    Reason("limit_servers", Group.QUOTA, "You have {limit} servers on this hub, the limit that an admin has set.", "Delete the data of a session that you no longer need."),
    Reason("hub_busy", Group.PLATFORM, "So many sessions are starting that the line is full.", "Try again in a moment."),
    Reason("env_draft", Group.POLICY, "The environment {environment} is still being prepared.", "It can be started when an admin offers it."),
    Reason("env_expired", Group.POLICY, "The environment {environment} was retired on {since}, and what was paused could be resumed until {until}.", "Your data are kept. Ask an editor of the project to choose another environment."),
    Reason("env_archived", Group.POLICY, "The environment {environment} has been retired.", "Ask an editor of the project to choose another one."),
    Reason("class_gone", Group.POLICY, "There is no class {resource_class}.", "Choose another one."),
    Reason("class_forbidden", Group.PERMISSION, "You may not use the class {resource_class}.", "Choose another one."),
    Reason("class_too_small", Group.POLICY, "The session asks for more than the class {resource_class} offers.", "Choose a larger one."),
    Reason("class_none", Group.POLICY, "None of your classes has {needs}.", "Ask an admin."),
    Reason("disk_shrink", Group.POLICY, "Your disk has {size}, and a disk cannot be made smaller.", "Keep the size, or delete your data and start anew."),
    Reason("storage_credentials", Group.POLICY, "Your own credentials are needed for {storages}.", "Enter them on the session's page, or start it without."),
    Reason("storage_unavailable", Group.VOLUME, "The storage {storages} cannot be had: {why}.", "Ask an editor of the project, or start the session without it."),
    Reason("storage_host_key", Group.VOLUME, "The server of the storage {storages} shows another host key than the one that was confirmed. It may be another server.", "Ask an editor of the project to compare and confirm the key, or start the session without it."),
    # While launching
    Reason("command_not_found", Group.CRASH, "The program {program} does not exist.", "The environment lacks what a session needs; tell an admin."),
    Reason("command_not_executable", Group.CRASH, "The program {program} cannot be executed.", "The environment lacks what a session needs; tell an admin."),
    Reason("crash_disk_full", Group.CRASH, "The disk is full.", "Ask an editor of the project for a larger disk, which grows at the next start, or delete your data."),
    Reason("ephemeral_storage_full", Group.CRASH, "The session wrote more than {limit} outside of its working directory.", "Your files in /work are kept. Start it again, and keep large files, packages and caches in /work."),
    Reason("crash_permission", Group.CRASH, "The program may not write where it wants to.", "See the last lines of its log."),
    Reason("crash_oom", Group.CRASH, "The session ran out of memory; its limit is {limit}.", "Try a larger class."),
    Reason("crash_exit", Group.CRASH, "The program ended with code {exit_code}.", "See the last lines of its log."),
    Reason("hub_unreachable", Group.NETWORK, "The program ended because the hub did not answer it.", "Start it again; if it happens again, tell an admin."),
    Reason("crash_killed", Group.CRASH, "The program was killed (SIGKILL).", "See the last lines of its log; if it used much memory, try a larger class."),
    Reason("exited_clean", Group.CRASH, "The program ended at once without an error.", "See the last lines of its log."),
    Reason("port_not_open", Group.NETWORK, "Nothing answered on port {port}.", "See the log, then try again."),
    Reason("app_error", Group.NETWORK, "The program answers with errors.", "See the last lines of its log."),
    Reason("base_url_wrong", Group.NETWORK, "The program does not answer below its address {prefix}.", "Let it serve below that path (RENKU_BASE_URL_PATH), or choose another image."),
    Reason("auth_loop", Group.NETWORK, "The image's JupyterHub version does not fit this hub ({version} / {hub}): logging in would never end.", "Choose a newer image."),
    Reason("start_timeout", Group.TIMEOUT, "Starting took longer than {limit} at the step “{stage}”.", "See the log, then try again."),
    Reason("start_error", Group.PLATFORM, "The session could not be started.", "Try again; if it happens again, tell an admin."),
    # While launching on a cluster; until it is final, the same words tell what it waits for
    Reason("cluster_unavailable", Group.PLATFORM, "The cluster does not answer.", "Nothing is lost; try again in a moment."),
    Reason("cluster_forbidden", Group.PLATFORM, "The hub lacks a right in the cluster: {message}", "Tell an admin."),
    Reason("quota_pool", Group.QUOTA, "There is not enough room in this resource pool: {message}", "Try a smaller class, or try again later."),
    Reason("rejected_by_policy", Group.POLICY, "The cluster's rules refuse this session: {message}", "Tell an admin."),
    Reason("unschedulable_gpu", Group.SCHEDULE, "No GPU of this kind is free: {message}", "Try again later, or another class."),
    Reason("unschedulable_resources", Group.SCHEDULE, "There is not enough free CPU or memory: {message}", "Try a smaller class, or try again later."),
    Reason("unschedulable_other", Group.SCHEDULE, "No machine fits this session: {message}", "If it stays so, tell an admin."),
    Reason("image_invalid", Group.IMAGE, "{image} is not the name of an image.", "Ask an editor of the project to correct it."),
    Reason("image_not_found", Group.IMAGE, "The image {image} does not exist or is not public.", "Ask an editor of the project to check its name and tag."),
    Reason("image_denied", Group.IMAGE, "The registry refuses access to {image}.", "Make it public, or choose another one. If it is a project's own, ask for access to that project."),
    Reason("image_platform_mismatch", Group.IMAGE, "The image {image} has no variant for this cluster's machines.", "Choose another tag or another image."),
    Reason("image_digest_gone", Group.IMAGE, "The registry no longer has this version of the image {image}.", "Ask an editor of the project to take the present one."),
    Reason("registry_not_allowed", Group.POLICY, "The image {image} is not allowed on this hub.", "Choose another one, or ask an admin."),
    Reason("image_root", Group.IMAGE, "The image {image} wants to run as root, which is not allowed.", "Set a user id in the run configuration, or choose another image."),
    Reason("image_pull_failed", Group.IMAGE, "The image {image} could not be downloaded: {message}", "Try again; if it happens again, check the image."),
    Reason("image_pull_timeout", Group.TIMEOUT, "Downloading the image {image} took longer than {limit}.", "Try again, or choose a smaller image."),
    Reason("registry_unreachable", Group.IMAGE, "The registry of the image {image} does not answer: {message}", "Try again later."),
    Reason("image_never_pull", Group.POLICY, "The image {image} is not there, and this cluster does not download images.", "Tell an admin."),
    Reason("image_rejected", Group.POLICY, "The machine refused the image {image}: {message}", "Choose another image."),
    Reason("volume_lost", Group.VOLUME, "The disk of this session is gone.", "Start with an empty disk, or ask an admin."),
    Reason("volume_pending", Group.VOLUME, "The disk could not be created: {message}", "Try again; if it happens again, tell an admin."),
    Reason("volume_attach", Group.VOLUME, "The disk is still attached to another machine.", "This often ends by itself; else try again later."),
    Reason("volume_mount", Group.VOLUME, "The disk could not be mounted: {message}", "Try again; if it happens again, tell an admin."),
    Reason("sandbox_failed", Group.PLATFORM, "The machine could not prepare the session: {message}", "Try again; if it happens again, tell an admin."),
    Reason("data_mount_failed", Group.VOLUME, "The storage {storages} could not be mounted: {message}", "Start without it, or ask an editor of the project to check it and its credentials."),
    Reason("in_the_way", Group.PLATFORM, "Something else on the cluster has the name {name}, which this session needs.", "Tell an admin."),
    Reason("config_error", Group.PLATFORM, "Part of the session's configuration is missing: {message}", "Try again; if it happens again, tell an admin."),
    Reason("create_error", Group.CRASH, "The container could not be created: {message}", "Ask an editor of the project to check its command and folders."),
    Reason("setup_broken", Group.PLATFORM, "The step {container}, which prepares the session, failed: {message}", "Try again; if it happens again, tell an admin."),
    Reason("no_jupyter", Group.CRASH, "The image {image} has no JupyterHub server in it.", "Choose an image that has one."),
    # While running
    Reason("evicted", Group.SCHEDULE, "The session was removed from its machine: {message}", "Your files are kept; start it again, perhaps with a larger class."),
    Reason("node_drained", Group.PLATFORM, "The machine of the session is being emptied for maintenance.", "Your files are kept. Start the session again."),
    Reason("preempted", Group.SCHEDULE, "The session was displaced by one with higher priority.", "Your files are kept; start it again."),
    Reason("node_lost", Group.PLATFORM, "The machine of the session disappeared.", "Your files are kept; start it again."),
    Reason("node_shutdown", Group.PLATFORM, "The machine of the session was shut down.", "Your files are kept; start it again."),
    Reason("deadline_exceeded", Group.TIMEOUT, "The maximum run time is over.", "Your files are kept; start it again."),
    Reason("pod_removed", Group.PLATFORM, "The session was removed from outside.", "Your files are kept; start it again."),
    Reason("server_exited", Group.ENDED, "The session was shut down from inside.", "Your files are kept: resume it whenever you like."),
    Reason("lost", Group.PLATFORM, "The session ended while the hub was not looking.", "Your files are kept; start it again."),
    Reason("started_by", Group.ENDED, "Started by {admin}, an admin of the hub, for you.", "Pause it if you did not want that."),
    # Ended
    Reason("cancelled", Group.ENDED, "You cancelled the start.", ""),
    Reason("stopped_by_user", Group.ENDED, "Paused by you.", ""),
    Reason("stopped_by_admin", Group.ENDED, "Paused by an admin.", ""),
    Reason("stopped_for_node", Group.ENDED, "Paused by an admin: the node is being maintained.", "Your files are kept: resume it whenever you like."),
    Reason("stopped_for_all", Group.ENDED, "Paused by an admin, with all sessions of this hub.", "Your files are kept: resume it when the hub is ready for that."),
    Reason("stopped_by_hub", Group.ENDED, "Paused from outside: the hub was shut down, or another page stopped it.", ""),
    Reason("not_running", Group.ENDED, "This session does not run.", "Start it first."),
    Reason("keep_awake_off", Group.POLICY, "On this hub nobody can keep a session awake that is not used.", "Ask an admin."),
    Reason("culled_idle", Group.ENDED, "Paused after {span} without activity (signals: {signals}).", "Your files are kept: resume it whenever you like."),
    Reason("culled_age", Group.ENDED, "Paused after the maximum run time of {span}.", "Your files are kept: resume it whenever you like."),
    Reason("access_revoked", Group.ENDED, "Paused because your access to the project ended.", "Your files are kept: delete them here, or ask a member of the project to let you in again."),
    Reason("deleted_by_user", Group.ENDED, "You deleted its data.", ""),
    Reason("deleted_expired", Group.ENDED, "Its data were deleted, as announced: it was paused for long.", ""),
    # Of a download of data, which changes no status
    Reason("download_running", Group.POLICY, "The files of a session are downloaded while it rests.", "Pause it first."),
    Reason("download_nothing", Group.POLICY, "There are no files of yours in this session.", "Start it to make some."),
    Reason("download_yours", Group.POLICY, "You are downloading files already.", "Wait until that has ended, or cancel it."),
    Reason("download_busy", Group.QUOTA, "{limit} people download their files just now, as many as an admin allows at a time.", "Try again in a few minutes."),
    Reason("download_off", Group.POLICY, "Files are not downloaded from this hub's pages.", "Ask an admin."),
    Reason("download_waits", Group.PLATFORM, "Your files are being made ready for the download.", "Try again in a moment."),
    Reason("download_failed", Group.VOLUME, "Your files cannot be read now: {message}", "Try again later; if it happens again, tell an admin."),
    # Notices, which change no status
    Reason("image_unverified", Group.IMAGE, "The image {image} could not be checked: its registry does not answer.", "It may still work; the check is repeated."),
    Reason("pulling", Group.IMAGE, "The image {image} is being downloaded.", "The first time on a machine takes longest."),
    Reason("scaling_up", Group.SCHEDULE, "A new machine is being started for this session.", "This takes some minutes."),
    Reason("node_joining", Group.SCHEDULE, "A new machine is joining the cluster.", "The session starts as soon as it is ready."),
    Reason("making_room", Group.SCHEDULE, "Room is being made for this session.", "This takes a minute or two."),
    Reason("setting_up", Group.PLATFORM, "The machine is preparing the session.", "This usually takes some seconds."),
    Reason("pull_again", Group.IMAGE, "The image {image} could not be downloaded at once.", "It is tried again."),
    Reason("disk_creating", Group.VOLUME, "The disk is being created.", "This takes some seconds to minutes."),
    Reason("disk_mounting", Group.VOLUME, "The disk is being mounted.", "This usually takes some seconds."),
    Reason("disk_attaching", Group.VOLUME, "The disk is being brought to the session's machine.", "Where another machine has just had it, this takes some minutes."),
    Reason("storage_mounting", Group.VOLUME, "The storage {storages} is being mounted.", "This usually takes some seconds."),
    Reason("restarted_oom", Group.CRASH, "Restarted: out of memory, limit {limit}.", "Try a larger class."),
    Reason("restarted_crash", Group.CRASH, "Restarted: the program had ended with code {exit_code}.", "See the last lines of its log."),
    Reason("restarts_soon", Group.CRASH, "The program has ended with code {exit_code}, and is started again within five minutes.", "See the last lines of its log."),
    Reason("node_silent", Group.PLATFORM, "The machine of the session does not answer.", "It may come back by itself; your files are kept."),
    Reason("volume_resize", Group.VOLUME, "The disk could not be enlarged: {message}", "The session has the disk as it was; tell an admin."),
    Reason("deleting", Group.ENDED, "Its data is being deleted.", "That goes on by itself, also when the hub restarts."),
    Reason("delete_soon", Group.ENDED, "Its data will be deleted on {day}.", "Resume it to keep them."),
    Reason("in_trash", Group.ENDED, "Its data are in the trash until {day}.", "Bring them back, or they are deleted for good."),
    Reason("stuck_terminating", Group.PLATFORM, "Stopping takes longer than usual.", "Nothing is lost; it ends by itself or is forced."),
    Reason("storages_left_out", Group.VOLUME, "Started without {storages}.", "The next start has all storages again."),
    Reason("variables_left_out", Group.POLICY, "Started without the variables {variables}: they cannot be set any more.", "Ask an editor of the project to remove them from the session."),
    Reason("storage_not_here", Group.VOLUME, "The storage {storages} is not available here: {why}.", "The session has everything else."),
    Reason("storage_slow", Group.VOLUME, "The storage {storages} is slow: listing it took longer than {limit}.", "It may still work; files in it come when they come."),
    Reason("storage_unprotected", Group.VOLUME, "The storage {storages} is read-only, and nothing keeps you from writing to it here.", "Please do not: other people read the same files."),
    # A repository that is missing does not keep a session from starting
    Reason("clone_failed", Group.NETWORK, "The repository {directory} could not be cloned: {message}", "It is tried again at the next start."),
    Reason("clone_auth", Group.PERMISSION, "You have no read access to the repository {directory}: {message}", "Ask its owners; it is tried again at the next start."),
    Reason("clone_ref", Group.POLICY, "The repository {directory} has no {ref}: {message}", "Ask an editor to correct it; it is tried again at the next start."),
    Reason("clone_disk_full", Group.VOLUME, "The repository {directory} could not be cloned: The disk is full.", "Free some space; it is tried again at the next start."),
    Reason("clone_in_the_way", Group.VOLUME, "The repository {directory} was not cloned: {message}", "Rename what is there; it is tried again at the next start."),
)  # fmt: skip

REASONS = {reason.code: reason for reason in _TABLE}

# Notices that are facts of a start, true as long as what it started runs. All others tell what is observed at the
# moment: they are derived anew at each look and are never kept from an earlier one.
FACTS_OF_A_START = frozenset({
    "started_by", "image_unverified", "variables_left_out",
    "storages_left_out", "storage_not_here", "storage_slow", "storage_unprotected", "volume_resize",
    "clone_failed", "clone_auth", "clone_ref", "clone_disk_full", "clone_in_the_way",
})  # fmt: skip


def merge_notices(before: Iterable[Mapping[str, str]], *now: Mapping[str, str]) -> tuple[Mapping[str, str], ...]:
    """Return the facts of a start among the notices *before*, then those that hold *now*, each once."""
    facts = [notice for notice in before if notice["code"] in FACTS_OF_A_START]
    return tuple({_identity(notice): notice for notice in (*facts, *now)}.values())


def _identity(notice: Mapping[str, str]) -> tuple[str, str]:
    """One code may be told of several storages or repositories, but there is one disk that could not grow."""
    return notice["code"], "" if notice["code"] == "volume_resize" else notice["title"]


class _Values(dict[str, object]):
    def __missing__(self, key: str) -> str:
        return "…"


def words(code: str, **values: object) -> tuple[str, str]:
    """The text and the advice of *code* with *values* put in.

    Values are put in as they are: braces in them mean nothing. A value that is
    missing reads “…”, since a failure must never fail to be told.
    """
    reason = REASONS.get(code) or REASONS["start_error"]
    filling = _Values({key: str(value) for key, value in values.items()})
    return reason.text.format_map(filling), reason.advice.format_map(filling)


def sentence(code: str, **values: object) -> str:
    """Text and advice in one line."""
    return " ".join(part for part in words(code, **values) if part)


_EXIT_CODES = {126: "command_not_executable", 127: "command_not_found", 137: "crash_killed"}
# Ends of a session that worked which are a pause: its user has shut it down.
PAUSES = frozenset({"server_exited"})


# What `jupyterhub-singleuser` logs before it ends, with a traceback of each try behind it:
# https://github.com/jupyterhub/jupyterhub/blob/6.1.1/jupyterhub/singleuser/extension.py#L362
_NO_HUB = re.compile(r"Failed to connect to my Hub at \S{1,300} \(attempt (\d{1,3})/\1\)")
_NO_HUB_WITHIN = 16_000  # characters


def of_exit(exit_code: int | None, log: str, *, was_ready: bool) -> str:
    """The code of a failure from a program's exit status and the end of its log.

    A code above 128 is a signal (bash's convention); 137 is SIGKILL, which says nothing of memory: the kernel sends
    it when memory runs out, and so may anyone else.
    """
    if exit_code is None:
        return "lost"
    if exit_code == 0:
        return "server_exited" if was_ready else "exited_clean"
    if _NO_HUB.search(log[-_NO_HUB_WITHIN:]):
        return "hub_unreachable"
    end = log[-4000:].lower()
    if "no space left on device" in end or "disk quota exceeded" in end:
        return "crash_disk_full"
    if exit_code in _EXIT_CODES:
        return _EXIT_CODES[exit_code]
    return "crash_permission" if "permission denied" in end else "crash_exit"
