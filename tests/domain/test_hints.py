"""People read what will be different with an image before they start it."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from renku_spawner.domain.environments import RunConfiguration
from renku_spawner.domain.image_checks import ImageWarning, WarningSeverity, find_image_warnings
from renku_spawner.domain.image_metadata import detect_run_configuration
from renku_spawner.domain.images import parse_image_reference

from .known_images import CONFIGS, known

NOW = datetime(2026, 11, 24, tzinfo=UTC)
STACKS = "quay.io/jupyter/scipy-notebook:2026-11-02"

# image: codes found when it is run as suggested
EXPECTED = {
    STACKS: ["other_folder"],
    "docker.io/alice/analysis:1.0": ["other_folder", "silent"],
    "docker.io/renku/renkulab-py:3.11-0.25.0": ["named_user", "other_folder", "silent"],
    "docker.io/rocker/rstudio:4.4.2": ["no_hub_server", "root_user"],
    "docker.io/codercom/code-server:4.96.2": ["no_hub_server", "other_folder", "silent"],
    "docker.io/library/nginx:1.27": ["no_hub_server", "root_user", "low_port", "silent"],
    "docker.io/library/python:3.13-slim": ["no_hub_server", "root_user", "no_port", "silent"],
    "docker.io/library/hello-world:latest": [
        "no_hub_server",
        "root_user",
        "no_shell",
        "floating_tag",
        "no_port",
        "silent",
    ],
    "ghcr.io/bob/dashboard:2": ["other_folder", "silent"],
    "nvcr.io/nvidia/pytorch:26.01-py3": ["no_hub_server", "root_user", "other_folder", "silent"],
}


def found(
    name: str = STACKS, *, run: RunConfiguration | None = None, facts: Any = None, **said: Any
) -> list[ImageWarning]:
    changes, wanted = facts or {}, {"platforms": ["linux/amd64"], "now": NOW, **said}
    known_facts, image = known(name)
    known_facts = replace(known_facts, **changes)
    return list(
        find_image_warnings(known_facts, image, run=run or detect_run_configuration(known_facts, image), **wanted)
    )


def only(code: str, **said: Any) -> ImageWarning:
    (hint,) = [hint for hint in found(**said) if hint.code == code]
    return hint


def test_every_known_image_is_expected_to_have_some_hints() -> None:
    assert set(EXPECTED) == set(CONFIGS)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_known_image_gets_its_hints(name: str) -> None:
    assert [hint.code for hint in found(name)] == EXPECTED[name]


@pytest.mark.parametrize("name", CONFIGS)
def test_hints_are_sentences_and_the_most_severe_come_first(name: str) -> None:
    order = list(WarningSeverity)
    told = found(name, facts={"platforms": ("linux/arm64",)}, gpu=1, used_by=["A"])
    assert [order.index(hint.severity) for hint in told] == sorted(order.index(hint.severity) for hint in told)
    assert all(hint.text.endswith(".") and not hint.title.endswith(".") for hint in told)
    assert len({hint.code for hint in told}) == len(told)


def test_an_image_for_other_machines_is_an_error() -> None:
    hint = only("platform_mismatch", facts={"platforms": ("linux/arm64", "linux/riscv64")}, platforms=["linux/amd64"])
    assert hint.severity is WarningSeverity.ERROR
    assert hint.text == "No variant for linux/amd64, only for linux/arm64 and linux/riscv64. Try another tag."


def test_an_image_for_one_of_several_kinds_of_machines_is_fine() -> None:
    assert not [hint for hint in found(platforms=["linux/s390x", "linux/arm64"]) if hint.code == "platform_mismatch"]
    assert not [hint for hint in found(facts={"platforms": ()}) if hint.code == "platform_mismatch"]


def test_an_image_without_the_hubs_server_may_not_start() -> None:
    web, jupyter = (
        only("no_hub_server", name=name)
        for name in ("docker.io/library/nginx:1.27", "nvcr.io/nvidia/pytorch:26.01-py3")
    )
    assert web.severity is WarningSeverity.WARNING
    assert web.text.startswith("This image may not contain JupyterHub's server; the session could fail to start.")
    assert "jupyter standaloneproxy" in web.text
    assert "Python package jupyterhub" in jupyter.text


@pytest.mark.parametrize(
    ("user", "uid", "code"),
    [
        ("", None, "root_user"), ("0", None, "root_user"), ("root", None, "root_user"), ("0:0", None, "root_user"),
        ("jovyan", None, "named_user"), ("app:app", None, "named_user"), ("1000", None, None), ("1001:100", None, None),
        ("", 1000, None), ("jovyan", 1000, None),
    ],
)  # fmt: skip
def test_the_images_user_matters_until_a_number_is_given(user: str, uid: int | None, code: str | None) -> None:
    told = [hint for hint in found(run=RunConfiguration(uid=uid), facts={"user": user}) if hint.field == "uid"]
    assert [hint.code for hint in told] == ([code] if code else [])
    assert all(hint.severity is WarningSeverity.WARNING for hint in told)


@pytest.mark.parametrize(("user", "codes"), [("", ["root_user"]), ("jovyan", ["named_user"]), ("1001:5", [])])
def test_who_wants_the_images_own_user_reads_whether_that_can_be(user: str, codes: list[str]) -> None:
    told = found(run=RunConfiguration(image_user=True), facts={"user": user})
    about = [hint for hint in told if hint.code in ("root_user", "named_user")]
    assert [(h.code, h.severity, h.field) for h in about] == [(c, WarningSeverity.ERROR, "image_user") for c in codes]


@pytest.mark.parametrize(
    ("ports", "port", "code", "says"),
    [
        ((8888,), 8888, None, ""),
        ((8080, 9090), 8888, "other_port", "The image announces port 8080, 9090; the session expects 8888."),
        ((80,), 8888, "low_port", "Only root may listen on port 80, and sessions never run as root."),
        ((80, 8080), 80, "low_port", "Only root may listen on port 80, 8080"),
        ((), 80, "low_port", "Only root may listen on port 80,"),
        ((80, 8080), 8080, None, ""),
    ],
)  # fmt: skip
def test_the_port_that_is_announced_is_compared(ports: tuple[int, ...], port: int, code: str | None, says: str) -> None:
    told = [hint for hint in found(run=RunConfiguration(port=port), facts={"ports": ports}) if hint.field == "port"]
    assert [hint.code for hint in told] == ([code] if code else [])
    assert all(hint.text.startswith(says) for hint in told)


def test_an_image_that_announces_no_port_is_asked_about_unless_the_hubs_server_is_in_it() -> None:
    assert only("no_port", name="docker.io/library/python:3.13-slim").text.endswith("the session expects 8888.")
    assert not [hint for hint in found(facts={"ports": ()}) if hint.field == "port"]


@pytest.mark.parametrize(
    ("folder", "code"),
    [
        ("/work", "hidden_files"), ("/work/app", "hidden_files"), ("/workspace", "other_folder"),
        ("/home/a", "other_folder"), ("/", None), ("", None),
    ],
)  # fmt: skip
def test_what_the_sessions_disk_hides_is_told(folder: str, code: str | None) -> None:
    told = [
        hint.code
        for hint in found(facts={"working_directory": folder})
        if hint.code in ("hidden_files", "other_folder")
    ]
    assert told == ([code] if code else [])


@pytest.mark.parametrize(
    ("typed", "told"),
    [("nginx", "The tag “latest” changes over time. It is pinned to today's version."), ("nginx:1.27", None)],
)
def test_a_tag_that_moves_is_named(typed: str, told: str | None) -> None:
    facts, _ = known("docker.io/library/nginx:1.27")
    all_hints = find_image_warnings(
        facts, parse_image_reference(typed), run=RunConfiguration(), platforms=["linux/amd64"], now=NOW
    )
    assert [hint.text for hint in all_hints if hint.code == "floating_tag"] == ([told] if told else [])


def test_size_and_age_are_told_beyond_their_thresholds() -> None:
    big = only("big", facts={"size": 5_230_000_000})
    assert big.text == "5.2 GB compressed; the first start on a machine may take several minutes."
    old = only("old", facts={"created": datetime(2024, 11, 3, tzinfo=UTC)})
    assert old.text == "Built on 3 November 2024; security updates may be missing."
    assert only("big", big=1_000_000_000).severity is WarningSeverity.HINT


@pytest.mark.parametrize(
    "facts",
    [{"size": 3_000_000_000}, {"size": None}, {"created": datetime(2024, 12, 1, tzinfo=UTC)}, {"created": None}],
)
def test_size_and_age_below_their_thresholds_are_not_told(facts: dict[str, Any]) -> None:
    assert [hint.code for hint in found(facts=facts)] == ["other_folder"]


def test_the_date_of_a_reproducible_build_is_no_age() -> None:
    assert not [hint for hint in found(facts={"created": datetime(1970, 1, 1, tzinfo=UTC)}) if hint.code == "old"]


def test_gpu_libraries_are_missed_only_where_a_gpu_is_asked_for() -> None:
    assert only("no_gpu_libraries", gpu=1).text == "No sign of GPU libraries in this image."
    assert not [hint for hint in found("nvcr.io/nvidia/pytorch:26.01-py3", gpu=1) if hint.code == "no_gpu_libraries"]


def test_an_image_that_brings_its_list_of_packages_is_not_silent() -> None:
    assert only("silent", name="docker.io/alice/analysis:1.0").severity is WarningSeverity.HINT
    assert not [hint for hint in found("docker.io/alice/analysis:1.0", facts={"sbom": True}) if hint.code == "silent"]


def test_a_session_that_uses_the_image_already_is_named() -> None:
    assert only("already_used", used_by=["Zebra", "Apple"]).text == "The session “Apple” already uses this image."


@pytest.mark.parametrize(
    ("command", "arguments", "told"),
    [
        (("jupyterhub-singleuser",), ("--ip=$HOST",), ["shell_syntax"]),
        (("app", "${HOME}"), (), ["shell_syntax"]),
        (("/bin/sh", "-c", "app $HOME"), (), []),
        (("app", "costs 5$"), (), []),
        ((), ("--lab",), ["arguments_replace"]),
        ((), (), []),
    ],
)
def test_commands_are_told_to_be_no_shell(
    command: tuple[str, ...], arguments: tuple[str, ...], told: list[str]
) -> None:
    run = RunConfiguration(command=command, arguments=arguments)
    codes = [hint.code for hint in found(run=run) if hint.field in ("command", "arguments")]
    assert codes == told


def test_an_image_that_runs_nothing_needs_a_command() -> None:
    nothing = {"entrypoint": (), "command": ()}
    assert only("no_command", facts=nothing, run=RunConfiguration()).severity is WarningSeverity.WARNING
    told = found(facts=nothing, run=RunConfiguration(command=("app",)))
    assert not [hint for hint in told if hint.field == "command"]


@pytest.mark.parametrize(
    ("command", "missing"), [(("/hello",), True), (("/bin/bash",), False), (("sh", "-c", "x"), False)]
)
def test_an_image_without_a_shell_is_told(command: tuple[str, ...], missing: bool) -> None:
    told = found("docker.io/library/hello-world:latest", facts={"command": command})
    assert ("no_shell" in [hint.code for hint in told]) is missing


def test_while_the_registry_does_not_answer_only_the_name_tells_something() -> None:
    image, run = parse_image_reference("nginx"), RunConfiguration(arguments=("x",))
    told = find_image_warnings(None, image, run=run, platforms=["linux/amd64"], now=NOW, gpu=1)
    assert [hint.code for hint in told] == ["unverified", "floating_tag"]
    assert told[0].text == "We could not check this image now; it may still work. It is checked again later."
    assert told[1].text.endswith("It is pinned as soon as it can be checked.")
