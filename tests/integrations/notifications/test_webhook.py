"""Letters to a program that takes them, refuses them, or is not there."""

import hashlib
import hmac
import json

import pytest

from renku_spawner.domain.notifications import NotificationNotDeliveredError
from renku_spawner.integrations import notifications
from renku_spawner.integrations.net.retry import Backoff
from renku_spawner.integrations.notifications import WebhookNotifier
from tests.fixtures import sessions
from tests.fixtures.ports import free_port

from .conftest import Receiver
from .test_mail import LETTER

SECRET = "s" * 16


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifications, "_WEBHOOK_BACKOFF", Backoff(first=0, longest=0))


async def test_what_is_posted_is_signed_and_says_all(receiver: Receiver) -> None:
    hook = WebhookNotifier(receiver.url, SECRET)
    await hook.send(LETTER)
    await hook.close()
    ((headers, body),) = receiver.requests
    signed = hmac.new(SECRET.encode(), headers["Renku-Timestamp"].encode() + b"." + body, hashlib.sha256).hexdigest()
    assert headers["Renku-Signature"] == f"sha256={signed}"
    said = json.loads(body)
    assert (said["event"], said["user"]) == ("expiry_warning", "ada")
    assert said["sessions"][0]["deleted_on"] == "2027-01-20T12:00:00+00:00"
    assert SECRET not in f"{headers}{body!r}"


@pytest.mark.parametrize(("answers", "asked"), [([503, 500], 3), ([503], 2), ([200], 1)])
async def test_it_is_tried_three_times(receiver: Receiver, at_once: None, answers: list[int], asked: int) -> None:
    receiver.answers = list(answers)
    hook = WebhookNotifier(receiver.url, SECRET)
    await hook.send(LETTER)
    await hook.close()
    assert len(receiver.requests) == asked
    assert len({json.loads(body)["sessions"][0]["id"] for _, body in receiver.requests}) == 1


@pytest.mark.parametrize("status", [500, 404, 302])
async def test_what_is_not_taken_is_not_delivered(receiver: Receiver, at_once: None, status: int) -> None:
    receiver.answers = [status] * 9
    hook = WebhookNotifier(receiver.url, SECRET)
    with pytest.raises(NotificationNotDeliveredError, match=str(status)):
        await hook.send(LETTER)
    await hook.close()
    assert len(receiver.requests) == 3


async def test_a_program_that_is_away_is_no_delivery(at_once: None) -> None:
    hook = WebhookNotifier(f"http://127.0.0.1:{free_port()}/hook", SECRET)
    with pytest.raises(NotificationNotDeliveredError):
        await hook.send(LETTER)
    await hook.close()


async def test_what_is_sent_while_the_hub_ends_leaves_no_session_open(receiver: Receiver, at_once: None) -> None:
    hook = WebhookNotifier(receiver.url, SECRET)
    await hook.close()
    with pytest.raises(NotificationNotDeliveredError):
        await hook.send(LETTER)
    assert sessions.left_open() == []
