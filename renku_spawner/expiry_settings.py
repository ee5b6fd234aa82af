"""The settings about paused data: how long they are kept, who is told before, and what keeping them costs."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from pydantic import Field
from traitlets import Callable, CaselessStrEnum, Dict, Integer, Unicode, Union
from traitlets.config import LoggingConfigurable

from .domain.expiry import LEAST_DAYS, Expiry
from .domain.price import Price
from .domain.resources import ResourceClass
from .post.mail import PORTS, AddressOf, Mail, MailServer
from .post.webhook import Webhook
from .services.post import Post
from .settings import Setting, SettingError, validated

_LEAST = 16  # characters of a secret
_SERVER = re.compile(r"([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_SENDER = re.compile(r"[^\s@<>]+@[^\s@<>]+|[^<>\r\n]*<[^\s@<>]+@[^\s@<>]+>")


class PriceSetting(Setting):
    """`Renku.price`."""

    per_gib_month: float = Field(ge=0)
    currency: str = Field(min_length=1, max_length=10, pattern=r"^\S+$")


class ExpirySettings(LoggingConfigurable):
    """Those of the settings of `c.Renku` that are about paused data."""

    expire_paused_days = Integer(
        0,
        min=0,
        max=36_500,
        config=True,
        help="""
        Days after which the data of a paused or failed session go into the trash; 0, the default, is never, and
        4 is the least. A class of `resource_classes` can have its own `expire_paused_days`. Owners are told the
        date from the pause on, and warned three days and one day before it; who resumes the session has all the
        days again. Dates move to later by time in which the hub, GitLab or the cluster was away, and by warnings
        that were not delivered; never to earlier. When this is switched on, what has been paused for long is
        kept for as many days from then on.
        """,
    )
    trash_days = Integer(
        7,
        min=1,
        max=3650,
        config=True,
        help="""
        Days for which expired data stay in the trash: their owner (on *My sessions*) or an admin can bring them
        back. Then they are deleted for good.
        """,
    )
    price = Dict(
        config=True,
        help="""
        What keeping data costs, shown on *My sessions* beside the size that a session has reported: for example
        `{"per_gib_month": 0.08, "currency": "CHF"}`. Not shown by default.
        """,
    )
    mail_server = Unicode(
        config=True,
        help="""
        SMTP server (`host` or `host:port`) through which people are warned of the deletion of their data; none by
        default. It needs `mail_sender` and `mail_address`.
        """,
    )
    mail_security = CaselessStrEnum(
        list(PORTS),
        "starttls",
        config=True,
        help="""
        How the connection to the mail server is encrypted: `starttls` (port 587 if none is given), `tls` from the
        first byte (465) or `none` (25).
        """,
    )
    mail_sender = Unicode(config=True, help="Who the mails are from: `hub@example.org` or `The hub <hub@example.org>`.")
    mail_username = Unicode(config=True, help="User name at the mail server; without one nobody logs in there.")
    mail_password = Unicode(config=True, help="Password at the mail server.")
    mail_address = Union(
        [Unicode(), Callable()],
        config=True,
        help="""
        The address of a user: a text with `{username}` in it, such as `{username}@example.org`, or a function of
        the user name, which may take seconds and returns None for people who have no address: they are warned by
        the pages alone. A function that raises delays the deletion.
        """,
    )
    notice_url = Unicode(
        config=True,
        help="""
        Address to which warnings are posted as JSON, for a program that passes them on; none by default. It
        needs `notice_secret`.
        """,
    )
    notice_secret = Unicode(
        config=True,
        help="Secret that signs what is posted to `notice_url` (docs/expiry.md); at least 16 characters.",
    )

    def expiry(self, classes: tuple[ResourceClass, ...]) -> Expiry:
        """Raises SettingError."""
        own = {each.name: each.expire_paused_days for each in classes if each.expire_paused_days is not None}
        if 0 < self.expire_paused_days < LEAST_DAYS:
            raise SettingError(f"Renku.expire_paused_days is 0 for never, or {LEAST_DAYS} or more.")
        return Expiry(days=self.expire_paused_days or None, trash_days=self.trash_days, of_class=own)

    def priced(self) -> Price | None:
        """Raises SettingError."""
        if not self.price:
            return None
        read = validated(PriceSetting, "price", None, self.price)
        return Price(per_gib_month=read.per_gib_month, currency=read.currency)

    def posts(self) -> tuple[Post, ...]:
        """The webhook first: whoever hears of a warning twice from there can tell. Raises SettingError."""
        made: list[Post] = []
        if self.notice_url:
            made.append(self._webhook())
        if self.mail_server:
            made.append(self._mail())
        return tuple(made)

    def _webhook(self) -> Webhook:
        address = urlsplit(self.notice_url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise SettingError("Renku.notice_url is no address that begins with https:// or http://.")
        if len(self.notice_secret) < _LEAST:
            raise SettingError(f"Renku.notice_url needs a Renku.notice_secret of at least {_LEAST} characters.")
        return Webhook(self.notice_url, self.notice_secret)

    def _mail(self) -> Mail:
        if not _SERVER.fullmatch(self.mail_server):
            raise SettingError(f"Renku.mail_server: {self.mail_server!r} is neither `host` nor `host:port`.")
        if not _SENDER.fullmatch(self.mail_sender):
            raise SettingError("Renku.mail_server needs a Renku.mail_sender, such as hub@example.org.")
        host, _, port = self.mail_server.rpartition(":") if self._has_port else (self.mail_server, "", "")
        server = MailServer(
            host=host.strip("[]"),
            port=int(port or PORTS[self.mail_security]),
            sender=self.mail_sender,
            security=self.mail_security,
            username=self.mail_username,
            password=self.mail_password,
        )
        return Mail(server, self._address())

    @property
    def _has_port(self) -> bool:
        return bool(re.search(r":[0-9]{1,5}$", self.mail_server))

    def _address(self) -> AddressOf:
        said = self.mail_address
        if callable(said):
            return said
        if "{username}" not in said:
            raise SettingError("Renku.mail_server needs a Renku.mail_address: a function, or a text with {username}.")
        return lambda name: str(said).replace("{username}", name)
