"""Variables of a session: which names may be set, and which look as if they held a secret."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renku_spawner.domain import variables
from renku_spawner.domain.errors import Invalid


def test_variables_are_returned_as_a_copy_in_their_order() -> None:
    asked = {"B": "{x}", "A": ""}
    checked = variables.check(asked)
    assert list(checked.items()) == [("B", "{x}"), ("A", "")]
    assert checked is not asked


@given(st.dictionaries(st.text(max_size=70) | st.from_regex(r"[A-Za-z_]{1,8}"), st.text(max_size=1100), max_size=40))
def test_variables_are_accepted_whole_or_refused_at_their_field(asked: dict[str, str]) -> None:
    try:
        assert variables.check(asked) == asked
    except Invalid as refusal:
        assert list(refusal.fields) == ["variables"]
    else:
        assert all(name.isidentifier() and name.isascii() for name in asked)
        "".join(asked.values()).encode()


def test_a_value_is_never_repeated_in_a_refusal() -> None:
    with pytest.raises(Invalid) as refusal:
        variables.check({"PASSWORD": "hunter2" + "\x00"})
    assert "hunter2" not in refusal.value.message


@pytest.mark.parametrize("name", ["PATHS", "MY_PATH", "LDX", "GITHUB_ORG", "NBX", "JUPYTERX", "R_LIBS", "OMP_THREADS"])
def test_names_that_only_resemble_the_platforms_may_be_set(name: str) -> None:
    assert variables.check({name: "x"}) == {name: "x"}


def test_names_that_look_secret_are_pointed_out() -> None:
    names = ["API_KEY", "APIKEY", "GITHUB_TOKEN", "my_secret", "DB_PASSWORD", "PASSWD", "CREDENTIALS", "PRIVATE_KEY"]
    assert variables.look_secret(dict.fromkeys([*names, "KEYWORD", "A"], "x")) == names
