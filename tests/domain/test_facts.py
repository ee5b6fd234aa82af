"""What a registry says is cleaned, bounded, and never believed."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renku_spawner.domain.image_metadata import (
    MAX_COMMAND_PARTS,
    MAX_HISTORY_STEP_LENGTH,
    MAX_HISTORY_STEPS,
    MAX_LABEL_LENGTH,
    MAX_LABELS,
    NO_SHELL_RAN_MARKER,
    SHELL_RAN_MARKER,
    ImageMetadata,
    find_history_markers,
    parse_image_config,
    parse_image_metadata_json,
    to_image_metadata_json,
)

from .known_images import CONFIGS, DIGEST, INDEX, known

HOSTILE = "<script>\x1b[31m\u202e\x00a\nb" + "x" * 1_000
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
KEYS = ["User", "WorkingDir", "ExposedPorts", "Entrypoint", "Cmd", "Env", "Labels"]
STORED = sorted(to_image_metadata_json(ImageMetadata(digest=DIGEST)))


def test_a_config_is_read() -> None:
    found, _ = known("quay.io/jupyter/scipy-notebook:2026-11-02", sbom=True)
    assert (found.digest, found.media_type, found.platform) == (DIGEST, INDEX, "linux/amd64")
    assert found.platforms == ("linux/amd64", "linux/arm64")
    assert (found.size, found.sbom) == (1_400_000_000, True)
    assert found.created == datetime(2026, 10, 20, 7, 1, 2, 123456, UTC)
    assert (found.user, found.working_directory, found.ports) == ("1000", "/home/jovyan", (8888,))
    assert (found.entrypoint, found.command) == (("tini", "-g", "--", "start.sh"), ("start-notebook.py",))
    assert found.environment["NB_USER"] == "jovyan"
    assert found.get_label("source") == "https://github.com/jupyter/docker-stacks"
    assert found.get_label("licenses") == ""
    assert len(found.history) == 4


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, JSON)), JSON, JSON, JSON)
def test_whatever_a_config_holds_it_is_read_without_an_error(run: Any, created: Any, history: Any, whole: Any) -> None:
    parse_image_config(whole, digest=DIGEST)
    config = {"config": run, "created": created, "history": history}
    found = parse_image_config(config, digest=DIGEST, platforms=["linux/amd64"], platform="linux/amd64")
    for word in (found.user, found.working_directory, *found.entrypoint, *found.labels.values(), *found.history):
        assert word == word.strip()
        assert word.isprintable()
    assert parse_image_metadata_json(to_image_metadata_json(found)) == parse_image_metadata_json(
        to_image_metadata_json(parse_image_metadata_json(to_image_metadata_json(found)) or found)
    )


@given(st.dictionaries(st.sampled_from(STORED), JSON))
def test_whatever_is_stored_is_read_without_an_error(stored: dict[str, Any]) -> None:
    assert parse_image_metadata_json(stored) is None
    found = parse_image_metadata_json({**stored, "digest": DIGEST})
    assert found is not None
    assert found.digest == DIGEST


@pytest.mark.parametrize("name", CONFIGS)
def test_what_is_stored_is_what_was_read_but_for_the_history(name: str) -> None:
    found, _ = known(name)
    again = parse_image_metadata_json(to_image_metadata_json(found))
    assert again is not None
    assert {**vars(again), "history": ()} == {**vars(found), "history": ()}
    assert find_history_markers(again) == find_history_markers(found)


@pytest.mark.parametrize("stored", [{}, {"digest": None}, {"digest": "sha256:0"}, {"digest": f"{DIGEST}0"}, {"a": "b"}])
def test_nothing_that_has_no_digest_is_a_fact(stored: dict[str, Any]) -> None:
    assert parse_image_metadata_json(stored) is None


def test_keys_of_a_later_version_are_ignored() -> None:
    assert parse_image_metadata_json({"digest": DIGEST, "signature": "x"}) == ImageMetadata(digest=DIGEST)


def test_hostile_text_is_one_printable_line_of_bounded_length() -> None:
    run = {
        "User": HOSTILE, "WorkingDir": HOSTILE, "Entrypoint": [HOSTILE], "Cmd": [HOSTILE] * 1_000,
        "Env": [f"{HOSTILE}={HOSTILE}"] * 1_000, "Labels": {f"{n}{HOSTILE}": HOSTILE for n in range(1_000)},
    }  # fmt: skip
    found = parse_image_config(
        {"config": run, "history": [{"created_by": HOSTILE}] * 1_000}, digest=DIGEST, media_type=HOSTILE
    )
    words = [
        found.user, found.working_directory, found.media_type, *found.entrypoint, *found.command, *found.history,
        *found.environment, *found.environment.values(), *found.labels, *found.labels.values(),
    ]  # fmt: skip
    assert all(word.isprintable() and len(word) <= MAX_HISTORY_STEP_LENGTH for word in words)
    assert (len(found.labels), len(found.command), len(found.history)) == (
        MAX_LABELS,
        MAX_COMMAND_PARTS,
        MAX_HISTORY_STEPS,
    )
    assert max(map(len, found.labels.values())) <= MAX_LABEL_LENGTH


@pytest.mark.parametrize(
    ("said", "ports"),
    [
        ({"8888/tcp": {}, "80/tcp": {}}, (80, 8888)),
        ({"53/udp": {}, "8080": {}}, (8080,)),
        ({"0/tcp": {}, "65536/tcp": {}, "-1": {}, "8000-8010/tcp": {}, "\u0661/tcp": {}}, ()),
        ({str(port): {} for port in range(1, 1_000)}, tuple(range(1, 51))),
        ([8888, "8787/tcp"], ()),
        ("8888", ()),
        (None, ()),
    ],
)
def test_only_tcp_ports_are_ports(said: Any, ports: tuple[int, ...]) -> None:
    assert parse_image_config({"config": {"ExposedPorts": said}}, digest=DIGEST).ports == ports


@pytest.mark.parametrize(
    ("said", "year"),
    [
        ("2026-10-20T07:01:02Z", 2026),
        ("2026-10-20T07:01:02.123456789+02:00", 2026),
        ("1970-01-01T00:00:00Z", 1970),
        ("2026-10-20T07:01:02", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("yesterday", None),
        (1_700_000_000, None),
        (None, None),
    ],
)
def test_only_a_time_with_its_zone_is_a_time(said: Any, year: int | None) -> None:
    created = parse_image_config({"created": said}, digest=DIGEST).created
    assert (created and created.year) == year


@pytest.mark.parametrize(
    ("said", "size"), [(0, 0), (5, 5), (-1, None), (True, None), (1 << 60, None), ("5", None), (1.5, None)]
)
def test_only_a_number_of_bytes_is_a_size(said: Any, size: int | None) -> None:
    assert parse_image_config({}, digest=DIGEST, size=said).size == size


def test_platforms_are_named_once_and_are_none_but_platforms() -> None:
    found = parse_image_config(
        {}, digest="x", platforms=("linux/amd64", "linux/arm64/v8", "linux/amd64", "<b>", "unknown", None), platform="?"
    )  # type: ignore[arg-type]
    assert (found.platforms, found.platform, found.digest) == (("linux/amd64", "linux/arm64/v8"), None, "")


def test_what_has_no_name_is_no_variable_and_no_label() -> None:
    run = {"Env": ["A=1=2", "B", "=x", 5, "\x00=1"], "Labels": {"": "x", "a": 1, "b": "y"}}
    found = parse_image_config({"config": run}, digest=DIGEST)
    assert (found.environment, found.labels) == ({"A": "1=2", "B": ""}, {"b": "y"})


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ((), ()),
        (("COPY hello /",), (NO_SHELL_RAN_MARKER,)),
        (("/bin/sh -c #(nop) COPY file:1 in /",), (NO_SHELL_RAN_MARKER,)),
        (("RUN /bin/sh -c pip install jupyterhub",), ("jupyterhub", SHELL_RAN_MARKER)),
        (("/bin/sh -c apt-get install rstudio-server",), ("rstudio-server", SHELL_RAN_MARKER)),
        (("# debian.sh --arch 'amd64' out/ 'trixie'",), (SHELL_RAN_MARKER,)),
    ],
)
def test_the_history_tells_what_is_inside(steps: tuple[str, ...], expected: tuple[str, ...]) -> None:
    found = ImageMetadata(digest=DIGEST, history=steps)
    assert find_history_markers(found) == expected
    assert find_history_markers(ImageMetadata(digest=DIGEST, history=expected)) == expected
