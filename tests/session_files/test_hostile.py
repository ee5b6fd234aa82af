"""Files that are not to be believed: each is refused, with the line and in words, and none costs much."""

import pytest

from renku_spawner.domain.errors import InvalidInputError, MalformedInputError
from renku_spawner.domain.session_files import MAX_DOCUMENT_SIZE_BYTES, build_sessions_document, parse_yaml

LAUGHS = "a: &a [x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
UNREADABLE = {
    "billion laughs": (LAUGHS.encode(), "Line 1: anchors"),
    "an alias to itself": (b"version: 1\na: &a [*a]", "Line 2: anchors"),
    "a tag that would construct": (b"sessions: !!python/object/apply:os.system ['id']", "Line 1: tags"),
    "a tag that is harmless": (b"\nversion: !!int 1", "Line 2: tags"),
    "deep lists": (b"[" * 20_000, "Line 1: the file is nested too deeply"),
    "deep blocks": (b"- " * 20_000, "Line 1: the file is nested too deeply"),
    "deep objects": ("".join(f"{' ' * n}a:\n" for n in range(100)).encode(), "Line 13: the file is nested too deeply"),
    "many values": (b"[" + b"0," * 10_000 + b"]", "Line 1: there are more than 5000 values"),
    "a huge file": (b"#" * (MAX_DOCUMENT_SIZE_BYTES + 1), "larger than 64 kB"),
    "a key twice": (b"version: 1\nsessions: []\nversion: 1", "Line 3: the key 'version' is listed twice"),
    "a key twice, quoted": (b"version: 1\n'version': 1", "Line 2: the key 'version' is listed twice"),
    "a key that is a list": (b"? [a]\n: b", "Line 1: a key is a plain word"),
    "two documents": (b"version: 1\n---\nversion: 1", "Line 2: a second document"),
    "NUL": (b"version: 1\0", "characters that are not allowed"),
    "a control character": (b"version: \x07", "characters that are not allowed"),
    "no UTF-8": (b"version: \xff", "not valid UTF-8"),
    "a surrogate": (b'version: "\\ud800"', "Line 1: this is not valid YAML"),
    "no end": (b"version: [1\nsessions:", "Line 2: this is not valid YAML"),
    "a tab": (b"sessions:\n\t- title: x", "Line 2: this is not valid YAML"),
}  # fmt: skip
SESSION = "- title: A\n  environment:\n    ready_made: python\n"
NO_TITLE = "version: 1\nsessions:\n- environment: {ready_made: a}"
EMPTY_TITLE = f"{NO_TITLE}\n  title: ' '"
WORD = "This is not one of the allowed values."
WRONG = {
    "nothing": ("", {"document": "An object, please."}),
    "a text": ("hello", {"document": "An object, please. (line 1)"}),
    "no version": ("sessions: []", {"version": "This is required. (line 1)"}),
    "another version": ("version: 2", {"version": f"{WORD} (line 1)"}),
    "a version that is a text": ("version: '1'", {"version": f"{WORD} (line 1)"}),
    "an unknown key": ("version: 1\ncolour: red", {"colour": "There is no such key. (line 2)"}),
    "an unknown key inside": (
        f"version: 1\nsessions:\n{SESSION}    colour: red",
        {"sessions.0.environment.colour": "There is no such key. (line 6)"},
    ),
    "a merge key": ("version: 1\n<<: {}", {"<<": "There is no such key. (line 2)"}),
    "no title": (NO_TITLE, {"sessions.0.title": "This is required. (line 3)"}),
    "an empty title": (EMPTY_TITLE, {"sessions.0.title": "Please give a title. (line 4)"}),
    "a title twice": (
        f"version: 1\nsessions:\n{SESSION}{SESSION.replace('A', 'a')}",
        {"sessions.1.title": "Session 1 of this document has this title already. (line 6)"},
    ),
    "two defaults": (
        f"version: 1\nsessions:\n{SESSION}  default: true\n{SESSION.replace('A', 'B')}  default: true\n",
        {"sessions.1.default": "Session 1 of this document is the default already. (line 10)"},
    ),
    "a directory twice": (
        "version: 1\nstorages:\n- {directory: A, kind: s3}\n- {directory: a, kind: s3}",
        {"storages.1.directory": "Storage 1 of this document has this directory already. (line 4)"},
    ),
    "a credential": (
        "version: 1\nstorages:\n- directory: A\n  kind: s3\n  secrets: {key: hunter2}",
        {"storages.0.secrets": "There is no such key. (line 5)"},
    ),
    "no environment": ("version: 1\nsessions:\n- title: A", {"sessions.0.environment": "This is required. (line 3)"}),
    "two environments": (
        f"version: 1\nsessions:\n{SESSION}    image: quay.io/a/b",
        {"sessions.0.environment": "A ready-made environment can have a digest, but no other key. (line 4)"},
    ),
    "an empty environment": (
        "version: 1\nsessions:\n- title: A\n  environment: {}",
        {"sessions.0.environment": "Exactly one of ready_made, image and repository, please. (line 4)"},
    ),
    "a digest that is none": (
        f"version: 1\nsessions:\n{SESSION}    digest: latest",
        {"sessions.0.environment.digest": "A digest is sha256: and 64 hexadecimal digits. (line 6)"},
    ),
    "kinds": (
        f"version: 1\nsessions:\n{SESSION}  default: yes\n  configuration: {{gpu: one, variables: [A], cpu: [1]}}",
        {
            "sessions.0.default": "true or false, please. (line 6)",
            "sessions.0.configuration.gpu": "A whole number, please. (line 7)",
            "sessions.0.configuration.variables": "An object, please. (line 7)",
            "sessions.0.configuration.cpu": "A text, please. (line 7)",
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize(("data", "said"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_says_where(data: bytes, said: str) -> None:
    with pytest.raises(MalformedInputError) as told:
        parse_yaml(data)
    assert said in told.value.message


@pytest.mark.parametrize(("data", "fields"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_at_its_path_with_its_line(data: str, fields: dict[str, str]) -> None:
    with pytest.raises(InvalidInputError) as told:
        build_sessions_document(parse_yaml(data.encode()))
    assert told.value.fields == fields


def test_what_looks_like_something_else_is_a_text() -> None:
    said = "version: 1\nsessions:\n- title: 2026-11-28\n  environment: {ready_made: 012}\n  configuration:\n"
    said += "    {cpu: 2, memory: 1e9, variables: {A: 1, B: yes, C: true, D: 0.50}}"
    (one,) = build_sessions_document(parse_yaml(said.encode())).sessions
    assert (one.title, one.environment.name) == ("2026-11-28", "012")
    variables = {"A": "1", "B": "yes", "C": "true", "D": "0.50"}
    assert one.configuration == {"cpu": "2", "memory": "1e9", "variables": variables}


def test_a_value_is_never_repeated() -> None:
    secret = (
        "version: 1\nsessions:\n- title: A\n  environment: {ready_made: [hunter2]}\n  configuration: {gpu: hunter2}"
    )
    with pytest.raises(InvalidInputError) as told:
        build_sessions_document(parse_yaml(secret.encode()))
    assert "hunter2" not in repr((told.value.message, told.value.fields))
