"""What Slack-compatible webhooks get."""

from __future__ import annotations

from typing import cast

import orjson
import pytest

from conversion_relay.core.values import JsonObject
from conversion_relay.service.alerting.alert import News, Severity
from conversion_relay.service.alerting.channel import Message, Sent
from conversion_relay.service.alerting.slack import Slack, slack_form
from support.alerts import HERE, Receiver, notification, receiving
from support.time import START


def _attachment(form: JsonObject) -> JsonObject:
    (attachment,) = cast("list[JsonObject]", form["attachments"])
    return attachment


async def test_it_posts_a_text_and_an_attachment() -> None:
    receiver = Receiver()
    async with receiving(receiver) as address:
        channel = Slack(f"{address}/services/T0/B0/token", HERE)
        assert await channel.send(Message.of(notification())) == Sent()
        assert (channel.kind, channel.host) == ("slack", "127.0.0.1")
        assert "token" not in repr(channel)
    ((_, body),) = receiver.got
    assert orjson.loads(body) == {
        "text": "*Alert (critical): lane held, eu*",
        "attachments": [
            {
                "fallback": (
                    "Alert (critical): lane held, eu\n"
                    "TikTok refuses the access token (code 40105).\n"
                    "Since: 2026-11-21 12:00:00 UTC (0 s)\n"
                    "Waiting: 1,240 events, worth 1,240.50 EUR and 20.00 USD\n"
                    "What to do: Give the destination a new access token."
                ),
                "color": "#c62828",
                "text": "TikTok refuses the access token (code 40105).",
                "fields": [
                    {"title": "Since", "value": "2026-11-21 12:00:00 UTC (0 s)", "short": True},
                    {
                        "title": "Waiting",
                        "value": "1,240 events, worth 1,240.50 EUR and 20.00 USD",
                        "short": False,
                    },
                    {
                        "title": "What to do",
                        "value": "Give the destination a new access token.",
                        "short": True,
                    },
                ],
                "footer": "conversion-relay",
                "ts": int(START.timestamp()),
                "mrkdwn_in": ["text"],
            }
        ],
    }


@pytest.mark.parametrize(
    ("news", "severity", "colour"),
    [
        (News.OPENED, Severity.CRITICAL, "#c62828"),
        (News.STILL_OPEN, Severity.WARNING, "#f9a825"),
        (News.RESOLVED, Severity.CRITICAL, "#2e7d32"),
    ],
)
def test_the_colour_tells_how_bad_it_is(news: News, severity: Severity, colour: str) -> None:
    assert _attachment(slack_form(notification(news, severity=severity)))["color"] == colour


def test_nothing_in_it_is_read_as_a_link_or_a_call() -> None:
    said = "a <!channel> & <https://x.example|y> @everyone"
    form = slack_form(notification(summary=said))
    assert _attachment(form)["text"] == (
        "a &lt;!channel&gt; &amp; &lt;https://x.example|y&gt; @\u200beveryone"
    )
    whole = orjson.dumps(form).decode()
    assert "<" not in whole
    assert "@everyone" not in whole
