# ruff: noqa: E501 - a table reads best with one row on one line
"""Write docs/troubleshooting.md from the table of reasons, with what an admin does; a test keeps it current."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from renku_spawner.domain.reasons import REASONS_BY_CODE, Reason, ReasonGroup

PAGE = Path(__file__).with_name("troubleshooting.md")
_TOP = """# Troubleshooting by reason

This page is made from the code (`python docs/troubleshooting.py`). A start that is refused or fails, and a session that
ends, has one of the reasons below. Its owner sees the sentence and the advice on the session's page, with the end of the
log; the API has the code as `reason`; metrics have its group. A `…` stands for a text that differs from case to case.

First find out whether one session is affected or many: [the operator's page](operating.md#failures) shows which reasons have
become frequent, and [`{hub}/api/renku/health`](monitoring.md#health) which dependency of the hub is unavailable. On the cluster a
session's pod, its claim and its Secret have the session's id as a label; the id is in the address of the session's page:

```sh
kubectl get pods,persistentvolumeclaims -n sessions -l renku.io/session=$SESSION
kubectl describe pod -n sessions -l renku.io/session=$SESSION
kubectl get events -n sessions --sort-by=.lastTimestamp
```
"""
_GROUPS = {
    ReasonGroup.PERMISSION: "Missing permissions, by the project's roles or an admin's settings.",
    ReasonGroup.POLICY: "A rule of the hub, the cluster or the project forbids it.",
    ReasonGroup.QUOTA: "A limit is reached.",
    ReasonGroup.PLATFORM: "A problem of the hub, the cluster or one of their dependencies, for admins to solve.",
    ReasonGroup.IMAGE: "The image cannot be downloaded, or cannot run here.",
    ReasonGroup.SCHEDULE: "No node has capacity, or the session's node is gone.",
    ReasonGroup.VOLUME: "Disks and storages.",
    ReasonGroup.CRASH: "The program ended, or could not start.",
    ReasonGroup.NETWORK: "The program runs but does not answer correctly, or a repository cannot be reached.",
    ReasonGroup.TIMEOUT: "A time limit was exceeded.",
    ReasonGroup.ENDED: "A user, an admin or a setting ended it.",
}
NOTHING = "Nothing."
# What an admin does, by code.
ADMIN = {
    # permission
    "not_found": "Nothing, unless the user should see the project: then its owners add them, in GitLab or under the project's *Settings*.",
    "permission_denied": "Nothing; in GitLab the user needs the role Developer.",
    "class_forbidden": "Add the user or a group to `users` or `groups` of the class in `Renku.resource_classes`.",
    "clone_auth": "Where projects live in GitLab: see that the application has the scope `read_repository`, and that `Renku.git_credentials` covers the user who started it. On other hosts only public repositories can be used.",
    # policy
    "options_invalid": "Find the program that starts servers by the hub's own API with options. Sessions take only the name of a class. The log names the keys.",
    "changed": "Nothing: an editor changed the session, or its project's repositories or storages, while a page was open; "
    "the user sees what would run now, and decides.",
    "already_running": "Set `Renku.one_active_per_environment` to `False` if users may run several.",
    "env_archived": "Tell the project's editors which environment replaces it; or list it in `Renku.environments` again, or restore it on the page *Ready-made environments*.",
    "env_draft": "Offer it on the page *Ready-made environments*.",
    "env_expired": "Raise `Renku.archived_resume_days`, or offer the environment again for as long as users need it; tell the project's editors which one replaces it.",
    "class_gone": "Nothing, unless the class was removed from `Renku.resource_classes` by mistake.",
    "class_too_small": "Nothing, unless a larger class should be offered.",
    "class_none": "Offer a class that is large enough to the user, by `Renku.resource_classes`; or ask the project's editors whether the session needs that much.",
    "disk_shrink": NOTHING,
    "rejected_by_policy": "Read the message: an admission controller, a LimitRange or the Pod Security level of the namespace refuses the pod. Sessions comply with *restricted*; a `modify_pod_hook` or `extra_…` setting of yours may not.",
    "registry_not_allowed": "Nothing if this is intended; otherwise add the registry to `allowed` of `Renku.image_policy`, or the user to `outside`.",
    "image_never_pull": "Set `RenkuSpawner.image_pull_policy` to something other than `Never`, or bring the image to the nodes.",
    "image_rejected": "Check the node's container runtime: it verifies signatures, or cannot read the image.",
    "clone_ref": NOTHING,
    "download_running": NOTHING,
    "download_nothing": NOTHING,
    "download_yours": NOTHING,
    "download_off": "Set `Renku.downloads` to more than 0, if users may download the files of their sessions.",
    # quota
    "download_busy": "Raise `Renku.downloads`: each download needs some MB of the hub's memory, and network bandwidth.",
    "limit_user": "Raise `running` of `Renku.session_limits` if it is too low.",
    "limit_kept": "Raise `kept` of `Renku.session_limits` if it is too low.",
    "limit_servers": "Raise `JupyterHub.named_server_limit_per_user`: it counts paused sessions too.",
    "quota_pool": "Raise the ResourceQuota of the namespace of the sessions, or wait until others pause theirs.",
    # platform
    "access_unverified": "Check whether GitLab answers the hub. `Renku.access_window` is the time for which its last permission counts.",
    "hub_busy": "Raise `JupyterHub.concurrent_spawn_limit` or `active_server_limit`, if the machines have capacity, or `Renku.queue_limit`.",
    "start_error": "Look for a traceback in the hub's log at that time, and report it.",
    "cluster_unavailable": "Check whether the API server answers the hub, and whether a NetworkPolicy lets the hub reach it. Sessions go on meanwhile.",
    "cluster_forbidden": "Compare the hub's Role with the one of this release (`helm/role.yaml`, or the chart's) and see that its RoleBinding names the hub's service account in the namespace of the sessions.",
    "in_the_way": "Find the resource with this name: it was not created by this hub. Two hubs in one namespace need a `RenkuSpawner.hub_label` each. Remove it if it is not needed.",
    "config_error": "A Secret or ConfigMap that the pod names is missing or has no such key: look at `extra_container_config`, `environment` and volumes of your own. If it names a Secret of Renku, find out what deletes Secrets.",
    "sandbox_failed": "Look at the pod's events and at the network plugin and the container runtime of the node: the pod's sandbox cannot be made there.",
    "setting_up": NOTHING,
    "setup_broken": "See that `RenkuSpawner.clone_image` is there, can be pulled and has `sh`, `python3` and git; an init container of your own may be the one that failed.",
    "node_lost": "Check the node.",
    "node_shutdown": "Nothing, if the node was meant to be shut down. Drain it beforehand, so that users are told.",
    "pod_removed": "Find out what deletes pods: an autoscaler that packs nodes, a clean-up job, a user. The audit log of the API server has it.",
    "lost": "Nothing after a restart of the machine or of the hub. If the hub was not away, look at its log.",
    "node_silent": "Look at the node: its kubelet does not answer.",
    "stuck_terminating": "If it lasts for more than some minutes, look at the node, and at volumes that cannot be detached.",
    "download_waits": "Nothing, unless it lasts: then look at the pod `renku-download-…` in the namespace of the sessions.",
    # image
    "image_invalid": NOTHING,
    "image_not_found": "If it is a ready-made environment: correct it in `Renku.environments` or on the page *Ready-made environments*. With a mirror, check that the nodes find the image there.",
    "image_denied": "For a ready-made environment: give the hub `Renku.registry_credentials` and the spawner `image_pull_secrets`. For images of GitLab's registry: `Renku.private_images` and the scope `read_registry`.",
    "image_platform_mismatch": "Correct `Renku.platforms`, if it does not match the machines.",
    "image_digest_gone": "Keep images that sessions are pinned to: exempt them from the registry's clean-up. For a ready-made environment, name an existing image.",
    "image_root": "Nothing; a session never runs as root.",
    "image_pull_failed": "Try `crictl pull` on the node; often it is the node's disk, its proxy or a registry that limits pulls.",
    "registry_unreachable": "Check whether the nodes can reach the registry; `Renku.registry_proxy` is only for the hub.",
    "image_unverified": "Check whether the hub can reach the registry: its NetworkPolicy, `Renku.registry_proxy`. Without the internet set `Renku.registries_asked` to `False`.",
    "pull_again": NOTHING,
    "pulling": "Nothing; the pre-puller downloads ready-made images to the nodes beforehand.",
    # schedule
    "unschedulable_gpu": "Check which nodes have the resource that the class names (`gpu_resource`), and whether its tolerations and node selector fit them.",
    "unschedulable_resources": "Add nodes, let an autoscaler do it, or make classes smaller: a session requests all of its class's memory.",
    "unschedulable_other": "Read the message: taints, node selectors and affinities of the class or of KubeSpawner's settings, or a volume that is bound to another zone.",
    "evicted": "Check memory and disk pressure of the node; a session that requests too little memory is evicted first.",
    "node_drained": "Nothing, if the node is being drained. [Pause its sessions first](cluster.md#drain-a-node): their owners then see why, and programs have time to end.",
    "preempted": "Give sessions a `priority_class_name`, if other pods should not preempt them.",
    "scaling_up": NOTHING,
    "node_joining": "Nothing, unless it lasts: then check why the node does not become ready.",
    "making_room": NOTHING,
    # volume
    "volume_lost": "Find out who deleted the claim. To restore it from a snapshot, create the claim with its old name and its old label `renku.io/session`, before the user starts with an empty disk; *Try again* then uses it.",
    "volume_pending": "Check the claim's events: no storage class of that name (`RenkuSpawner.storage_class`), no default one, a quota, or a provisioner that fails.",
    "disk_creating": NOTHING,
    "disk_mounting": NOTHING,
    "disk_attaching": NOTHING,
    "storage_mounting": NOTHING,
    "volume_attach": "If it does not end within minutes: remove the VolumeAttachment of a node that is gone.",
    "volume_mount": "Look at the pod's events and at the CSI driver on the node.",
    "volume_resize": "Use a storage class with `allowVolumeExpansion`, and check that the quota is not exhausted.",
    "data_mount_failed": "Read the message. On a cluster check the events of the pod and the claim, and csi-rclone's pod on the node; for a volume, at its claim in the namespace of the sessions. On one machine try `rclone lsf` by hand.",
    "storages_left_out": NOTHING,
    "variables_left_out": "Nothing: an earlier release accepted these names. The list is in `renku_spawner/domain/sessions.py`.",
    "storage_not_here": "On one machine: install `rclone` and `fuse3`, and let the hub's user open `/dev/fuse`. On a cluster: set `Renku.rclone_storage_class`. A volume with a `directory` works only with the local spawner.",
    "storage_slow": "Nothing if it is far away; otherwise check whether this machine can reach it.",
    "storage_unprotected": "Install `rclone` and `fuse3`, so that folders can be mounted read-only.",
    "download_failed": "Check the hub's log. On a cluster a pod of `RenkuSpawner.clone_image` reads the files: check that it can be pulled, that its Python is 3.10 or newer, and that a NetworkPolicy lets the hub reach port 8080 of pods with the label `renku.io/download`.",
    "clone_disk_full": NOTHING,
    "clone_in_the_way": NOTHING,
    # crash
    "command_not_found": "For a ready-made environment: correct its command. Locally: install JupyterLab where the hub's Python is.",
    "command_not_executable": "For a ready-made environment: correct its command, or the image.",
    "ephemeral_storage_full": "Nothing, unless many sessions have it: then raise `ephemeral_storage` of the class in `Renku.resource_classes`, as far as the nodes' own disks allow. The limit prevents one session from filling the disk of its node.",
    "crash_disk_full": "Nothing, unless it happens often: then offer a larger `disk`.",
    "crash_permission": "For a ready-made environment: let it write as the user id that it runs with, by default 1000 in group 100.",
    "crash_oom": "Nothing, unless it happens often: then offer more memory.",
    "hub_unreachable": "Sessions have to reach the hub at `JupyterHub.hub_connect_url`: check the NetworkPolicies, and how long the hub was unavailable. The cluster restarts a session that was started while there was no hub, within five minutes.",
    "crash_killed": "Nothing, unless it happens often: then check in the machine's kernel log whether its memory ran out (`dmesg`). On a cluster, where the memory limit is enforced, the reason is then `crash_oom`.",
    "crash_exit": "For a ready-made environment: read the log, and start the image by hand as in [What an image needs](images.md).",
    "exited_clean": "For a ready-made environment: its command ends at once; it has to keep running and serve.",
    "create_error": "For a ready-made environment: check its command and working directory. Otherwise check the container runtime of the node.",
    "no_jupyter": "For a ready-made environment: use an image that has `jupyterhub-singleuser`, or name its command.",
    "restarted_oom": NOTHING,
    "restarted_crash": NOTHING,
    "restarts_soon": NOTHING,
    # network
    "port_not_open": "If all sessions have it: check that a NetworkPolicy lets the hub and the proxy reach the pods. If one environment has it: check its port and command.",
    "app_error": "For a ready-made environment: read the log.",
    "base_url_wrong": "For a ready-made environment: its program has to serve below `RENKU_BASE_URL_PATH`, or be wrapped: [What an image needs](images.md).",
    "auth_loop": "When you upgrade the hub, update the images of ready-made environments to its minor version of JupyterHub.",
    "storage_credentials": "Nothing: users enter their own, which the hub can store encrypted.",
    "storage_host_key": "Ask the admins of the SFTP server whether its key has changed. If so, an editor opens the storage under the project's *Settings*, saves it, compares the key that is shown and saves again, with the credentials. If not, the connection between the hub and the server may be intercepted.",
    "storage_unavailable": "Check `Renku.volumes` and `Renku.storage_kinds`; after `JUPYTERHUB_CRYPT_KEY` has changed, editors have to enter the credentials of storages again.",
    "clone_failed": "If it happens often: check that pods of sessions can reach the git server, and that its host is allowed (`Renku.repository_hosts`).",
    # timeout
    "start_timeout": "If it happens often: find the step that takes long on the operator's page, and raise `Renku.start_timeout` or fix that step.",
    "image_pull_timeout": "Let the pre-puller download large images to the nodes, or raise `Renku.start_timeout_max`.",
    "deadline_exceeded": "Nothing; an `activeDeadlineSeconds` that you have set was exceeded.",
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
    "keep_awake_off": "Set `Renku.keep_awake_max` to the seconds for which users may keep sessions awake.",
    "culled_idle": "It was not used for the time set by `Renku.idle_pause`, its class or its environment ([idle](idle.md)). The listed signals were available; busy programs in images without our extension are noticed only where the processor signal is available.",
    "culled_age": "It ran for the time set by `Renku.run_time_max`.",
    "access_revoked": "Nothing; if many users have it at once, check GitLab's responses to the hub.",
    "deleted_by_user": NOTHING,
    "deleted_expired": "The audit log has the times when its data was moved to the trash, and deleted.",
    "deleting": "If it lasts, check why the session's pod or claim is still in the namespace: its finalizers, its node.",
    "delete_soon": "`Renku.expire_paused_days` sets the number of days; see [expiry](expiry.md).",
    "in_trash": "You can also restore the data on the operator's page: *Sessions*, status *paused*.",
}  # fmt: skip


def page() -> str:
    """Build the page."""
    return "\n".join([_TOP, *(part for group in ReasonGroup for part in _of_group(group))]).rstrip() + "\n"


def _of_group(group: ReasonGroup) -> Iterator[str]:
    yield f"## {group.value.capitalize()}\n\n{_GROUPS[group]}\n"
    yield "| code | what the user reads | what an admin does |\n| --- | --- | --- |"
    yield from (_row(reason) for reason in REASONS_BY_CODE.values() if reason.group is group)
    yield ""


def _row(reason: Reason) -> str:
    said = re.sub(r"\{\w+\}", "…", f"{reason.text} {reason.advice}".strip())
    return f"| `{reason.code}` | {said} | {ADMIN[reason.code]} |"


if __name__ == "__main__":
    PAGE.write_text(page())
