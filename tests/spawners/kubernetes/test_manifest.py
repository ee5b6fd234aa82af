"""The pod of a session is a function of KubeSpawner's pod and the session: nothing more, nothing less."""

import ast
import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes_asyncio.client import V1SecurityContext
from kubespawner.objects import make_pod

from renku_spawner.domain.environments import RunConfiguration
from renku_spawner.domain.resource_classes import ResourceClass, ResourceRequirements
from renku_spawner.domain.sessions import is_variable_allowed
from renku_spawner.spawners.kubernetes.clone import parse_clone_log
from renku_spawner.spawners.kubernetes.environment import DEFAULT_EXECUTABLE_PATH, escape_kubelet_expansion
from renku_spawner.spawners.kubernetes.pod import build_session_pod
from renku_spawner.spawners.local.clone import CLONE_SCRIPT_PATH
from tests.fakes import kube_defaults, kube_validation

from . import made, pss
from .made import DIGEST, GPU, HUB, RUN, SETTINGS, TOKEN, expanded, hub_pod, pod, spec

SIDE = {
    "init_containers": [{"name": "motd", "image": "motd"}],
    "extra_containers": [{"name": "side", "image": "side", "securityContext": {"runAsUser": 7}}],
}
CASES: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "plain": (spec(), {}, {}),
    "known-path": (spec(), {}, {"image_path": "/opt/conda/bin:/usr/bin"}),
    "no-digest": (spec(digest=None), {}, {}),
    "no-repositories": (spec(repositories=()), {}, {}),
    "gpu": (spec(resource_class=GPU, needs=ResourceRequirements(cpu="4", memory="16Gi", gpu=1)), {}, {}),
    "own-command": (
        spec(
            run=RunConfiguration(
                command=("rstudio",), arguments=("--port", "8787", "$(X)"), port=8787, default_url="/rstudio",
                working_directory="/work/code", uid=1234, gid=0,
            )
        ),
        {"port": 8787}, {},
    ),
    "beside": (spec(), {**SIDE, "node_selector": {"pool": "users"}, "tolerations": [{"key": "user"}]}, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_pod_is_the_one_that_is_written_down(name: str, golden: Callable[[str, Any], None]) -> None:
    said, raw, options = CASES[name]
    golden(f"pod-{name}", pod(said, hub_pod(**raw), **options))


def test_the_secret_is_the_one_that_is_written_down(golden: Callable[[str, Any], None]) -> None:
    found = made.secret(spec(variables={"LEVEL": "3", "S3_SECRET": "canary-2"}))
    scripts = {name: found["stringData"].pop(name) for name in list(found["stringData"]) if name.endswith(".py")}
    assert scripts == {path.name: path.read_text() for path in CLONE_SCRIPT_PATH.glob("*.py")}
    golden("secret", found)


@pytest.mark.parametrize("name", CASES)
def test_the_input_is_unchanged_and_two_starts_are_equal(name: str) -> None:
    said, changed, options = CASES[name]
    raw = hub_pod(**changed)
    before = made.sent(raw)
    first, second = pod(said, raw, **options), pod(said, raw, **options)
    assert first == second
    assert made.sent(raw) == before


def test_a_pod_that_is_a_sessions_already_gets_nothing_twice() -> None:
    options: dict[str, Any] = {"run": RUN, "claim": "c", "secret": "s", "settings": SETTINGS, "image_path": "/bin"}
    once = build_session_pod(hub_pod(), spec(), **options)
    assert made.sent(build_session_pod(once, spec(), **options)) == made.sent(once)


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz234567", min_size=12, max_size=12))
def test_a_resumed_pod_differs_by_the_launch_alone(run: str) -> None:
    first, second = json.dumps(pod(spec())), json.dumps(pod(spec(), run=run))
    assert first.replace(RUN, run) == second


def test_requests_and_limits_follow_the_minimum_and_the_class() -> None:
    found = pod(spec(resource_class=GPU, needs=ResourceRequirements(cpu="4", memory="16Gi", gpu=1)))["spec"]
    assert found["containers"][0]["resources"] == {
        "requests": {"cpu": "4", "memory": "32Gi", "ephemeral-storage": "1Gi", "amd.com/gpu": "1"},
        "limits": {"cpu": "8", "memory": "32Gi", "ephemeral-storage": "10Gi", "amd.com/gpu": "1"},
    }
    assert found["initContainers"][0]["resources"] == {
        "requests": {"cpu": "4", "memory": "32Gi", "ephemeral-storage": "1Gi"},
        "limits": {"cpu": "8", "memory": "32Gi", "ephemeral-storage": "10Gi"},
    }
    assert found["nodeSelector"] == {"pool": "gpu"}
    assert found["tolerations"] == [
        {"key": "gpu", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}
    ]


@pytest.mark.parametrize(
    ("size", "requested", "limit"),
    [("20Gi", "1Gi", "20Gi"), ("500Mi", "500Mi", "500Mi"), ("1Gi", "1Gi", "1Gi"), ("", None, None)],
)
def test_what_a_session_may_write_to_its_nodes_disk_is_its_classs_and_little_is_requested(
    size: str, requested: str | None, limit: str | None
) -> None:
    offer = ResourceClass(name="small", cpu="1", memory="2Gi", ephemeral_storage=size)
    found = pod(spec(resource_class=offer))["spec"]
    for container in (*found["containers"], *found["initContainers"]):
        told = container["resources"]
        assert told["requests"].get("ephemeral-storage") == requested
        assert told["limits"].get("ephemeral-storage") == limit


def test_what_an_admin_says_of_a_containers_rights_stays() -> None:
    model = V1SecurityContext(run_as_user=9, run_as_non_root=True)
    side = {"name": "side", "image": "side", "securityContext": model}
    context = pod(spec(), hub_pod(extra_containers=[side]))["spec"]["containers"][1]["securityContext"]
    assert context == {
        "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True, "runAsUser": 9,
        "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip


def test_every_init_container_has_limits() -> None:
    found = pod(spec(), hub_pod(**SIDE))["spec"]["initContainers"]
    assert [container["name"] for container in found] == ["clone", "motd"]
    assert all(container["resources"]["limits"]["memory"] == "4Gi" for container in found)


def test_what_runs_is_the_digest_and_the_tag_is_told() -> None:
    found = pod(spec())
    assert found["spec"]["containers"][0]["image"] == f"quay.io/jupyter/scipy-notebook@{DIGEST}"
    assert found["metadata"]["annotations"]["renku.io/image"] == "quay.io/jupyter/scipy-notebook:2026-11-02"


def test_root_is_never_asked_for() -> None:
    found = pod(spec(run=RunConfiguration(uid=0)))["spec"]
    assert found["securityContext"]["runAsUser"] == found["containers"][0]["securityContext"]["runAsUser"] == 1000


def test_the_images_own_user_runs_it_and_the_files_keep_their_group() -> None:
    said = spec(run=RunConfiguration(uid=999, image_user=True, group=0))
    found = pod(said)["spec"]
    contexts = [
        found["securityContext"],
        *(c["securityContext"] for c in found["containers"] + found["initContainers"]),
    ]
    assert {(each["runAsUser"], each["runAsGroup"]) for each in contexts} == {(999, 0)}
    assert found["securityContext"]["fsGroup"] == 100
    assert pss.offences(pod(said)) == []
    chosen = pod(replace(said, run=replace(said.run, gid=5)))["spec"]["securityContext"]
    assert (chosen["runAsGroup"], chosen["fsGroup"]) == (5, 5)


def test_what_an_admin_has_mounted_where_ours_goes_gives_way() -> None:
    volume = {"name": "home", "emptyDir": {}}
    raw = hub_pod(volumes=[volume], volume_mounts=[{"name": "home", "mountPath": path} for path in ("/work", "/home")])
    found = pod(spec(), raw)["spec"]
    paths = [(mount["name"], mount["mountPath"]) for mount in found["containers"][0]["volumeMounts"]]
    assert paths == [("home", "/home"), ("renku-work", "/work"), ("renku-shm", "/dev/shm")]


def test_with_nothing_to_run_but_the_image_the_path_stays_as_it_is() -> None:
    found = pod(spec(), hub_pod(cmd=None))["spec"]["containers"][0]
    assert "command" not in found
    assert "args" not in found
    assert "PATH" not in made.environment(pod(spec(), hub_pod(cmd=None)))


def test_arguments_alone_go_to_what_would_run_anyway() -> None:
    said = spec(run=RunConfiguration(arguments=("--debug",)))
    assert pod(said, image_path="")["spec"]["containers"][0]["args"] == ["jupyterhub-singleuser", "--debug"]
    assert made.environment(pod(said, image_path=""))["PATH"] == f"/work/.local/bin:{DEFAULT_EXECUTABLE_PATH}"


def test_an_admins_references_between_variables_are_kept() -> None:
    assert made.environment(pod(spec()))["SITE"] == "$(JUPYTERHUB_USER).example.org"


# ---- what people type ------------------------------------------------------------------------------

HOSTILE = st.sampled_from(
    [
        "{username:>50000000}", "{}", "{0.__class__}", "$(JUPYTERHUB_API_TOKEN)", "$$(RENKU_USERNAME)", "$", "$$", "$(",
        "`id`", "'; rm -rf /; '", '"; id; "', "\n", "\u202e", "${PATH}", "%s", "a: [b", "<script>",
    ]
)  # fmt: skip
TEXT = st.lists(HOSTILE | st.text(max_size=20), max_size=4).map("".join)
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True).filter(is_variable_allowed)
SPECS = st.builds(
    spec,
    title=TEXT,
    username=TEXT,
    project_path=TEXT,
    variables=st.dictionaries(NAMES, TEXT, max_size=4),
    digest=st.none() | st.just(DIGEST),
    resource_class=st.sampled_from([made.SIZE, GPU]),
    repositories=st.lists(
        st.builds(lambda text: replace(made.REPOSITORIES[0], url=text, directory=text), TEXT), max_size=2
    ).map(tuple),
    run=st.builds(
        RunConfiguration,
        default_url=TEXT,
        working_directory=TEXT.map(lambda text: f"/work/{text}"),
        command=st.lists(TEXT, max_size=3).map(tuple),
        arguments=st.lists(TEXT, max_size=3).map(tuple),
        uid=st.none() | st.integers(0, 2000),
        gid=st.none() | st.integers(0, 2000),
    ),
)
OPTIONS = st.fixed_dictionaries({"image_path": st.none() | st.just("/usr/bin")})
LABEL = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9])?")


