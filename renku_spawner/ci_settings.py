"""The settings about images that the CI of projects builds."""

from __future__ import annotations

import re

from traitlets import Bool, Unicode
from traitlets.config import LoggingConfigurable

from .domain.ci import CiRules
from .settings import SettingError

_LEAST = 16  # characters of a secret that is sent over the network


class CiSettings(LoggingConfigurable):
    """Those of the settings of `c.Renku` that are about GitLab's CI."""

    ci_tag_pattern = Unicode(
        config=True,
        help="""
        Regular expression of further tags that count as built for a commit, with a group
        `commit` of at least 7 hexadecimal characters. Tags that are a commit, in 7, 8 or
        40 characters, always count. For example
        `r"build-[0-9-]+-(?P<commit>[0-9a-f]{7,40})"`.
        """,
    )
    ci_protected_refs_only = Bool(
        False,
        config=True,
        help="Whether only images count for whose commit a pipeline of a protected branch has run.",
    )
    webhook_secret = Unicode(
        config=True,
        help="""
        Secret token of the webhooks by which GitLab tells of new images at once, at
        `{hub}/api/renku/gitlab-hook`; at least 16 characters. Without one, there is no such
        address, and newer images are noticed within ten minutes.
        """,
    )

    def ci_rules(self) -> CiRules:
        """Raises SettingError."""
        return CiRules(pattern=_pattern(self.ci_tag_pattern), protected_only=self.ci_protected_refs_only)

    def hook_secret(self) -> str:
        """Raises SettingError; the secret is not repeated."""
        if self.webhook_secret and len(self.webhook_secret) < _LEAST:
            raise SettingError(f"Renku.webhook_secret is too short: at least {_LEAST} characters.")
        return self.webhook_secret


def _pattern(text: str) -> re.Pattern[str] | None:
    if not text:
        return None
    try:
        pattern = re.compile(text)
    except re.error as problem:
        raise SettingError(f"Renku.ci_tag_pattern is no regular expression: {problem}.") from None
    if "commit" not in pattern.groupindex:
        raise SettingError("Renku.ci_tag_pattern has no group named commit: (?P<commit>[0-9a-f]{8}).")
    return pattern
