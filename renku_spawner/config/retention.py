"""Settings of `c.Renku` about pausing idle sessions and deleting paused data."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from pydantic import Field
from traitlets import Callable, CaselessStrEnum, Dict, Float, Integer, Unicode, Union
from traitlets.config import LoggingConfigurable

from ..context.app_context import NotificationChannel
from ..domain.errors import SettingError
from ..domain.expiry import MIN_EXPIRY_DAYS, ExpiryRules
from ..domain.policy import IdleRules, StoragePrice
from ..domain.resource_classes import ResourceClass
from ..integrations.notifications import SMTP_PORTS, GetMailAddress, MailNotifier, MailServer, WebhookNotifier
from .parsing import SettingModel, validate_setting_entry

_MIN_NOTICE_SECRET_LENGTH = 16  # characters
_MAIL_SERVER_PATTERN = re.compile(r"([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_MAIL_SENDER_PATTERN = re.compile(r"[^\s@<>]+@[^\s@<>]+|[^<>\r\n]*<[^\s@<>]+@[^\s@<>]+>")


class PriceSetting(SettingModel):
    """Schema of `Renku.price`."""

    per_gib_month: float = Field(ge=0)
    currency: str = Field(min_length=1, max_length=10, pattern=r"^\S+$")


class ExpirySettings(LoggingConfigurable):
    """Settings of `c.Renku` about the expiry of paused sessions' data."""

    expire_paused_days = Integer(
        0,
        min=0,
        max=36_500,
        config=True,
        help="""
        Number of days after which the data of a paused or failed session is moved to the trash. 0, the default, is
        never; otherwise it must be at least 4. A class of `resource_classes` can have its own `expire_paused_days`.
        Owners see the date from the pause on, and are warned three days and one day before it. Resuming the session
        starts the period again. Dates are postponed while the hub, GitLab or the cluster is unavailable, and if a
        warning cannot be delivered; they never move earlier. When the setting is switched on, data of sessions that are
        paused already is kept for the full period from then on.
        """,
    )
    trash_days = Integer(
        7,
        min=1,
        max=3650,
        config=True,
        help="""
        Number of days for which expired data stays in the trash before it is deleted for good. Until then its owner (on
        *My sessions*) or an admin can restore it.
        """,
    )
    price = Dict(
        config=True,
        help="""
        Price of stored data, shown on *My sessions* next to the size that a session has reported. Not shown by default.
        For example `{"per_gib_month": 0.08, "currency": "CHF"}`.
        """,
    )
    mail_server = Unicode(
        config=True,
        help="""
        SMTP server (`host` or `host:port`) that sends e-mails to users before their data is deleted; none by default.
        It requires `mail_sender` and `mail_address`.
        """,
    )
    mail_security = CaselessStrEnum(
        list(SMTP_PORTS),
        "starttls",
        config=True,
        help="""
        Encryption of the connection to the mail server: `starttls` (default port 587), `tls` (default port 465) or
        `none` (default port 25).
        """,
    )
    mail_sender = Unicode(
        config=True, help="Sender of e-mails, such as `hub@example.org` or `The hub <hub@example.org>`."
    )
    mail_username = Unicode(config=True, help="User name at the mail server; by default the hub does not log in there.")
    mail_password = Unicode(config=True, help="Password at the mail server.")
    mail_address = Union(
        [Unicode(), Callable()],
        config=True,
        help="""
        E-mail address of a user: a text that contains `{username}`, such as `{username}@example.org`, or a function of
        the user name. The function may take seconds and returns None for users without an address, who are warned only
        on the pages. If it raises, the deletion is postponed.
        """,
    )
    notice_url = Unicode(
        config=True,
        help="""
        URL of a webhook to which warnings are posted as JSON, for a program that forwards them; none by default. It
        requires `notice_secret`.
        """,
    )
    notice_secret = Unicode(
        config=True,
        help="Secret that signs the requests to `notice_url` (docs/expiry.md); at least 16 characters.",
    )

    def build_expiry_rules(self, classes: tuple[ResourceClass, ...]) -> ExpiryRules:
        """Return the expiry rules, with those of *classes*. Raises SettingError."""
        own = {each.name: each.expire_paused_days for each in classes if each.expire_paused_days is not None}
        if 0 < self.expire_paused_days < MIN_EXPIRY_DAYS:
            raise SettingError(f"Renku.expire_paused_days must be 0 for never, or at least {MIN_EXPIRY_DAYS}.")
        return ExpiryRules(days=self.expire_paused_days or None, trash_days=self.trash_days, of_class=own)

    def build_price(self) -> StoragePrice | None:
        """Return the price of stored data, None if it is not set. Raises SettingError."""
        if not self.price:
            return None
        read = validate_setting_entry(PriceSetting, "price", None, self.price)
        return StoragePrice(per_gib_month=read.per_gib_month, currency=read.currency)

    def build_notification_channels(self) -> tuple[NotificationChannel, ...]:
        """Return the channels for warnings, the webhook first. Raises SettingError.

        A warning is sent again through all channels if one fails. A webhook can recognise the duplicate by its id, a
        reader of e-mails cannot.
        """
        made: list[NotificationChannel] = []
        if self.notice_url:
            made.append(self._build_webhook_channel())
        if self.mail_server:
            made.append(self._build_mail_channel())
        return tuple(made)

    def _build_webhook_channel(self) -> WebhookNotifier:
        address = urlsplit(self.notice_url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise SettingError("Renku.notice_url must be an address that begins with https:// or http://.")
        if len(self.notice_secret) < _MIN_NOTICE_SECRET_LENGTH:
            raise SettingError(
                f"Renku.notice_url needs a Renku.notice_secret of at least {_MIN_NOTICE_SECRET_LENGTH} characters."
            )
        return WebhookNotifier(self.notice_url, self.notice_secret)

    def _build_mail_channel(self) -> MailNotifier:
        if not _MAIL_SERVER_PATTERN.fullmatch(self.mail_server):
            raise SettingError(f"Renku.mail_server: {self.mail_server!r} is neither `host` nor `host:port`.")
        if not _MAIL_SENDER_PATTERN.fullmatch(self.mail_sender):
            raise SettingError("Renku.mail_server needs a Renku.mail_sender, such as hub@example.org.")
        host, _, port = self.mail_server.rpartition(":") if self._has_mail_port else (self.mail_server, "", "")
        server = MailServer(
            host=host.strip("[]"),
            port=int(port or SMTP_PORTS[self.mail_security]),
            sender=self.mail_sender,
            security=self.mail_security,
            username=self.mail_username,
            password=self.mail_password,
        )
        return MailNotifier(server, self._build_mail_address_lookup())

    @property
    def _has_mail_port(self) -> bool:
        return bool(re.search(r":[0-9]{1,5}$", self.mail_server))

    def _build_mail_address_lookup(self) -> GetMailAddress:
        address = self.mail_address
        if callable(address):
            return address
        if "{username}" not in address:
            raise SettingError("Renku.mail_server needs a Renku.mail_address: a function, or a text with {username}.")
        return lambda name: str(address).replace("{username}", name)


_DAY_SECONDS = 86_400
_MAX_IDLE_SECONDS = 366 * _DAY_SECONDS


class IdleSettings(LoggingConfigurable):
    """Settings of `c.Renku` about pausing idle sessions."""

    idle_pause = Integer(
        _DAY_SECONDS,
        min=0,
        max=_MAX_IDLE_SECONDS,
        config=True,
        help="""
        Number of seconds without use after which a session is paused; its files are kept. 0 is never. Traffic, busy
        kernels and terminals count as use, and so does CPU usage if the cluster reports it. Missing data never counts
        as idle. Resource classes and ready-made environments can have their own `idle_pause`.
        """,
    )
    idle_warning = Integer(
        600,
        min=60,
        max=_DAY_SECONDS,
        config=True,
        help="Number of seconds before an idle session is paused at which its owner is warned and can keep it awake.",
    )
    idle_processor = Float(
        0.1,
        min=0,
        max=1000,
        config=True,
        help="""
        CPU usage, in cores, from which a session counts as used, so that a long computation is not paused. It is
        measured by the cluster (`metrics.k8s.io`), or by the hub's own machine with `RenkuLocalSpawner`. 0 disables the
        measurement.
        """,
    )
    keep_awake_max = Integer(
        7 * _DAY_SECONDS,
        min=0,
        max=_MAX_IDLE_SECONDS,
        config=True,
        help="Maximum number of seconds for which an owner can keep an idle session awake. 0 disables keeping awake.",
    )
    run_time_max = Integer(
        0,
        min=0,
        max=_MAX_IDLE_SECONDS,
        config=True,
        help="Number of seconds after which every session is paused, used or not, with the same warning. 0 is never.",
    )
    rounds_interval = Float(
        60.0,
        min=1,
        max=600,
        config=True,
        help="Number of seconds between two runs of the jobs that pause idle sessions and delete expired data.",
    )

    def build_idle_rules(self) -> IdleRules:
        """Return the rules for pausing idle sessions. Raises SettingError."""
        self.check_longer_than_warning("idle_pause", self.idle_pause)
        self.check_longer_than_warning("run_time_max", self.run_time_max)
        return IdleRules(
            pause=self.idle_pause,
            warning=self.idle_warning,
            awake_max=self.keep_awake_max,
            run_max=self.run_time_max,
            processor=self.idle_processor,
        )

    def check_idle_pauses(self, setting: str, pauses: Iterable[tuple[str, int | None]]) -> None:
        """Check the `idle_pause` of each entry of *setting*, given by name. Raises SettingError."""
        for name, seconds in pauses:
            self.check_longer_than_warning(f"{setting}: idle_pause of {name!r}", seconds)

    def check_longer_than_warning(self, what: str, seconds: int | None) -> None:
        """Raise SettingError if *seconds* is not longer than `idle_warning`; 0 and None are never."""
        if seconds and seconds <= self.idle_warning:
            raise SettingError(
                f"Renku.{what} ({seconds}) has to be longer than Renku.idle_warning ({self.idle_warning})."
            )
