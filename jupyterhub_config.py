"""The demo's hub, and an example of how a hub gets Renku: `renku-spawner demo` starts it.

Everything that a hub needs is the last line; the rest makes it a demo on one machine.
"""

import os
from pathlib import Path

from renku_spawner import install
from renku_spawner.demo.git_http import serve_repositories
from renku_spawner.demo.run import DEMO_USERS, build_demo_config, prepare_demo_data

c = get_config()  # noqa: F821 - JupyterHub gives it to this file

port = int(os.environ.get("PORT", "8000"))
data = Path(os.environ.get("DATA", "demo-data")).resolve()
prepare_demo_data(data, port=port)

# This machine only, and nothing that another hub might listen on.
c.JupyterHub.bind_url = f"http://127.0.0.1:{port}"
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{port + 1}"
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{port + 2}"
c.JupyterHub.db_url = f"sqlite:///{data}/jupyterhub.sqlite"
c.JupyterHub.cookie_secret_file = str(data / "cookie_secret")
c.ConfigurableHTTPProxy.pid_file = str(data / "proxy.pid")
c.JupyterHub.cleanup_servers = True  # Ctrl-C ends everything that was started here

# Anybody with the password is whoever they say: for a demo only.
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = os.environ.get("PASSWORD", "renku")
c.Authenticator.allowed_users = set(DEMO_USERS)
c.Authenticator.admin_users = {"admin"}

# Renku's settings: one ready-made environment, and the demo's own git server as a host to clone from.
c.merge(build_demo_config(data, port=port))
repositories = serve_repositories(data / "repositories", port + 3)

install(c)
