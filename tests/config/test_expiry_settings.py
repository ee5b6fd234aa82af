"""What an admin says about paused data, and which sentence a mistake gets."""

from pathlib import Path
from typing import Any

import pytest

from renku_spawner.domain.errors import SettingError
from renku_spawner.domain.policy import StoragePrice
from renku_spawner.integrations.notifications import MailNotifier, WebhookNotifier

from .test_settings import CLASS, renku

MAIL = {"mail_server": "smtp.example.org", "mail_sender": "hub@example.org", "mail_address": "{username}@example.org"}
HOOK = {"notice_url": "https://chat.example.org/hook", "notice_secret": "s" * 16}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"expire_paused_days": 3}, "0 for never, or at least 4"),
        ({"price": {"per_gib_month": 0.1}}, "'currency' is missing"),
        ({"price": {"per_gib_month": -1.0, "currency": "CHF"}}, "'per_gib_month'"),
        ({"price": {"per_gib_month": 1.0, "currency": "Swiss francs"}}, "'currency'"),
        (MAIL | {"mail_server": "smtp://example.org"}, "neither `host` nor `host:port`"),
        (MAIL | {"mail_sender": ""}, "needs a Renku.mail_sender"),
        (MAIL | {"mail_sender": "hub@example.org\nBcc: eve@example.org"}, "needs a Renku.mail_sender"),
        (MAIL | {"mail_address": "ada@example.org"}, "needs a Renku.mail_address"),
        (HOOK | {"notice_url": "chat.example.org"}, "Renku.notice_url must be an address"),
        (HOOK | {"notice_url": "file:///etc/passwd"}, "Renku.notice_url must be an address"),
        (HOOK | {"notice_secret": "short"}, "needs a Renku.notice_secret of at least 16"),
    ],
)
def test_a_mistake_stops_the_hub_with_a_sentence(tmp_path: Path, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingError) as refused:
        renku(tmp_path, **wrong)
    assert said in str(refused.value)
    assert "short" not in str(refused.value)


def test_by_default_nothing_expires_and_nobody_is_written_to(tmp_path: Path) -> None:
    parts = renku(tmp_path).context
    assert (parts.policy.expiry.is_enabled, parts.notification_channels, parts.policy.price) == (False, (), None)


def test_what_is_said_becomes_rules_and_ways_to_reach_people(tmp_path: Path) -> None:
    classes = [
        CLASS,
        CLASS | {"name": "gpu", "expire_paused_days": 10},
        CLASS | {"name": "big", "expire_paused_days": 0},
    ]
    price = {"per_gib_month": 0.08, "currency": "CHF"}
    made = renku(tmp_path, **MAIL, **HOOK, expire_paused_days=60, resource_classes=classes, price=price).context
    rules = made.policy.expiry
    assert (rules.days, rules.trash_days, rules.of_class) == (60, 7, {"gpu": 10, "big": 0})
    assert [type(post) for post in made.notification_channels] == [WebhookNotifier, MailNotifier]
    assert made.policy.price == StoragePrice(per_gib_month=0.08, currency="CHF")


@pytest.mark.parametrize(
    ("said", "security", "host", "port"),
    [
        ("smtp.example.org", "starttls", "smtp.example.org", 587),
        ("smtp.example.org", "tls", "smtp.example.org", 465),
        ("smtp.example.org:2525", "none", "smtp.example.org", 2525),
        ("[::1]:25", "none", "::1", 25),
    ],
)
def test_the_port_follows_from_the_encryption(tmp_path: Path, said: str, security: str, host: str, port: int) -> None:
    (post,) = renku(tmp_path, **MAIL | {"mail_server": said, "mail_security": security}).context.notification_channels
    assert isinstance(post, MailNotifier)
    assert (post._server.host, post._server.port) == (host, port)


@pytest.mark.parametrize(
    ("size", "said"),
    [(0, "0.00 CHF"), (1, "under 0.01 CHF"), (1024**3, "0.08 CHF"), (23 * 1024**3 // 10, "0.18 CHF")],
)
def test_what_data_cost(size: int, said: str) -> None:
    assert StoragePrice(per_gib_month=0.08, currency="CHF").format_monthly_cost(size) == f"{said} a month"
