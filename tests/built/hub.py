"""A hub that runs in its own image, below a configuration such as that of Zero to JupyterHub's chart."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.faults.own_hub import ADMIN_TOKEN, OwnHub, until
from tests.fixtures.built_images import Root
from tests.fixtures.ports import free_port
from tests.fixtures.proxy import BASE, SharedProxy
from tests.fixtures.rooted import entering

PLACE = "/usr/local/etc/jupyterhub"
Z2JH = f"""
import yaml

with open("{PLACE}/secret/values.yaml") as file:
    values = yaml.safe_load(file)
"""
# What z2jh's own configuration asks of an image; it ends with the entry that our chart adds.
CONFIG = """
import os, sys

from kubernetes_asyncio import client
from tornado.httpclient import AsyncHTTPClient

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from z2jh import values

AsyncHTTPClient.configure("tornado.curl_httpclient.CurlAsyncHTTPClient")
c.JupyterHub.spawner_class = "kubespawner.KubeSpawner"
c.ConfigurableHTTPProxy.should_start = False
c.JupyterHub.cleanup_servers = False
c.JupyterHub.db_url = "sqlite:///jupyterhub.sqlite"
culler = "jupyterhub-idle-culler"
command = ["python3", "-m", "jupyterhub_idle_culler", "--url=" + values["hub"] + "hub/api", "--timeout=3600"]
c.JupyterHub.services = [{"name": culler, "command": command}, {"name": "test", "api_token": values["token"]}]
scopes = ["list:users", "read:users:activity", "read:servers", "delete:servers"]
c.JupyterHub.load_roles = [
    {"name": culler, "services": [culler], "scopes": scopes},
    {"name": "test", "services": ["test"], "scopes": ["admin:users", "tokens"]},
]
for section, traits in values["config"].items():
    c[section].update(traits)
exec(values["extraConfig"])
"""
EXTRA = """
from renku_spawner import install

c.JupyterHub.spawner_class = "renku"
install(c)
"""


class HubInImage(OwnHub):
    """Its files are in *folder*, its root file system cannot be written to; *settings* are what our chart mounts."""

    def __init__(self, folder: Path, root: Root, proxy: SharedProxy, kubeconfig: str, settings: dict[str, Any]) -> None:
        super().__init__(folder)
        self.root, self.proxy = root, proxy
        self.base = f"http://127.0.0.1:{proxy.first}{BASE}"
        self.url = f"{self.base}hub/"
        self.inner = f"http://127.0.0.1:{free_port()}"
        self.write(kubeconfig, settings)

    def write(self, kubeconfig: str, settings: dict[str, Any]) -> None:
        config = {
            "JupyterHub": {"bind_url": self.base, "hub_bind_url": self.inner, "authenticator_class": "dummy"},
            "ConfigurableHTTPProxy": {"api_url": self.proxy.api},
        }
        values = {"token": ADMIN_TOKEN, "hub": self.inner + BASE, "config": config, "extraConfig": EXTRA}
        files = {
            "etc/jupyterhub_config.py": CONFIG,
            "etc/z2jh.py": Z2JH,
            "etc/secret/values.yaml": yaml.safe_dump(values),
            "renku/config/renku.json": json.dumps(settings),
            "kube/config": kubeconfig,
        }
        for name, text in files.items():
            place = self.folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        (self.folder / "srv").mkdir()
        os.chown(self.folder / "srv", 1000, 1000)

    def start(self) -> float:
        image = self.root.config
        mounts = {PLACE: "etc", "/etc/renku": "renku", "/etc/kube": "kube", "/srv/jupyterhub": "srv"}
        command = entering(
            self.root.folder,
            [*image["Entrypoint"], *image["Cmd"], "--upgrade-db"],
            uid=1000,
            gid=1000,
            folder=image["WorkingDir"],
            mounts={place: self.folder / name for place, name in mounts.items()},
            read_only=True,
        )
        told = {"CONFIGPROXY_AUTH_TOKEN": self.proxy.token, "KUBECONFIG": "/etc/kube/config"}
        with (self.folder / "hub.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, env={**self.root.variables, **told}, stdout=log, stderr=log, start_new_session=True
            )
        until(self.serves, why="the hub serves")
        until(self.is_reached, why="the proxy knows the way to it")
        return 0.0

    def serves(self) -> bool:
        """As the kubelet asks it; not through the proxy, which knows no way to it yet."""
        assert self.process is not None
        assert self.process.poll() is None, self.log()[-3000:]
        try:
            return self.client.get(f"{self.inner}{BASE}hub/health").status_code == 200
        except httpx.HTTPError:
            return False

    def is_reached(self) -> bool:
        return self.client.get(f"{self.url}health").status_code == 200

    def end(self) -> None:
        """As the kubelet ends it."""
        self.client.close()
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(60)
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
