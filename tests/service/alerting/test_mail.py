"""Alerts by e-mail, to a mail server on loopback."""

from __future__ import annotations

from dataclasses import replace
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest

from conversion_relay.service.alerting.channel import Message, NotSent, Result, Sent
from conversion_relay.service.alerting.guard import Guard
from conversion_relay.service.alerting.mail import Mail, mail_of
from support.alerts import HERE, notification, on_loopback
from support.certificates import encryption_for
from support.mail_server import MailServer, serving_mail
from support.ports import free_port

SENDER, RECEIVERS = "Relay <relay@shop.example>", ("ops@shop.example", "cmo@shop.example")
SECRET = "p%40ss%2Fword"


async def _send(
    server: MailServer,
    scheme: str = "smtp",
    user: str = "",
    guard: Guard = HERE,
    seconds: float = 20,
) -> Result:
    async with serving_mail(server) as port:
        url = f"{scheme}://{user}mail.example:{port}"
        channel = Mail(url, SENDER, RECEIVERS, guard, total_seconds=seconds)
        assert channel.host == "mail.example"
        assert SECRET not in repr(channel)
        return await channel.send(Message.of(notification()))


def _text(mail: bytes, kind: str) -> str:
    body = message_from_bytes(mail, policy=default).get_body((kind,))
    assert body is not None
    return str(body.get_content())


async def test_a_mail_arrives_with_everything_in_it() -> None:
    server = MailServer()
    assert await _send(server) == Sent()
    ((sender, receivers, content),) = server.mails
    assert sender == "relay@shop.example"
    assert receivers == ["ops@shop.example", "cmo@shop.example"]
    mail = message_from_bytes(content, policy=default)
    assert mail["Subject"] == "[conversion-relay] Alert (critical): lane held, eu"
    assert mail["From"] == "Relay <relay@shop.example>"
    assert mail["To"] == "ops@shop.example, cmo@shop.example"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Message-ID"] == f"<{Message.of(notification()).id}@shop.example>"
    assert "worth 1,240.50 EUR and 20.00 USD" in _text(content, "plain")


@pytest.mark.parametrize("at_once", [False, True])
async def test_user_and_password_travel_encrypted(at_once: bool, tmp_path: Path) -> None:
    encryption, trusted = encryption_for("mail.example", tmp_path)
    server = MailServer(encryption, at_once)
    guard = replace(HERE, encryption=lambda: trusted)
    scheme = "smtps" if at_once else "smtp"
    assert await _send(server, scheme, f"ops%40shop:{SECRET}@", guard) == Sent()
    assert server.logins == ["\0ops@shop\0p@ss/word"]
    assert server.encrypted == [True]


@pytest.mark.parametrize("at_once", [False, True])
async def test_a_certificate_of_another_name_is_not_trusted(at_once: bool, tmp_path: Path) -> None:
    encryption, trusted = encryption_for("other.example", tmp_path)
    server = MailServer(encryption, at_once)
    guard = replace(HERE, encryption=lambda: trusted)
    result = await _send(server, "smtps" if at_once else "smtp", f"ops:{SECRET}@", guard)
    assert result == NotSent("the mail server's certificate is not valid for its name")
    assert not server.logins


async def test_a_password_is_not_told_without_encryption() -> None:
    server = MailServer()
    result = await _send(server, user=f"ops:{SECRET}@")
    assert result == NotSent(
        "the mail server offers no STARTTLS, and a password is not sent openly"
    )
    assert not server.logins
    assert not server.mails


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"MAIL": "550 ops@shop.example no"}, "the mail server refuses the sender (status 550)"),
        ({"RCPT": "550 no such"}, "the mail server refuses every receiver"),
        ({"DATA": "451 later"}, "the mail server does not take it (status 451)"),
        (
            {"EHLO": "421 busy", "HELO": "421 busy"},
            "the mail server does not take it (status 421)",
        ),
    ],
)
async def test_what_a_server_refuses_is_said_in_our_words(
    answers: dict[str, str], reason: str
) -> None:
    assert await _send(MailServer(answers=answers)) == NotSent(reason)


async def test_a_wrong_password_is_said(tmp_path: Path) -> None:
    encryption, trusted = encryption_for("mail.example", tmp_path)
    server = MailServer(encryption, answers={"AUTH": f"535 wrong {SECRET}"})
    guard = replace(HERE, encryption=lambda: trusted)
    result = await _send(server, user=f"ops:{SECRET}@", guard=guard)
    assert result == NotSent("the mail server refuses user or password (status 535)")


async def test_who_got_it_does_not_get_it_again_for_the_others() -> None:
    server = MailServer(answers={"rcpt TO:<cmo@shop.example>": "550 gone"})
    assert await _send(server) == Sent("the mail server refused 1 receiver")
    assert server.mails[0][1] == ["ops@shop.example"]


async def test_a_rude_farewell_does_not_send_it_twice() -> None:
    server = MailServer(answers={"QUIT": "500 what"})
    assert await _send(server) == Sent()


async def test_a_server_that_says_nothing_is_given_up() -> None:
    server = MailServer(silent=True)
    result = await _send(server, seconds=0.2)
    assert result == NotSent("the mail server did not answer in time")
    assert server.connections == 1


async def test_nobody_there() -> None:
    channel = Mail(f"smtp://mail.example:{free_port()}", SENDER, RECEIVERS, HERE)
    result = await channel.send(Message.of(notification()))
    assert result == NotSent("the mail server takes no connection")


async def test_a_mail_server_inside_has_to_be_allowed() -> None:
    server = MailServer()
    result = await _send(server, guard=Guard(allow_private=False, resolve=on_loopback))
    assert isinstance(result, NotSent)
    assert "alerts.allow_private_addresses" in result.reason
    assert server.connections == 0


def test_what_is_said_is_no_markup_and_no_header() -> None:
    said = "<b>a & b</b>\r\nBcc: x@y.example"
    message = Message.of(notification(summary=said, subject="e\r\nBcc: x@y.example"))
    mail = mail_of(message, SENDER, RECEIVERS)
    assert message_from_bytes(mail, policy=default)["Bcc"] is None
    page = _text(mail, "html")
    assert "&lt;b&gt;a &amp; b&lt;/b&gt; Bcc: x@y.example" in page
    assert "<b>a" not in page
