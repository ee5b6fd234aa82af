"""What an admin says of CI is taken literally, or the hub does not start."""

from typing import Any

import pytest

from renku_spawner.domain.ci_images import CiRules

from .test_settings import renku, said


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"webhook_secret": "fifteen letters"}, "Renku.webhook_secret is too short: at least 16 characters."),
        ({"ci_tag_pattern": "build-("}, "Renku.ci_tag_pattern is not a valid regular expression"),
        ({"ci_tag_pattern": "build-.*"}, "Renku.ci_tag_pattern has no group named commit"),
    ],
)
def test_what_cannot_be_meant_is_named(setting: dict[str, Any], sentence: str, tmp_path) -> None:
    text = said(lambda: renku(tmp_path, **setting))
    assert sentence in text
    assert "fifteen" not in text


def test_what_is_said_reaches_the_policy(tmp_path) -> None:
    secret = "sixteen letters!"
    made = renku(
        tmp_path, ci_tag_pattern="b-(?P<commit>[0-9a-f]{8})", ci_protected_refs_only=True, webhook_secret=secret
    ).context
    assert made.policy.ci.pattern.fullmatch("b-0123abcd")["commit"] == "0123abcd"
    assert (made.policy.ci.protected_only, made.policy.hook_secret) == (True, secret)
    assert secret not in repr(made.policy)


def test_nothing_said_is_the_usual(tmp_path) -> None:
    policy = renku(tmp_path).context.policy
    assert (policy.ci, policy.hook_secret) == (CiRules(), "")
