# ruff: noqa: E501 - a table reads best with one row on one line
"""Writes docs/troubleshooting.md from the table of reasons, with what an admin does; a test keeps it current."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from renku_spawner.domain.reasons import REASONS, Group, Reason

PAGE = Path(__file__).with_name("troubleshooting.md")
_TOP = """# Troubleshooting by reason

This page is made from the code (`python docs/troubleshooting.py`). A start that is refused or fails, and a session that
ends, has one of the reasons below. Its owner reads the sentence and the advice on the session's page, with the end of the
log; the API has the code as `reason`; metrics have its group. A `…` stands for what differs from case to case.

Before looking at one session, look whether it is one: [the operator's page](operating.md#failures) says which reasons have
become frequent, and [`{hub}/api/renku/health`](monitoring.md#health) which neighbour of the hub is away. On the cluster a
session's pod, its claim and its Secret carry the session's id, which stands in the address of its page:

```sh
kubectl get pods,persistentvolumeclaims -n sessions -l renku.io/session=$SESSION
kubectl describe pod -n sessions -l renku.io/session=$SESSION
kubectl get events -n sessions --sort-by=.lastTimestamp
```
"""
_GROUPS = {
    Group.PERMISSION: "Who may do what, as the project says or an admin.",
    Group.POLICY: "A rule of the hub, of the cluster or of the project stands against it.",
    Group.QUOTA: "A limit is used up.",
    Group.PLATFORM: "The hub, the cluster or a neighbour of theirs is in the way: these are for admins to look into.",
    Group.IMAGE: "The image cannot be had, or cannot run here.",
    Group.SCHEDULE: "No machine has room, or the one that had is gone.",
    Group.VOLUME: "Disks, and what is on them.",
    Group.CRASH: "The program ended, or could not begin.",
    Group.NETWORK: "The program runs, and does not answer as it should; or a repository is not reached.",
    Group.TIMEOUT: "It took longer than it may.",
    Group.ENDED: "Somebody wanted it so.",
}
NOTHING = "Nothing."
# What an admin does, by code.
ADMIN = {
    # permission
    "not_found": "Nothing, unless the person should see the project: then its owners add them, in GitLab or under the project's *Settings*.",
    "permission_denied": "Nothing; in GitLab it takes the role Developer.",
    "class_forbidden": "Add the person or a group to `users` or `groups` of the class in `Renku.resource_classes`.",
    "clone_auth": "Where projects live in GitLab: see that the application has the scope `read_repository`, and that `Renku.git_credentials` covers whoever started it. Elsewhere only repositories that anybody can clone can be used.",
    # policy
    "options_invalid": "Look who asks: something starts servers by the hub's own API with options. Sessions take the name of a class and nothing else. The log names the keys.",
    "changed": "Nothing: an editor changed the session, or its project's repositories or storages, while a page was open; "
    "the person sees what would run now and starts it, or not.",
    "already_running": "Set `Renku.one_active_per_environment` to `False` if people may run several.",
    "env_archived": "Tell the project's editors which environment takes its place; or list it in `Renku.environments` again, or take it back on the page of environments.",
    "env_draft": "Offer it, on the page of environments.",
    "env_expired": "Raise `Renku.archived_resume_days`, or offer the environment again for as long as people need; tell the project's editors which one takes its place.",
    "class_gone": "Nothing, unless the class was taken out of `Renku.resource_classes` by mistake.",
    "class_too_small": "Nothing, unless a larger class should be offered.",
    "class_none": "Offer a class that is large enough to the person, by `Renku.resource_classes`; or ask the project's editors whether the session needs that much.",
    "disk_shrink": NOTHING,
    "rejected_by_policy": "Read the message: an admission controller, a LimitRange or the Pod Security level of the namespace refuses the pod. Sessions keep to *restricted*; a `modify_pod_hook` or `extra_…` setting of yours may not.",
    "registry_not_allowed": "Nothing if it is meant so; otherwise add the registry to `allowed` of `Renku.image_policy`, or the person to `outside`.",
    "image_never_pull": "Set `RenkuSpawner.image_pull_policy` to something other than `Never`, or bring the image to the nodes.",
    "image_rejected": "Look at the node's container runtime: it verifies signatures, or cannot read the image.",
    "clone_ref": NOTHING,
    "download_running": NOTHING,
    "download_nothing": NOTHING,
    "download_yours": NOTHING,
    "download_off": "Set `Renku.downloads` to more than 0, if people may download what is in their sessions.",
    # quota
    "download_busy": "Raise `Renku.downloads`: each takes some MB of the hub's memory, and what the network between gives.",
    "limit_user": "Raise `running` of `Renku.session_limits` if it is too low.",
    "limit_kept": "Raise `kept` of `Renku.session_limits` if it is too low.",
    "limit_servers": "Raise `JupyterHub.named_server_limit_per_user`: it counts paused sessions too.",
    "quota_pool": "Raise the ResourceQuota of the namespace of the sessions, or wait until others pause theirs.",
    # platform
    "access_unverified": "See whether GitLab answers the hub. `Renku.access_window` says for how long its last yes counts.",
    "hub_busy": "Raise `JupyterHub.concurrent_spawn_limit` or `active_server_limit`, if the machines can take it, or `Renku.queue_limit`.",
    "start_error": "Look for a traceback in the hub's log at that time, and report it.",
    "cluster_unavailable": "See whether the API server answers the hub, and whether a NetworkPolicy lets the hub reach it. Sessions go on meanwhile.",
    "cluster_forbidden": "Compare the hub's Role with the one of this release (`helm/role.yaml`, or the chart's) and see that its RoleBinding names the hub's service account in the namespace of the sessions.",
    "in_the_way": "Look what has this name: something that is not this hub's made it. Two hubs in one namespace need a `RenkuSpawner.hub_label` each. Remove it if nobody needs it.",
    "config_error": "A Secret or ConfigMap that the pod names is missing or has no such key: look at `extra_container_config`, `environment` and volumes of your own. If it names a Secret of Renku's, look who deletes Secrets.",
    "sandbox_failed": "Look at the pod's events and at the network plugin and the container runtime of the node: the pod's sandbox cannot be made there.",
    "setting_up": NOTHING,
    "setup_broken": "See that `RenkuSpawner.clone_image` is there, can be pulled and has `sh`, `python3` and git; an init container of your own may be the one that failed.",
    "node_lost": "Look at the node.",
    "node_shutdown": "Nothing, if the node was meant to be shut down. Drain it beforehand, so that people can be told.",
    "pod_removed": "Look who deletes pods: an autoscaler that packs nodes, a clean-up job, a person. The audit log of the API server says so.",
    "lost": "Nothing after a restart of the machine or of the hub. If the hub was not away, look at its log.",
    "node_silent": "Look at the node: its kubelet does not answer.",
    "stuck_terminating": "If it lasts for more than some minutes, look at the node, and at volumes that cannot be detached.",
    "download_waits": "Nothing, unless it lasts: then look at the pod `renku-download-…` in the namespace of the sessions.",
    # image
    "image_invalid": NOTHING,
    "image_not_found": "If it is a ready-made environment: correct it in `Renku.environments` or on the page of environments. Behind a mirror, see that the nodes find it there.",
    "image_denied": "For a ready-made environment: give the hub `Renku.registry_credentials` and the spawner `image_pull_secrets`. For images of GitLab's registry: `Renku.private_images` and the scope `read_registry`.",
    "image_platform_mismatch": "Set `Renku.platforms` to those of the machines, if it is wrong.",
    "image_digest_gone": "Keep images that sessions are pinned to: exempt them from the registry's clean-up. For a ready-made environment, name an image that is there.",
    "image_root": "Nothing; a session never runs as root.",
    "image_pull_failed": "Try `crictl pull` on the node; often it is the node's disk, its proxy or a registry that limits pulls.",
    "registry_unreachable": "See whether the nodes reach the registry; `Renku.registry_proxy` is for the hub alone.",
    "image_unverified": "See whether the hub reaches the registry: its NetworkPolicy, `Renku.registry_proxy`. Without the internet set `Renku.registries_asked` to `False`.",
    "pull_again": NOTHING,
    "pulling": "Nothing; the pre-puller brings ready-made images to the nodes beforehand.",
    # schedule
    "unschedulable_gpu": "See which nodes have the resource that the class names (`gpu_resource`), and whether its tolerations and node selector fit them.",
    "unschedulable_resources": "Add nodes, let an autoscaler do it, or make classes smaller: a session asks for its class's memory as a whole.",
    "unschedulable_other": "Read the message: taints, node selectors and affinities of the class or of KubeSpawner's settings, or a volume that is bound to another zone.",
    "evicted": "Look at the node's pressure on memory and disk; a session that asks for too little memory is the first to go.",
    "node_drained": "Nothing, if the node is being drained. [Pause its sessions first](cluster.md#drain-a-node): their owners then read why, and programs have time to end.",
    "preempted": "Give sessions a `priority_class_name`, if what displaced them should not.",
    "scaling_up": NOTHING,
    "node_joining": "Nothing, unless it lasts: then look why the node does not become ready.",
    "making_room": NOTHING,
    # volume
    "volume_lost": "Look who deleted the claim. From a snapshot: make the claim again under its old name, with the label `renku.io/session` that it had, before the person starts with an empty disk; *Try again* then takes it.",
    "volume_pending": "Look at the claim's events: no storage class of that name (`RenkuSpawner.storage_class`), no default one, a quota, or a provisioner that fails.",
    "disk_creating": NOTHING,
    "disk_mounting": NOTHING,
    "disk_attaching": NOTHING,
    "storage_mounting": NOTHING,
    "volume_attach": "If it does not end within minutes: remove the VolumeAttachment of a node that is gone.",
    "volume_mount": "Look at the pod's events and at the CSI driver on the node.",
    "volume_resize": "Use a storage class with `allowVolumeExpansion`, and see that the quota has room.",
    "data_mount_failed": "Read the message. On a cluster look at the pod's events, at the claim's, and at csi-rclone's pod on the node; for a volume, at its claim in the namespace of the sessions. On one machine try `rclone lsf` by hand.",
    "storages_left_out": NOTHING,
    "variables_left_out": "Nothing: an earlier release accepted these names. The list is in `renku_spawner/domain/variables.py`.",
    "storage_not_here": "On one machine: install `rclone` and `fuse3`, and let the hub's user open `/dev/fuse`. On a cluster: set `Renku.rclone_storage_class`. A volume with a `directory` is for one machine alone.",
    "storage_slow": "Nothing if it is far away; otherwise see whether this machine reaches it.",
    "storage_unprotected": "Install `rclone` and `fuse3`, by which folders are mounted read-only.",
    "download_failed": "Look at the hub's log. On a cluster a pod of `RenkuSpawner.clone_image` reads the files: see that it can be pulled, that its Python is 3.10 or newer and finds `zstandard` or the library libzstd, and that a NetworkPolicy lets the hub reach port 8080 of pods with the label `renku.io/download`.",
    "clone_disk_full": NOTHING,
    "clone_in_the_way": NOTHING,
    # crash
    "command_not_found": "For a ready-made environment: correct its command. Locally: install JupyterLab where the hub's Python is.",
    "command_not_executable": "For a ready-made environment: correct its command, or the image.",
    "ephemeral_storage_full": "Nothing, unless it happens to many: then raise `ephemeral_storage` of the class in `Renku.resource_classes`, as far as the nodes' own disks allow. The limit keeps one session from filling the disk of a node for all.",
    "crash_disk_full": "Nothing, unless it happens often: then offer a larger `disk`.",
    "crash_permission": "For a ready-made environment: let it write as the user id that it runs with, by default 1000 in group 100.",
    "crash_oom": "Nothing, unless it happens often: then offer more memory.",
    "hub_unreachable": "Sessions have to reach the hub at `JupyterHub.hub_connect_url`: look at the NetworkPolicies, and at how long the hub was away. One that was tried while there was no hub is tried again by the cluster, within five minutes.",
    "crash_killed": "Nothing, unless it happens often: then see in the machine's kernel log if its memory ran out (`dmesg`). On a cluster, where the limit of memory is enforced, that is told as `crash_oom`.",
    "crash_exit": "For a ready-made environment: read the log, and start the image by hand as [What an image needs](images.md) has it.",
    "exited_clean": "For a ready-made environment: its command ends at once; it has to stay and serve.",
    "create_error": "For a ready-made environment: look at its command and working directory. Otherwise at the container runtime of the node.",
    "no_jupyter": "For a ready-made environment: take an image that has `jupyterhub-singleuser`, or name its command.",
    "restarted_oom": NOTHING,
    "restarted_crash": NOTHING,
    "restarts_soon": NOTHING,
    # network
    "port_not_open": "If it happens to all sessions: see that a NetworkPolicy lets the hub and the proxy reach the pods. If to one environment: its port and command.",
    "app_error": "For a ready-made environment: read the log.",
    "base_url_wrong": "For a ready-made environment: its program has to serve below `RENKU_BASE_URL_PATH`, or be wrapped: [What an image needs](images.md).",
    "auth_loop": "Bring the images of ready-made environments to the hub's minor version of JupyterHub when you upgrade it.",
    "storage_credentials": "Nothing: the person enters their own, which the hub keeps encrypted if they want.",
    "storage_host_key": "Ask the admins of the SFTP server whether its key has changed. If so, an editor opens the storage under the project's *Settings*, saves it, compares the key that is shown and saves again, with the credentials. If not, somebody may listen between the hub and the server.",
    "storage_unavailable": "See `Renku.volumes` and `Renku.storage_kinds`; after `JUPYTERHUB_CRYPT_KEY` has changed, editors have to enter the credentials of storages again.",
    "clone_failed": "If it happens often: see that pods of sessions reach the git server, and that its host is allowed (`Renku.repository_hosts`).",
    # timeout
    "start_timeout": "If it happens often: find the step that takes long on the operator's page, and raise `Renku.start_timeout` or mend that step.",
    "image_pull_timeout": "Let the pre-puller bring large images to the nodes, or raise `Renku.start_timeout_max`.",
    "deadline_exceeded": "Nothing; an `activeDeadlineSeconds` that you have set has run out.",
    # ended
    "server_exited": NOTHING,
    "started_by": NOTHING,
    "cancelled": NOTHING,
    "stopped_by_user": NOTHING,
    "stopped_by_admin": NOTHING,
    "stopped_by_hub": "A hub that runs sessions on its own machine pauses them when it stops; set `JupyterHub.cleanup_servers` to `False` if they should go on. Otherwise a service or an admin has stopped it by the hub's own API or page.",
    "stopped_for_node": NOTHING,
    "stopped_for_all": NOTHING,
    "not_running": NOTHING,
    "keep_awake_off": "Set `Renku.keep_awake_max` to the seconds for which people may keep sessions awake.",
    "culled_idle": "Nobody used it for as long as `Renku.idle_pause`, its class or its environment says ([idle](idle.md)). The signals are those by which use would have been noticed; busy programs in images without our extension show only where the use of processors is read.",
    "culled_age": "It ran for as long as `Renku.run_time_max` says.",
    "access_revoked": "Nothing; if many are told so at once, look at GitLab's answers to the hub.",
    "deleted_by_user": NOTHING,
    "deleted_expired": "The audit log says when its data went into the trash, and when for good.",
    "deleting": "If it lasts, look at what keeps the session's pod or claim in the namespace: its finalizers, its node.",
    "delete_soon": "`Renku.expire_paused_days` says after how many days; [expiry](expiry.md) how that goes.",
    "in_trash": "The operator's page brings them back, too: *Instances*, status *paused*.",
}  # fmt: skip


def page() -> str:
    """The whole page."""
    return "\n".join([_TOP, *(part for group in Group for part in _of_group(group))]).rstrip() + "\n"


def _of_group(group: Group) -> Iterator[str]:
    yield f"## {group.value.capitalize()}\n\n{_GROUPS[group]}\n"
    yield "| code | what the user reads | what an admin does |\n| --- | --- | --- |"
    yield from (_row(reason) for reason in REASONS.values() if reason.group is group)
    yield ""


def _row(reason: Reason) -> str:
    said = re.sub(r"\{\w+\}", "…", f"{reason.text} {reason.advice}".strip())
    return f"| `{reason.code}` | {said} | {ADMIN[reason.code]} |"


if __name__ == "__main__":
    PAGE.write_text(page())
