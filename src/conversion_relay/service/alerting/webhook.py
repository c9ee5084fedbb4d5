"""JSON webhooks, signed as Standard Webhooks says.

Source: github.com/standard-webhooks/standard-webhooks, specification 1.0 (read 2026-11-21).
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import orjson

from conversion_relay.core.values import JsonObject
from conversion_relay.service.alerting.alert import Notification
from conversion_relay.service.alerting.channel import Message, Result
from conversion_relay.service.alerting.guard import Guard
from conversion_relay.service.alerting.posting import host_of, post
from conversion_relay.service.alerting.words import words_of

_ENCODED: Final = "whsec_"


@dataclass(frozen=True, slots=True)
class JsonWebhook:
    """One receiver of alerts as JSON.

    Attributes:
        url: where it is posted.
        secret: signs each message; None: they are not signed.
        guard: judges where that leads.
        clock: gives the present, aware; each try is signed with its own time.
    """

    url: str = field(repr=False)
    secret: str | None = field(repr=False)
    guard: Guard
    clock: Callable[[], datetime] = field(repr=False, compare=False)
    kind: str = field(default="webhook", init=False)

    @property
    def host(self) -> str:
        """Where it leads."""
        return host_of(self.url)

    async def send(self, message: Message) -> Result:
        """What came of it."""
        content = orjson.dumps(json_form(message.notification))
        headers = {
            "webhook-id": message.id,
            "webhook-timestamp": str(int(self.clock().timestamp())),
        }
        if self.secret is not None:
            headers["webhook-signature"] = signature(self.secret, headers, content)
        return await post(self.url, content, headers, self.guard)


def signature(secret: str, headers: dict[str, str], content: bytes) -> str:
    """The value of `webhook-signature`, over id, time and content."""
    start = f"{headers['webhook-id']}.{headers['webhook-timestamp']}."
    digest = hmac.digest(key_of(secret), start.encode() + content, "sha256")
    return f"v1,{base64.b64encode(digest).decode()}"


def key_of(secret: str) -> bytes:
    """The bytes that sign: after whsec_ Base64, otherwise the text itself."""
    if secret.startswith(_ENCODED):
        try:
            return base64.b64decode(secret.removeprefix(_ENCODED), validate=True)
        except binascii.Error:
            pass
    return secret.encode()


def json_form(notification: Notification) -> JsonObject:
    """The notification as JSON; docs/alerts.md describes it."""
    alert, finding = notification.alert, notification.alert.finding
    resolved = alert.resolved_at
    return {
        "type": f"alert.{notification.news.value}",
        "timestamp": notification.at.isoformat(),
        "data": {
            "id": alert.id,
            "rule": finding.rule,
            "subject": finding.subject,
            "severity": finding.severity.value,
            "summary": finding.summary,
            "advice": finding.advice,
            "since": (finding.since or alert.opened_at).isoformat(),
            "opened_at": alert.opened_at.isoformat(),
            "resolved_at": None if resolved is None else resolved.isoformat(),
            "destination": finding.destination,
            "waiting": notification.waiting,
            "value_micros": dict(notification.value_micros),
            "facts": dict(finding.facts),
            "text": words_of(notification).plain(),
        },
    }
