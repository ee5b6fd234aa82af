"""Send notifications by e-mail (SMTP) or signed webhook.

When a notification is due is decided in jobs.expiry.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import smtplib
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import localtime, make_msgid
from functools import partial
from typing import Literal

import aiohttp

from ..domain.notifications import ExpiryNotification, NotificationNotDeliveredError
from .net.retry import Backoff, retry

SMTP_STEP_TIMEOUT_SECONDS = 10.0  # for each answer of the server
MAIL_TOTAL_TIMEOUT_SECONDS = 60.0  # for one e-mail
SMTP_PORTS = {"tls": 465, "starttls": 587, "none": 25}
GetMailAddress = Callable[[str], str | None]


@dataclass(frozen=True, kw_only=True)
class MailServer:
    """Settings of the mail server.

    `security` is `tls` (from the first byte), `starttls` (required) or `none`. `authority` is a CA file that replaces
    the system's trust store.
    """

    host: str
    port: int
    sender: str
    security: Literal["tls", "starttls", "none"] = "starttls"
    username: str = ""
    password: str = field(default="", repr=False)
    authority: str = ""


class MailNotifier:
    """Send notifications by e-mail, in a thread of its own.

    *address* returns the e-mail address of a user, or None; it may block.
    """

    def __init__(self, server: MailServer, address: GetMailAddress) -> None:
        self._server, self._address = server, address
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="renku-mail")

    async def send(self, letter: ExpiryNotification) -> None:
        """Hand the e-mail to the mail server; do nothing if the user has no address.

        Raises:
            NotificationNotDeliveredError: the server did not accept it.
        """
        work = asyncio.get_running_loop().run_in_executor(self._thread, partial(self._send_blocking, letter))
        try:
            async with asyncio.timeout(MAIL_TOTAL_TIMEOUT_SECONDS):
                await work
        except TimeoutError:
            raise NotificationNotDeliveredError("the mail server takes too long") from None

    async def close(self) -> None:
        """Stop sending; a delivery in progress runs into its timeout."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _send_blocking(self, letter: ExpiryNotification) -> None:
        try:
            address = self._address(letter.username)
            if address:
                self._deliver_message(self._build_message(letter, address))
        except NotificationNotDeliveredError:
            raise
        except Exception as problem:  # the admin's function and the mail server may fail in any way
            raise NotificationNotDeliveredError(
                f"{type(problem).__name__} of the mail server or of Renku.mail_address"
            ) from problem

    def _build_message(self, letter: ExpiryNotification, address: str) -> EmailMessage:
        """Build the message; raise ValueError for an invalid address, so that user names cannot inject headers."""
        message = EmailMessage(policy=SMTP)
        message["From"] = self._server.sender
        message["To"] = Address(addr_spec=address)
        message["Subject"] = letter.subject
        message["Date"] = localtime()
        message["Message-ID"] = make_msgid(domain=self._server.sender.rpartition("@")[2].rstrip(">") or None)
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: suppresses out-of-office replies
        message.set_content(letter.body_text)
        return message

    def _deliver_message(self, message: EmailMessage) -> None:
        server, trust = self._server, ssl.create_default_context(cafile=self._server.authority or None)
        if server.security == "tls":
            connection: smtplib.SMTP = smtplib.SMTP_SSL(
                server.host, server.port, timeout=SMTP_STEP_TIMEOUT_SECONDS, context=trust
            )
        else:
            connection = smtplib.SMTP(server.host, server.port, timeout=SMTP_STEP_TIMEOUT_SECONDS)
        with connection:
            if server.security == "starttls":
                connection.starttls(context=trust)
            if server.username:
                connection.login(server.username, server.password)
            connection.send_message(message)


WEBHOOK_CONNECT_TIMEOUT_SECONDS, WEBHOOK_TOTAL_TIMEOUT_SECONDS = 3.0, 10.0
_WEBHOOK_ATTEMPTS = 3
_WEBHOOK_BACKOFF = Backoff(first=1, factor=5, longest=5, jitter=0)


class WebhookNotifier:
    """Post notifications as signed JSON.

    `Renku-Signature` is `sha256=` and the HMAC, with *secret*, of `Renku-Timestamp`, a full stop and the body.
    """

    def __init__(self, url: str, secret: str) -> None:
        self._url, self._secret = url, secret.encode()
        self._made: aiohttp.ClientSession | None = None
        self._closed = False

    async def send(self, letter: ExpiryNotification) -> None:
        """Post the notification until it is accepted (2xx), at most three times.

        Raises:
            NotificationNotDeliveredError: the third attempt failed too.
        """
        await retry(
            partial(self._post_once, json.dumps(letter.payload).encode()),
            errors=NotificationNotDeliveredError,
            backoff=_WEBHOOK_BACKOFF,
            attempts=_WEBHOOK_ATTEMPTS,
        )

    async def close(self) -> None:
        """Stop sending, and refuse to create another HTTP session, which would never be closed."""
        self._closed = True
        if self._made is not None:
            await self._made.close()

    async def _post_once(self, body: bytes) -> None:
        """Post once; only the status is read. Raises NotificationNotDeliveredError."""
        try:
            async with self._session.post(
                self._url,
                data=body,
                headers=self.build_signed_headers(body, str(int(time.time()))),
                allow_redirects=False,
            ) as answer:
                if not 200 <= answer.status < 300:
                    raise NotificationNotDeliveredError(f"the webhook answered {answer.status}")
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as problem:
            name = type(problem).__name__
            raise NotificationNotDeliveredError(f"the webhook does not answer ({name})") from None

    def build_signed_headers(self, body: bytes, now: str) -> dict[str, str]:
        signature = hmac.new(self._secret, now.encode() + b"." + body, hashlib.sha256).hexdigest()
        return {
            "Content-Type": "application/json",
            "Renku-Timestamp": now,
            "Renku-Signature": f"sha256={signature}",
        }

    @property
    def _session(self) -> aiohttp.ClientSession:
        """The HTTP session, created on the running loop, without cookies and without proxies of the environment.

        Raises:
            ConnectionError: the notifier is closed.
        """
        if self._closed:
            raise ConnectionError("closed")
        if self._made is None:
            self._made = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(
                    total=WEBHOOK_TOTAL_TIMEOUT_SECONDS, sock_connect=WEBHOOK_CONNECT_TIMEOUT_SECONDS
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._made