@given(TEXT)
def test_a_literal_comes_out_of_the_kubelet_as_it_went_in(text: str) -> None:
    assert expanded(escape_kubelet_expansion(text), {"RENKU_USERNAME": "x", "JUPYTERHUB_API_TOKEN": TOKEN}) == text


@given(SPECS, OPTIONS)
def test_what_people_type_reaches_the_session_as_it_is(said: Any, options: dict[str, Any]) -> None:
    found = pod(said, **options)
    container = found["spec"]["containers"][0]
    values = made.environment(found)
    given_by_reference = made.secret(said)["stringData"]
    inside = {name: expanded(value, HUB) for name, value in values.items() if value is not None} | {
        name: given_by_reference[name] for name, value in values.items() if value is None
    }
    assert {name: inside[name] for name in said.variables} == dict(said.variables)
    assert inside["RENKU_SESSION_TITLE"] == said.title
    assert inside["RENKU_USERNAME"] == said.username
    assert inside["JUPYTERHUB_DEFAULT_URL"] == said.run.default_url
    command = [expanded(part, HUB) for part in [*container.get("command", []), *container.get("args", [])]]
    wanted = [*(said.run.command or ["jupyterhub-singleuser"]), *said.run.arguments]
    assert command[len(command) - len(wanted) :] == wanted
    assert found["metadata"]["annotations"]["renku.io/title"] == said.title
    assert container["workingDir"] == said.run.working_directory
    assert len({variable["name"] for variable in container["env"]}) == len(container["env"])


