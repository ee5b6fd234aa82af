"""What a registry may ask for in `WWW-Authenticate`, well-formed and hostile."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renku_spawner.integrations.registry.login import AuthChallenge, parse_challenges

TOKENS = st.text("abcXYZ019-_.!~", min_size=1, max_size=8)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)


def bearer(**parameters: str) -> AuthChallenge:
    return AuthChallenge(scheme="bearer", parameters=parameters)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (
            'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull"',
            (bearer(realm="https://auth.docker.io/token", service="registry.docker.io", scope="repository:a/b:pull"),),
        ),
        (
            'Bearer realm="https://a/t?x=1,2", scope="x:a:pull,push"',
            (bearer(realm="https://a/t?x=1,2", scope="x:a:pull,push"),),
        ),
        (r'bEaReR REALM = "a\"b\\c" , service=plain', (bearer(realm=r'a"b\c', service="plain"),)),
        ("Basic", (AuthChallenge(scheme="basic", parameters={}),)),
        (
            'Basic realm="R", Bearer realm="https://a/"',
            (AuthChallenge(scheme="basic", parameters={"realm": "R"}), bearer(realm="https://a/")),
        ),
        (
            'Negotiate, Bearer realm="x"',
            (AuthChallenge(scheme="negotiate", parameters={}), bearer(realm="x")),
        ),
        (
            'Negotiate a87421000492aa874209af8bc028==, Bearer realm="x"',
            (AuthChallenge(scheme="negotiate", parameters={}), bearer(realm="x")),
        ),
        ("Bearer realm=", (bearer(),)),
        (' , Bearer realm="", ', (bearer(realm=""),)),
    ],
)
def test_a_challenge_is_read_as_it_is_meant(header: str, expected: tuple[AuthChallenge, ...]) -> None:
    assert parse_challenges(header) == expected


@pytest.mark.parametrize(
    "header",
    [
        "",
        ",,,",
        '"Bearer"',
        'Bearer realm="open',
        'Bearer realm="a\r\nX: y"',
        'Bearer realm="a\x00"',
        'Bearer realm="a" realm="b" REALM="c"',
        'Bearer realm="https://a/", realm="http://127.0.0.1/"',
        'Bearer realm="é\u2028"',
        'Bearer realm="' + "a" * 5000 + '"',
    ],
)
def test_what_cannot_be_read_is_refused(header: str) -> None:
    with pytest.raises(ValueError, match=r"challenge|twice"):
        parse_challenges(header)


@given(st.dictionaries(TOKENS.map(str.lower), VALUES, max_size=5), TOKENS)
def test_any_parameters_come_back(parameters: dict[str, str], scheme: str) -> None:
    quoted = {name: value.replace("\\", r"\\").replace('"', r"\"") for name, value in parameters.items()}
    header = f"{scheme} " + ", ".join(f'{name}="{value}"' for name, value in quoted.items())
    assert parse_challenges(header) == (AuthChallenge(scheme=scheme.lower(), parameters=parameters),)


@given(st.text() | st.text('Bearer realm="\\, =a/', max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert parse_challenges(text)
