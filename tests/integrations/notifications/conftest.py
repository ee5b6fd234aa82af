"""A real mail server and a program that takes webhooks, on this machine."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from aiohttp import web
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.fixtures.ports import free_port


@dataclass
class MailBox:
    """What an SMTP server was handed; `refusal` is what it answers instead."""

    port: int
    refusal: str = ""
    messages: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.refusal:
            return self.refusal
        assert isinstance(envelope.content, bytes)
        self.messages.append(message_from_bytes(envelope.content, policy=policy.default))  # type: ignore[arg-type]
        self.recipients += envelope.rcpt_tos
        self.encrypted.append(session.ssl is not None)
        return "250 Taken"

    def login(self, _server: SMTP, _session: Session, _envelope: Envelope, _how: str, said: Any) -> AuthResult:
        assert isinstance(said, LoginPassword)
        self.logins.append(f"{said.login.decode()}:{said.password.decode()}")
        return AuthResult(success=said.password == b"right", handled=False)


@pytest.fixture
def tls() -> ssl.SSLContext | None:
    return None


@pytest.fixture
async def mailbox(tls: ssl.SSLContext | None) -> AsyncIterator[MailBox]:
    box = MailBox(port=free_port())
    options: dict[str, Any] = {"tls_context": tls, "require_starttls": True} if tls else {"auth_require_tls": False}

    def connected() -> SMTP:
        return SMTP(box, authenticator=box.login, loop=asyncio.get_running_loop(), **options)

    server = await asyncio.get_running_loop().create_server(connected, "127.0.0.1", box.port)
    yield box
    server.close()
    await server.wait_closed()


@dataclass
class Receiver:
    """A program that takes webhooks, with the statuses that it answers in turn (204 when there are no more)."""

    url: str
    answers: list[int] = field(default_factory=list)
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        self.requests.append((dict(request.headers), await request.read()))
        return web.Response(status=self.answers.pop(0) if self.answers else 204, headers={"Location": self.url})


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    port = free_port()
    made = Receiver(f"http://127.0.0.1:{port}/hook")
    app = web.Application()
    app.router.add_post("/hook", made.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield made
    await runner.cleanup()