@given(SPECS, OPTIONS)
def test_every_pod_keeps_to_the_standard_restricted(said: Any, options: dict[str, Any]) -> None:
    assert pss.offences(pod(said, hub_pod(**SIDE), **options)) == []


@given(SPECS, OPTIONS)
def test_the_api_server_has_nothing_against_any_pod(said: Any, options: dict[str, Any]) -> None:
    found = kube_defaults.apply("pods", pod(said, **options), "")
    kube_validation.check("pods", "Pod", found)
    assert kube_validation.warnings("pods", found) == []


@given(SPECS, OPTIONS)
def test_labels_are_valid_and_hold_ids_only(said: Any, options: dict[str, Any]) -> None:
    labels = pod(said, **options)["metadata"]["labels"]
    assert all(LABEL.fullmatch(value) for value in labels.values())
    ours = {key.removeprefix("renku.io/"): value for key, value in labels.items() if key.startswith("renku.io/")}
    assert ours == {
        "hub": "blue", "launch": RUN, "project": said.project, "revision": said.revision, "session": said.session
    }  # fmt: skip


@given(SPECS, OPTIONS)
def test_the_clone_containers_command_is_the_same_for_everybody(said: Any, options: dict[str, Any]) -> None:
    containers = [c for c in pod(said, **options)["spec"]["initContainers"] if c["name"] == "clone"]
    assert len(containers) == bool(said.repositories)
    usual = pod(spec())["spec"]["initContainers"][0]
    for container in containers:
        assert (container["command"], container.get("env")) == (usual["command"], None)
        rows = json.loads(made.secret(said)["stringData"]["repositories.json"])
        assert [row["url"] for row in rows] == [repository.url for repository in said.repositories]


@given(SPECS.filter(lambda said: not any("\0" in part or not part.isascii() for part in said.run.arguments)))
def test_the_path_is_extended_for_what_runs_and_nothing_of_its_command_is_read_by_a_shell(said: Any) -> None:
    print_all = ["/usr/bin/env", "python3", "-c", "import os, sys; print(ascii([os.environ['PATH'], *sys.argv[1:]]))"]
    said = replace(said, run=replace(said.run, command=tuple(print_all)))
    container = pod(said)["spec"]["containers"][0]
    command = [expanded(part, HUB) for part in [*container["command"], *container["args"]]]
    printed = subprocess.run(command, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True).stdout
    assert ast.literal_eval(printed) == ["/work/.local/bin:/usr/bin:/bin", *said.run.arguments]


