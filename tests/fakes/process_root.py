"""What a container sees whose image has its file system on this machine: that, and its mounts where they belong."""

import os
from pathlib import Path
from typing import Any

from tests.fixtures.built_images import Root
from tests.fixtures.rooted import entering

from .process_env import ANY, Machine, View, expanded

Object = dict[str, Any]


class RootView(View):
    """Nothing is mapped but the address, since all containers share this machine's network."""

    def __init__(self, machine: Machine, container: Object, root: Root) -> None:
        super().__init__(machine, container)
        self.root = root
        said = {**machine.pod["spec"].get("securityContext", {}), **container.get("securityContext", {})}
        self.uid, self.gid, self.group = said["runAsUser"], said["runAsGroup"], said.get("fsGroup", said["runAsGroup"])
        for folder in self.mounts.values():
            self._give(folder)

    def _give(self, folder: Path) -> None:
        """As the kubelet does with `fsGroup`."""
        for place in (folder, *folder.rglob("*")):
            if not place.is_symlink():
                os.chown(place, -1, self.group)
                place.chmod(place.stat().st_mode | (0o2070 if place.is_dir() else 0o060))

    def inner(self, text: str) -> str:
        return text.replace(ANY, self.machine.ip)

    def outer(self, raw: bytes) -> bytes:
        return raw

    def environment(self) -> dict[str, str]:
        known = {"HOSTNAME": self.machine.pod["metadata"]["name"], "HOME": self._home(), **self.root.variables}
        return known | {key: self.inner(text) for key, text in self.given.items()}

    def _home(self) -> str:
        """What a container's runtime takes from the image's list of users."""
        users = (line.split(":") for line in (self.root.folder / "etc/passwd").read_text().splitlines())
        return next((user[5] for user in users if int(user[2]) == self.uid), "/")

    def command(self, entrypoint: list[str]) -> list[str]:
        image = self.root.config
        command = self.container.get("command") or image.get("Entrypoint", [])
        otherwise = [] if self.container.get("command") else image.get("Cmd", [])
        words = [*command, *(self.container.get("args") or otherwise)]
        return entering(
            self.root.folder,
            [self.inner(expanded(word, self.given)) for word in words],
            uid=self.uid,
            gid=self.gid,
            groups=[self.group],
            folder=self.container.get("workingDir") or image.get("WorkingDir", "/"),
            mounts=self.mounts,
        )

    def folder(self) -> str:
        return "/"
