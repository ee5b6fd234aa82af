"""The pod that hands files over: what it may, and what stands in its description."""

from hashlib import sha256
from typing import Any

import pytest

from renku_spawner.domain.environments import RunConfiguration
from renku_spawner.spawners.in_pod import build_program_command
from renku_spawner.spawners.kubernetes.helper_pods import PodPlacement, read_pod_placement
from renku_spawner.spawners.kubernetes.pvc_reader import PVCAccess, build_download_pod
from tests.fakes import kube_defaults, kube_validation

from . import made, pss
from .test_look import AT_REST, CLAIM
from .test_probe import SESSION

DIGEST = sha256(b"secret").hexdigest()


def pod(place: PodPlacement = AT_REST, **run: Any) -> dict[str, Any]:
    access = PVCAccess(claim=CLAIM, run=RunConfiguration(**run), place=place)
    return made.sent(build_download_pod("renku-download-a", access, made.SETTINGS, secret=DIGEST))


@pytest.mark.parametrize("place", [AT_REST, read_pod_placement(SESSION)], ids=["at rest", "beside"])
def test_it_keeps_to_the_standard_restricted_and_the_api_server_has_nothing_against_it(place: PodPlacement) -> None:
    assert pss.offences(pod(place, uid=0)) == []
    found = kube_defaults.apply("pods", pod(place), "")
    kube_validation.check("pods", "Pod", found)
    assert kube_validation.warnings("pods", found) == []
    assert "activeDeadlineSeconds" not in found["spec"]


def test_it_gets_the_files_to_read_as_their_owner_and_nothing_else_of_the_session() -> None:
    found = pod(uid=1234, gid=567)
    (container,) = found["spec"]["containers"]
    assert [mount["readOnly"] for mount in container["volumeMounts"]] == [True]
    assert [each["name"] for each in container["env"]] == ["RENKU_ADDRESS"]
    assert (container["securityContext"]["runAsUser"], found["spec"]["securityContext"]["fsGroup"]) == (1234, 567)
    assert not {"serviceAccountName", "initContainers"} & found["spec"].keys()
    assert not {"component", "renku.io/session", "renku.io/launch"} & found["metadata"]["labels"].keys()


def test_it_runs_what_stands_in_the_package_at_its_own_address() -> None:
    (container,) = pod()["spec"]["containers"]
    command = [made.expanded(word, {"RENKU_ADDRESS": "10.1.2.3"}) for word in container["command"]]
    said = f'{{"directory": "/work", "address": "10.1.2.3", "port": 8080, "secret": "{DIGEST}"}}'
    assert command == list(build_program_command("archive.py", said))
