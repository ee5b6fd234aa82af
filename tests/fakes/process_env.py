"""What a container sees, brought onto this machine: its variables, and folders in place of its mounts."""

import os
import re
import sys
from base64 import b64decode
from pathlib import Path
from typing import Any

from . import csi_rclone
from .kube_store import Store

Object = dict[str, Any]
ANY = "0.0.0.0"  # what servers in containers listen on; here each has an address of its own
KEPT = ("LANG", "LC_ALL", "TZ")  # the only variables of the tests that a container gets


class ConfigError(Exception):
    """The container cannot be made yet: CreateContainerConfigError with this message."""


class MountError(Exception):
    """A volume cannot be mounted yet: FailedMount with this message."""


class Machine:
    """The folders of one pod under `root`; claims outlive it."""

    def __init__(self, root: Path, store: Store, pod: Object, ip: str) -> None:
        self.store, self.pod, self.ip = store, pod, ip
        self.namespace = pod["metadata"]["namespace"]
        self.claims = root / "claims"
        self.own = root / "pods" / pod["metadata"]["uid"]
        self.home = self.own / "home"
        self.home.mkdir(parents=True, exist_ok=True)
        self.programs: list[str] = []  # folders whose programs the image has before all others

    def volume(self, volume: Object) -> Path:
        """Return the folder of a volume; raises MountError."""
        if claim := volume.get("persistentVolumeClaim"):
            found = self.store.get("persistentvolumeclaims", self.namespace, claim["claimName"])
            folder = self.claims / found["metadata"]["uid"]
            self.stage(found, folder)
        else:
            folder = self.own / "volumes" / volume["name"]
        folder.mkdir(parents=True, exist_ok=True)
        for kind, key, resource in (("secret", "secretName", "secrets"), ("configMap", "name", "configmaps")):
            if kind in volume:
                self.write(folder, volume, kind, resource, volume[kind][key])
        return folder

    def stage(self, claim: Object, folder: Path) -> None:
        """Of claims of csi-rclone: have what its driver has, once."""
        name = csi_rclone.secret_name(claim)
        if name is None or folder.exists():
            return
        folder.mkdir(parents=True)
        try:
            csi_rclone.stage(self.store.get("secrets", self.namespace, name), folder)
        except csi_rclone.StageError as error:
            folder.rmdir()
            said = f'MountVolume.MountDevice failed for volume "{claim["spec"]["volumeName"]}" : {error}'
            raise MountError(said) from None

    def write(self, folder: Path, volume: Object, kind: str, resource: str, name: str) -> None:
        found = self.store.find(resource, self.namespace, name)
        if found is None and not volume[kind].get("optional"):
            shown = resource.removesuffix("s")
            raise MountError(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {shown} "{name}" not found')
        wanted = {one["key"]: one["path"] for one in volume[kind].get("items", [])}
        for key, text in values(resource, found or {}).items():
            if not wanted or key in wanted:
                file = folder / wanted.get(key, key)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)

    def mounts(self, container: Object) -> dict[str, Path]:
        """Return the folders by the paths at which the container has them; raises MountError."""
        volumes = {one["name"]: one for one in self.pod["spec"].get("volumes", [])}
        found = {}
        for mount in container.get("volumeMounts", []):
            folder = self.volume(volumes[mount["name"]]) / mount.get("subPath", "")
            folder.mkdir(parents=True, exist_ok=True)
            found[mount["mountPath"].rstrip("/")] = folder
        return found

    def variables(self, container: Object) -> dict[str, str]:
        """Return the environment as Kubernetes makes it; raises ConfigError."""
        found: dict[str, str] = {}
        for source in container.get("envFrom", []):
            resource, part = ("secrets", "secretRef") if "secretRef" in source else ("configmaps", "configMapRef")
            for key, text in self.values(resource, source[part]).items():
                found[source.get("prefix", "") + key] = text
        for variable in container.get("env", []):
            if "valueFrom" in variable:
                found |= self.referred(variable)
            else:
                found[variable["name"]] = expanded(variable.get("value", ""), found)
        return found

    def values(self, resource: str, reference: Object) -> dict[str, str]:
        found = self.store.find(resource, self.namespace, reference["name"])
        if found is None and not reference.get("optional"):
            raise ConfigError(f'{resource.removesuffix("s")} "{reference["name"]}" not found')
        return values(resource, found or {})

    def referred(self, variable: Object) -> dict[str, str]:
        source, name = variable["valueFrom"], variable["name"]
        if field := source.get("fieldRef"):
            return {name: self.field(field["fieldPath"])}
        resource, part = ("secrets", "secretKeyRef") if "secretKeyRef" in source else ("configmaps", "configMapKeyRef")
        reference = source[part]
        found = self.values(resource, reference)
        if reference["key"] in found:
            return {name: found[reference["key"]]}
        if reference.get("optional"):
            return {}
        kind = "Secret" if resource == "secrets" else "ConfigMap"
        raise ConfigError(f"couldn't find key {reference['key']} in {kind} {self.namespace}/{reference['name']}")

    def field(self, path: str) -> str:
        if match := re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path):
            return self.pod["metadata"].get(match[1], {}).get(match[2], "")
        special = {"status.podIP": self.ip, "spec.nodeName": "knode"}
        value: Any = special.get(path) or self.pod
        for part in path.split(".") if isinstance(value, dict) else []:
            value = value.get(part, "")
        return str(value)


class View:
    """One container's view of the machine: texts are mapped into it and, what it writes, back."""

    def __init__(self, machine: Machine, container: Object) -> None:
        self.machine, self.container = machine, container
        self.mounts = machine.mounts(container)
        self.given = machine.variables(container)

    def inner(self, text: str) -> str:
        """Put the folders of this machine where the container's mounts are."""
        for path in sorted(self.mounts, key=len, reverse=True):
            text = re.sub(rf"(?<![\w./-]){re.escape(path)}(?![\w-])", lambda _, path=path: str(self.mounts[path]), text)
        return text.replace(ANY, self.machine.ip)

    def outer(self, raw: bytes) -> bytes:
        for path, folder in self.mounts.items():
            raw = raw.replace(str(folder).encode(), path.encode())
        return raw

    def environment(self) -> dict[str, str]:
        base = {key: os.environ[key] for key in KEPT if key in os.environ}
        path = ":".join([*self.machine.programs, str(Path(sys.executable).parent), os.environ["PATH"]])
        base |= {"PATH": path, "HOME": str(self.machine.home)}
        base["HOSTNAME"] = self.machine.pod["metadata"]["name"]
        return base | {key: self.inner(text) for key, text in self.given.items()}

    def command(self, entrypoint: list[str]) -> list[str]:
        """Return the command line; `entrypoint` is what the image runs when the pod does not say."""
        command = self.container.get("command", [])
        words = command + self.container.get("args", [])
        return [self.inner(expanded(word, self.given)) for word in words or entrypoint]

    def folder(self) -> str:
        wanted = self.container.get("workingDir", "")
        return self.inner(wanted) if wanted else str(self.machine.home)


def values(resource: str, found: Object) -> dict[str, str]:
    data = found.get("data", {})
    return {key: b64decode(text).decode() for key, text in data.items()} if resource == "secrets" else data


def expanded(text: str, known: dict[str, str]) -> str:
    """Expand $(NAME) as Kubernetes does: unknown names stay, $$ is one $."""
    pattern = re.compile(r"\$\$|\$\(([^)]+)\)")
    return pattern.sub(lambda found: "$" if found[0] == "$$" else known.get(found[1], found[0]), text)
