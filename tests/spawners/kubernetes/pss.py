"""The Pod Security Standard *restricted*, level by level, as its page writes it.

https://kubernetes.io/docs/concepts/security/pod-security-standards/ (with *baseline*,
which *restricted* includes); takes a pod as the API gives it, and says what offends.
"""

from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]
VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip
SYSCTLS = {
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
}  # fmt: skip
SECCOMP = {"RuntimeDefault", "Localhost"}
SELINUX = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}


def offences(pod: Object) -> list[str]:
    """What keeps *pod* out of a namespace with the level *restricted*; empty if nothing does."""
    spec = pod["spec"]
    found = [*_hosts(spec), *_volumes(spec), *_context("pod", spec.get("securityContext") or {})]
    for container in containers(spec):
        own = container.get("securityContext") or {}
        found += _context(container["name"], own)
        found += _container(container, own, spec.get("securityContext") or {})
    return found


def containers(spec: Object) -> list[Object]:
    kinds = ("initContainers", "containers", "ephemeralContainers")
    return [container for kind in kinds for container in spec.get(kind) or []]


def _hosts(spec: Object) -> Iterator[str]:
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(key):
            yield f"pod: {key}"


def _volumes(spec: Object) -> Iterator[str]:
    for volume in spec.get("volumes") or []:
        kinds = set(volume) - {"name"}
        if not kinds <= VOLUMES or len(kinds) != 1:
            yield f"volume {volume['name']}: {sorted(kinds)}"


def _context(where: str, context: Object) -> Iterator[str]:
    """What holds for the pod's context as for a container's: nobody may loosen it."""
    selinux = context.get("seLinuxOptions") or {}
    bad = {
        "runAsNonRoot": context.get("runAsNonRoot") is False,
        "runAsUser": context.get("runAsUser") == 0,
        "seccompProfile": (context.get("seccompProfile") or {}).get("type", "RuntimeDefault") not in SECCOMP,
        "appArmorProfile": (context.get("appArmorProfile") or {}).get("type", "RuntimeDefault") not in SECCOMP,
        "seLinuxOptions": selinux.get("type", "") not in SELINUX or selinux.get("user") or selinux.get("role"),
        "hostProcess": (context.get("windowsOptions") or {}).get("hostProcess"),
        "sysctls": {sysctl["name"] for sysctl in context.get("sysctls") or []} - SYSCTLS,
    }
    yield from (f"{where}: {what}" for what, is_bad in bad.items() if is_bad)


def _container(container: Object, own: Object, pod: Object) -> Iterator[str]:
    capabilities = own.get("capabilities") or {}
    bad = {
        "privileged": own.get("privileged"),
        "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is not False,
        "capabilities.drop": "ALL" not in (capabilities.get("drop") or []),
        "capabilities.add": set(capabilities.get("add") or []) - {"NET_BIND_SERVICE"},
        "procMount": own.get("procMount") not in (None, "Default"),
        "runAsNonRoot": own.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True,
        "seccompProfile": not (own.get("seccompProfile") or pod.get("seccompProfile")),
    }
    yield from (f"{container['name']}: {what}" for what, is_bad in bad.items() if is_bad)
    yield from _ports(container)


def _ports(container: Object) -> Iterator[str]:
    if any(port.get("hostPort") for port in container.get("ports") or []):
        yield f"{container['name']}: hostPort"
    handlers = [container.get(kind) or {} for kind in ("livenessProbe", "readinessProbe", "startupProbe")]
    handlers += (container.get("lifecycle") or {}).values()
    for handler in handlers:
        if any((handler.get(kind) or {}).get("host") for kind in ("httpGet", "tcpSocket")):
            yield f"{container['name']}: host of a probe"
