"""Alerts by e-mail: smtp:// with STARTTLS where the server offers it, smtps:// with TLS at once.

A password is never sent without TLS. The standard library's client does the talking, in a thread.
"""

from __future__ import annotations

import asyncio
import html
import smtplib
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from functools import partial
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from conversion_relay.service.alerting.channel import Message, NotSent, Result, Sent
from conversion_relay.service.alerting.guard import AddressRefused, Guard, threads
from conversion_relay.service.alerting.words import Words, words_of
from conversion_relay.service.quantities import counted

_PORTS: Final = {"smtp": 587, "smtps": 465}
_POLICY: Final = SMTP.clone(cte_type="7bit")
_READY: Final = 220
_STEP_SECONDS: Final = 10.0
_TOTAL_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail server, and who gets alerts through it.

    Attributes:
        url: of the server, with user and password.
        sender: an address, or "Name <address>".
        receivers: addresses.
        guard: judges where the server is.
        total_seconds: for one message.
    """

    url: str = field(repr=False)
    sender: str
    receivers: tuple[str, ...]
    guard: Guard
    total_seconds: float = field(default=_TOTAL_SECONDS, compare=False)
    kind: str = field(default="email", init=False)

    @property
    def host(self) -> str:
        """Where it leads."""
        return urlsplit(self.url).hostname or ""

    async def send(self, message: Message) -> Result:
        """What came of it."""
        parts = urlsplit(self.url)
        conversation = _Conversation(parts, self.guard.encryption())
        try:
            content = mail_of(message, self.sender, self.receivers)
            async with asyncio.timeout(self.total_seconds):
                addresses = await self.guard.addresses(conversation.host, conversation.port)
                talk = partial(conversation.deliver, addresses, self, content)
                refused = await asyncio.get_running_loop().run_in_executor(threads(), talk)
        except AddressRefused as error:
            return NotSent(str(error))
        except TimeoutError:
            return NotSent("the mail server did not answer in time")
        except (smtplib.SMTPException, OSError, ValueError) as error:
            return NotSent(_words(error))
        finally:
            conversation.hang_up()
        return Sent(f"the mail server refused {counted(refused, 'receiver')}" if refused else None)


def mail_of(message: Message, sender: str, receivers: Sequence[str]) -> bytes:
    """The notification as an e-mail, as plain text and as HTML."""
    words = words_of(message.notification)
    mail = EmailMessage(policy=_POLICY)
    mail["Subject"] = f"[conversion-relay] {words.title}"
    mail["From"] = sender
    mail["To"] = ", ".join(receivers)
    mail["Date"] = format_datetime(message.notification.at)
    domain = parseaddr(sender)[1].rpartition("@")[2] or "conversion-relay.invalid"
    mail["Message-ID"] = f"<{message.id}@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(f"{words.plain()}\n")
    mail.add_alternative(_page(words), subtype="html")
    return mail.as_bytes()


def _page(words: Words) -> str:
    rows = "".join(
        f"<tr><th align='left' valign='top'>{html.escape(about)}</th>"
        f"<td>{html.escape(what)}</td></tr>"
        for about, what in words.lines
    )
    return (
        "<!doctype html><html><body style='font-family:sans-serif'>"
        f"<h2>{html.escape(words.title)}</h2><p>{html.escape(words.summary)}</p>"
        f"<table cellpadding='4'>{rows}</table></body></html>"
    )


class _Conversation:
    """With a mail server."""

    def __init__(self, parts: SplitResult, encryption: ssl.SSLContext) -> None:
        self._parts = parts
        self._encryption = encryption
        self._client: _Client | None = None
        self.host = parts.hostname or ""
        self.port = parts.port or _PORTS[parts.scheme]

    def deliver(self, addresses: Sequence[str], mail: Mail, content: bytes) -> int:
        """How many receivers were refused, of those at least one was not. To be run in a thread.

        Raises:
            SMTPException: the server does not take it.
            OSError: it cannot be reached.
        """
        self._client = client = _Client(addresses, self.host)
        try:
            self._begin(client)
            refused = client.sendmail(
                parseaddr(mail.sender)[1], [parseaddr(one)[1] for one in mail.receivers], content
            )
            with suppress(smtplib.SMTPException, OSError):
                client.quit()  # it has the message, whatever it says to this
        finally:
            client.close()
        return len(refused)

    def hang_up(self) -> None:
        """Ends it at once, so that a server which never ends it keeps no thread."""
        if self._client is not None:
            self._client.hang_up()

    def _begin(self, client: _Client) -> None:
        """Connects, encrypts, logs in; a password is told to no one without encryption."""
        client.at_once = self._encryption if self._parts.scheme == "smtps" else None
        code, words = client.connect(self.host, self.port)
        if code != _READY:
            raise smtplib.SMTPConnectError(code, words)
        client.ehlo_or_helo_if_needed()
        if client.at_once is None and client.has_extn("starttls"):
            client.starttls(context=self._encryption)
            client.ehlo()
        if not self._parts.username:
            return
        if not isinstance(client.sock, ssl.SSLSocket):
            raise _WithoutEncryption
        client.login(unquote(self._parts.username), unquote(self._parts.password or ""))


class _WithoutEncryption(smtplib.SMTPException):
    """The server offers no STARTTLS, and a password would have to be told to it."""


class _Client(smtplib.SMTP):
    """Connects to the first of these addresses that answers; the host's name is for TLS alone."""

    at_once: ssl.SSLContext | None = None

    def __init__(self, addresses: Sequence[str], host: str) -> None:
        super().__init__(timeout=_STEP_SECONDS, local_hostname="conversion-relay")
        self._addresses = addresses
        self._host = host  # STARTTLS verifies the certificate with it

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        connection = _connected(self._addresses, port, timeout)
        if self.at_once is None:
            return connection
        encrypted = self.at_once.wrap_socket(
            connection, server_hostname=host, do_handshake_on_connect=False
        )
        self.sock = encrypted  # so that it can be ended within the handshake
        encrypted.do_handshake()
        return encrypted

    def hang_up(self) -> None:
        """From another thread: whoever reads or writes fails at once."""
        if self.sock is not None:
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)


