"""The pod that looks into an image: what it may, where it runs, and whose it is."""

import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from renku_spawner.domain.environments import RunConfiguration
from renku_spawner.spawners.kubernetes.image_probe import build_session_probe_pod
from tests.fakes import kube_defaults, kube_validation
from tests.spawners.local.test_probe import PYTHON, SHELL

from . import made, pss

SESSION = {
    "metadata": {"name": "jupyter-ada--sessionaaaaa", "uid": "0e9d5b0c-0000-4000-8000-000000000001"},
    "spec": {
        "nodeName": "knode", "tolerations": [{"key": "user", "operator": "Exists"}],
        "imagePullSecrets": [{"name": "pull"}], "schedulerName": "default-scheduler",
    },
}  # fmt: skip


def pod(**changed: Any) -> dict[str, Any]:
    return made.sent(build_session_probe_pod(SESSION, made.spec(**changed), made.SETTINGS))


def test_the_pod_is_the_one_that_is_written_down(golden: Callable[[str, Any], None]) -> None:
    found = pod()
    command = found["spec"]["containers"][0]["command"]
    assert [made.expanded(word, {}) for word in command] == ["/bin/sh", "-c", SHELL, "sh", PYTHON, "/"]
    command[2] = command[4] = "…"
    golden("probe", found)


def test_it_keeps_to_the_standard_restricted_and_the_api_server_has_nothing_against_it() -> None:
    assert pss.offences(pod(run=RunConfiguration(uid=0))) == []
    found = kube_defaults.apply("pods", pod(), "")
    kube_validation.check("pods", "Pod", found)
    assert kube_validation.warnings("pods", found) == []


def test_it_gets_nothing_of_the_session() -> None:
    found = pod(variables={"DB_PASSWORD": "canary"}, title="canary")
    assert not {"volumes", "serviceAccountName"} & found["spec"].keys()
    assert not {"env", "envFrom", "volumeMounts"} & found["spec"]["containers"][0].keys()
    assert "canary" not in str(found)
    assert made.TOKEN not in str(found)


def test_the_watch_of_sessions_does_not_take_it_for_one() -> None:
    assert not {"component", "renku.io/session", "renku.io/launch"} & pod()["metadata"]["labels"].keys()


def test_without_a_digest_there_is_nothing_to_keep_it_by() -> None:
    with pytest.raises(ValueError, match="digest"):
        pod(digest=None)


def test_its_command_runs_as_it_is_sent() -> None:
    command = [made.expanded(word, {}) for word in pod()["spec"]["containers"][0]["command"]]
    printed = subprocess.run(
        command, capture_output=True, check=True, timeout=300, text=True, env={"PATH": "/usr/bin:/bin"}
    )
    assert printed.stdout.startswith("renku-probe 1\n")
    assert printed.stdout.splitlines()[-1] in ("end", "late")
