"""Letters by SMTP, in a thread of their own: a server that hangs keeps nobody but the next letter."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import localtime, make_msgid
from functools import partial
from typing import Literal

from ..domain.letter import Letter, Undelivered

STEP_SECONDS = 10.0  # for each answer of the server
TOTAL_SECONDS = 60.0  # for a letter
PORTS = {"tls": 465, "starttls": 587, "none": 25}
AddressOf = Callable[[str], str | None]


@dataclass(frozen=True, kw_only=True)
class MailServer:
    """`security`: encrypted from the first byte, from STARTTLS on (also refused without), or never;
    `authority` is a file of certificates in place of the system's."""

    host: str
    port: int
    sender: str
    security: Literal["tls", "starttls", "none"] = "starttls"
    username: str = ""
    password: str = field(default="", repr=False)
    authority: str = ""


class Mail:
    """*address* gives the address of a user, None of one that has none; it may take its time."""

    def __init__(self, server: MailServer, address: AddressOf) -> None:
        self._server, self._address = server, address
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="renku-mail")

    async def send(self, letter: Letter) -> None:
        """Hand it to the server. Whoever has no address gets none. Raises Undelivered."""
        work = asyncio.get_running_loop().run_in_executor(self._thread, partial(self._send, letter))
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                await work
        except TimeoutError:
            raise Undelivered("the mail server takes too long") from None

    async def close(self) -> None:
        """Send nothing any more; what hangs is left to its timeout."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _send(self, letter: Letter) -> None:
        try:
            address = self._address(letter.username)
            if address:
                self._deliver(self._message(letter, address))
        except Undelivered:
            raise
        except Exception as problem:  # an admin's function, or a server, in any of their ways
            raise Undelivered(f"{type(problem).__name__} of the mail server or of Renku.mail_address") from problem

    def _message(self, letter: Letter, address: str) -> EmailMessage:
        """What cannot be an address raises ValueError: no name of a user becomes a second header."""
        message = EmailMessage(policy=SMTP)
        message["From"] = self._server.sender
        message["To"] = Address(addr_spec=address)
        message["Subject"] = letter.subject
        message["Date"] = localtime()
        message["Message-ID"] = make_msgid(domain=self._server.sender.rpartition("@")[2].rstrip(">") or None)
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holidays are told to us
        message.set_content(letter.text)
        return message

    def _deliver(self, message: EmailMessage) -> None:
        server, trust = self._server, ssl.create_default_context(cafile=self._server.authority or None)
        if server.security == "tls":
            connection: smtplib.SMTP = smtplib.SMTP_SSL(server.host, server.port, timeout=STEP_SECONDS, context=trust)
        else:
            connection = smtplib.SMTP(server.host, server.port, timeout=STEP_SECONDS)
        with connection:
            if server.security == "starttls":
                connection.starttls(context=trust)
            if server.username:
                connection.login(server.username, server.password)
            connection.send_message(message)