def _connected(addresses: Sequence[str], port: int, timeout: float) -> socket.socket:
    *others, last = addresses
    for address in others:
        with suppress(OSError):
            return socket.create_connection((address, port), timeout)
    return socket.create_connection((last, port), timeout)


def _words(error: Exception) -> str:
    """What went wrong, without the server's own text, which may hold addresses."""
    fitting = (words for kind, words in _FAULTS if isinstance(error, kind))
    words = next(fitting, "the mail cannot be written with these settings")
    code = getattr(error, "smtp_code", None)
    return words if code is None else f"{words} (status {code})"


_FAULTS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (_WithoutEncryption, "the mail server offers no STARTTLS, and a password is not sent openly"),
    (smtplib.SMTPAuthenticationError, "the mail server refuses user or password"),
    (smtplib.SMTPRecipientsRefused, "the mail server refuses every receiver"),
    (smtplib.SMTPSenderRefused, "the mail server refuses the sender"),
    (smtplib.SMTPServerDisconnected, "the mail server hung up"),
    (smtplib.SMTPException, "the mail server does not take it"),
    (ssl.SSLCertVerificationError, "the mail server's certificate is not valid for its name"),
    (ssl.SSLError, "no encrypted connection to the mail server could be made"),
    (TimeoutError, "the mail server did not answer in time"),
    (ConnectionRefusedError, "the mail server takes no connection"),
    (UnicodeError, "a user, password or address holds characters that cannot be sent"),
    (OSError, "the mail server cannot be reached"),
)
"""The first that fits counts."""
