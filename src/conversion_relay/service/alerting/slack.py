"""Slack-compatible incoming webhooks: Slack, Mattermost, Discord's /slack.

Only what all of them take: a text, and an attachment with a colour and fields.
Source: api.slack.com/messaging/webhooks, developers.mattermost.com/integrate/webhooks/incoming,
discord.com/developers/docs/resources/webhook (read 2026-11-21).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import orjson

from conversion_relay.core.values import JsonObject
from conversion_relay.service.alerting.alert import News, Notification, Severity
from conversion_relay.service.alerting.channel import Message, Result
from conversion_relay.service.alerting.guard import Guard
from conversion_relay.service.alerting.posting import host_of, post
from conversion_relay.service.alerting.words import words_of

_COLOURS: Final = {Severity.CRITICAL: "#c62828", Severity.WARNING: "#f9a825"}
_RESOLVED: Final = "#2e7d32"
_SHORT: Final = 40
_ESCAPED: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "@\u200b"})
"""Slack's three, and the sign with which Mattermost and Discord call everybody."""


@dataclass(frozen=True, slots=True)
class Slack:
    """One incoming webhook."""

    url: str = field(repr=False)
    guard: Guard
    kind: str = field(default="slack", init=False)

    @property
    def host(self) -> str:
        """Where it leads."""
        return host_of(self.url)

    async def send(self, message: Message) -> Result:
        """What came of it."""
        return await post(self.url, orjson.dumps(slack_form(message.notification)), {}, self.guard)


def slack_form(notification: Notification) -> JsonObject:
    """The notification as such a webhook takes it."""
    words = words_of(notification)
    title, summary = escaped(words.title), escaped(words.summary)
    resolved = notification.news is News.RESOLVED
    colour = _RESOLVED if resolved else _COLOURS[notification.alert.finding.severity]
    return {
        "text": f"*{title}*",
        "attachments": [
            {
                "fallback": escaped(words.plain()),
                "color": colour,
                "text": summary,
                "fields": [
                    {"title": about, "value": escaped(what), "short": len(what) <= _SHORT}
                    for about, what in words.lines
                ],
                "footer": "conversion-relay",
                "ts": int(notification.at.timestamp()),
                "mrkdwn_in": ["text"],
            }
        ],
    }


def escaped(text: str) -> str:
    """The text without anything that such a webhook reads as a link, a command or a mention."""
    return text.translate(_ESCAPED)