def test_the_clone_containers_command_runs_with_what_the_secret_holds(tmp_path: Path) -> None:
    """Laid out as the kubelet does it, in a container where nothing of this package is installed."""
    said = spec(repositories=(replace(made.REPOSITORIES[0], url="http://127.0.0.1:9/$(id).git"),))
    found, values = pod(said)["spec"], made.secret(said)["stringData"]
    (volume,) = (volume["secret"] for volume in found["volumes"] if "secret" in volume)
    for item in volume["items"]:
        path = tmp_path / "opt" / item["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(values[item["key"]])
    (tmp_path / "work").mkdir()
    shell, option, line = found["initContainers"][0]["command"]
    here = {"/opt/renku": "opt", "/work": "work", "/tmp": "."}
    line = re.sub("(?<= )(/opt/renku|/work|/tmp)(?=[/ ])", lambda folder: str(tmp_path / here[folder[0]]), line)
    log = subprocess.run([shell, option, line], capture_output=True, text=True, check=True, cwd="/").stdout
    (row,) = parse_clone_log(log)
    assert (row["directory"], row["outcome"], row["code"]) == ("code", "failed", "clone_failed")


# ---- secrets -----------------------------------------------------------------------------------------


@given(SPECS, OPTIONS)
def test_no_token_stands_in_a_pod(said: Any, options: dict[str, Any]) -> None:
    canary = "canary-of-a-variable"
    variables = {**said.variables, "DB_PASSWORD": canary}
    said = replace(said, configuration=replace(said.configuration, variables=variables))
    raw = hub_pod({**HUB, "REGISTRY_TOKEN": "canary-of-the-admin"})
    found = json.dumps(pod(said, raw, **options))
    values = made.secret(said, raw)["stringData"]
    assert "canary" not in found
    assert values["JUPYTERHUB_API_TOKEN"] == values["JPY_API_TOKEN"] == TOKEN
    assert (values["DB_PASSWORD"], values["REGISTRY_TOKEN"]) == (canary, "canary-of-the-admin")


def test_a_variable_cannot_take_the_tokens_place() -> None:
    said = spec(variables={"JUPYTERHUB_API_TOKEN": "mine", "JPY_API_TOKEN": "mine", "JUPYTERHUB_API_URL": "mine"})
    assert "mine" not in json.dumps([pod(said), made.secret(said)])


def test_a_variable_that_an_older_release_accepted_is_left_out_of_the_pod_and_its_secret() -> None:
    stored = {"PROMPT_COMMAND": "mine", "https_proxy": "http://mine", "R_TOKEN": "mine", "LEVEL": "3"}
    said = spec(variables=stored)
    assert "mine" not in json.dumps([pod(said), made.secret(said)])
    assert made.environment(pod(said))["LEVEL"] == "3"


def test_every_value_that_a_pod_refers_to_is_in_the_secret() -> None:
    found, values = pod(spec()), made.secret(spec())["stringData"]
    references = [v["valueFrom"]["secretKeyRef"] for v in found["spec"]["containers"][0]["env"] if "valueFrom" in v]
    assert {reference["name"] for reference in references} == {f"renku-{RUN}"}
    (volume,) = (volume["secret"] for volume in found["spec"]["volumes"] if "secret" in volume)
    keys = {reference["key"] for reference in references} | {item["key"] for item in volume["items"]}
    assert volume["secretName"] == f"renku-{RUN}"
    assert keys == set(values)
    assert not any("TOKEN" in item["key"] for item in volume["items"])


def test_kubespawners_pod_has_the_fields_that_this_relies_on() -> None:
    raw = make_pod(name="a", cmd=None, port=1, image="b")
    assert [container.name for container in raw.spec.containers] == ["notebook"]
    assert raw.spec.containers[0].ports[0].name == "notebook-port"


@pytest.mark.parametrize(
    ("said", "used"),
    [
        ({}, True), ({"own_image": True}, True), ({"unverified": True, "digest": None}, True),
        ({"own_image": True, "unverified": True}, False),
        ({"own_image": True, "unverified": True, "digest": None}, False),
    ],
)  # fmt: skip
def test_an_admins_login_downloads_nobodys_image_that_may_be_private(said: dict[str, Any], used: bool) -> None:
    raw = made.hub_pod(image_pull_secrets=["registry"])
    found = made.pod(made.spec(**said), raw)["spec"].get("imagePullSecrets", [])
    assert found == ([{"name": "registry"}] if used else [])
    assert raw.spec.image_pull_secrets
