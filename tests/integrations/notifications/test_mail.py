"""Letters through a real SMTP server, one that refuses, and one that is not there."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from renku_spawner.domain.notifications import ExpiryNotification, ExpiryWarning, NotificationNotDeliveredError
from renku_spawner.integrations.notifications import MailNotifier, MailServer
from tests.fixtures.ports import free_port

from .conftest import MailBox

ON = datetime(2027, 1, 20, 12, tzinfo=UTC)
WARNED = ExpiryWarning(
    id="i-r-1", session="s", title="Größenordnungen", deleted_on=ON, trashed_until=ON.replace(day=27)
)
LETTER = ExpiryNotification(username="ada", warnings=(WARNED,), page="https://hub.example.org/hub/renku/sessions")


def mail(port: int, address=lambda name: f"{name}@example.org", **fields: object) -> MailNotifier:
    server = MailServer(host="127.0.0.1", port=port, sender="The hub <hub@example.org>", security="none")
    return MailNotifier(replace(server, **fields), address)


async def test_a_letter_says_what_will_be_deleted_when_and_where_one_can_act(mailbox: MailBox) -> None:
    post = mail(mailbox.port)
    await post.send(LETTER)
    await post.close()
    (message,) = mailbox.messages
    assert mailbox.recipients == ["ada@example.org"]
    assert message["Subject"] == "Your data in Größenordnungen will be deleted on 20 January 2027"
    assert (message["From"], message["Auto-Submitted"]) == ("The hub <hub@example.org>", "auto-generated")
    text = message.get_content()
    assert "- Größenordnungen: on 20 January 2027" in text
    assert "https://hub.example.org/hub/renku/sessions" in text
    assert "in the trash until 27 January 2027" in text


async def test_it_logs_in_where_that_is_asked_for(mailbox: MailBox) -> None:
    await mail(mailbox.port, username="hub", password="right").send(LETTER)
    with pytest.raises(NotificationNotDeliveredError):
        await mail(mailbox.port, username="hub", password="wrong").send(LETTER)
    assert (set(mailbox.logins), len(mailbox.messages)) == ({"hub:right", "hub:wrong"}, 1)
    assert "right" not in repr(MailServer(host="h", port=25, sender="s", password="right"))


@pytest.mark.parametrize("refusal", ["550 No such person", "451 Later"])
async def test_what_the_server_refuses_is_not_delivered(mailbox: MailBox, refusal: str) -> None:
    mailbox.refusal = refusal
    with pytest.raises(NotificationNotDeliveredError):
        await mail(mailbox.port).send(LETTER)


async def test_a_server_that_is_away_or_does_not_encrypt_delivers_nothing(mailbox: MailBox) -> None:
    for post in (mail(free_port()), mail(mailbox.port, security="starttls"), mail(mailbox.port, security="tls")):
        with pytest.raises(NotificationNotDeliveredError):
            await post.send(LETTER)
    assert mailbox.messages == []


@pytest.mark.parametrize("name", ["ada\nBcc: eve@example.org", "ada@evil.example, eve", "", "ada eve"])
async def test_what_is_no_address_gets_no_letter(mailbox: MailBox, name: str) -> None:
    with pytest.raises(NotificationNotDeliveredError):
        await mail(mailbox.port).send(replace(LETTER, username=name))
    assert mailbox.messages == []


async def test_a_title_cannot_add_a_header(mailbox: MailBox) -> None:
    hostile = replace(WARNED, title="A\r\nBcc: eve@example.org")
    with pytest.raises(NotificationNotDeliveredError):
        await mail(mailbox.port).send(replace(LETTER, warnings=(hostile,)))
    assert mailbox.recipients == []


async def test_whoever_has_no_address_is_left_to_the_pages(mailbox: MailBox) -> None:
    await mail(mailbox.port, address=lambda _: None).send(LETTER)
    assert mailbox.messages == []


async def test_a_function_of_an_admin_that_fails_is_a_letter_that_is_not_delivered(mailbox: MailBox) -> None:
    def broken(name: str) -> str:
        raise LookupError(name)

    with pytest.raises(NotificationNotDeliveredError, match="mail_address"):
        await mail(mailbox.port, address=broken).send(LETTER)
