"""What JSON webhooks get, and how they know whose it is."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import timedelta

import orjson
import pytest

from conversion_relay.service.alerting.alert import News
from conversion_relay.service.alerting.channel import Message, Sent
from conversion_relay.service.alerting.webhook import JsonWebhook, json_form, signature
from support.alerts import HERE, Receiver, notification, receiving
from support.time import START, VirtualTime


def test_the_form_holds_figures_for_machines_and_words_for_people() -> None:
    form = json_form(notification(News.RESOLVED, timedelta(minutes=12)))
    assert form == {
        "type": "alert.resolved",
        "timestamp": "2026-11-21T12:12:00+00:00",
        "data": {
            "id": 7,
            "rule": "lane_held",
            "subject": "eu",
            "severity": "critical",
            "summary": "TikTok refuses the access token (code 40105).",
            "advice": "Give the destination a new access token.",
            "since": "2026-11-21T12:00:00+00:00",
            "opened_at": "2026-11-21T12:00:00+00:00",
            "resolved_at": "2026-11-21T12:12:00+00:00",
            "destination": "eu",
            "waiting": 1240,
            "value_micros": {"EUR": 1_240_500_000, "USD": 20_000_000},
            "facts": {"code": 40105},
            "text": (
                "Resolved: lane held, eu\n"
                "TikTok refuses the access token (code 40105).\n"
                "Lasted: 12 min, from 2026-11-21 12:00:00 UTC to 2026-11-21 12:12:00 UTC\n"
                "Waiting: 1,240 events, worth 1,240.50 EUR and 20.00 USD"
            ),
        },
    }


def test_the_signature_is_that_of_the_specification() -> None:
    """The example of the reference implementations of Standard Webhooks."""
    headers = {"webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp": "1614265330"}
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    assert signature(secret, headers, b'{"test": 2432232314}') == (
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


@pytest.mark.parametrize(
    ("secret", "key"),
    [
        ("plain words", b"plain words"),
        ("whsec_c2VjcmV0", b"secret"),
        ("whsec_not base64", b"whsec_not base64"),
    ],
)
async def test_each_try_is_signed_with_its_time(secret: str, key: bytes) -> None:
    time, receiver = VirtualTime(), Receiver()
    message = Message.of(notification())
    async with receiving(receiver) as address:
        channel = JsonWebhook(address, secret, HERE, time)
        assert await channel.send(message) == Sent()
        time.turn(minutes=1)
        assert await channel.send(message) == Sent()
        assert secret not in repr(channel)
    for (headers, body), at in zip(receiver.got, (START, time.now), strict=True):
        stamp = str(int(at.timestamp()))
        signed = f"{message.id}.{stamp}.".encode() + body
        digest = hmac.new(key, signed, hashlib.sha256).digest()
        assert headers["webhook-id"] == message.id
        assert headers["webhook-timestamp"] == stamp
        assert headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"
        assert orjson.loads(body)["type"] == "alert.opened"


async def test_without_a_secret_nothing_is_signed() -> None:
    receiver = Receiver()
    async with receiving(receiver) as address:
        channel = JsonWebhook(address, None, HERE, VirtualTime())
        assert await channel.send(Message.of(notification())) == Sent()
    assert "webhook-signature" not in receiver.got[0][0]


def test_a_message_is_called_alike_whenever_it_is_made() -> None:
    opened = notification()
    others = [
        notification(News.RESOLVED),
        notification(after=timedelta(seconds=1)),
        notification(subject="us"),
        notification(rule="lane_open"),
    ]
    assert Message.of(opened).id == Message.of(notification()).id
    assert len({Message.of(one).id for one in [opened, *others]}) == 5
