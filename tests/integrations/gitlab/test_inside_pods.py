"""The same in a pod: the init container clones with the hub's help, and no token stands where others read."""

import asyncio
import json
import subprocess

from renku_spawner.domain.instances import InstanceStatus
from tests.cluster.conftest import on_cluster
from tests.fakes.conftest import client, cluster
from tests.integrations.gitlab import inside as own
from tests.integrations.gitlab import logins
from tests.spawners import ways

__all__ = ["client", "cluster", "on_cluster"]
lab, pods, renku_hub = logins.lab, own.pods, logins.renku_hub


async def test_a_pod_clones_and_pushes_as_its_user_and_its_spec_has_no_token(pods):
    it, on = await pods(Renku={"push": True})
    assert (await ways.start(it.hub, it.session)).status_code in (200, 202)
    instance = await it.hub.becomes(it.session, InstanceStatus.RUNNING, seconds=60)
    assert instance.notices == ()
    (pod,) = on.pods()
    work = on.kubelet.claim_of(pod) / "spectra"
    assert (work / "README.md").read_text() == "# Spectra\n"
    written = json.dumps(pod)
    for pair in it.lab.world.tokens:
        assert pair.access not in written
    (clone,) = pod["spec"]["initContainers"]
    assert {variable["name"]: "value" in variable for variable in clone["env"]} == {
        "JUPYTERHUB_API_URL": True, "JUPYTERHUB_API_TOKEN": False,
    }  # fmt: skip
    (container,) = on.kubelet.pod(pod["metadata"]["name"]).processes()
    env = ways.environ(container.process.pid)
    assert not [name for name, value in env.items() if any(pair.access in value for pair in it.lab.world.tokens)]
    for command in (["commit", "--quiet", "--allow-empty", "-m", "From a pod"], ["push", "--quiet"]):
        done = await asyncio.to_thread(subprocess.run, ["git", *command], cwd=work, env=env, capture_output=True)
        assert (done.returncode, done.stderr) == (0, b"")
    said = it.theirs.repository.git("log", "-1", "--format=%an <%ae> %s", "main").decode().strip()
    assert said == "Alice <alice@example.com> From a pod"
